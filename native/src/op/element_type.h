// The element types of tensors, as both sides of the library know them.
#pragma once

#include <cstdint>

namespace logratio::op {

enum class ElementType : uint8_t {
  f64,
  f32,
  bf16,
  f16,
  i64,
  i32,
  flag  // one byte, non-zero is 1
};

constexpr int64_t bytes_of(ElementType type) {
  switch (type) {
    case ElementType::f64:
    case ElementType::i64:
      return 8;
    case ElementType::f32:
    case ElementType::i32:
      return 4;
    case ElementType::bf16:
    case ElementType::f16:
      return 2;
    case ElementType::flag:
      return 1;
  }
  return 1;
}

constexpr bool is_int(ElementType type) {
  return type == ElementType::i64 || type == ElementType::i32;
}

// Spacing of a floating-point type's numbers next to 1.
constexpr double epsilon_of(ElementType type) {
  switch (type) {
    case ElementType::f64:
      return 0x1p-52;
    case ElementType::f32:
      return 0x1p-23;
    case ElementType::f16:
      return 0x1p-10;
    default:
      return 0x1p-7;
  }
}

}  // namespace logratio::op
