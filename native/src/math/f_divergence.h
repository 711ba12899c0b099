// Scores of a log-ratio: the derivative f' of an f-divergence at exp(x), for x = log(policy /
// reference), which takes the place of x itself. Every score is 0 where policy and reference agree.
#pragma once

#include <cstdint>

#include "logratio.h"
#include "math/functions.h"

namespace logratio::math {

template <class Real>
struct Score {
  Real value;
  Real slope;
};

// The score of the chosen answer minus that of the rejected one, and the slope of each.
template <class Real>
struct ScoreDifference {
  Real value;
  Real chosen_slope;
  Real rejected_slope;
};

class FDivergence {
 public:
  static constexpr double kMaxExponent = 80;  // exponents stop here, and so does the gradient

  LR_FORCE_INLINE LR_HD explicit FDivergence(const lr_loss_options& options)
      : kind_(options.f_divergence), order_(kind_ == LR_FORWARD_KL ? -1 : options.f_alpha - 1) {
    if (kind_ == LR_ALPHA && order_ < 1e-6 && order_ > -1e-6)
      kind_ = LR_REVERSE_KL;
  }

  template <class Real>
  LR_FORCE_INLINE LR_HD Score<Real> operator()(Real x) const {
    if (kind_ == LR_REVERSE_KL)
      return {x, Real(1)};
    if (kind_ == LR_JS) {
      const Logistic<Real> logistic(x);
      return {Real(kLog2Head + kLog2Tail) - logistic.loss, logistic.sigmoid_negated};
    }
    const Power<Real> power(Real(order_) * x);
    return {expm1(power.exponent) / Real(order_), power.slope};
  }

  // The constants cancel in a difference, which therefore is formed without them: scores far from 0
  // differ by less than their last place.
  template <class Real>
  LR_FORCE_INLINE LR_HD ScoreDifference<Real> operator()(Real chosen, Real rejected) const {
    if (kind_ == LR_REVERSE_KL)
      return {chosen - rejected, Real(1), Real(1)};
    if (kind_ == LR_JS) {
      const Logistic<Real> of_chosen(chosen), of_rejected(rejected);
      return {of_rejected.loss - of_chosen.loss, of_chosen.sigmoid_negated,
              of_rejected.sigmoid_negated};
    }
    const Power<Real> of_chosen(Real(order_) * chosen), of_rejected(Real(order_) * rejected);
    return {of_chosen.minus(of_rejected) / Real(order_), of_chosen.slope, of_rejected.slope};
  }

 private:
  // exp of a clamped exponent. Forward KL and the alpha divergences have (exp((alpha - 1) x) - 1) /
  // (alpha - 1), forward KL with alpha 0.
  template <class Real>
  struct Power {
    Real exponent;
    Real value;
    Real slope;  // by the exponent

    LR_FORCE_INLINE LR_HD explicit Power(Real unclamped) {
      const auto beyond = unclamped > Real(kMaxExponent);
      exponent = select(beyond, Real(kMaxExponent), unclamped);
      value = exp(exponent);
      slope = select(beyond, Real(0), value);
    }
    // The larger power is taken out: nearly equal ones do not cancel, and what is left does not
    // overflow.
    LR_FORCE_INLINE LR_HD Real minus(const Power& other) const {
      const Real gap = exponent - other.exponent;
      const Real rest = select(exponent == other.exponent, Real(0), expm1(-abs(gap)));
      return select(gap > Real(0), -value * rest, other.value * rest);
    }
  };

  int32_t kind_;
  double order_;  // alpha - 1
};

}  // namespace logratio::math
