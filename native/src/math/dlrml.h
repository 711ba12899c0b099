// dlrml: the mixture with a scale of its own for the gate, z = beta_kl D and u = beta_mix D / tau.
#pragma once

#include "math/logistic_exponential.h"
#include "math/loss.h"

namespace logratio::math {

class Dlrml {
  static constexpr NumberOption kNumbers[] = {{"beta_kl", &lr_loss_options::beta_kl, .05, Range::positive, true},
                                              {"beta_mix", &lr_loss_options::beta_mix, .20, Range::finite, true},
                                              {"tau", &lr_loss_options::tau, .05, Range::positive, true},
                                              f_alpha_option()};
  static constexpr ChoiceOption kChoicesHere[] = {kGuard, kFDivergence};

 public:
  static constexpr LossInfo info{"dlrml", nullptr, kNumbers, kChoicesHere, &lr_loss_options::beta_kl, false};

  explicit Dlrml(const lr_loss_options& options)
      : score_{options.f_divergence, options.f_alpha},
        beta_kl_(options.beta_kl),
        inverse_tau_(1 / options.tau),
        // Below tau * beta_kl the loss grows exponentially on badly ordered pairs. The guard that only warns is for callers that can log.
        clamped_(options.guard == LR_GUARD_CLAMP && options.beta_mix < options.tau * options.beta_kl),
        gate_(clamped_ ? options.beta_kl : options.beta_mix / options.tau) {}

  LR_HD PairOutput evaluate(const PairInput& pair) const {
    return difference_loss(pair, score_, [this](double rho) { return of_difference(rho); });
  }

 private:
  LR_HD DifferenceOutput of_difference(double rho) const {
    const MixtureTerms terms = logistic_exponential(rho, beta_kl_, gate_);
    ParameterGradient gradient;
    if (clamped_) {
      // beta_mix is tau * beta_kl here, so u = beta_kl rho: tau cancels and the loss is a function of beta_kl * rho alone.
      gradient.beta_kl = vanishing_product(rho, terms.d_rho / beta_kl_);
    } else {
      gradient.beta_kl = vanishing_product(rho, terms.d_z);
      gradient.beta_mix = vanishing_product(rho * inverse_tau_, terms.d_u);
      gradient.tau = -vanishing_product(gate_, vanishing_product(rho * inverse_tau_, terms.d_u));
    }
    return {terms.value, terms.d_rho, gradient};
  }

  FDivergence score_;
  double beta_kl_;
  double inverse_tau_;
  bool clamped_;
  double gate_;
};

}  // namespace logratio::math
