// Vocabulary rows: logits, or their gradient.
#pragma once

#include <cstdint>

#include "op/element_type.h"

namespace logratio::op {

// A strided view of rows: row r = o * inner + i starts outer_stride * o + inner_stride * i elements
// after base; columns are contiguous. The type is f32, bf16 or f16.
struct LogitRows {
  void* base;
  ElementType type;
  int64_t inner;         // rows per outer index; N for a matrix
  int64_t outer_stride;  // elements
  int64_t inner_stride;  // elements
  int64_t columns;       // V
};

struct RowTransform {  // z = softcap(x) / temperature
  double temperature;
  double softcap;  // 0: off
};

}  // namespace logratio::op
