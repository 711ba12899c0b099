// How the rows of divergence and scoring_rule are cut, and who takes them. Rows are cut into parts
// of up to eight stretches, one for each warp of a block; short rows have one part. The parts of
// long ones are done by one block, one after the other, or by several blocks at once. The order of
// all sums is that of parts and stretches.
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

// The blocks that take a row, or a pair, together. What they tell each other has two places for
// each part, for rows in turn: who writes one of them again has met the others since they read it.
// One block, which does all parts in turn:
struct OneBlock {
  static constexpr bool kPartEach = false;
  static constexpr int kOwnParts = kMaxParts;
  const Parts& parts;

  __device__ int64_t index() const { return blockIdx.x; }
  __device__ int64_t count() const { return gridDim.x; }
  __device__ int first() const { return 0; }
  __device__ int last() const { return parts.count; }
  // All threads meet.
  __device__ void meet() const { __syncthreads(); }
  // Where this block puts the sums of its parts, its own places given.
  template <class Places>
  __device__ Places* places(Places* own) const {
    return own;
  }
  // What the block that does a part has put there, after they have met.
  template <class Of>
  __device__ Of of_part(const Of* parts_of, int part) const {
    return parts_of[part];
  }
};

// a cluster of blocks, in which each does the part of its rank:
struct ClusterOfBlocks {
  static constexpr bool kPartEach = true;
  static constexpr int kOwnParts = 1;
  const Parts& parts;

  __device__ int64_t index() const { return blockIdx.x / parts.count; }
  __device__ int64_t count() const { return gridDim.x / parts.count; }
  __device__ int first() const { return cluster_rank(); }
  __device__ int last() const { return cluster_rank() + 1; }
  __device__ void meet() const { cluster_barrier(); }
  template <class Places>
  __device__ Places* places(Places* own) const {
    return own;
  }
  template <class Of>
  __device__ Of of_part(const Of* parts_of, int part) const {
    return *shared_of(part, parts_of + part);
  }
};

// or, where there are no clusters, blocks that are resident together, and meet in global memory.
template <class Places>
struct GroupOfBlocks {
  static constexpr bool kPartEach = true;
  static constexpr int kOwnParts = 1;
  const Parts& parts;
  Places* sums;        // of this group
  uint32_t* arrivals;  // 0 before the launch

  __device__ int64_t index() const { return blockIdx.x / parts.count; }
  __device__ int64_t count() const { return gridDim.x / parts.count; }
  __device__ int first() const { return static_cast<int>(blockIdx.x % parts.count); }
  __device__ int last() const { return first() + 1; }
  __device__ void meet() const { group_barrier(arrivals, static_cast<uint32_t>(parts.count)); }
  __device__ Places* places(Places*) const { return sums; }
  template <class Of>
  __device__ Of of_part(const Of* parts_of, int part) const {
    return parts_of[part];
  }
};

// Where groups meet: room for as many as can be resident.
template <class Places>
struct Groups {
  int64_t count;
  Places* sums;
  uint32_t* arrivals;

  Groups(const Parts& parts, const Machine& machine, Workspace& workspace)
      : count(parts.count == 1
                  ? 0
                  : std::max<int64_t>(kStretchBlocks * machine.multiprocessors / parts.count, 1)),
        sums(workspace.take<Places>(count)),
        arrivals(workspace.take<uint32_t>(count)) {}
};

}  // namespace logratio::device
