// What every loss is made of: its inputs, its outputs and the description of its options.
//
// A paired loss is a class with
//   static constexpr LossInfo info            name, options, traits
//   explicit Loss(const LossOptions<Number>&)           options already checked against info
//   PairOutput<Real> evaluate(const PairInput<Real>&)   one pair: value and every derivative,
//                                                       those by its parameters, too
// and a template over Number, the type of its parameters: double where all pairs share them, Real
// where each pair has its own.
// Losses of D, the difference of the two log-ratios' scores, reach evaluate through
// difference_loss().
//
// A loss that looks at the whole batch (info.means > 0) names up to two features of a pair, and
// sees their statistics:
//   Features<Real> features(const PairInput<Real>&)
//   CoupledOutput<Real> evaluate(const PairInput<Real>&, const Statistics&)
//                                             derivatives by the statistics, too
//   PulledBack<Real> pull_back(const PairInput<Real>&, const Features<Real>&)
//                                             from derivatives by its features to its inputs and
//                                             parameters
// What lies between, from statistics to features, is the same for all: feature_gradient() below.
#pragma once

#include <cstdint>
#include <span>
#include <type_traits>

#include "logratio.h"
#include "math/f_divergence.h"

namespace logratio::math {

// ---- Inputs and outputs ----

template <class Real>
struct PairInput {
  Real policy_chosen;
  Real policy_rejected;
  Real reference_chosen;
  Real reference_rejected;
  Real chosen_count;
  Real rejected_count;
  bool logps_are_means = false;  // over the counted tokens; else sums

  LR_FORCE_INLINE LR_HD Real chosen_ratio() const { return policy_chosen - reference_chosen; }
  LR_FORCE_INLINE LR_HD Real rejected_ratio() const { return policy_rejected - reference_rejected; }
};

// The options that a loss may have a gradient by. Which of its own they are, each loss says.
enum Parameter : int { kScale, kMix, kTemperature, kParameters };
inline constexpr int kNoParameter = -1;

template <class Real>
struct ParameterGradient {
  Real by[kParameters] = {Real(0), Real(0), Real(0)};

  LR_FORCE_INLINE LR_HD Real& operator[](int parameter) { return by[parameter]; }
  LR_FORCE_INLINE LR_HD const Real& operator[](int parameter) const { return by[parameter]; }

  LR_FORCE_INLINE LR_HD static ParameterGradient of_scale(Real by_scale) {
    return {{by_scale, Real(0), Real(0)}};
  }
};

template <class Real>
struct PairGradient {
  Real policy_chosen;
  Real policy_rejected;
  Real reference_chosen;
  Real reference_rejected;

  // The gradient of a function of the two log-ratios.
  LR_FORCE_INLINE LR_HD static PairGradient of_ratios(Real chosen, Real rejected) {
    return {chosen, rejected, -chosen, -rejected};
  }
  // The gradient of a function of the policy alone.
  LR_FORCE_INLINE LR_HD static PairGradient of_policy(Real chosen, Real rejected) {
    return {chosen, rejected, Real(0), Real(0)};
  }
};

template <class Real>
struct PairOutput {
  Real value;
  PairGradient<Real> gradient;
  ParameterGradient<Real> parameters = {};
  Real second_value = Real(0);  // for a loss with two values per pair: the rejected answer's, while
                                // `value` is the chosen one's
  ParameterGradient<Real> second_parameters = {};  // of second_value
};

// ---- Statistics of a batch ----

template <class Real>
struct Features {
  Real first;
  Real second = Real(0);
};

struct Statistics {
  double pairs = 0;
  double mean[2] = {0, 0};  // of the features
  double variance = 0;      // of the first feature, unbiased; only if info.variance
};

template <class Real>
struct CoupledOutput {
  PairOutput<Real> pair;
  // Derivatives by the statistics. Those for a loss with two values per pair: the chosen value
  // depends on the first mean alone, the rejected one on the second.
  Real d_mean[2] = {Real(0), Real(0)};
  Real d_variance = Real(0);
};

// What a pair's value adds to the derivative by a statistic: nothing where it does not depend on
// it, so that a pair whose upstream is NaN keeps that to itself.
LR_FORCE_INLINE LR_HD double by_statistic(double upstream, double derivative) {
  return derivative == 0 ? 0 : vanishing_product(upstream, derivative);
}

// What the derivatives by a pair's features are for its inputs and parameters.
template <class Real>
struct PulledBack {
  PairGradient<Real> gradient;
  ParameterGradient<Real> parameters = {};
};

// The gradient by a pair's features of a function whose derivatives by the statistics are `d`.
template <class Real>
LR_FORCE_INLINE LR_HD Features<Real> feature_gradient(const Features<Real>& features,
                                                      const Statistics& s, const Statistics& d) {
  const Real first(d.mean[0] / s.pairs), second(d.mean[1] / s.pairs);
  // Only a variance looks at a feature again: without one, an infinite feature of one pair is no
  // matter of the others'.
  if (d.variance == 0)
    return {first, second};
  return {first + vanishing_product(Real(2 * d.variance / (s.pairs - 1)),
                                    features.first - Real(s.mean[0])),
          second};
}

// ---- Options ----

// The values that a number may have; never an infinite one, or NaN.
struct Range {
  double lower;
  bool lower_included;
  double upper;
  bool upper_included;
  const char* expected;  // in messages

  constexpr bool contains(double value) const {
    return (lower_included ? value >= lower : value > lower) &&
           (upper_included ? value <= upper : value < upper);
  }
};
inline constexpr Range kPositive{0, false, kInfinity, false, "a finite number > 0"};
inline constexpr Range kNonNegative{0, true, kInfinity, false, "a finite number >= 0"};
inline constexpr Range kFinite{-kInfinity, false, kInfinity, false, "a finite number"};
inline constexpr Range kSmoothing{0, true, .5, false, "a number in [0,0.5)"};
inline constexpr Range kPositiveSmoothing{0, false, .5, false, "a number in (0,0.5)"};

struct NumberOption {
  const char* name;
  double lr_loss_options::*member;
  double fallback;
  Range range;
  int parameter = kNoParameter;  // of a paired loss: that a tensor may stand for it
};

struct ChoiceOption {
  const char* name;
  int32_t lr_loss_options::*member;
  std::span<const char* const> values;  // the names of 0, 1, ...; 0 is the default
};

// Losses of the batch's sorted values: of lw-ll against rw-rl, or of one answer's log-ratios
// against the other's.
enum class Sorting : uint8_t { none, by_model, by_answer };

struct LossInfo {
  const char* name;
  std::span<const char* const> aliases = {};
  lr_loss_kind kind;
  std::span<const NumberOption> numbers = {};
  std::span<const ChoiceOption> choices = {};
  double lr_loss_options::*reward_beta =
      &lr_loss_options::beta;  // scales the logged rewards; nullptr: there are none
  bool divides_by_length =
      false;  // unless normalise is off: such a loss takes sums over tokens, never means
  bool differentiates_options = false;  // gradients by its parameters even where no tensor stands
                                        // for them
  bool uses_kl = false;                 // of an unpaired loss: an estimate over the batch
  bool two_values = false;              // a value for each answer, not one per pair
  int means = 0;                        // how many features have a mean that the loss uses
  bool variance = false;                // of the first feature; needs two pairs
  Sorting sorting = Sorting::none;

  constexpr bool paired() const {
    return kind == LR_LOSS_OF_MARGIN || kind == LR_LOSS_OF_LOG_RATIOS ||
           kind == LR_LOSS_REFERENCE_FREE;
  }
  // Whether a negative log-likelihood of the chosen answer is part of it.
  constexpr bool has_nll() const {
    for (const ChoiceOption& option : choices) {
      if (option.member == &lr_loss_options::nll)
        return true;
    }
    return kind == LR_LOSS_AUXILIARY;
  }
  // The option that is a parameter; nullptr where the loss has none.
  constexpr double lr_loss_options::*option_of(int parameter) const {
    for (const NumberOption& option : numbers) {
      if (option.parameter == parameter)
        return option.member;
    }
    return nullptr;
  }
};

// Every option of lr_loss_options; a loss lists the ones it has, with its own default.
inline constexpr double lr_loss_options::*kNumberMembers[] = {&lr_loss_options::beta,
                                                              &lr_loss_options::beta_kl,
                                                              &lr_loss_options::beta_mix,
                                                              &lr_loss_options::tau,
                                                              &lr_loss_options::label_smoothing,
                                                              &lr_loss_options::f_alpha,
                                                              &lr_loss_options::gamma,
                                                              &lr_loss_options::alpha,
                                                              &lr_loss_options::delta,
                                                              &lr_loss_options::desirable_weight,
                                                              &lr_loss_options::undesirable_weight};
inline constexpr const char* kNumberNames[] = {"beta",
                                               "beta_kl",
                                               "beta_mix",
                                               "tau",
                                               "label_smoothing",
                                               "f_alpha",
                                               "gamma",
                                               "alpha",
                                               "delta",
                                               "desirable_weight",
                                               "undesirable_weight"};

inline constexpr const char* kFDivergences[] = {"reverse_kl", "forward_kl", "js", "alpha"};
inline constexpr const char* kGuards[] = {"none", "warn", "clamp"};
inline constexpr const char* kVariants[] = {"repo", "old", "paper"};
inline constexpr const char* kNormalises[] = {"on", "full", "off"};
inline constexpr const char* kOffOn[] = {"off", "on"};
inline constexpr const char* kNlls[] = {"pair", "token"};
inline constexpr ChoiceOption kFDivergence{"f_divergence", &lr_loss_options::f_divergence,
                                           kFDivergences};
inline constexpr ChoiceOption kGuard{"guard", &lr_loss_options::guard, kGuards};
inline constexpr ChoiceOption kVariant{"variant", &lr_loss_options::variant, kVariants};
inline constexpr ChoiceOption kTwoVariants{"variant", &lr_loss_options::variant,
                                           std::span(kVariants).first(2)};
inline constexpr ChoiceOption kNormalise{"normalise", &lr_loss_options::normalise, kNormalises};
inline constexpr ChoiceOption kAlwaysNormalise{"normalise", &lr_loss_options::normalise,
                                               std::span(kNormalises).first(2)};
inline constexpr ChoiceOption kDetach{"detach", &lr_loss_options::detach, kOffOn};
inline constexpr ChoiceOption kNll{"nll", &lr_loss_options::nll, kNlls};
// In place of lr_nll, where a step adds the negative log-likelihood by itself.
inline constexpr int32_t kNllElsewhere = 2;
inline constexpr ChoiceOption kChoices[] = {kFDivergence, kGuard,  kVariant,
                                            kNormalise,   kDetach, kNll};

constexpr NumberOption beta_option(double fallback) {
  return {"beta", &lr_loss_options::beta, fallback, kPositive, kScale};
}
constexpr NumberOption tau_option() {
  return {"tau", &lr_loss_options::tau, .05, kPositive, kTemperature};
}
constexpr NumberOption smoothing_option() {
  return {"label_smoothing", &lr_loss_options::label_smoothing, 0, kSmoothing};
}
constexpr NumberOption f_alpha_option() {
  return {"f_alpha", &lr_loss_options::f_alpha, .5, kFinite};
}

inline constexpr NumberOption kBetaOnly[] = {beta_option(.1)};
inline constexpr NumberOption kBetaAndSmoothing[] = {beta_option(.1), smoothing_option()};
inline constexpr NumberOption kBetaAndScore[] = {beta_option(.1), f_alpha_option()};
inline constexpr NumberOption kBetaSmoothingAndScore[] = {beta_option(.1), smoothing_option(),
                                                          f_alpha_option()};
inline constexpr ChoiceOption kScoreOnly[] = {kFDivergence};

// ---- Parameters of each pair ----

// Options whose parameters are each pair's own.
template <class Number>
struct OwnOptions : lr_loss_options {
  Number beta, beta_kl, beta_mix, tau;
};
template <class Number>
using LossOptions =
    std::conditional_t<std::is_same_v<Number, double>, lr_loss_options, OwnOptions<Number>>;

// A loss with parameters of another type: WithNumbers<Hinge<double>, Real>::Type.
template <class Loss, class Number>
struct WithNumbers;
template <template <class> class Loss, class From, class To>
struct WithNumbers<Loss<From>, To> {
  using Type = Loss<To>;
};

// ---- Losses of D = score(log-ratio of chosen) - score(log-ratio of rejected) ----

template <class Real>
struct DifferenceOutput {
  Real value;
  Real d_difference;
  ParameterGradient<Real> parameters = {};
};

template <class Real, class Formula>
LR_FORCE_INLINE LR_HD PairOutput<Real> difference_loss(const PairInput<Real>& pair,
                                                       const FDivergence& score,
                                                       const Formula& formula) {
  const ScoreDifference<Real> difference = score(pair.chosen_ratio(), pair.rejected_ratio());
  const DifferenceOutput<Real> loss = formula(difference.value);
  return {loss.value,
          PairGradient<Real>::of_ratios(
              vanishing_product(loss.d_difference, difference.chosen_slope),
              -vanishing_product(loss.d_difference, difference.rejected_slope)),
          loss.parameters};
}

// A function of beta D as one of D and beta: of its value and its slope by beta D.
template <class Real>
LR_FORCE_INLINE LR_HD DifferenceOutput<Real> of_scaled(Real beta, Real difference, Real value,
                                                       Real slope) {
  return {value, beta * slope,
          ParameterGradient<Real>::of_scale(vanishing_product(difference, slope))};
}

// -(1 - e) log sigmoid(x) - e log sigmoid(-x) and its derivative by x.
template <class Real>
LR_FORCE_INLINE LR_HD DifferenceOutput<Real> smoothed_logistic_loss(Real x, double smoothing) {
  const Logistic<Real> logistic(x);
  const Real e(smoothing), rest(1 - smoothing);
  return {rest * logistic.loss + vanishing_product(e, logistic.loss_negated),
          e * logistic.sigmoid - rest * logistic.sigmoid_negated};
}

// Losses of one kind; each file of them ends with its list.
template <class... Loss>
struct LossList {
  static constexpr const LossInfo* infos[] = {&Loss::info...};
  static constexpr int32_t count = sizeof...(Loss);

  // body(loss) with the loss that the checked options name; `before` is how many losses other lists
  // put before these.
  template <int32_t before = 0, class Body>
  LR_FORCE_INLINE LR_HD static void visit(const lr_loss_options& options, Body&& body) {
    int32_t number = before;
    (void)((++number == options.loss && (body(Loss(options)), true)) || ...);
  }
};

template <class... Some, class... More>
constexpr LossList<Some..., More...> operator+(LossList<Some...>, LossList<More...>) {
  return {};
}

}  // namespace logratio::math
