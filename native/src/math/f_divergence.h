// Scores of a log-ratio: the function of x = log(policy / reference) that an f-divergence puts in place of x itself.
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

struct FDivergence {
  static constexpr double kMaxExponent = 80;  // exponents stop here, and so does the gradient

  int32_t kind;  // lr_f_divergence
  double alpha;

  LR_FORCE_INLINE LR_HD explicit FDivergence(const lr_loss_options& options) : kind(options.f_divergence), alpha(options.f_alpha) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD Score<Real> operator()(Real x) const {
    if (kind == LR_FORWARD_KL) {
      const Score<Real> power = clamped_exp(-x);
      return {-power.value, power.slope};
    }
    if (kind == LR_JS) {
      const Logistic<Real> logistic(x);
      return {-logistic.loss, logistic.sigmoid_negated};
    }
    const double order = alpha - 1;
    if (kind == LR_ALPHA && !(order < 1e-6 && order > -1e-6)) {
      const Score<Real> power = clamped_exp(vanishing_product(Real(order), x));
      return {power.value / Real(order), power.slope};
    }
    return {x, Real(1)};
  }

 private:
  template <class Real>
  LR_FORCE_INLINE LR_HD static Score<Real> clamped_exp(Real exponent) {
    const auto beyond = exponent > Real(kMaxExponent);
    const Real value = exp(select(beyond, Real(kMaxExponent), exponent));
    return {value, select(beyond, Real(0), value)};
  }
};

}  // namespace logratio::math
