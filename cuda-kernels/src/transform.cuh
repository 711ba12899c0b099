// z = softcap(x) / temperature in the loops over a row: float32, by base-2 exponentials.
#pragma once

#include "intrinsics.h"

namespace logratio::device {

// By value to the kernels; made on the host.
struct Transform {
  double temperature;
  float scale;    // log2(e) / temperature, finite so that 0 times it is 0
  float lowest;   // differences are not taken below it: there the exponential is 0, and 0 times the
                  // difference too
  float softcap;  // 0: off
  float inverse_softcap;
};

inline Transform make_transform(const op::RowTransform& transform) {
  const double scale = std::fmin(1.4426950408889634074 / transform.temperature, 1e30);
  const auto softcap = static_cast<float>(transform.softcap);
  return {transform.temperature, static_cast<float>(scale), static_cast<float>(-127.0 / scale),
          softcap, softcap == 0 ? 0 : 1 / softcap};
}

struct NoSoftcap {
  static constexpr bool kCaps = false;
  static __device__ __forceinline__ float value(float x, const Transform&) { return x; }
  static __device__ __forceinline__ float slope(float, const Transform&) { return 1; }
};

// softcap * tanh(x / softcap); infinities and NaN stay.
struct Softcap {
  static constexpr bool kCaps = true;
  static __device__ __forceinline__ float decay(float x, const Transform& t) {
    return exp2_fast(-2.885390082f * fabsf(x * t.inverse_softcap));
  }

  static __device__ __forceinline__ float value(float x, const Transform& t) {
    const float a = fabsf(x * t.inverse_softcap);
    const float e = decay(x, t);
    const float s = a * a;  // below 0.625 the quotient would cancel: an odd polynomial
    float q = fused(-5.70498872745e-3f, s, 2.06390887954e-2f);
    q = fused(q, s, -5.37397155531e-2f);
    q = fused(q, s, 1.33314422036e-1f);
    q = fused(q, s, -3.33332819422e-1f);
    const float tanh = a < 0.625f ? fused(q * s, a, a) : divide_fast(1 - e, 1 + e);
    return fabsf(x) <= 3.402823466e38f ? copysignf(tanh * t.softcap, x) : x;
  }
  // 1 - tanh^2 without cancellation.
  static __device__ __forceinline__ float slope(float x, const Transform& t) {
    const float e = decay(x, t);
    return divide_fast(4 * e, (1 + e) * (1 + e));
  }
};

__device__ inline float softcapped(float x, const Transform& t) {
  return t.softcap == 0 ? x : Softcap::value(x, t);
}

}  // namespace logratio::device
