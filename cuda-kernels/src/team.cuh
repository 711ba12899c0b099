// The threads that share a row: a warp where rows are short, a block where they are long. Sums are
// trees of a fixed shape.
#pragma once

#include "intrinsics.h"

namespace logratio::device {

constexpr uint32_t kAllLanes = 0xffffffffu;
constexpr int kWarp = 32;

inline dim3 grid_of(int64_t blocks) {
  constexpr int64_t kMost = 0x7fffffff;
  return dim3(static_cast<unsigned>(blocks < 1 ? 1 : blocks < kMost ? blocks : kMost));
}

template <class T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(kAllLanes, value, distance);
  return value;
}

// Lane k of kCount, which is 1, 2 or 4, gets the sum of value k: lanes share the values out before
// they add.
template <int kCount>
__device__ __forceinline__ float warp_sums(const float* values) {
  const unsigned lane = threadIdx.x;
  float own[kCount];
#pragma unroll
  for (int k = 0; k < kCount; ++k)
    own[k] = values[k];
#pragma unroll
  for (int distance = 1; distance < kCount; distance *= 2) {
    const bool odd = (lane & static_cast<unsigned>(distance)) != 0;
#pragma unroll
    for (int k = 0; k < kCount; k += 2 * distance) {
      const float kept = odd ? own[k + distance] : own[k], given = odd ? own[k] : own[k + distance];
      own[k] = kept + __shfl_xor_sync(kAllLanes, given, distance);
    }
  }
#pragma unroll
  for (int distance = kCount; distance < kWarp; distance *= 2)
    own[0] += __shfl_xor_sync(kAllLanes, own[0], distance);
  return own[0];
}

// A pointer that lane `lane` has.
template <class T>
__device__ __forceinline__ T* address_of_lane(T* mine, int lane) {
  return reinterpret_cast<T*>(
      __shfl_sync(kAllLanes, reinterpret_cast<unsigned long long>(mine), lane));
}

__device__ __forceinline__ int warp_sum(int value) { return __reduce_add_sync(kAllLanes, value); }

// NaN is left out. The bits of floats become integers of the same order.
__device__ __forceinline__ float warp_max(float value) {
  const auto mirrored = [](int bits) { return bits ^ (bits >> 31 & 0x7fffffff); };
  const float number = fmaxf(value, -INFINITY);
  const int largest =
      __reduce_max_sync(kAllLanes, mirrored(static_cast<int>(float_to_bits(number))));
  return bits_to_float(static_cast<uint32_t>(mirrored(largest)));
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
