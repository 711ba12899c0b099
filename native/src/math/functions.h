// Functions that are accurate over the whole range of their number type, infinities included. NaN
// in, NaN out.
#pragma once

#include <limits>

#include "math/scalar.h"

namespace logratio::math {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Exponentials of vectors are powers of two.
inline constexpr double kLog2E = 1.4426950408889634074;

// A float32 for the loops over columns, which count on a NaN without a payload.
LR_FORCE_INLINE LR_HD float quiet_float(double x) {
  return x != x ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(x);
}

// a * b, but 0 where a vanishing factor meets an infinite one: the terms that use it decay faster
// than they grow.
template <class Real>
LR_FORCE_INLINE LR_HD Real vanishing_product(Real a, Real b) {
  const Real product = a * b;
  const auto lost = is_nan(product);
  if (!any(lost))
    return product;
  return select(lost & !is_nan(a) & !is_nan(b), Real(0), product);
}

template <class Real>
LR_FORCE_INLINE LR_HD Real positive_part(Real x) {  // NaN stays
  return select(x <= Real(0), Real(0), x);
}

// log(2) in two parts; the first is short enough for an exact product with an exponent.
inline constexpr double kLog2Head = 6.93147180369123816490e-01;
inline constexpr double kLog2Tail = 1.90821492927058770002e-10;

// log(1 + f) = f - (half_square - tail) for 1 + f between sqrt(1/2) and sqrt(2): the odd series in
// f / (2 + f), with the coefficients of FreeBSD's msun (Sun Microsystems).
template <class Real>
struct LogSeries {
  Real half_square;
  Real tail;

  LR_FORCE_INLINE LR_HD explicit LogSeries(Real f) : half_square(Real(.5) * f * f) {
    const Real s = f / (Real(2) + f);
    const Real z = s * s;
    const Real w = z * z;
    const Real odd = multiply_add(
        w,
        multiply_add(
            w, multiply_add(w, Real(1.479819860511658591e-01), Real(1.818357216161805012e-01)),
            Real(2.857142874366239149e-01)),
        Real(6.666666666666735130e-01));
    const Real even = multiply_add(
        w, multiply_add(w, Real(1.531383769920937332e-01), Real(2.222219843214978396e-01)),
        Real(3.999999999940941908e-01));
    tail = s * (half_square + (w * even + z * odd));
  }
};

// For 0 <= x <= 1: log(1 + x), and x - log(1 + x) with all its digits, however small.
template <class Real>
struct Log1p {
  Real value;
  Real excess;

  LR_FORCE_INLINE LR_HD explicit Log1p(Real x) {
    const auto halved = x > Real(0.41421356237309503);  // sqrt(2) - 1; then 1 + x is 2 (1 + f)
    const Real f = select(halved, Real(.5) * x - Real(.5), x);
    const LogSeries<Real> series(f);
    const Real tail = series.tail + select(halved, Real(kLog2Tail), Real(0));
    value = select(halved, Real(kLog2Head), Real(0)) - ((series.half_square - tail) - f);
    excess = select(halved, x - value, series.half_square - series.tail);
  }
};

// exp(-|x|) and what softplus and sigmoid need of it.
template <class Real>
struct Decay {
  Real v;        // exp(-|x|)
  Real inverse;  // 1 / (1 + v)
  Log1p<Real> log1p_v;

  LR_FORCE_INLINE LR_HD explicit Decay(Real x)
      : v(exp(-abs(x))), inverse(Real(1) / (Real(1) + v)), log1p_v(v) {}
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
    loss = positive_part(-x) + decay.log1p_v.value;
    loss_negated = positive_part(x) + decay.log1p_v.value;
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
  return positive_part(x) + Decay<Real>(x).log1p_v.value;
}

// log(1 - exp(x)) for x <= 0; the side of -log 2 decides which difference keeps its digits.
template <class Real>
LR_FORCE_INLINE LR_HD Real log1mexp(Real x) {
  const Real v = exp(x);
  const Real rest = Real(1) - v;
  const Real log1p_negated = log(rest) - (v - (Real(1) - rest)) / rest;
  return select(x > Real(-0.69314718055994530942), log(-expm1(x)), log1p_negated);
}

}  // namespace logratio::math
