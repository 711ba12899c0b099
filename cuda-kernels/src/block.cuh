// A block of threads that works on sequences or pairs: sums in a fixed order, and the last block of
// a grid to finish.
#pragma once

#include <bit>

#include "intrinsics.h"
#include "team.cuh"

namespace logratio::device {

constexpr int kListThreads = 256;
constexpr int kListWarps = kListThreads / kWarp;

inline dim3 grid_of(int64_t blocks) {
  constexpr int64_t kMost = 0x7fffffff;
  return dim3(static_cast<unsigned>(blocks < 1 ? 1 : blocks < kMost ? blocks : kMost));
}

constexpr int kMaxSums = 10;

struct BlockScratch {
  double sums[kListWarps][kMaxSums];
  int64_t counts[kListWarps][2];
  bool last;
};

// Every thread gets the sums over all threads of the block: a tree in each warp, then the warps in
// their order.
template <int kCount>
__device__ inline void block_sum(double (&values)[kCount], BlockScratch* scratch) {
  static_assert(kCount <= kMaxSums);
  const int warp = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  for (double& value : values)
    value = warp_sum(value);
  __syncthreads();  // the sums before have been read
  if (lane == 0) {
    for (int k = 0; k < kCount; ++k)
      scratch->sums[warp][k] = values[k];
  }
  __syncthreads();
  for (int k = 0; k < kCount; ++k) {
    values[k] = 0;
    for (int w = 0; w < kListWarps; ++w)
      values[k] += scratch->sums[w][k];
  }
}

// The same of a struct of doubles, field by field.
template <class Sums>
__device__ inline Sums block_sum_of(const Sums& own, BlockScratch* scratch) {
  struct Values {
    double of[sizeof(Sums) / sizeof(double)];
  };
  Values values = std::bit_cast<Values>(own);
  block_sum(values.of, scratch);
  return std::bit_cast<Sums>(values);
}

// Called by every thread of every block of a grid, once. True in the block that comes last, which
// then sees all that the others wrote before. `arrivals` is 0 before; one block needs no count.
__device__ inline bool last_of_grid(uint32_t* arrivals, BlockScratch* scratch) {
  if (gridDim.x == 1) {
    __syncthreads();
    return true;
  }
  make_visible();
  __syncthreads();
  if (threadIdx.x == 0)
    scratch->last = count_arrival(arrivals) == gridDim.x - 1;
  __syncthreads();
  make_visible();
  return scratch->last;
}

}  // namespace logratio::device
