// Checks of DLTensor arguments. A tensor that passes becomes the plain view that the kernels take.
#pragma once

#include <cstdint>
#include <string>

#include "abi/errors.h"
#include "op/tensor_view.h"
#include "op/logit_rows.h"

namespace logratio::abi {

using op::ElementType;

using op::bytes_of;

// The element types that an argument may have.
struct Types {
  uint32_t set;
  const char* text;

  constexpr bool has(ElementType type) const { return (set >> static_cast<int>(type) & 1) != 0; }
};

constexpr uint32_t bit(ElementType type) { return 1u << static_cast<int>(type); }
constexpr uint32_t kFloatBits =
    bit(ElementType::f64) | bit(ElementType::f32) | bit(ElementType::bf16) | bit(ElementType::f16);
constexpr uint32_t kIntBits = bit(ElementType::i64) | bit(ElementType::i32);
inline constexpr Types kFloats{kFloatBits, "float64, float32, bfloat16 or float16"};
inline constexpr Types kInts{kIntBits, "int64 or int32"};
inline constexpr Types kCounts{kFloatBits | kIntBits,
                               "float64, float32, bfloat16, float16, int64 or int32"};
inline constexpr Types kMasks{bit(ElementType::flag) | bit(ElementType::f32),
                              "bool, uint8 or float32"};
inline constexpr Types kLogits{
    bit(ElementType::f32) | bit(ElementType::bf16) | bit(ElementType::f16),
    "float32, bfloat16 or float16"};

struct Shape {
  int32_t ndim;
  int64_t size[3];
};

inline Shape shape_of(int64_t a) { return {1, {a, 0, 0}}; }
inline Shape shape_of(int64_t a, int64_t b) { return {2, {a, b, 0}}; }

std::string to_text(const Shape& shape);

// A tensor argument with its name, as the checks pass it around.
struct Argument {
  const char* name;
  const DLTensor* tensor;
};

// A required argument is there.
void require(const Argument& argument);

// Device, dtype, rank and memory. The rank is one of min_rank..max_rank; `expected` says in words
// what the shape should be.
ElementType check_tensor(const Argument& argument, const Types& types, int min_rank, int max_rank,
                         const char* expected);

// A tensor of one or two dimensions. The second form also demands a shape, and says what it follows
// from.
op::TensorView view_of(const Argument& argument, const Types& types, int rank,
                       const char* expected);
op::TensorView view_of(const Argument& argument, const Types& types, const Shape& shape,
                       const char* reason);

// The same, absent where the tensor is NULL.
inline op::TensorView optional_view(const Argument& argument, const Types& types,
                                    const Shape& shape, const char* reason) {
  return argument.tensor == nullptr ? op::TensorView{} : view_of(argument, types, shape, reason);
}

// Vocabulary rows: logits, or their gradient.
struct RowsArgument {
  op::LogitRows rows;  // the kernels' view. Without a row it has one column: what is planned by
                       // columns must not ask for 2^62 of none
  Shape row_shape;     // without the vocabulary: [N] or [B,T]
  int64_t count;
  int64_t columns;  // of the tensor, for the checks
};
RowsArgument logit_rows(const Argument& argument, int min_rank, const char* expected);
// The gradient of rows: of their shape and dtype.
RowsArgument gradient_rows(const Argument& argument, const Argument& of, const RowsArgument& like);

}  // namespace logratio::abi
