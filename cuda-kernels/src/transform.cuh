// z = softcap(x) / temperature in the loops over columns: float32, by base-2 exponentials.
#pragma once

#include <algorithm>
#include <limits>

#include "intrinsics.h"
#include "math/functions.h"
#include "math/softcap.h"
#include "op/logit_rows.h"

namespace logratio::device {

// Passed by value to the kernels; made on the host.
struct Transform {
  double temperature;
  double inverse_scale;  // makes differences of exponents
  float scale;           // log2(e) / temperature, finite so that 0 times it is 0
  float near;   // exponents about a pivot up to this, in magnitude, are one multiply-add each: what
                // rounding leaves of them is small, and the same for all
  float floor;  // logits from here on have finite exponents
  float softcap;  // 0: off
  float inverse_softcap;
};

inline Transform make_transform(const op::RowTransform& transform) {
  const double scale = std::clamp(math::kLog2E / transform.temperature, 4e-37, 1e30);
  constexpr double kLargest = std::numeric_limits<float>::max();
  const auto softcap = static_cast<float>(transform.softcap);
  return {transform.temperature,
          1 / static_cast<double>(static_cast<float>(scale)),
          static_cast<float>(scale),
          static_cast<float>(std::min(0x1p20 / scale, kLargest)),
          static_cast<float>(-std::min(0x1p120 / scale, kLargest)),
          softcap,
          softcap == 0 ? 0 : 1 / softcap};
}

__device__ __forceinline__ bool is_near(float pivot, const Transform& t) {
  return fabsf(pivot) <= t.near;
}

// What a softcap makes of a logit, and its slope there. all_near(low, high) tells whether Near,
// which gives the same numbers, serves for all logits in between.
struct NoSoftcap {
  using Near = NoSoftcap;
  static constexpr bool kCaps = false;

  static __device__ __forceinline__ bool all_near(float, float, const Transform&) { return true; }
  static __device__ __forceinline__ float value(float x, const Transform&) { return x; }
  static __device__ __forceinline__ float value(float x, const Transform&, float* slope) {
    *slope = 1;
    return x;
  }
};

// c tanh(a) with a = x / c: a polynomial where |a| < kSoftcapNear, and from there on
// c - 2 c d / (1 + d) with d = exp(-2 |a|). The special unit has a result for 16 threads a cycle:
// an exponential and a reciprocal for every column, beside the exponential of the sums, would take
// it longer than memory takes. Few chunks have a logit so near the softcap.
struct NearSoftcap {
  using Near = NearSoftcap;
  static constexpr bool kCaps = true;

  static __device__ __forceinline__ float value(float x, const Transform& t) {
    const float a = x * t.inverse_softcap;
    return fused(math::softcap_bend(a * a), x, x);
  }
  // The value is far from the softcap: nothing cancels.
  static __device__ __forceinline__ float value(float x, const Transform& t, float* slope) {
    const float z = value(x, t), tanh = z * t.inverse_softcap;
    *slope = fused(-tanh, tanh, 1);
    return z;
  }
};

struct Softcap {
  using Near = NearSoftcap;
  static constexpr bool kCaps = true;

  // False for NaN.
  static __device__ __forceinline__ bool all_near(float low, float high, const Transform& t) {
    return fmaxf(-low, high) * t.inverse_softcap < math::kSoftcapNear;
  }
  static __device__ __forceinline__ float value(float x, const Transform& t) {
    float slope;
    return value(x, t, &slope);
  }
  // Infinities and NaN stay.
  static __device__ __forceinline__ float value(float x, const Transform& t, float* slope) {
    constexpr float kTwiceLog2E = 2.885390082f, kLargest = 3.402823466e38f;
    const float a = fabsf(x * t.inverse_softcap), d = exp2_fast(-kTwiceLog2E * a),
                share = reciprocal_fast(1 + d);
    const float magnitude = fused(-2 * t.softcap * d, share, t.softcap);
    float near_slope;
    const float near = Near::value(x, t, &near_slope);
    const bool is_near = a < math::kSoftcapNear;
    *slope = is_near ? near_slope : 4 * d * (share * share);
    return is_near ? near : fabsf(x) <= kLargest ? copysignf(magnitude, x) : x;
  }
};

}  // namespace logratio::device
