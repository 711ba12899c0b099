// A strided tensor of numbers per token, sequence or pair, on either side. Checked at the C ABI,
// unchecked behind it.
#pragma once

#include <cstdint>

#include "op/element_type.h"

namespace logratio::op {

// Element (o, i), the o * inner + i-th in row-major order, starts outer_stride * o + inner_stride *
// i elements after data. A vector has one outer index.
struct TensorView {
  bool present = false;  // an absent optional tensor; a present one may be empty
  ElementType type = ElementType::f64;
  void* data = nullptr;
  int64_t outer = 0;
  int64_t inner = 0;
  int64_t outer_stride = 0;
  int64_t inner_stride = 0;

  explicit operator bool() const { return present; }
  constexpr int64_t size() const { return outer * inner; }
};

// What stands beside the element that a view has of each row, the first: `count` elements in all,
// `step` apart.
struct Columns {
  int64_t count = 1;
  int64_t step = 0;
};

// A label per row: ignore_index, or a column. In CPU memory nothing else is left behind the C ABI;
// in device memory any number may stand there.
struct Labels {
  TensorView values;
  int64_t ignore_index;
};

}  // namespace logratio::op
