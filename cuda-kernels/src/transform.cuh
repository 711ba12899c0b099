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

struct NoSoftcap {
  static constexpr bool kCaps = false;
  static __device__ __forceinline__ float value(float x, const Transform&) { return x; }
  static __device__ __forceinline__ float slope(float, const Transform&) { return 1; }
};

struct Softcap {
  static constexpr bool kCaps = true;
  static __device__ __forceinline__ float decay(float a) {
    constexpr float kTwiceLog2E = 2.885390082f;
    return exp2_fast(-kTwiceLog2E * fabsf(a));
  }
  static __device__ __forceinline__ float value(float x, const Transform& t) {
    const float a = x * t.inverse_softcap;
    return math::softcap_value(x, a, decay(a), t.softcap);
  }
  static __device__ __forceinline__ float slope(float x, const Transform& t) {
    return math::softcap_slope(decay(x * t.inverse_softcap));
  }
};

}  // namespace logratio::device
