// Functions that are accurate over the whole range of their number type, infinities included. NaN in, NaN out.
#pragma once

#include <limits>

#include "math/scalar.h"

namespace logratio::math {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// a * b, but 0 where a vanishing factor meets an infinite one: the terms that use it decay faster than they grow.
template <class Real>
LR_FORCE_INLINE LR_HD Real vanishing_product(Real a, Real b) {
  const Real product = a * b;
  return select(is_nan(product) & !is_nan(a) & !is_nan(b), Real(0), product);
}

template <class Real>
LR_FORCE_INLINE LR_HD Real positive_part(Real x) {  // NaN stays
  return select(x <= Real(0), Real(0), x);
}

// exp(-|x|) and what softplus and sigmoid need of it. The logarithm of 1 + v gets back what rounding took from the sum.
template <class Real>
struct Decay {
  Real v;        // exp(-|x|)
  Real inverse;  // 1 / (1 + v)
  Real log1p_v;

  LR_FORCE_INLINE LR_HD explicit Decay(Real x) : v(exp(-abs(x))) {
    const Real sum = Real(1) + v;
    inverse = Real(1) / sum;
    log1p_v = log(sum) + (v - (sum - Real(1))) * inverse;
  }
};

// sigmoid(x), sigmoid(-x) and minus their logarithms.
template <class Real>
struct Logistic {
  Real sigmoid;
  Real sigmoid_negated;
  Real loss;          // -log sigmoid(x)
  Real loss_negated;  // -log sigmoid(-x)

  LR_FORCE_INLINE LR_HD explicit Logistic(Real x) {
    const Decay<Real> decay(x);
    const Real small = decay.v * decay.inverse;
    sigmoid = select(x >= Real(0), decay.inverse, small);
    sigmoid_negated = select(x >= Real(0), small, decay.inverse);
    loss = positive_part(-x) + decay.log1p_v;
    loss_negated = positive_part(x) + decay.log1p_v;
  }
  LR_FORCE_INLINE LR_HD Real slope() const { return sigmoid * sigmoid_negated; }  // of sigmoid(x)
};

template <class Real>
LR_FORCE_INLINE LR_HD Real sigmoid(Real x) {
  return Logistic<Real>(x).sigmoid;
}

// log(1 + exp(x))
template <class Real>
LR_FORCE_INLINE LR_HD Real softplus(Real x) {
  return positive_part(x) + Decay<Real>(x).log1p_v;
}

// log(1 - exp(x)) for x <= 0; the side of -log 2 decides which difference keeps its digits.
template <class Real>
LR_FORCE_INLINE LR_HD Real log1mexp(Real x) {
  const Real v = exp(x);
  const Real rest = Real(1) - v;
  const Real log1p_negated = log(rest) - (v - (Real(1) - rest)) / rest;
  return select(x > Real(-0.69314718055994530942), log(-expm1(x)), log1p_negated);
}

// t - log(1 + t) for finite t >= 0, given log1p_t = log(1 + t). The difference cancels for small t, where the first terms of the
// series are exact to rounding.
template <class Real>
LR_FORCE_INLINE LR_HD Real excess_over_log1p(Real t, Real log1p_t) {
  Real series(0);
#pragma GCC unroll 10
  for (int n = 11; n >= 2; --n) series = Real(1.0 / n) - t * series;
  return select(t < Real(1.0 / 64), t * t * series, t - log1p_t);
}

}  // namespace logratio::math
