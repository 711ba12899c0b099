// discopop (lrml): the mixture with one beta for both, z = beta D and u = beta D / tau; the old variant gates with u = D.
#pragma once

#include "math/logistic_exponential.h"
#include "math/loss.h"

namespace logratio::math {

class DiscoPop {
  static constexpr NumberOption kNumbers[] = {{"beta", &lr_loss_options::beta, .05, Range::positive, true},
                                              {"tau", &lr_loss_options::tau, .05, Range::positive, true},
                                              f_alpha_option()};
  static constexpr ChoiceOption kChoicesHere[] = {kVariant, kFDivergence};

 public:
  static constexpr LossInfo info{"discopop", "lrml", kNumbers, kChoicesHere, &lr_loss_options::beta, false};

  explicit DiscoPop(const lr_loss_options& options)
      : score_{options.f_divergence, options.f_alpha},
        beta_(options.beta),
        inverse_tau_(1 / options.tau),
        old_(options.variant == LR_VARIANT_OLD),
        gate_(old_ ? 1.0 : options.beta / options.tau) {}

  LR_HD PairOutput evaluate(const PairInput& pair) const {
    return difference_loss(pair, score_, [this](double rho) { return of_difference(rho); });
  }

 private:
  LR_HD DifferenceOutput of_difference(double rho) const {
    const MixtureTerms terms = logistic_exponential(rho, beta_, gate_);
    ParameterGradient gradient;
    if (old_) {
      gradient.beta = vanishing_product(rho, terms.d_z);
    } else {
      // The loss is a function of beta * rho and tau, so the derivative by beta follows from the one by rho.
      gradient.beta = vanishing_product(rho, terms.d_rho / beta_);
      gradient.tau = -vanishing_product(gate_, vanishing_product(rho * inverse_tau_, terms.d_u));
    }
    return {terms.value, terms.d_rho, gradient};
  }

  FDivergence score_;
  double beta_;
  double inverse_tau_;
  bool old_;
  double gate_;
};

}  // namespace logratio::math
