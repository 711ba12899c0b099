// dlrml and discopop: the mixture of a logistic and an exponential loss, gated by the difference
// itself.
#pragma once

#include "math/logistic_exponential.h"
#include "math/loss.h"

namespace logratio::math {

// z = beta_kl D and u = beta_mix D / tau: the gate has a scale of its own.
template <class Number = double>
class Dlrml {
  static constexpr NumberOption kNumbers[] = {
      {"beta_kl", &lr_loss_options::beta_kl, .05, kPositive, kScale},
      {"beta_mix", &lr_loss_options::beta_mix, .20, kFinite, kMix},
      tau_option(),
      f_alpha_option()};
  static constexpr ChoiceOption kChoicesHere[] = {kGuard, kFDivergence};

 public:
  static constexpr LossInfo info{.name = "dlrml",
                                 .kind = LR_LOSS_OF_MARGIN,
                                 .numbers = kNumbers,
                                 .choices = kChoicesHere,
                                 .reward_beta = &lr_loss_options::beta_kl,
                                 .differentiates_options = true};

  LR_FORCE_INLINE LR_HD explicit Dlrml(const LossOptions<Number>& options)
      : score_(options),
        beta_kl_(options.beta_kl),
        inverse_tau_(Number(1) / options.tau),
        // Below tau * beta_kl the loss grows exponentially on badly ordered pairs. The guard that
        // only warns is for callers that can log.
        clamps_(options.guard == LR_GUARD_CLAMP),
        clamped_(options.beta_mix < options.tau * options.beta_kl),
        gate_(clamps_ ? select(clamped_, options.beta_kl, options.beta_mix / options.tau)
                      : options.beta_mix / options.tau) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    return difference_loss(pair, score_, [this](Real rho) {
      const MixtureTerms<Real> terms = logistic_exponential(rho, beta_kl_, gate_);
      ParameterGradient<Real> gradient;
      gradient[kScale] = vanishing_product(rho, terms.d_z);
      gradient[kMix] = vanishing_product(rho * Real(inverse_tau_), terms.d_u);
      gradient[kTemperature] = -vanishing_product(Real(gate_), gradient[kMix]);
      if (clamps_ && any(clamped_)) {
        // beta_mix is tau * beta_kl here, so u = beta_kl rho: tau cancels and the loss is a
        // function of beta_kl * rho alone.
        const Real of_clamped = vanishing_product(rho, terms.d_rho / Real(beta_kl_));
        gradient[kScale] = select(clamped_, of_clamped, gradient[kScale]);
        gradient[kMix] = select(clamped_, Real(0), gradient[kMix]);
        gradient[kTemperature] = select(clamped_, Real(0), gradient[kTemperature]);
      }
      return DifferenceOutput<Real>{terms.value, terms.d_rho, gradient};
    });
  }

 private:
  FDivergence score_;
  Number beta_kl_;
  Number inverse_tau_;
  bool clamps_;
  decltype(Number() < Number()) clamped_;
  Number gate_;
};

// One beta for both, z = beta D and u = beta D / tau; the old variant gates with u = D.
template <class Number = double>
class DiscoPop {
  static constexpr NumberOption kNumbers[] = {beta_option(.05), tau_option(), f_alpha_option()};
  static constexpr ChoiceOption kChoicesHere[] = {kTwoVariants, kFDivergence};
  static constexpr const char* kAliases[] = {"lrml"};

 public:
  static constexpr LossInfo info{.name = "discopop",
                                 .aliases = kAliases,
                                 .kind = LR_LOSS_OF_MARGIN,
                                 .numbers = kNumbers,
                                 .choices = kChoicesHere,
                                 .differentiates_options = true};

  LR_FORCE_INLINE LR_HD explicit DiscoPop(const LossOptions<Number>& options)
      : score_(options),
        beta_(options.beta),
        inverse_tau_(Number(1) / options.tau),
        old_(options.variant == LR_VARIANT_OLD),
        gate_(old_ ? Number(1) : options.beta / options.tau) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    return difference_loss(pair, score_, [this](Real rho) {
      const MixtureTerms<Real> terms = logistic_exponential(rho, beta_, gate_);
      ParameterGradient<Real> gradient;
      if (old_) {
        gradient[kScale] = vanishing_product(rho, terms.d_z);
      } else {
        // The loss is a function of beta * rho and tau, so the derivative by beta follows from the
        // one by rho.
        gradient[kScale] = vanishing_product(rho, terms.d_rho / Real(beta_));
        gradient[kTemperature] =
            -vanishing_product(Real(gate_), vanishing_product(rho * Real(inverse_tau_), terms.d_u));
      }
      return DifferenceOutput<Real>{terms.value, terms.d_rho, gradient};
    });
  }

 private:
  FDivergence score_;
  Number beta_;
  Number inverse_tau_;
  bool old_;
  Number gate_;
};

using MixtureLosses = LossList<Dlrml<>, DiscoPop<>>;

}  // namespace logratio::math
