// How vocabulary rows are dealt to threads. Included by kernels, too, so it emits no function.
#pragma once

#include <cstdint>

#include "cpu/thread_pool.h"
#include "math/functions.h"
#include "op/logit_rows.h"

namespace logratio::cpu {

// A row is cut into segments of this many columns, whoever computes them; their partial sums are
// merged in order. So the order of every reduction depends on V alone.
inline constexpr int64_t kSegment = 32768;

[[gnu::always_inline]] inline int64_t segment_end(int64_t columns, int64_t begin) {
  return columns - begin < kSegment ? columns : begin + kSegment;
}

// Few rows of several segments each are dealt by segment, else whole rows are, in runs.
struct RowPlan {
  int64_t segments;  // of a row
  int64_t rows_per_task;
  bool by_segment;
};

// For `count` rows, or pairs of rows, of `row_bytes` each.
RowPlan plan_rows(int64_t count, int64_t columns, int64_t row_bytes);

// Calls body(first, last) for runs of rows that cover 0..count-1.
template <class Body>
[[gnu::always_inline]] inline void for_row_runs(int64_t count, int64_t rows_per_task, Body&& body) {
  parallel_for((count + rows_per_task - 1) / rows_per_task, [&](int64_t task) {
    const int64_t first = task * rows_per_task, last = first + rows_per_task;
    body(first, last < count ? last : count);
  });
}

[[gnu::always_inline]] inline char* row_address(const op::LogitRows& rows, int64_t r) {
  const int64_t element = r / rows.inner * rows.outer_stride + r % rows.inner * rows.inner_stride;
  return static_cast<char*>(rows.base) + element * (rows.type == op::ElementType::f32 ? 4 : 2);
}

// One logit of a row, and one value of its gradient, rounded to the type.
float load_logit(op::ElementType type, const void* row, int64_t column);
void store_logit(op::ElementType type, void* row, int64_t column, double value);

// float32(log2(e) / temperature), kept finite so that 0 times it is 0.
[[gnu::always_inline]] inline float exp2_scale(double temperature) {
  const double scale = math::kLog2E / temperature;
  return static_cast<float>(scale < 1e30 ? scale : 1e30);
}

}  // namespace logratio::cpu
