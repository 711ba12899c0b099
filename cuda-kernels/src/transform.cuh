// z = softcap(x) / temperature in the loops over columns: float32, by base-2 exponentials.
#pragma once

#include <algorithm>

#include "intrinsics.h"
#include "math/functions.h"
#include "math/softcap.h"
#include "op/logit_rows.h"

namespace logratio::device {

// Passed by value to the kernels; made on the host.
struct Transform {
  double temperature;
  float scale;    // log2(e) / temperature, finite so that 0 times it is 0
  float lowest;   // differences are not taken below it: there the exponential is 0, and 0 times the
                  // difference too
  float softcap;  // 0: off
  float inverse_softcap;
};

inline Transform make_transform(const op::RowTransform& transform) {
  constexpr double kVanishes = -127;  // 2^-127 lies below the normal range
  // -127 over it is to be a float32.
  const double scale = std::clamp(math::kLog2E / transform.temperature, 4e-37, 1e30);
  const auto softcap = static_cast<float>(transform.softcap);
  return {transform.temperature, static_cast<float>(scale), static_cast<float>(kVanishes / scale),
          softcap, softcap == 0 ? 0 : 1 / softcap};
}

// What a softcap makes of logits, and the slope there: of one, or of all kCount that a thread has
// at once, whose values are those of one.
struct NoSoftcap {
  static constexpr bool kCaps = false;
  static __device__ __forceinline__ float value(float x, const Transform&) { return x; }
  static __device__ __forceinline__ float slope(float, const Transform&) { return 1; }
  template <int kCount>
  static __device__ __forceinline__ void values(const float* x, const Transform&, float* z) {
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      z[k] = x[k];
  }
  template <int kCount>
  static __device__ __forceinline__ void values_and_slopes(const float* x, const Transform& t,
                                                           float* z, float* slopes) {
    values<kCount>(x, t, z);
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      slopes[k] = 1;
  }
};

// c tanh(a) with a = x / c: a polynomial where |a| < kSoftcapNear, and from there on
// c - 2 c d / (1 + d) with d = exp(-2 |a|). The special unit has a result for 16 threads a cycle:
// an exponential and a reciprocal for every column, beside the exponential of the sums, would take
// it longer than memory takes. Few columns come so near the softcap, and a branch for all of a
// thread's columns spares the others them.
struct Softcap {
  static constexpr bool kCaps = true;

  static __device__ __forceinline__ float value(float x, const Transform& t) {
    const float a = x * t.inverse_softcap;
    const float near = near_value(x, a), far = Far(x, a, t).value;
    return fabsf(a) < math::kSoftcapNear ? near : far;
  }
  static __device__ __forceinline__ float slope(float x, const Transform& t) {
    float z, slope;
    values_and_slopes<1>(&x, t, &z, &slope);
    return slope;
  }
  template <int kCount>
  static __device__ __forceinline__ void values(const float* x, const Transform& t, float* z) {
    if (all_near<kCount>(x, t)) {
#pragma unroll
      for (int k = 0; k < kCount; ++k)
        z[k] = near_value(x[k], x[k] * t.inverse_softcap);
    } else {
#pragma unroll
      for (int k = 0; k < kCount; ++k)
        z[k] = value(x[k], t);
    }
  }
  template <int kCount>
  static __device__ __forceinline__ void values_and_slopes(const float* x, const Transform& t,
                                                           float* z, float* slopes) {
    if (all_near<kCount>(x, t)) {
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        z[k] = near_value(x[k], x[k] * t.inverse_softcap);
        slopes[k] = near_slope(z[k], t);
      }
    } else {
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        const float a = x[k] * t.inverse_softcap, near = near_value(x[k], a);
        const Far far(x[k], a, t);
        const bool is_near = fabsf(a) < math::kSoftcapNear;
        z[k] = is_near ? near : far.value;
        slopes[k] = is_near ? near_slope(near, t) : far.slope;
      }
    }
  }

 private:
  struct Far {
    float value, slope;
    // Infinities and NaN stay.
    __device__ __forceinline__ Far(float x, float a, const Transform& t) {
      constexpr float kTwiceLog2E = 2.885390082f, kLargest = 3.402823466e38f;
      const float d = exp2_fast(-kTwiceLog2E * fabsf(a)), share = reciprocal_fast(1 + d);
      const float magnitude = fused(-2 * t.softcap * d, share, t.softcap);
      value = fabsf(x) <= kLargest ? copysignf(magnitude, x) : x;
      slope = 4 * d * (share * share);
    }
  };

  static __device__ __forceinline__ float near_value(float x, float a) {
    return fused(math::softcap_bend(a * a), x, x);
  }
  // Of the value, which is far from the softcap: nothing cancels.
  static __device__ __forceinline__ float near_slope(float z, const Transform& t) {
    const float tanh = z * t.inverse_softcap;
    return fused(-tanh, tanh, 1);
  }
  // NaN is left out, and stays NaN in a polynomial.
  template <int kCount>
  static __device__ __forceinline__ bool all_near(const float* x, const Transform& t) {
    float largest = 0;
#pragma unroll
    for (int k = 0; k < kCount; ++k)
      largest = fmaxf(largest, fabsf(x[k]));
    return largest * t.inverse_softcap < math::kSoftcapNear;
  }
};

// Calls body(x, z, k) for each logit of a thread's vectors and what the softcap makes of it, k
// columns after the first.
template <class T, class Cap, int kCount, int kStep, class Body>
__device__ __forceinline__ void for_capped_columns(const Vector* v, const Transform& t,
                                                   Body&& body) {
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    float x[T::kPerVector], z[T::kPerVector];
    T::unpack(v[j], x);
    Cap::template values<T::kPerVector>(x, t, z);
#pragma unroll
    for (int k = 0; k < T::kPerVector; ++k)
      body(x[k], z[k], j * kStep + k);
  }
}

}  // namespace logratio::device
