#include "cpu/linear/plan.h"

#include <algorithm>

#include "cpu/thread_pool.h"

namespace logratio::cpu {

HeadPlan plan_head(const op::TrainedHead& head, const Tiles& tiles, bool is_online) {
  const int64_t threads = thread_count(), blocks = tiles.blocks();
  if (!head.wants_gradient())
    return {LR_LINEAR_FORWARD, 0, blocks};
  if (is_online)
    return {LR_LINEAR_ONLINE, 0, threads};
  const int64_t tile = tiles.block_rows() * kWindow * int64_t{sizeof(float)};
  const int64_t spaces = threads * tiles.space_bytes();
  const int64_t budget = static_cast<int64_t>(std::min<uint64_t>(head.budget_bytes, INT64_MAX));
  const int64_t kept = std::clamp<int64_t>((budget - spaces) / tile, 0, blocks * tiles.windows());
  // Enough for all threads, which have a segment of a block each.
  const int64_t busy = (threads + tiles.segments() - 1) / tiles.segments();
  return {LR_LINEAR_SWEEP, kept, std::max(busy, kept / tiles.windows())};
}

}  // namespace logratio::cpu
