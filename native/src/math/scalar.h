// What the formulas of this folder need of a number, for double. A formula is a template over its
// number type, so that the CPU can evaluate several pairs at once (cpu/lanes.h has the same
// vocabulary for a vector) and the device one pair a thread.
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

}  // namespace logratio::math
