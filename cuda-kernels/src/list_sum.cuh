// Sums over a list with an element per token, row or pair, by a grid: each thread has a few
// elements and each block a part of the list, and the block that comes last adds the parts up.
// Which sums are added in which order depends on the length of the list alone.
//
// That is two memory round trips for the elements, one for the count and one for the parts' sums,
// up to some 100,000 elements, where one block alone takes as many round trips as a thread has
// elements.
#pragma once

#include "block.cuh"

namespace logratio::device {

constexpr int kElementsEach = 2;
constexpr int64_t kPartElements = kElementsEach * kListThreads;

inline int64_t parts_of(int64_t count) {
  return count <= kPartElements ? 1 : (count + kPartElements - 1) / kPartElements;
}

// Of a list that is cut into parts; the same for one kernel after another.
struct ListMemory {
  double* partials;    // by part, kMaxListSums each
  uint32_t* arrivals;  // 0 before each kernel and after it
};

constexpr int kMaxListSums = 2;

inline ListMemory take_list_memory(Workspace& workspace, int64_t count) {
  double* const partials = workspace.take<double>(kMaxListSums * parts_of(count));
  return {partials, workspace.take<uint32_t>(1)};
}

// Before the first of the kernels, where none that runs earlier clears the arrivals.
inline void prepare_list_sums(const ListMemory& memory, int64_t count, void* stream) {
  if (parts_of(count) > 1)
    fill(memory.arrivals, 0, sizeof *memory.arrivals, stream);
}

// Called by all threads of a grid of parts_of(count) blocks. add(k, sums) adds element k. True in
// the block that finishes, whose threads all get the sums.
template <int kCount, class Add>
__device__ inline bool sum_list(int64_t count, const ListMemory& memory, BlockScratch* scratch,
                                double (&sums)[kCount], Add&& add) {
  static_assert(kCount <= kMaxListSums);
  for (double& sum : sums)
    sum = 0;
  const int64_t first = int64_t{blockIdx.x} * kPartElements + threadIdx.x;
#pragma unroll
  for (int j = 0; j < kElementsEach; ++j) {
    const int64_t k = first + j * kListThreads;
    if (k < count)
      add(k, sums);
  }
  block_sum(sums, scratch);
  if (gridDim.x == 1)
    return true;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kCount; ++i)
      memory.partials[int64_t{blockIdx.x} * kMaxListSums + i] = sums[i];
  }
  if (!last_of_grid(memory.arrivals, scratch))
    return false;
  for (double& sum : sums)
    sum = 0;
#pragma unroll 4
  for (int64_t part = threadIdx.x; part < gridDim.x; part += kListThreads) {
    for (int i = 0; i < kCount; ++i)
      sums[i] += memory.partials[part * kMaxListSums + i];
  }
  block_sum(sums, scratch);
  return true;
}

}  // namespace logratio::device
