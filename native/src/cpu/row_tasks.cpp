#include "cpu/row_tasks.h"

#include <algorithm>

#include "math/narrow_floats.h"

namespace logratio::cpu {
namespace {

// Rows are handed out in runs of at least this many bytes, which hides the cost of taking a task; a
// smaller call stays on the caller. Longer runs are better where there are rows enough to balance:
// what a kernel prefetches past the end of a row is its next one then.
constexpr int64_t kTaskBytes = 256 * 1024;
constexpr int64_t kLongTaskBytes = 4 * 1024 * 1024;
constexpr int64_t kTasksPerThread = 8;

}  // namespace

RowPlan plan_rows(int64_t count, int64_t columns, int64_t row_bytes) {
  const int64_t segments = (columns + kSegment - 1) / kSegment;
  const int64_t balanced =
      std::min(kLongTaskBytes / row_bytes, count / (kTasksPerThread * thread_count()));
  return {segments, std::max<int64_t>({1, kTaskBytes / row_bytes, balanced}),
          segments > 1 && count < 2 * thread_count()};
}

float load_logit(op::ElementType type, const void* row, int64_t column) {
  switch (type) {
    case op::ElementType::bf16:
      return static_cast<float>(math::Bfloat16::widen(static_cast<const uint16_t*>(row)[column]));
    case op::ElementType::f16:
      return static_cast<float>(math::Float16::widen(static_cast<const uint16_t*>(row)[column]));
    default:
      return static_cast<const float*>(row)[column];
  }
}

void store_logit(op::ElementType type, void* row, int64_t column, double value) {
  switch (type) {
    case op::ElementType::bf16:
      static_cast<uint16_t*>(row)[column] = math::Bfloat16::narrow(value);
      break;
    case op::ElementType::f16:
      static_cast<uint16_t*>(row)[column] = math::Float16::narrow(value);
      break;
    default:
      static_cast<float*>(row)[column] = static_cast<float>(value);
      break;
  }
}

}  // namespace logratio::cpu
