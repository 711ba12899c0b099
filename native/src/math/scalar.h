// What the formulas of this folder need of a number, for double and float. A formula is a template
// over its number type, so that the CPU can evaluate several pairs or columns at once (cpu/simd has
// the same vocabulary for vectors) and the device one per thread.
//
// A formula has no branch on a number: it computes both sides and selects. `&`, `|` and `!` join
// conditions; any() of a condition is false where it holds for none of the pairs at hand, and what
// only those need may be left out.
#pragma once

#include <cmath>

#include "math/host_device.h"

namespace logratio::math {

LR_FORCE_INLINE LR_HD double select(bool condition, double yes, double no) {
  return condition ? yes : no;
}
LR_FORCE_INLINE LR_HD bool is_nan(double x) { return x != x; }
LR_FORCE_INLINE LR_HD bool any(bool condition) { return condition; }
// a * b + c, rounded once where a machine has an instruction for it.
LR_FORCE_INLINE LR_HD double multiply_add(double a, double b, double c) {
#if defined(__CUDA_ARCH__) || defined(__FMA__)
  return ::fma(a, b, c);
#else
  return a * b + c;
#endif
}
LR_FORCE_INLINE LR_HD double abs(double x) { return ::fabs(x); }
LR_FORCE_INLINE LR_HD double sqrt(double x) { return ::sqrt(x); }
LR_FORCE_INLINE LR_HD double exp(double x) { return ::exp(x); }
LR_FORCE_INLINE LR_HD double expm1(double x) { return ::expm1(x); }
LR_FORCE_INLINE LR_HD double log(double x) { return ::log(x); }

LR_FORCE_INLINE LR_HD float select(bool condition, float yes, float no) {
  return condition ? yes : no;
}
// yes() or no(). One number at a time needs only one of them, which here is a branch: both, for all
// of a thread's columns at once, would take more registers than there are.
template <class Yes, class No>
LR_FORCE_INLINE LR_HD float choose(bool condition, Yes&& yes, No&& no) {
  return condition ? yes() : no();
}
template <class Condition, class Yes, class No>
LR_FORCE_INLINE LR_HD auto choose(const Condition& condition, Yes&& yes, No&& no) {
  return select(condition, yes(), no());
}
LR_FORCE_INLINE LR_HD float multiply_add(float a, float b, float c) {
#ifdef __CUDA_ARCH__
  return __fmaf_rn(a, b, c);
#else
  // The product is exact in double, and the sum is rounded twice, which differs from once in the
  // rarest of cases: where this runs, on the emulator, that does not matter.
  return static_cast<float>(static_cast<double>(a) * b + c);
#endif
}
// c - a * b
LR_FORCE_INLINE LR_HD float minus_product(float a, float b, float c) {
  return multiply_add(-a, b, c);
}
LR_FORCE_INLINE LR_HD float only_if(bool condition, float yes) { return condition ? yes : 0.0f; }
// y where x is NaN, which y is not.
LR_FORCE_INLINE LR_HD float min(float x, float y) { return ::fminf(x, y); }
LR_FORCE_INLINE LR_HD float max(float x, float y) { return ::fmaxf(x, y); }
LR_FORCE_INLINE LR_HD float abs(float x) { return ::fabsf(x); }
LR_FORCE_INLINE LR_HD float copy_sign(float magnitude, float sign) {
  return ::copysignf(magnitude, sign);
}
// To two units in the last place.
LR_FORCE_INLINE LR_HD float divide(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fdividef(a, b);
#else
  return a / b;
#endif
}

}  // namespace logratio::math
