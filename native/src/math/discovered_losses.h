// The other objectives that DiscoPOP's search found (arXiv 2406.08414, table 1 and appendix E), in
// the form of its code ("repo"), of the code that the search put out ("old") and of the paper. y =
// beta D; statistics of the batch carry gradient.
#pragma once

#include "math/loss.h"

namespace logratio::math {

inline constexpr NumberOption kDiscoveredNumbers[] = {beta_option(.05), tau_option()};
inline constexpr NumberOption kDiscoveredBeta[] = {beta_option(.05)};
inline constexpr ChoiceOption kDiscoveredChoices[] = {kVariant};

template <class Real>
LR_FORCE_INLINE LR_HD Real difference(const PairInput<Real>& pair) {
  return pair.chosen_ratio() - pair.rejected_ratio();
}

template <class Real>
LR_FORCE_INLINE LR_HD PairGradient<Real> of_difference(Real d) {
  return PairGradient<Real>::of_ratios(d, -d);
}

// -log sigmoid(y) and relu(1 - y), with their slopes: the two branches of aql, aqfl and pfl.
template <class Real>
struct LogisticAndHinge {
  Real logistic;
  Real logistic_slope;
  Real hinge;
  Real hinge_slope;

  LR_FORCE_INLINE LR_HD explicit LogisticAndHinge(Real y) {
    const Logistic<Real> terms(y);
    const auto satisfied = y >= Real(1);
    logistic = terms.loss;
    logistic_slope = -terms.sigmoid_negated;
    hinge = select(satisfied, Real(0), Real(1) - y);
    hinge_slope = select(satisfied, Real(0), select(is_nan(y), y, Real(-1)));
  }
  // share * logistic + (1 - share) * hinge: the value, its slope at a fixed share, its derivative
  // by the share.
  LR_FORCE_INLINE LR_HD Real mix(Real share, Real rest) const {
    return vanishing_product(share, logistic) + vanishing_product(rest, hinge);
  }
  LR_FORCE_INLINE LR_HD Real slope(Real share, Real rest) const {
    return share * logistic_slope + rest * hinge_slope;
  }
  LR_FORCE_INLINE LR_HD Real d_share() const {
    return select(logistic == hinge, Real(0), logistic - hinge);
  }
};

// dbaql: w softplus(-y / T) + (1 - w) exp(-T y), w = sigmoid(Var x), T = .9; x = y / tau, or D in
// the old variant. A pair has no variance.
class Dbaql {
  static constexpr double kTemperature = .9;

 public:
  static constexpr LossInfo info{.name = "dbaql",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kDiscoveredNumbers,
                                 .choices = kDiscoveredChoices,
                                 .means = 1,
                                 .variance = true};

  LR_FORCE_INLINE LR_HD explicit Dbaql(const lr_loss_options& options)
      : beta_(options.beta),
        gate_(options.variant == LR_VARIANT_OLD ? 1.0 : options.beta / options.tau) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD Features<Real> features(const PairInput<Real>& pair) const {
    return {Real(gate_) * difference(pair)};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD CoupledOutput<Real> evaluate(const PairInput<Real>& pair,
                                                     const Statistics& statistics) const {
    const Real y = Real(beta_) * difference(pair);
    const Logistic<Real> share(Real(statistics.variance)), own(y / Real(kTemperature));
    // (1 - w) exp(-T y) with its exponents added: 1 - w underflows for a variance of some hundreds,
    // where exp(-T y) may overflow.
    const Real exponential = exp(Real(-kTemperature) * y - share.loss_negated);
    const Real w = share.sigmoid, rest = share.sigmoid_negated;
    const Real slope =
        Real(-1 / kTemperature) * w * own.sigmoid_negated - Real(kTemperature) * exponential;
    const Real d_variance = w * (vanishing_product(rest, own.loss) - exponential);
    return {{vanishing_product(w, own.loss) + exponential, of_difference(Real(beta_) * slope), {}},
            {Real(0), Real(0)},
            d_variance};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD PairGradient<Real> pull_back(const PairInput<Real>&,
                                                     const Features<Real>& d) const {
    return of_difference(Real(gate_) * d.first);
  }

 private:
  double beta_;
  double gate_;
};

// aql: q softplus(-y) + (1 - q) relu(1 - y), q = sigmoid(m - x), m = P + w (sigmoid(mean x) - P), P
// = .5, w = .01, x = y / tau. Old and paper: x = D and q = sigmoid(beta (m - D)).
class Aql {
  static constexpr double kCentre = .5;
  static constexpr double kWeight = .01;

 public:
  static constexpr LossInfo info{.name = "aql",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kDiscoveredNumbers,
                                 .choices = kDiscoveredChoices,
                                 .means = 1};

  LR_FORCE_INLINE LR_HD explicit Aql(const lr_loss_options& options)
      : beta_(options.beta),
        gate_(options.variant == LR_VARIANT_REPO ? options.beta / options.tau : 1.0),
        strength_(options.variant == LR_VARIANT_REPO ? 1.0 : options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD Features<Real> features(const PairInput<Real>& pair) const {
    return {Real(gate_) * difference(pair)};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD CoupledOutput<Real> evaluate(const PairInput<Real>& pair,
                                                     const Statistics& statistics) const {
    const Real x = Real(gate_) * difference(pair);
    const Logistic<Real> average(Real(statistics.mean[0]));
    const Real middle = Real(kCentre) + Real(kWeight) * (average.sigmoid - Real(kCentre));
    const Logistic<Real> share(Real(strength_) * (middle - x));
    const LogisticAndHinge<Real> branches(Real(beta_) * difference(pair));
    // The derivative by the argument of the share.
    const Real d_argument = vanishing_product(share.slope(), branches.d_share());
    const Real slope = Real(beta_) * branches.slope(share.sigmoid, share.sigmoid_negated) -
                       Real(strength_ * gate_) * d_argument;
    const Real d_mean = Real(strength_ * kWeight) * average.slope() * d_argument;
    return {{branches.mix(share.sigmoid, share.sigmoid_negated), of_difference(slope), {}},
            {d_mean, Real(0)}};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD PairGradient<Real> pull_back(const PairInput<Real>&,
                                                     const Features<Real>& d) const {
    return of_difference(Real(gate_) * d.first);
  }

 private:
  double beta_;
  double gate_;
  double strength_;
};

// aqfl: b softplus(-y) + (1 - b) relu(1 - y), b = sigmoid(.1 |x - A|), A = (1 - u) S
// mean(sigmoid(-x)) + u sigmoid(mean x), u = .05, S the standard deviation of x, x = y / tau. Old:
// x = D. Paper: A = M + u sigmoid(mean x - M), M = Var x mean(sigmoid(-x)).
class Aqfl {
  static constexpr double kDistanceScale = .1;
  static constexpr double kWeight = .05;

 public:
  static constexpr LossInfo info{.name = "aqfl",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kDiscoveredNumbers,
                                 .choices = kDiscoveredChoices,
                                 .means = 2,
                                 .variance = true};

  LR_FORCE_INLINE LR_HD explicit Aqfl(const lr_loss_options& options)
      : beta_(options.beta),
        gate_(options.variant == LR_VARIANT_OLD ? 1.0 : options.beta / options.tau),
        paper_(options.variant == LR_VARIANT_PAPER) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD Features<Real> features(const PairInput<Real>& pair) const {
    const Real x = Real(gate_) * difference(pair);
    return {x, Logistic<Real>(x).sigmoid_negated};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD CoupledOutput<Real> evaluate(const PairInput<Real>& pair,
                                                     const Statistics& statistics) const {
    const Real x = Real(gate_) * difference(pair);
    const Real variance(statistics.variance), deviation = sqrt(variance),
                                              failures(statistics.mean[1]);
    const Real spread = paper_ ? variance : deviation;
    // A deviation of 0 has no slope; it is taken as 0, as automatic differentiation does.
    const Real d_spread =
        paper_ ? Real(1) : select(deviation == Real(0), Real(0), Real(.5) / deviation);
    const Real moment = spread * failures;
    const Logistic<Real> average(paper_ ? Real(statistics.mean[0]) - moment
                                        : Real(statistics.mean[0]));
    const Real anchor = Real(paper_ ? 1.0 : 1 - kWeight) * moment + Real(kWeight) * average.sigmoid;
    const Real d_mean = Real(kWeight) * average.slope();
    const Real d_moment = paper_ ? Real(1) - d_mean : Real(1 - kWeight);
    const Real distance = x - anchor;
    const Logistic<Real> share(Real(kDistanceScale) * abs(distance));
    const LogisticAndHinge<Real> branches(Real(beta_) * difference(pair));
    const Real sign =
        select(distance > Real(0), Real(1), select(distance < Real(0), Real(-1), Real(0)));
    const Real d_distance =
        sign * vanishing_product(Real(kDistanceScale) * share.slope(), branches.d_share());
    const Real slope = Real(beta_) * branches.slope(share.sigmoid, share.sigmoid_negated) +
                       Real(gate_) * d_distance;
    return {{branches.mix(share.sigmoid, share.sigmoid_negated), of_difference(slope), {}},
            {-d_mean * d_distance, -d_moment * spread * d_distance},
            -d_moment * failures * d_spread * d_distance};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD PairGradient<Real> pull_back(const PairInput<Real>& pair,
                                                     const Features<Real>& d) const {
    const Logistic<Real> failure(Real(gate_) * difference(pair));
    return of_difference(Real(gate_) * (d.first - failure.slope() * d.second));
  }

 private:
  double beta_;
  double gate_;
  bool paper_;
};

// padll: .9 (1 - .5 [D < 0]) softplus(-y).
class Padll {
 public:
  static constexpr LossInfo info{
      .name = "padll", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kDiscoveredBeta};

  LR_FORCE_INLINE LR_HD explicit Padll(const lr_loss_options& options) : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real d = difference(pair);
    const Logistic<Real> logistic(Real(beta_) * d);
    const Real weight = select(d < Real(0), Real(.45), Real(.9));
    return {weight * logistic.loss,
            of_difference(Real(-beta_) * weight * logistic.sigmoid_negated)};
  }

 private:
  double beta_;
};

// cell: exp(-y) / 2 + softplus(-y) / 2.
class Cell {
 public:
  static constexpr LossInfo info{
      .name = "cell", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kDiscoveredBeta};

  LR_FORCE_INLINE LR_HD explicit Cell(const lr_loss_options& options) : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real y = Real(beta_) * difference(pair), half(.5);
    const Logistic<Real> logistic(y);
    const Real exponential = exp(-y);
    return {half * (exponential + logistic.loss),
            of_difference(Real(-.5 * beta_) * (exponential + logistic.sigmoid_negated))};
  }

 private:
  double beta_;
};

// pfl: softplus(-y) / 2 where the policy ranks the pair rightly (lw > ll), else 2 relu(1 - y). Old:
// D for y. Paper: y / tau for y.
class Pfl {
 public:
  static constexpr LossInfo info{.name = "pfl",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kDiscoveredNumbers,
                                 .choices = kDiscoveredChoices};

  LR_FORCE_INLINE LR_HD explicit Pfl(const lr_loss_options& options)
      : scale_(options.variant == LR_VARIANT_OLD     ? 1.0
               : options.variant == LR_VARIANT_PAPER ? options.beta / options.tau
                                                     : options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const LogisticAndHinge<Real> branches(Real(scale_) * difference(pair));
    const auto right = pair.policy_chosen > pair.policy_rejected;
    return {select(right, Real(.5) * branches.logistic, Real(2) * branches.hinge),
            of_difference(Real(scale_) * select(right, Real(.5) * branches.logistic_slope,
                                                Real(2) * branches.hinge_slope))};
  }

 private:
  double scale_;
};

using DiscoveredLosses = LossList<Dbaql, Aql, Aqfl, Padll, Cell, Pfl>;

}  // namespace logratio::math
