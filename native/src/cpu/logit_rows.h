// Addresses and single elements of vocabulary rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "cpu/thread_pool.h"
#include "cpu/token_rows.h"
#include "math/narrow_floats.h"

namespace logratio::cpu {

inline char* row_address(const LogitRows& rows, int64_t r) {
  const int64_t element = r / rows.inner * rows.outer_stride + r % rows.inner * rows.inner_stride;
  return static_cast<char*>(rows.base) + element * bytes_of(rows.type);
}

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

// float32(log2(e) / temperature), kept finite so that 0 times it is 0.
inline float exp2_scale(double temperature) {
  return static_cast<float>(std::min(1.4426950408889634074 / temperature, 1e30));
}

// Rows are handed out in runs of at least this many bytes, which hides the cost of taking a task; a
// smaller call stays on the caller. Longer runs are better where there are rows enough to balance:
// what a kernel prefetches past the end of a row is its next one then.
inline constexpr int64_t kTaskBytes = 256 * 1024;
inline constexpr int64_t kLongTaskBytes = 4 * 1024 * 1024;
inline constexpr int64_t kTasksPerThread = 8;

inline int64_t rows_per_task(int64_t count, int64_t row_bytes) {
  const int64_t balanced =
      std::min(kLongTaskBytes / row_bytes, count / (kTasksPerThread * thread_count()));
  return std::max<int64_t>({1, kTaskBytes / row_bytes, balanced});
}

// Calls body(first, last) for runs of rows that cover 0..count-1.
template <class F>
void for_row_runs(int64_t count, int64_t rows_per_task, F&& body) {
  parallel_for((count + rows_per_task - 1) / rows_per_task, [&](int64_t task) {
    const int64_t first = task * rows_per_task;
    body(first, std::min(first + rows_per_task, count));
  });
}

}  // namespace logratio::cpu
