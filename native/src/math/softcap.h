// softcap(x) = c tanh(x / c) and its slope in the loops over columns, float32: from a = x / c and
// decay = exp(-2 |a|), whose exponential is the side's own.
#pragma once

#include <limits>

#include "math/scalar.h"

namespace logratio::math {

// Below it the quotient of exponentials would cancel, and tanh is a polynomial.
constexpr float kSoftcapNear = 0.625f;

// tanh(a) / a - 1 from a^2, for |a| < kSoftcapNear. Relative error of tanh 2e-7.
template <class Real>
LR_FORCE_INLINE LR_HD Real softcap_bend(Real square) {
  Real q(-5.70498872745e-3f);
  q = multiply_add(q, square, Real(2.06390887954e-2f));
  q = multiply_add(q, square, Real(-5.37397155531e-2f));
  q = multiply_add(q, square, Real(1.33314422036e-1f));
  q = multiply_add(q, square, Real(-3.33332819422e-1f));
  return q * square;
}

// Infinities and NaN stay. Relative error 2e-7.
template <class Real>
LR_FORCE_INLINE LR_HD Real softcap_value(Real x, Real a, Real decay, Real c) {
  const Real one(1.0f), magnitude = abs(a);
  const Real tanh = choose(
      magnitude < Real(kSoftcapNear),
      [&] { return multiply_add(softcap_bend(a * a), magnitude, magnitude); },
      [&] { return divide(one - decay, one + decay); });
  return select(abs(x) <= Real(std::numeric_limits<float>::max()), copy_sign(tanh * c, x), x);
}

// 1 - tanh(a)^2 without cancellation.
template <class Real>
LR_FORCE_INLINE LR_HD Real softcap_slope(Real decay) {
  const Real sum = Real(1.0f) + decay;
  return divide(Real(4.0f) * decay, sum * sum);
}

// The same two at one column, in double; a softcap of 0 is none.
LR_FORCE_INLINE LR_HD double softcap_value_at(double x, double softcap) {
  return softcap == 0 ? x : softcap * ::tanh(x / softcap);
}
LR_FORCE_INLINE LR_HD double softcap_slope_at(double x, double softcap) {
  if (softcap == 0)
    return 1;
  const double decay = ::exp(-2 * ::fabs(x) / softcap), sum = 1 + decay;
  return 4 * decay / (sum * sum);
}

}  // namespace logratio::math
