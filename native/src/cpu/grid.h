// Token- and pair-sized tensors of any element type and strides, read and written as double.
// Checked at the C ABI, unchecked here.
#pragma once

#include <cstdint>

namespace logratio::cpu {

enum class ElementType : uint8_t {
  f64,
  f32,
  bf16,
  f16,
  i64,
  i32,
  flag
};  // flag: one byte, non-zero is 1

// Spacing of a floating-point type's numbers next to 1.
constexpr double epsilon_of(ElementType type) {
  return type == ElementType::f64   ? 0x1p-52
         : type == ElementType::f32 ? 0x1p-23
         : type == ElementType::f16 ? 0x1p-10
                                    : 0x1p-7;
}

// Element (o, i), the o * inner + i-th in row-major order, starts outer_stride * o + inner_stride *
// i elements after data. A vector has one outer index.
struct Grid {
  bool present = false;  // an absent optional tensor; a present one may be empty
  ElementType type = ElementType::f64;
  void* data = nullptr;
  int64_t outer = 0;
  int64_t inner = 0;
  int64_t outer_stride = 0;
  int64_t inner_stride = 0;

  explicit operator bool() const { return present; }
  int64_t size() const { return outer * inner; }
};

// Elements first .. first+count-1 in row-major order. write() rounds once, to nearest even.
void read(const Grid& grid, int64_t first, int64_t count, double* values);
void read(const Grid& grid, int64_t first, int64_t count, int64_t* values);  // of an integer grid
void write(const Grid& grid, int64_t first, int64_t count, const double* values);
void write(const Grid& grid, int64_t first, int64_t count,
           const int64_t* values);  // to an integer grid

// The same one element after the other: value(k) is stored as element k. For outputs that are
// gathered from structs.
template <class Value>
void write_each(const Grid& grid, int64_t count, Value&& value) {
  using Element = decltype(value(int64_t{0}));
  constexpr int64_t kBlock = 256;
  Element block[kBlock];
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t size = count - first < kBlock ? count - first : kBlock;
    for (int64_t k = 0; k < size; ++k)
      block[k] = value(first + k);
    write(grid, first, size, block);
  }
}

}  // namespace logratio::cpu
