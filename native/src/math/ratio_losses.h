// Losses of the two log-ratios each, dw of the chosen and dl of the rejected answer.
#pragma once

#include "math/loss.h"

namespace logratio::math {

// nca_pair: -log sigmoid(beta dw) - log sigmoid(-beta dw) / 2 - log sigmoid(-beta dl) / 2.
class NcaPair {
 public:
  static constexpr LossInfo info{
      .name = "nca_pair", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kBetaOnly};

  LR_FORCE_INLINE LR_HD explicit NcaPair(const lr_loss_options& options) : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Logistic<Real> chosen(Real(beta_) * pair.chosen_ratio()),
        rejected(Real(beta_) * pair.rejected_ratio());
    const Real half(.5), beta(beta_);
    return {chosen.loss + half * chosen.loss_negated + half * rejected.loss_negated,
            PairGradient<Real>::of_ratios(beta * (half * chosen.sigmoid - chosen.sigmoid_negated),
                                          beta * half * rejected.sigmoid)};
  }

 private:
  double beta_;
};

// bco_pair: -log sigmoid(beta dw - delta) - log sigmoid(-(beta dl - delta)).
class BcoPair {
  static constexpr NumberOption kNumbers[] = {beta_option(.1),
                                              {"delta", &lr_loss_options::delta, 0, kFinite}};

 public:
  static constexpr LossInfo info{
      .name = "bco_pair", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kNumbers};

  LR_FORCE_INLINE LR_HD explicit BcoPair(const lr_loss_options& options)
      : beta_(options.beta), delta_(options.delta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real beta(beta_), delta(delta_);
    const Logistic<Real> chosen(beta * pair.chosen_ratio() - delta),
        rejected(beta * pair.rejected_ratio() - delta);
    return {chosen.loss + rejected.loss_negated,
            PairGradient<Real>::of_ratios(-beta * chosen.sigmoid_negated, beta * rejected.sigmoid)};
  }

 private:
  double beta_;
  double delta_;
};

// sppo_hard: (dw - 1 / (2 beta))^2 + (dl + 1 / (2 beta))^2.
class SppoHard {
 public:
  static constexpr LossInfo info{
      .name = "sppo_hard", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kBetaOnly};

  LR_FORCE_INLINE LR_HD explicit SppoHard(const lr_loss_options& options)
      : target_(.5 / options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real chosen = pair.chosen_ratio() - Real(target_),
               rejected = pair.rejected_ratio() + Real(target_);
    return {chosen * chosen + rejected * rejected,
            PairGradient<Real>::of_ratios(Real(2) * chosen, Real(2) * rejected)};
  }

 private:
  double target_;
};

// apo_zero: 1 - sigmoid(beta dw) + sigmoid(beta dl).
class ApoZero {
 public:
  static constexpr LossInfo info{
      .name = "apo_zero", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kBetaOnly};

  LR_FORCE_INLINE LR_HD explicit ApoZero(const lr_loss_options& options) : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real beta(beta_);
    const Logistic<Real> chosen(beta * pair.chosen_ratio()), rejected(beta * pair.rejected_ratio());
    return {chosen.sigmoid_negated + rejected.sigmoid,
            PairGradient<Real>::of_ratios(-beta * chosen.slope(), beta * rejected.slope())};
  }

 private:
  double beta_;
};

// apo_down: sigmoid(beta dw) + 1 - sigmoid(beta (dw - dl)).
class ApoDown {
 public:
  static constexpr LossInfo info{
      .name = "apo_down", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kBetaOnly};

  LR_FORCE_INLINE LR_HD explicit ApoDown(const lr_loss_options& options) : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real beta(beta_);
    const Logistic<Real> chosen(beta * pair.chosen_ratio()),
        margin(beta * (pair.chosen_ratio() - pair.rejected_ratio()));
    return {chosen.sigmoid + margin.sigmoid_negated,
            PairGradient<Real>::of_ratios(beta * (chosen.slope() - margin.slope()),
                                          beta * margin.slope())};
  }

 private:
  double beta_;
};

using RatioLosses = LossList<NcaPair, BcoPair, SppoHard, ApoZero, ApoDown>;

}  // namespace logratio::math
