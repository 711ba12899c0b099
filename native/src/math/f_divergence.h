// Scores of a log-ratio: the function of x = log(policy / reference) that an f-divergence puts in place of x itself.
#pragma once

#include <cstdint>

#include "logratio.h"
#include "math/scalar.h"

namespace logratio::math {

struct Score {
  double value;
  double slope;
};

struct FDivergence {
  static constexpr double kMaxExponent = 80;  // exponents stop here, and so does the gradient

  int32_t kind;  // lr_f_divergence
  double alpha;

  LR_HD Score operator()(double x) const {
    switch (kind) {
      case LR_FORWARD_KL: {
        const Score power = clamped_exp(-x);
        return {-power.value, power.slope};
      }
      case LR_JS:
        return {log_sigmoid(x), sigmoid(-x)};
      case LR_ALPHA: {
        const double order = alpha - 1;
        if (std::fabs(order) < 1e-6) return {x, 1};
        const Score power = clamped_exp(vanishing_product(order, x));
        return {power.value / order, power.slope};
      }
      default:
        return {x, 1};
    }
  }

 private:
  LR_HD static Score clamped_exp(double exponent) {
    if (exponent > kMaxExponent) return {std::exp(kMaxExponent), 0};
    const double value = std::exp(exponent);
    return {value, value};
  }
};

}  // namespace logratio::math
