// How two vocabulary rows are cut: into parts of up to eight stretches, one for each warp of a
// block. Short rows have one part. The parts of long ones are done by one block, one after the
// other, or by a cluster of blocks at once; the order of all sums is that of parts and stretches.
#pragma once

#include "row_stretches.cuh"

namespace logratio::device {

constexpr int kMaxParts = 8;
constexpr int64_t kPartedColumns = kMaxParts * kStretchWarps * kStretchColumns;

struct Parts {
  int count;
  Stretches stretches;  // of each part

  // Where a stretch begins, and ends, within the row.
  __device__ int64_t begin(int part, int warp) const {
    return (int64_t{part} * stretches.count + warp) * stretches.columns;
  }
  __device__ int64_t end(int part, int warp, int64_t columns) const {
    const int64_t end = begin(part, warp + 1);
    return end < columns ? end : columns;
  }
};

inline Parts cut_parts(int64_t columns) {
  if (columns < kPartedColumns)
    return {1, cut_stretches(columns)};
  constexpr int64_t kStretches = kMaxParts * kStretchWarps;
  const int64_t each =
      ((columns + kStretches - 1) / kStretches + kStretchUnit - 1) / kStretchUnit * kStretchUnit;
  const int64_t part = each * kStretchWarps;
  return {static_cast<int>((columns + part - 1) / part), {kStretchWarps, each}};
}

}  // namespace logratio::device
