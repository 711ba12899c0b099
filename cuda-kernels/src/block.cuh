// A block of threads that works on sequences or pairs: sums in a fixed order, and the last block of
// a grid to finish.
#pragma once

#include <bit>
#include <cstddef>

#include "intrinsics.h"
#include "team.cuh"

namespace logratio::device {

constexpr int kListThreads = 256;
constexpr int kListWarps = kListThreads / kWarp;

constexpr int kMaxSums = 11;

struct BlockScratch {
  double sums[kListWarps][kMaxSums];
  double totals[kMaxSums];
  int counts[2][kListWarps];
  bool last;
};

// Every thread gets the sums over all threads of the block: a tree in each warp, then the warps in
// their order, a thread each sum.
template <int kCount>
__device__ inline void block_sum(double (&values)[kCount], BlockScratch* scratch) {
  static_assert(kCount <= kMaxSums);
  const int warp = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  for (double& value : values)
    value = warp_sum(value);
  if (lane == 0) {
    for (int k = 0; k < kCount; ++k)
      scratch->sums[warp][k] = values[k];
  }
  __syncthreads();  // so the totals before have been read, too
  if (threadIdx.x < kCount) {
    double total = 0;
    for (int w = 0; w < kListWarps; ++w)
      total += scratch->sums[w][threadIdx.x];
    scratch->totals[threadIdx.x] = total;
  }
  __syncthreads();
  for (int k = 0; k < kCount; ++k)
    values[k] = scratch->totals[k];
}

// A struct of doubles, field by field.
template <class Sums>
struct FieldsOf {
  double of[sizeof(Sums) / sizeof(double)];
};

template <class Sums>
__device__ inline Sums block_sum_of(const Sums& own, BlockScratch* scratch) {
  auto fields = std::bit_cast<FieldsOf<Sums>>(own);
  block_sum(fields.of, scratch);
  return std::bit_cast<Sums>(fields);
}

template <class Sums>
__device__ inline Sums sum_of(const Sums& a, const Sums& b) {
  auto sum = std::bit_cast<FieldsOf<Sums>>(a);
  const auto more = std::bit_cast<FieldsOf<Sums>>(b);
  for (size_t k = 0; k < sizeof(Sums) / sizeof(double); ++k)
    sum.of[k] += more.of[k];
  return std::bit_cast<Sums>(sum);
}

// Called by every thread of every block of a grid, once. True in the block that comes last, which
// then sees all that the others wrote before. `arrivals` is 0 before, and again afterwards; one
// block needs no count.
//
// One thread counts for its block, between two barriers. What the others wrote comes before the
// first barrier and so before its count, which releases all that comes before it, whoever wrote it.
// A fence of each thread's own, ahead of the barrier, orders nothing of theirs with this count.
__device__ inline bool last_of_grid(uint32_t* arrivals, BlockScratch* scratch) {
  __syncthreads();
  if (gridDim.x == 1)
    return true;
  if (threadIdx.x == 0) {
    scratch->last = count_arrival(arrivals) == gridDim.x - 1;
    if (scratch->last)
      *arrivals = 0;
  }
  __syncthreads();
  return scratch->last;
}

}  // namespace logratio::device
