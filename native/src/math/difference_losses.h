// Losses of D = score(log-ratio of chosen) - score(log-ratio of rejected), with y = beta D.
#pragma once

#include "math/loss.h"

namespace logratio::math {

// sigmoid (DPO): -(1 - e) log sigmoid(y) - e log sigmoid(-y), e the label smoothing.
template <class Number = double>
class SigmoidLoss {
  static constexpr const char* kAliases[] = {"dpo"};

 public:
  static constexpr LossInfo info{.name = "sigmoid",
                                 .aliases = kAliases,
                                 .kind = LR_LOSS_OF_MARGIN,
                                 .numbers = kBetaSmoothingAndScore,
                                 .choices = kScoreOnly};

  LR_FORCE_INLINE LR_HD explicit SigmoidLoss(const LossOptions<Number>& options)
      : score_(options), beta_(options.beta), smoothing_(options.label_smoothing) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    return difference_loss(pair, score_, [this](Real difference) {
      const DifferenceOutput<Real> loss =
          smoothed_logistic_loss(Real(beta_) * difference, smoothing_);
      return of_scaled(Real(beta_), difference, loss.value, loss.d_difference);
    });
  }

 private:
  FDivergence score_;
  Number beta_;
  double smoothing_;
};

// A loss of the difference of the length-averaged scores. The averages are taken of the scores, so
// the chain rule's factor is 1 / count.
template <class Real, class Formula>
LR_FORCE_INLINE LR_HD PairOutput<Real> averaged_difference_loss(const PairInput<Real>& pair,
                                                                const FDivergence& score,
                                                                const Formula& formula) {
  const Score<Real> chosen = score(pair.chosen_ratio());
  const Score<Real> rejected = score(pair.rejected_ratio());
  const DifferenceOutput<Real> loss =
      formula(chosen.value / pair.chosen_count - rejected.value / pair.rejected_count);
  return {loss.value,
          PairGradient<Real>::of_ratios(
              vanishing_product(loss.d_difference, chosen.slope / pair.chosen_count),
              -vanishing_product(loss.d_difference, rejected.slope / pair.rejected_count)),
          loss.parameters};
}

// sigmoid_norm: -log sigmoid(beta times the difference of the length-averaged scores).
template <class Number = double>
class SigmoidNorm {
  static constexpr ChoiceOption kChoicesHere[] = {kAlwaysNormalise, kFDivergence};

 public:
  static constexpr LossInfo info{.name = "sigmoid_norm",
                                 .kind = LR_LOSS_OF_MARGIN,
                                 .numbers = kBetaAndScore,
                                 .choices = kChoicesHere,
                                 .divides_by_length = true};

  LR_FORCE_INLINE LR_HD explicit SigmoidNorm(const LossOptions<Number>& options)
      : score_(options), beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    return averaged_difference_loss(pair, score_, [this](Real difference) {
      const Logistic<Real> logistic(Real(beta_) * difference);
      return of_scaled(Real(beta_), difference, logistic.loss, -logistic.sigmoid_negated);
    });
  }

 private:
  FDivergence score_;
  Number beta_;
};

// hinge (SLiC): max(0, 1 - y); the slope at the kink is 0.
template <class Number = double>
class Hinge {
  static constexpr const char* kAliases[] = {"slic"};

 public:
  static constexpr LossInfo info{.name = "hinge",
                                 .aliases = kAliases,
                                 .kind = LR_LOSS_OF_MARGIN,
                                 .numbers = kBetaAndScore,
                                 .choices = kScoreOnly};

  LR_FORCE_INLINE LR_HD explicit Hinge(const LossOptions<Number>& options)
      : score_(options), beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    return difference_loss(pair, score_, [this](Real difference) {
      const Real y = Real(beta_) * difference;
      const auto satisfied = y >= Real(1);
      return of_scaled(Real(beta_), difference, select(satisfied, Real(0), Real(1) - y),
                       select(satisfied, Real(0), select(is_nan(y), y, Real(-1))));
    });
  }

 private:
  FDivergence score_;
  Number beta_;
};

// ipo: (h - 1 / (2 beta))^2, h the difference of the length-averaged scores, or of the scores
// themselves with normalise off.
template <class Number = double>
class Ipo {
  static constexpr ChoiceOption kChoicesHere[] = {kNormalise, kFDivergence};

 public:
  static constexpr LossInfo info{.name = "ipo",
                                 .kind = LR_LOSS_OF_MARGIN,
                                 .numbers = kBetaAndScore,
                                 .choices = kChoicesHere,
                                 .divides_by_length = true};

  LR_FORCE_INLINE LR_HD explicit Ipo(const LossOptions<Number>& options)
      : score_(options),
        target_(Number(1) / (Number(2) * options.beta)),
        normalise_(options.normalise != LR_NORMALISE_OFF) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const auto formula = [this](Real difference) {
      const Real residual = difference - Real(target_);
      // The target's derivative is -2 target^2.
      return DifferenceOutput<Real>{
          residual * residual, Real(2) * residual,
          ParameterGradient<Real>::of_scale(Real(4) * residual * Real(target_) * Real(target_))};
    };
    return normalise_ ? averaged_difference_loss(pair, score_, formula)
                      : difference_loss(pair, score_, formula);
  }

 private:
  FDivergence score_;
  Number target_;
  bool normalise_;
};

// exo_pair: sigmoid(y) (log sigmoid(y) - log(1 - e)) + sigmoid(-y) (log sigmoid(-y) - log e), a KL
// divergence between two coins.
template <class Number = double>
class ExoPair {
  static constexpr NumberOption kNumbers[] = {
      beta_option(.1),
      {"label_smoothing", &lr_loss_options::label_smoothing, 1e-3, kPositiveSmoothing},
      f_alpha_option()};

 public:
  static constexpr LossInfo info{
      .name = "exo_pair", .kind = LR_LOSS_OF_MARGIN, .numbers = kNumbers, .choices = kScoreOnly};

  LR_FORCE_INLINE LR_HD explicit ExoPair(const LossOptions<Number>& options)
      : score_(options),
        beta_(options.beta),
        log_right_(::log1p(-options.label_smoothing)),
        log_wrong_(::log(options.label_smoothing)) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    return difference_loss(pair, score_, [this](Real difference) {
      const Real y = Real(beta_) * difference;
      const Logistic<Real> logistic(y);
      const Real value =
          vanishing_product(logistic.sigmoid, -logistic.loss - Real(log_right_)) +
          vanishing_product(logistic.sigmoid_negated, -logistic.loss_negated - Real(log_wrong_));
      // log sigmoid(y) - log sigmoid(-y) is y.
      const Real slope = vanishing_product(logistic.slope(), y + Real(log_wrong_ - log_right_));
      return of_scaled(Real(beta_), difference, value, slope);
    });
  }

 private:
  FDivergence score_;
  Number beta_;
  double log_right_;
  double log_wrong_;
};

// robust: [-(1 - e) log sigmoid(y) + e log sigmoid(-y)] / (1 - 2 e), unbiased when a share e of the
// labels is flipped.
template <class Number = double>
class Robust {
 public:
  static constexpr LossInfo info{.name = "robust",
                                 .kind = LR_LOSS_OF_MARGIN,
                                 .numbers = kBetaSmoothingAndScore,
                                 .choices = kScoreOnly};

  LR_FORCE_INLINE LR_HD explicit Robust(const LossOptions<Number>& options)
      : score_(options),
        beta_(options.beta),
        right_((1 - options.label_smoothing) / (1 - 2 * options.label_smoothing)),
        wrong_(options.label_smoothing / (1 - 2 * options.label_smoothing)) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    return difference_loss(pair, score_, [this](Real difference) {
      const Logistic<Real> logistic(Real(beta_) * difference);
      const Real right(right_), wrong(wrong_);
      return of_scaled(Real(beta_), difference,
                       right * logistic.loss - vanishing_product(wrong, logistic.loss_negated),
                       -(right * logistic.sigmoid_negated + wrong * logistic.sigmoid));
    });
  }

 private:
  FDivergence score_;
  Number beta_;
  double right_;
  double wrong_;
};

using DifferenceLosses =
    LossList<SigmoidLoss<>, SigmoidNorm<>, Hinge<>, Ipo<>, ExoPair<>, Robust<>>;

}  // namespace logratio::math
