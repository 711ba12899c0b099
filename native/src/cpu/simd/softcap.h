// softcap(x) = c tanh(x / c) over vectors, or nothing.
#pragma once

#include "cpu/simd/exp.h"
#include "cpu/simd/floats.h"
#include "math/functions.h"
#include "math/softcap.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

struct NoSoftcap {
  static constexpr bool kCaps = false;
  explicit HWY_INLINE NoSoftcap(float) {}
  HWY_INLINE V operator()(V x) const { return x; }
  HWY_INLINE V slope(V) const { return hn::Set(kF, 1.0f); }
};

struct Softcap {
  static constexpr bool kCaps = true;
  explicit HWY_INLINE Softcap(float c)
      : c_(hn::Set(kF, c)),
        inverse_(hn::Set(kF, 1.0f / c)),
        exp_(static_cast<float>(2 * math::kLog2E)) {}

  HWY_INLINE V operator()(V x) const {
    const V a = hn::Mul(x, inverse_);
    return math::softcap_value<Floats>(x, a, decay(a), c_).v;
  }
  HWY_INLINE V slope(V x) const {
    return math::softcap_slope<Floats>(decay(hn::Mul(x, inverse_))).v;
  }

 private:
  // exp(-2 |a|)
  HWY_INLINE V decay(V a) const { return exp_(hn::Or(a, hn::SignBit(kF))); }

  V c_, inverse_;
  Exp exp_;
};

// body(cap) with what a softcap of this size does to vectors; 0: nothing.
template <class Body>
HWY_INLINE void with_softcap(float softcap, Body&& body) {
  if (softcap == 0) {
    body(NoSoftcap(0));
  } else {
    body(Softcap(softcap));
  }
}

// The same for one number.
HWY_INLINE float softcapped(float x, float softcap) {
  return softcap == 0 ? x : hn::GetLane(Softcap(softcap)(hn::Set(kF, x)));
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
