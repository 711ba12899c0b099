// Losses of the two log-ratios each, dw of the chosen and dl of the rejected answer.
#pragma once

#include "math/loss.h"

namespace logratio::math {

// The derivative by beta of a function of beta dw and beta dl, given those by each of the two.
template <class Real>
LR_FORCE_INLINE LR_HD ParameterGradient<Real> by_scale(const PairInput<Real>& pair,
                                                       Real chosen_slope, Real rejected_slope) {
  return ParameterGradient<Real>::of_scale(
      vanishing_product(pair.chosen_ratio(), chosen_slope) +
      vanishing_product(pair.rejected_ratio(), rejected_slope));
}

// nca_pair: -log sigmoid(beta dw) - log sigmoid(-beta dw) / 2 - log sigmoid(-beta dl) / 2.
template <class Number = double>
class NcaPair {
 public:
  static constexpr LossInfo info{
      .name = "nca_pair", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kBetaOnly};

  LR_FORCE_INLINE LR_HD explicit NcaPair(const LossOptions<Number>& options)
      : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Logistic<Real> chosen(Real(beta_) * pair.chosen_ratio()),
        rejected(Real(beta_) * pair.rejected_ratio());
    const Real half(.5), beta(beta_);
    const Real chosen_slope = half * chosen.sigmoid - chosen.sigmoid_negated;
    return {chosen.loss + half * chosen.loss_negated + half * rejected.loss_negated,
            PairGradient<Real>::of_ratios(beta * chosen_slope, beta * half * rejected.sigmoid),
            by_scale(pair, chosen_slope, half * rejected.sigmoid)};
  }

 private:
  Number beta_;
};

// bco_pair: -log sigmoid(beta dw - delta) - log sigmoid(-(beta dl - delta)).
template <class Number = double>
class BcoPair {
  static constexpr NumberOption kNumbers[] = {beta_option(.1),
                                              {"delta", &lr_loss_options::delta, 0, kFinite}};

 public:
  static constexpr LossInfo info{
      .name = "bco_pair", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kNumbers};

  LR_FORCE_INLINE LR_HD explicit BcoPair(const LossOptions<Number>& options)
      : beta_(options.beta), delta_(options.delta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real beta(beta_), delta(delta_);
    const Logistic<Real> chosen(beta * pair.chosen_ratio() - delta),
        rejected(beta * pair.rejected_ratio() - delta);
    return {chosen.loss + rejected.loss_negated,
            PairGradient<Real>::of_ratios(-beta * chosen.sigmoid_negated, beta * rejected.sigmoid),
            by_scale(pair, -chosen.sigmoid_negated, rejected.sigmoid)};
  }

 private:
  Number beta_;
  double delta_;
};

// sppo_hard: (dw - 1 / (2 beta))^2 + (dl + 1 / (2 beta))^2.
template <class Number = double>
class SppoHard {
 public:
  static constexpr LossInfo info{
      .name = "sppo_hard", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kBetaOnly};

  LR_FORCE_INLINE LR_HD explicit SppoHard(const LossOptions<Number>& options)
      : target_(Number(.5) / options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real chosen = pair.chosen_ratio() - Real(target_),
               rejected = pair.rejected_ratio() + Real(target_);
    return {chosen * chosen + rejected * rejected,
            PairGradient<Real>::of_ratios(Real(2) * chosen, Real(2) * rejected),
            // The target's derivative is -2 target^2.
            ParameterGradient<Real>::of_scale(Real(4) * (chosen - rejected) * Real(target_) *
                                              Real(target_))};
  }

 private:
  Number target_;
};

// apo_zero: 1 - sigmoid(beta dw) + sigmoid(beta dl).
template <class Number = double>
class ApoZero {
 public:
  static constexpr LossInfo info{
      .name = "apo_zero", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kBetaOnly};

  LR_FORCE_INLINE LR_HD explicit ApoZero(const LossOptions<Number>& options)
      : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real beta(beta_);
    const Logistic<Real> chosen(beta * pair.chosen_ratio()), rejected(beta * pair.rejected_ratio());
    return {chosen.sigmoid_negated + rejected.sigmoid,
            PairGradient<Real>::of_ratios(-beta * chosen.slope(), beta * rejected.slope()),
            by_scale(pair, -chosen.slope(), rejected.slope())};
  }

 private:
  Number beta_;
};

// apo_down: sigmoid(beta dw) + 1 - sigmoid(beta (dw - dl)).
template <class Number = double>
class ApoDown {
 public:
  static constexpr LossInfo info{
      .name = "apo_down", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kBetaOnly};

  LR_FORCE_INLINE LR_HD explicit ApoDown(const LossOptions<Number>& options)
      : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real beta(beta_);
    const Logistic<Real> chosen(beta * pair.chosen_ratio()),
        margin(beta * (pair.chosen_ratio() - pair.rejected_ratio()));
    return {chosen.sigmoid + margin.sigmoid_negated,
            PairGradient<Real>::of_ratios(beta * (chosen.slope() - margin.slope()),
                                          beta * margin.slope()),
            by_scale(pair, chosen.slope() - margin.slope(), margin.slope())};
  }

 private:
  Number beta_;
};

using RatioLosses = LossList<NcaPair<>, BcoPair<>, SppoHard<>, ApoZero<>, ApoDown<>>;

}  // namespace logratio::math
