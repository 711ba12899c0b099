// Addresses and single elements of vocabulary rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "cpu/thread_pool.h"
#include "cpu/token_rows.h"
#include "math/narrow_floats.h"

namespace logratio::cpu {

inline float load(ElementType type, const void* row, int64_t column) {
  switch (type) {
    case ElementType::bf16:
      return static_cast<float>(math::Bfloat16::widen(static_cast<const uint16_t*>(row)[column]));
    case ElementType::f16:
      return static_cast<float>(math::Float16::widen(static_cast<const uint16_t*>(row)[column]));
    default:
      return static_cast<const float*>(row)[column];
  }
}

inline void store(ElementType type, void* row, int64_t column, double value) {
  switch (type) {
    case ElementType::bf16:
      static_cast<uint16_t*>(row)[column] = math::Bfloat16::narrow(value);
      break;
    case ElementType::f16:
      static_cast<uint16_t*>(row)[column] = math::Float16::narrow(value);
      break;
    default:
      static_cast<float*>(row)[column] = static_cast<float>(value);
      break;
  }
}

inline int64_t rows_per_task(int64_t count, int64_t row_bytes) {
  return plan_rows(count, 1, row_bytes).rows_per_task;
}

}  // namespace logratio::cpu
