// What one column of two vocabulary rows gives, in the loops over columns: float32, with
// exponentials that are the side's own. A norm has the fields of TwoRowsNorm, and coefficients have
// those of SideCoefficients.
#pragma once

#include <limits>

#include "math/divergence.h"
#include "math/scalar.h"

namespace logratio::math {

// How logits become exponentials, which are powers of two.
struct TwoRowsScale {
  double temperature;
  float scale;  // log2(e) / temperature, finite so that 0 times it is 0
  float inverse_temperature;
  float weight_p, weight_q;  // in the mixture
};

LR_FORCE_INLINE TwoRowsScale two_rows_scale(const DivergenceOptions& options) {
  // Below the one bound, what a power of two is 0 for would not fit into a float32; the differences
  // of all but the largest float32 are 0 beside such a temperature.
  constexpr double kLeast = 4e-37, kLargest = 1e30;
  const double temperature = options.temperature;
  const double exact = kLog2E / temperature;
  const auto scale = static_cast<float>(exact < kLeast     ? kLeast
                                        : exact > kLargest ? kLargest
                                                           : exact);
  // A weight's logarithm is to be finite.
  const auto weight = [](double w) { return static_cast<float>(w < 0x1p-126 ? 0x1p-126 : w); };
  return {temperature, scale, scale / static_cast<float>(kLog2E), weight(options.js_weight),
          weight(1 - options.js_weight)};
}

template <class Real>
LR_FORCE_INLINE LR_HD Real sign_of(Real x) {  // 0 for NaN
  const Real zero(0.0f), one(1.0f);
  return only_if(x > zero, one) - only_if(x < zero, one);
}

// NaN, as of -inf - -inf, becomes one of the bounds.
template <class Real>
LR_FORCE_INLINE LR_HD Real within_deep(Real difference) {
  return min(max(difference, Real(-kDeep)), Real(kDeep));
}

// kDeepScale (x - maximum): finite for any x, so that 0 times it is 0.
template <class Real>
LR_FORCE_INLINE LR_HD Real deep_difference(Real x, Real maximum) {
  const Real scale(kDeepScale);
  return max(x * scale - maximum * scale, Real(-std::numeric_limits<float>::max()));
}

// p - q, times the sum of exponentials of a, from exponentials. The ratio's rounding would add up
// along the row.
template <class Real, class Norm>
LR_FORCE_INLINE LR_HD Real scaled_difference(Real u, Real v, const Norm& norm) {
  return minus_product(v, norm.ratio_rest, minus_product(v, norm.ratio, u));
}

// temperature * log(p / q), in the form relative as far as it differs between columns; NaN where
// both are 0.
template <class Real, class Norm>
LR_FORCE_INLINE LR_HD Real log_ratio(Real x, Real y, const Norm& norm) {
  const Real difference = norm.far ? (x - norm.max_a) - (y - norm.max_b) : x - y;
  return (difference - norm.offset) - norm.offset_rest;
}

// log(larger / m), m = (p + q) / 2, from half of d = |log(p / q)|: d/2 - log cosh(d/2), below
// kMixtureNear. The smaller one's is d less.
constexpr float kMixtureNear = 0.3f;
template <class Real>
LR_FORCE_INLINE LR_HD Real log_of_larger_near(Real half) {
  const Real s = half * half;
  Real y(31.0f / 14175);  // the series of log cosh
  y = multiply_add(y, s, Real(-17.0f / 2520));
  y = multiply_add(y, s, Real(1.0f / 45));
  y = multiply_add(y, s, Real(-1.0f / 12));
  y = multiply_add(y, s, Real(0.5f));
  return minus_product(y, s, half);
}

// The same for any d, from -d and exp(-d): log 2 - log1p(exp(-d)), but for small d, where log 2
// would cancel.
template <class Real>
LR_FORCE_INLINE LR_HD Real log_of_larger(Real minus_d, Real t) {
  const Real half = minus_d * Real(-0.5f);
  Real far(0.03468160703778267f);  // log1p(t) / t on [0, exp(-0.6)]
  far = multiply_add(far, t, Real(-0.10793755203485489f));
  far = multiply_add(far, t, Real(0.18141129612922668f));
  far = multiply_add(far, t, Real(-0.24676084518432617f));
  far = multiply_add(far, t, Real(0.3330548405647278f));
  far = multiply_add(far, t, Real(-0.499990850687027f));
  far = multiply_add(far, t, Real(0.9999999403953552f));
  far = minus_product(far, t, Real(0.69314718056f));
  return select(half < Real(kMixtureNear), log_of_larger_near(half), far);
}

// log(2^exponent (1 + r)), 1 + r in [sqrt 1/2, sqrt 2).
template <class Real>
LR_FORCE_INLINE LR_HD Real log_of_rest(Real exponent, Real r) {
  const Real square = r * r;
  Real y(7.0376836292e-2f);
  y = multiply_add(y, r, Real(-1.1514610310e-1f));
  y = multiply_add(y, r, Real(1.1676998740e-1f));
  y = multiply_add(y, r, Real(-1.2420140846e-1f));
  y = multiply_add(y, r, Real(1.4249322787e-1f));
  y = multiply_add(y, r, Real(-1.6668057665e-1f));
  y = multiply_add(y, r, Real(2.0000714765e-1f));
  y = multiply_add(y, r, Real(-2.4999993993e-1f));
  y = multiply_add(y, r, Real(3.3333331174e-1f));
  y = multiply_add(y * r, square, multiply_add(square, Real(-0.5f), r));
  return multiply_add(exponent, Real(0.693147181f), y);
}

// log of 2^exponent * mantissa, the mantissa in [sqrt 1/2, sqrt 2).
template <class Real>
LR_FORCE_INLINE LR_HD Real log_of(Real exponent, Real mantissa) {
  return log_of_rest(exponent, mantissa - Real(1.0f));
}

// log(larger / m) and log(smaller / m) of the larger and the smaller of p and q, m being their
// mixture with the weights `own` of the larger and `other` of the smaller one: from d = |log(p /
// q)| and t = exp(-d). `log` is the logarithm of numbers up to 1, to an absolute error.
//
// m / larger = 1 - other (1 - t) and m / smaller = 1 + own (1 - t) / t. Next to 1 their logarithms
// are taken from what they differ from 1 by: with a weight that is nearly 0 or 1 all of one side's
// are, and they are to be right relative to themselves.
template <class Real>
struct MixtureLogs {
  Real larger, smaller;
};
template <class Real, class Log>
LR_FORCE_INLINE LR_HD MixtureLogs<Real> weighted_mixture_logs(Real d, Real t, Real own, Real other,
                                                              Log&& log) {
  const Real none(0.0f), one(1.0f);
  Real series(1.0f / 5040);  // (1 - exp(-d)) / d
  series = multiply_add(series, d, Real(-1.0f / 720));
  series = multiply_add(series, d, Real(1.0f / 120));
  series = multiply_add(series, d, Real(-1.0f / 24));
  series = multiply_add(series, d, Real(1.0f / 6));
  series = multiply_add(series, d, Real(-0.5f));
  series = multiply_add(series, d, one);
  const Real rest = select(d < Real(0.35f), series * d, one - t);  // 1 - t
  const Real below = other * rest;
  const Real larger = -select(below < Real(0.29f), log_of_rest(none, -min(below, Real(0.29f))),
                              log(multiply_add(other, t, own)));
  const Real above = divide(own * rest, t);
  const Real smaller =
      select(above < Real(0.41f), -log_of_rest(none, min(above, Real(0.41f))), larger - d);
  return {larger, smaller};
}

// The gradients of both sides, of all forms but transport and mixture, from the exponentials u and
// v of x - max_a and y - max_b.
template <TwoRowsForm kForm, class Real, class Norm, class Side>
LR_FORCE_INLINE LR_HD void differentiate(Real x, Real y, Real u, Real v, const Norm& norm,
                                         const Side& a, const Side& b, Real* grad_x, Real* grad_y) {
  if constexpr (kForm == TwoRowsForm::cross || kForm == TwoRowsForm::relative) {
    const Real low(-std::numeric_limits<float>::infinity());
    const Real other_x = only_if(x > low, a.other * v), other_y = only_if(y > low, b.other * u);
    if (norm.far) {
      const Real unit(1 / kDeepScale);
      const Real deep_x = deep_difference(x, norm.max_a), deep_y = deep_difference(y, norm.max_b);
      const Real t = deep_x - deep_y;
      const Real of_x = kForm == TwoRowsForm::cross ? deep_y : t,
                 of_y = kForm == TwoRowsForm::cross ? deep_x : -t;
      *grad_x = multiply_add(multiply_add(u * a.own, of_x, u * a.constant), unit, other_x);
      *grad_y = multiply_add(multiply_add(v * b.own, of_y, v * b.constant), unit, other_y);
    } else if constexpr (kForm == TwoRowsForm::cross) {
      const Real lowest(-kDeep);
      *grad_x =
          multiply_add(u, multiply_add(a.own, max(y - norm.max_b, lowest), a.constant), other_x);
      *grad_y =
          multiply_add(v, multiply_add(b.own, max(x - norm.max_a, lowest), b.constant), other_y);
    } else {
      const Real t = within_deep(log_ratio(x, y, norm));
      *grad_x = multiply_add(u, multiply_add(a.own, t, a.constant), other_x);
      *grad_y = multiply_add(v, minus_product(b.own, t, b.constant), other_y);
    }
  }
  if constexpr (kForm == TwoRowsForm::cosine || kForm == TwoRowsForm::squares) {
    *grad_x = u * multiply_add(a.own, u, multiply_add(a.other, v, a.constant));
    *grad_y = v * multiply_add(b.own, v, multiply_add(b.other, u, b.constant));
  }
  if constexpr (kForm == TwoRowsForm::signs) {
    const Real sign = sign_of(log_ratio(x, y, norm));
    *grad_x = u * multiply_add(a.own, sign, a.constant);
    *grad_y = v * minus_product(b.own, sign, b.constant);
  }
}

}  // namespace logratio::math
