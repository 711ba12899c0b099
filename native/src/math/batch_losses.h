// Losses that compare each answer with the batch: with its mean log-ratio (kto_pair), or by rank
// (aot).
#pragma once

#include "math/loss.h"

namespace logratio::math {

// kto_pair: 1 - sigmoid(beta (dw - Kl)) and 1 - sigmoid(beta (Kw - dl)), Kw and Kl the means of dw
// and dl, at least 0; two values per pair. At a mean of exactly 0, where training starts, the
// gradient passes, as it does through a clamp.
template <class Number = double>
class KtoPair {
  static constexpr ChoiceOption kChoicesHere[] = {kDetach};

 public:
  static constexpr LossInfo info{.name = "kto_pair",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kBetaOnly,
                                 .choices = kChoicesHere,
                                 .two_values = true,
                                 .means = 2};

  LR_FORCE_INLINE LR_HD explicit KtoPair(const LossOptions<Number>& options)
      : beta_(options.beta), detach_(options.detach == LR_DETACH_ON) {}

  // The rejected one first: the chosen value depends on its mean.
  template <class Real>
  LR_FORCE_INLINE LR_HD Features<Real> features(const PairInput<Real>& pair) const {
    return {pair.rejected_ratio(), pair.chosen_ratio()};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD CoupledOutput<Real> evaluate(const PairInput<Real>& pair,
                                                     const Statistics& statistics) const {
    const Real beta(beta_), rejected_mean(statistics.mean[0]), chosen_mean(statistics.mean[1]);
    const Real chosen_off = pair.chosen_ratio() - positive_part(rejected_mean),
               rejected_off = pair.rejected_ratio() - positive_part(chosen_mean);
    const Logistic<Real> chosen(beta * chosen_off), rejected(beta * rejected_off);
    const Real d_chosen = -beta * chosen.slope(), d_rejected = beta * rejected.slope();
    const auto live = [this](Real mean, Real d) {
      return detach_ ? Real(0) : select(mean >= Real(0), d, Real(0));
    };
    return {{chosen.sigmoid_negated, PairGradient<Real>::of_ratios(d_chosen, d_rejected),
             ParameterGradient<Real>::of_scale(-vanishing_product(chosen_off, chosen.slope())),
             rejected.sigmoid,
             ParameterGradient<Real>::of_scale(vanishing_product(rejected_off, rejected.slope()))},
            {live(rejected_mean, -d_chosen), live(chosen_mean, -d_rejected)}};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD PulledBack<Real> pull_back(const PairInput<Real>&,
                                                   const Features<Real>& d) const {
    return {PairGradient<Real>::of_ratios(d.second, d.first)};
  }

 private:
  Number beta_;
  bool detach_;
};

// aot and aot_unpaired: -(1 - e) log sigmoid(beta d) - e log sigmoid(-beta d), d the difference of
// the batch's sorted values at a rank. A "pair" here is a rank: its log-prob of the chosen is the
// first sorted value, that of the rejected the second, and the references are 0.
template <class Number>
class LossOfRanks {
 public:
  LR_FORCE_INLINE LR_HD explicit LossOfRanks(const LossOptions<Number>& options)
      : beta_(options.beta), smoothing_(options.label_smoothing) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& rank) const {
    const Real difference = rank.policy_chosen - rank.policy_rejected;
    const DifferenceOutput<Real> loss =
        smoothed_logistic_loss(Real(beta_) * difference, smoothing_);
    const Real slope = Real(beta_) * loss.d_difference;
    return {loss.value, PairGradient<Real>::of_policy(slope, -slope),
            ParameterGradient<Real>::of_scale(vanishing_product(difference, loss.d_difference))};
  }

 private:
  Number beta_;
  double smoothing_;
};

template <class Number = double>
class Aot : public LossOfRanks<Number> {
 public:
  static constexpr LossInfo info{.name = "aot",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kBetaAndSmoothing,
                                 .sorting = Sorting::by_model};

  using LossOfRanks<Number>::LossOfRanks;
};

template <class Number = double>
class AotUnpaired : public LossOfRanks<Number> {
 public:
  static constexpr LossInfo info{.name = "aot_unpaired",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kBetaAndSmoothing,
                                 .sorting = Sorting::by_answer};

  using LossOfRanks<Number>::LossOfRanks;
};

using BatchLosses = LossList<Aot<>, AotUnpaired<>, KtoPair<>>;

}  // namespace logratio::math
