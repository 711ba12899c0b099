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

// A factor of D, and its derivatives by beta and tau.
template <class Number>
struct Factor {
  Number value;
  Number by_beta, by_tau;

  LR_FORCE_INLINE LR_HD static Factor none() { return {Number(1), Number(0), Number(0)}; }
  LR_FORCE_INLINE LR_HD static Factor of_beta(const LossOptions<Number>& options) {
    return {options.beta, Number(1), Number(0)};
  }
  LR_FORCE_INLINE LR_HD static Factor of_beta_over_tau(const LossOptions<Number>& options) {
    const Number value = options.beta / options.tau;
    return {value, Number(1) / options.tau, -value / options.tau};
  }

  // The derivatives of a function of factor * D, given that by the factor.
  template <class Real>
  LR_FORCE_INLINE LR_HD ParameterGradient<Real> parameters(Real by_factor) const {
    const auto by = [&](Number slope) {  // nothing, not even of an infinity, where there is none
      return select(Real(slope) == Real(0), Real(0), by_factor * Real(slope));
    };
    return {{by(by_beta), Real(0), by(by_tau)}};
  }
};

// The derivatives by features whose first is factor * D, as those by D, beta and tau.
template <class Real, class Number>
LR_FORCE_INLINE LR_HD PulledBack<Real> pull_back_factor(const Factor<Number>& factor,
                                                        const PairInput<Real>& pair, Real d) {
  return {of_difference(Real(factor.value) * d),
          factor.parameters(vanishing_product(difference(pair), d))};
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
template <class Number = double>
class Dbaql {
  static constexpr double kTemperature = .9;

 public:
  static constexpr LossInfo info{.name = "dbaql",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kDiscoveredNumbers,
                                 .choices = kDiscoveredChoices,
                                 .means = 1,
                                 .variance = true};

  LR_FORCE_INLINE LR_HD explicit Dbaql(const LossOptions<Number>& options)
      : beta_(options.beta),
        gate_(options.variant == LR_VARIANT_OLD ? Factor<Number>::none()
                                                : Factor<Number>::of_beta_over_tau(options)) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD Features<Real> features(const PairInput<Real>& pair) const {
    return {Real(gate_.value) * difference(pair)};
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
    return {{vanishing_product(w, own.loss) + exponential, of_difference(Real(beta_) * slope),
             ParameterGradient<Real>::of_scale(vanishing_product(difference(pair), slope))},
            {Real(0), Real(0)},
            d_variance};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD PulledBack<Real> pull_back(const PairInput<Real>& pair,
                                                   const Features<Real>& d) const {
    return pull_back_factor(gate_, pair, d.first);
  }

 private:
  Number beta_;
  Factor<Number> gate_;
};

// aql: q softplus(-y) + (1 - q) relu(1 - y), q = sigmoid(m - x), m = P + w (sigmoid(mean x) - P), P
// = .5, w = .01, x = y / tau. Old and paper: x = D and q = sigmoid(beta (m - D)).
template <class Number = double>
class Aql {
  static constexpr double kCentre = .5;
  static constexpr double kWeight = .01;

 public:
  static constexpr LossInfo info{.name = "aql",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kDiscoveredNumbers,
                                 .choices = kDiscoveredChoices,
                                 .means = 1};

  LR_FORCE_INLINE LR_HD explicit Aql(const LossOptions<Number>& options)
      : beta_(options.beta),
        repo_(options.variant == LR_VARIANT_REPO),
        gate_(repo_ ? Factor<Number>::of_beta_over_tau(options) : Factor<Number>::none()),
        strength_(repo_ ? Number(1) : options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD Features<Real> features(const PairInput<Real>& pair) const {
    return {Real(gate_.value) * difference(pair)};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD CoupledOutput<Real> evaluate(const PairInput<Real>& pair,
                                                     const Statistics& statistics) const {
    const Real x = Real(gate_.value) * difference(pair);
    const Logistic<Real> average(Real(statistics.mean[0]));
    const Real middle = Real(kCentre) + Real(kWeight) * (average.sigmoid - Real(kCentre));
    const Logistic<Real> share(Real(strength_) * (middle - x));
    const LogisticAndHinge<Real> branches(Real(beta_) * difference(pair));
    // The derivative by the argument of the share.
    const Real d_argument = vanishing_product(share.slope(), branches.d_share());
    const Real branch_slope = branches.slope(share.sigmoid, share.sigmoid_negated);
    const Real slope = Real(beta_) * branch_slope - Real(strength_ * gate_.value) * d_argument;
    const Real d_mean = Real(strength_ * Number(kWeight)) * average.slope() * d_argument;
    ParameterGradient<Real> parameters =
        gate_.parameters(-vanishing_product(difference(pair), Real(strength_) * d_argument));
    parameters[kScale] = parameters[kScale] + vanishing_product(difference(pair), branch_slope);
    if (!repo_)
      parameters[kScale] = parameters[kScale] + vanishing_product(middle - x, d_argument);
    return {{branches.mix(share.sigmoid, share.sigmoid_negated), of_difference(slope), parameters},
            {d_mean, Real(0)}};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD PulledBack<Real> pull_back(const PairInput<Real>& pair,
                                                   const Features<Real>& d) const {
    return pull_back_factor(gate_, pair, d.first);
  }

 private:
  Number beta_;
  bool repo_;
  Factor<Number> gate_;
  Number strength_;
};

// aqfl: b softplus(-y) + (1 - b) relu(1 - y), b = sigmoid(.1 |x - A|), A = (1 - u) S
// mean(sigmoid(-x)) + u sigmoid(mean x), u = .05, S the standard deviation of x, x = y / tau. Old:
// x = D. Paper: A = M + u sigmoid(mean x - M), M = Var x mean(sigmoid(-x)).
template <class Number = double>
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

  LR_FORCE_INLINE LR_HD explicit Aqfl(const LossOptions<Number>& options)
      : beta_(options.beta),
        gate_(options.variant == LR_VARIANT_OLD ? Factor<Number>::none()
                                                : Factor<Number>::of_beta_over_tau(options)),
        paper_(options.variant == LR_VARIANT_PAPER) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD Features<Real> features(const PairInput<Real>& pair) const {
    const Real x = Real(gate_.value) * difference(pair);
    return {x, Logistic<Real>(x).sigmoid_negated};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD CoupledOutput<Real> evaluate(const PairInput<Real>& pair,
                                                     const Statistics& statistics) const {
    const Real x = Real(gate_.value) * difference(pair);
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
    const Real branch_slope = branches.slope(share.sigmoid, share.sigmoid_negated);
    const Real slope = Real(beta_) * branch_slope + Real(gate_.value) * d_distance;
    ParameterGradient<Real> parameters =
        gate_.parameters(vanishing_product(difference(pair), d_distance));
    parameters[kScale] = parameters[kScale] + vanishing_product(difference(pair), branch_slope);
    return {{branches.mix(share.sigmoid, share.sigmoid_negated), of_difference(slope), parameters},
            {-d_mean * d_distance, -d_moment * spread * d_distance},
            -d_moment * failures * d_spread * d_distance};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD PulledBack<Real> pull_back(const PairInput<Real>& pair,
                                                   const Features<Real>& d) const {
    const Logistic<Real> failure(Real(gate_.value) * difference(pair));
    return pull_back_factor(gate_, pair, d.first - failure.slope() * d.second);
  }

 private:
  Number beta_;
  Factor<Number> gate_;
  bool paper_;
};

// padll: .9 (1 - .5 [D < 0]) softplus(-y).
template <class Number = double>
class Padll {
 public:
  static constexpr LossInfo info{
      .name = "padll", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kDiscoveredBeta};

  LR_FORCE_INLINE LR_HD explicit Padll(const LossOptions<Number>& options) : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real d = difference(pair);
    const Logistic<Real> logistic(Real(beta_) * d);
    const Real weight = select(d < Real(0), Real(.45), Real(.9));
    return {weight * logistic.loss, of_difference(Real(-beta_) * weight * logistic.sigmoid_negated),
            ParameterGradient<Real>::of_scale(
                -vanishing_product(d, weight * logistic.sigmoid_negated))};
  }

 private:
  Number beta_;
};

// cell: exp(-y) / 2 + softplus(-y) / 2.
template <class Number = double>
class Cell {
 public:
  static constexpr LossInfo info{
      .name = "cell", .kind = LR_LOSS_OF_LOG_RATIOS, .numbers = kDiscoveredBeta};

  LR_FORCE_INLINE LR_HD explicit Cell(const LossOptions<Number>& options) : beta_(options.beta) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real y = Real(beta_) * difference(pair), half(.5);
    const Logistic<Real> logistic(y);
    const Real exponential = exp(-y);
    const Real fall = exponential + logistic.sigmoid_negated;
    return {half * (exponential + logistic.loss), of_difference(Real(Number(-.5) * beta_) * fall),
            ParameterGradient<Real>::of_scale(-half * vanishing_product(difference(pair), fall))};
  }

 private:
  Number beta_;
};

// pfl: softplus(-y) / 2 where the policy ranks the pair rightly (lw > ll), else 2 relu(1 - y). Old:
// D for y. Paper: y / tau for y.
template <class Number = double>
class Pfl {
 public:
  static constexpr LossInfo info{.name = "pfl",
                                 .kind = LR_LOSS_OF_LOG_RATIOS,
                                 .numbers = kDiscoveredNumbers,
                                 .choices = kDiscoveredChoices};

  LR_FORCE_INLINE LR_HD explicit Pfl(const LossOptions<Number>& options)
      : scale_(options.variant == LR_VARIANT_OLD     ? Factor<Number>::none()
               : options.variant == LR_VARIANT_PAPER ? Factor<Number>::of_beta_over_tau(options)
                                                     : Factor<Number>::of_beta(options)) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const LogisticAndHinge<Real> branches(Real(scale_.value) * difference(pair));
    const auto right = pair.policy_chosen > pair.policy_rejected;
    const Real slope =
        select(right, Real(.5) * branches.logistic_slope, Real(2) * branches.hinge_slope);
    return {select(right, Real(.5) * branches.logistic, Real(2) * branches.hinge),
            of_difference(Real(scale_.value) * slope),
            scale_.parameters(vanishing_product(difference(pair), slope))};
  }

 private:
  Factor<Number> scale_;
};

using DiscoveredLosses = LossList<Dbaql<>, Aql<>, Aqfl<>, Padll<>, Cell<>, Pfl<>>;

}  // namespace logratio::math
