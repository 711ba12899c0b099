// A tensor of an operation, declared once: a line of the operation's list. The checks of operands.h
// and the filling of the call struct follow from it. Java's enums, such as TokenLogprobsOperand,
// declare the same in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "logratio.h"
#include "op/element_type.h"
#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::abi {

using op::ElementType;

// ---- Element types ----

// The element types that an operand may have.
struct Types {
  uint32_t set;
  const char* words;  // "float"
  const char* names;  // "F64, F32, BF16 or F16"

  constexpr bool has(ElementType type) const { return (set >> static_cast<int>(type) & 1) != 0; }
};

constexpr uint32_t bit(ElementType type) { return 1u << static_cast<int>(type); }
inline constexpr uint32_t kFloatBits =
    bit(ElementType::f64) | bit(ElementType::f32) | bit(ElementType::bf16) | bit(ElementType::f16);
inline constexpr uint32_t kIntBits = bit(ElementType::i64) | bit(ElementType::i32);
inline constexpr Types kFloats{kFloatBits, "float", "F64, F32, BF16 or F16"};
inline constexpr Types kInts{kIntBits, "int", "I64 or I32"};
inline constexpr Types kLongs{bit(ElementType::i64), "I64", "I64"};
inline constexpr Types kCounts{kFloatBits | kIntBits, "float or int",
                               "F64, F32, BF16, F16, I64 or I32"};
inline constexpr Types kFlags{bit(ElementType::flag), "BOOL or U8", "BOOL or U8"};
inline constexpr Types kMasks{bit(ElementType::flag) | kIntBits | bit(ElementType::f32),
                              "BOOL, U8, I64, I32 or F32", "BOOL, U8, I64, I32 or F32"};
inline constexpr Types kLogits{kFloatBits & ~bit(ElementType::f64), "float", "F32, BF16 or F16"};
inline constexpr Types kRowWeights{bit(ElementType::f32), "F32", "F32"};

// ---- Shapes ----

// A symbolic shape such as [2P,T,V] or [N+1]: in each dimension a number, or a letter that stands
// for the same size throughout a call, perhaps with a factor and something added. Or 1, where "1|"
// stands before it.
struct Pattern {
  static constexpr int kMaxRank = 3;

  const char* text = "";  // "2P,T,V"
  int8_t rank = 0;
  uint8_t factors[kMaxRank] = {};
  uint8_t letters[kMaxRank] = {};  // from 1 for A; 0 where the size is the factor itself
  uint8_t addends[kMaxRank] = {};
  bool or_one[kMaxRank] = {};

  consteval Pattern() = default;
  consteval explicit Pattern(const char* text) : text(text) {
    for (const char* at = text; *at != '\0'; ++rank) {
      or_one[rank] = at[0] == '1' && at[1] == '|';
      at += or_one[rank] ? 2 : 0;
      uint8_t number = 0;
      for (; *at >= '0' && *at <= '9'; ++at)
        number = static_cast<uint8_t>(10 * number + (*at - '0'));
      factors[rank] = number == 0 ? 1 : number;
      if (*at >= 'A' && *at <= 'Z')
        letters[rank] = static_cast<uint8_t>(*at++ - 'A' + 1);
      if (*at == '+') {
        addends[rank] = static_cast<uint8_t>(at[1] - '0');
        at += 2;
      }
      if (*at == ',')
        ++at;
    }
  }

  // The size of a dimension, given that of its letter.
  constexpr int64_t size(int dimension, int64_t of_letter) const {
    return factors[dimension] * of_letter + addends[dimension];
  }
};

// The shapes of an operand: one for each form that the operation knows (rows, or sequences of
// rows, and either with several labels per row), or fewer that the forms take in turn.
struct Shapes {
  static constexpr int kMaxForms = 4;

  Pattern patterns[kMaxForms];
  int count;

  template <class... Texts>
  consteval explicit Shapes(Texts... texts) : patterns{Pattern(texts)...}, count(sizeof...(texts)) {
    static_assert(kMaxForms % sizeof...(texts) == 0);
  }
  constexpr const Pattern& of_form(int form) const { return patterns[form % count]; }
};

template <size_t size>
struct Letters {
  char text[size];
  consteval Letters(const char (&from)[size]) {
    for (size_t k = 0; k < size; ++k)
      text[k] = from[k];
  }
};

// shape<"N,V", "B,T,V">
template <Letters... forms>
inline constexpr Shapes shape{forms.text...};

// ---- Operands ----

// A field of the args struct; its address tells the operands of a call apart.
using Field = const DLTensor* const*;

using OptionMember = double lr_loss_options::*;

// When an operand has to be there; optional unless more is said.
struct Presence {
  bool is_required = false;
  Field together_with = nullptr;  // there where that one is, and only there
  bool is_packed = false;         // there in the second form, of packed sequences, and only there
};
inline constexpr Presence kRequired{true};
inline constexpr Presence kPacked{false, nullptr, true};
constexpr Presence with(const DLTensor* const& other) { return {false, &other}; }

// Each is built where it lies in its list: a copy of a dozen shows in the time of a call.
struct Operand {
  const char* name;
  Field field;
  const Types* types;
  const Shapes* shapes;
  op::TensorView* view;  // of the call struct, one of the two: receives what was checked
  op::LogitRows* rows;   // vocabulary rows: elements of the last dimension lie side by side
  Presence presence;
  bool is_output;
  Field gradient_of;    // whose shape and type it has, and whose memory it may be; or nullptr
  OptionMember option;  // whose place an input takes, or that an output is the
                        // gradient by; or nullptr
  op::Columns* columns = nullptr;  // of the call struct: the last dimension of the forms [..,K],
                                   // whose view is of the rows

  const DLTensor* tensor() const { return *field; }
};

constexpr Operand in(const char* name, const DLTensor* const& field, const Types& types,
                     const Shapes& shapes, op::TensorView& view, Presence presence = {},
                     OptionMember option = nullptr) {
  return {name, &field, &types, &shapes, &view, nullptr, presence, false, nullptr, option};
}
constexpr Operand in(const char* name, const DLTensor* const& field, const Types& types,
                     const Shapes& shapes, op::LogitRows& rows, Presence presence = {}) {
  return {name, &field, &types, &shapes, nullptr, &rows, presence, false, nullptr, nullptr};
}
constexpr Operand out(const char* name, const DLTensor* const& field, const Types& types,
                      const Shapes& shapes, op::TensorView& view, Presence presence = {},
                      OptionMember option = nullptr) {
  return {name, &field, &types, &shapes, &view, nullptr, presence, true, nullptr, option};
}
// Rows of a matrix.
constexpr Operand out(const char* name, const DLTensor* const& field, const Types& types,
                      const Shapes& shapes, op::LogitRows& rows, Presence presence = {}) {
  return {name, &field, &types, &shapes, nullptr, &rows, presence, true, nullptr, nullptr};
}
// The same of tensors that may have several elements per row.
constexpr Operand with_columns(Operand operand, op::Columns& columns) {
  operand.columns = &columns;
  return operand;
}
// The gradient of vocabulary rows.
constexpr Operand gradient(const char* name, const DLTensor* const& field,
                           const DLTensor* const& of, const Shapes& shapes, op::LogitRows& rows,
                           Presence presence = {}) {
  return {name, &field, &kLogits, &shapes, nullptr, &rows, presence, true, &of, nullptr};
}

}  // namespace logratio::abi
