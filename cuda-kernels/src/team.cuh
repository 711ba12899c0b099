// The threads that share a row: a warp where rows are short, a block where they are long. Sums are
// trees of a fixed shape.
#pragma once

#include "runtime.h"

namespace logratio::device {

constexpr uint32_t kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;

template <class T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

// NaN is left out.
__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}

__device__ __forceinline__ unsigned long long warp_min(unsigned long long value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const unsigned long long other = __shfl_xor_sync(kAllLanes, value, distance);
    value = other < value ? other : value;
  }
  return value;
}

}  // namespace logratio::device
