// Losses of the policy alone: aw = lw / nw and al = ll / nl are the mean log-probs of a token.
#pragma once

#include "math/loss.h"

namespace logratio::math {

inline constexpr NumberOption kGamma{"gamma", &lr_loss_options::gamma, .5, kFinite};

// simpo: x = beta (aw - al) - gamma; -(1 - e) log sigmoid(x) - e log sigmoid(-x).
template <class Number = double>
class Simpo {
  static constexpr NumberOption kNumbers[] = {beta_option(2), kGamma, smoothing_option()};

 public:
  static constexpr LossInfo info{.name = "simpo",
                                 .kind = LR_LOSS_REFERENCE_FREE,
                                 .numbers = kNumbers,
                                 .divides_by_length = true};

  LR_FORCE_INLINE LR_HD explicit Simpo(const LossOptions<Number>& options)
      : beta_(options.beta), gamma_(options.gamma), smoothing_(options.label_smoothing) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real beta(beta_);
    const Real margin =
        pair.policy_chosen / pair.chosen_count - pair.policy_rejected / pair.rejected_count;
    const DifferenceOutput<Real> loss =
        smoothed_logistic_loss(beta * margin - Real(gamma_), smoothing_);
    const Real slope = beta * loss.d_difference;
    return {loss.value,
            PairGradient<Real>::of_policy(slope / pair.chosen_count, -slope / pair.rejected_count),
            ParameterGradient<Real>::of_scale(vanishing_product(margin, loss.d_difference))};
  }

 private:
  Number beta_;
  double gamma_;
  double smoothing_;
};

// alphapo: simpo with r(a) = (1 - exp(-alpha a)) / alpha in place of a.
template <class Number = double>
class AlphaPo {
  static constexpr NumberOption kNumbers[] = {beta_option(2),
                                              kGamma,
                                              {"alpha", &lr_loss_options::alpha, .25, kNonNegative},
                                              smoothing_option()};

 public:
  static constexpr LossInfo info{.name = "alphapo",
                                 .kind = LR_LOSS_REFERENCE_FREE,
                                 .numbers = kNumbers,
                                 .divides_by_length = true};

  LR_FORCE_INLINE LR_HD explicit AlphaPo(const LossOptions<Number>& options)
      : beta_(options.beta),
        gamma_(options.gamma),
        alpha_(options.alpha),
        smoothing_(options.label_smoothing) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD PairOutput<Real> evaluate(const PairInput<Real>& pair) const {
    const Real beta(beta_), alpha(alpha_);
    const Real chosen = pair.policy_chosen / pair.chosen_count,
               rejected = pair.policy_rejected / pair.rejected_count;
    const Real chosen_slope = exp(vanishing_product(-alpha, chosen)),
               rejected_slope = exp(vanishing_product(-alpha, rejected));
    // r(aw) - r(al) as one product, which neither cancels nor subtracts infinities. alpha 0 is
    // simpo.
    const Real margin =
        alpha_ == 0
            ? chosen - rejected
            : vanishing_product(rejected_slope,
                                -expm1(vanishing_product(-alpha, chosen - rejected)) / alpha);
    const DifferenceOutput<Real> loss =
        smoothed_logistic_loss(beta * margin - Real(gamma_), smoothing_);
    const Real slope = beta * loss.d_difference;
    return {loss.value,
            PairGradient<Real>::of_policy(
                vanishing_product(slope, chosen_slope / pair.chosen_count),
                -vanishing_product(slope, rejected_slope / pair.rejected_count)),
            ParameterGradient<Real>::of_scale(vanishing_product(margin, loss.d_difference))};
  }

 private:
  Number beta_;
  double gamma_;
  double alpha_;
  double smoothing_;
};

// The negative log-likelihood of the chosen answer that cpo and orpo add: a token's mean over the
// answer, or over all of the batch. The latter is the quotient of two means, of lw and of nw. A
// step that has further say in it adds it elsewhere.
template <class Real>
struct ChosenNll {
  Real value;
  Real d_policy_chosen;  // of this pair's own
  Real d_mean[2];

  LR_FORCE_INLINE LR_HD ChosenNll(const PairInput<Real>& pair, const Statistics& statistics,
                                  int32_t nll) {
    const bool whole_batch = nll == LR_NLL_TOKEN;
    if (nll == kNllElsewhere) {
      value = d_policy_chosen = d_mean[0] = d_mean[1] = Real(0);
      return;
    }
    const Real length = pair.logps_are_means ? Real(1) : pair.chosen_count;
    const double count = statistics.mean[1], mean = statistics.mean[0] / count;
    value = whole_batch ? Real(-mean) : -pair.policy_chosen / length;
    d_policy_chosen = whole_batch ? Real(0) : Real(-1) / length;
    d_mean[0] = Real(whole_batch ? -1 / count : 0.0);
    d_mean[1] = Real(0);  // counts have no gradient
  }
};

// The factor from an answer's log-prob to that of all its tokens together.
template <class Real>
LR_FORCE_INLINE LR_HD Real to_sum(const PairInput<Real>& pair) {
  return pair.logps_are_means ? pair.chosen_count : Real(1);
}

template <class Real>
LR_FORCE_INLINE LR_HD Features<Real> nll_features(const PairInput<Real>& pair) {
  return {pair.policy_chosen * to_sum(pair), pair.chosen_count};
}

template <class Real>
LR_FORCE_INLINE LR_HD PulledBack<Real> nll_pull_back(const PairInput<Real>& pair,
                                                     const Features<Real>& d) {
  return {PairGradient<Real>::of_policy(d.first * to_sum(pair), Real(0))};
}

// cpo: z = beta (lw - ll); -(1 - e) log sigmoid(z) - e log sigmoid(-z) + alpha NLL(chosen).
template <class Number = double>
class Cpo {
  static constexpr NumberOption kNumbers[] = {
      beta_option(.1), {"alpha", &lr_loss_options::alpha, 1, kPositive}, smoothing_option()};
  static constexpr ChoiceOption kChoicesHere[] = {kNll};

 public:
  static constexpr LossInfo info{.name = "cpo",
                                 .kind = LR_LOSS_REFERENCE_FREE,
                                 .numbers = kNumbers,
                                 .choices = kChoicesHere,
                                 .means = 2};

  LR_FORCE_INLINE LR_HD explicit Cpo(const LossOptions<Number>& options)
      : beta_(options.beta),
        alpha_(options.alpha),
        smoothing_(options.label_smoothing),
        nll_(options.nll) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD Features<Real> features(const PairInput<Real>& pair) const {
    return nll_features(pair);
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD CoupledOutput<Real> evaluate(const PairInput<Real>& pair,
                                                     const Statistics& statistics) const {
    const Real beta(beta_), alpha(alpha_);
    const Real margin = pair.policy_chosen - pair.policy_rejected;
    const DifferenceOutput<Real> loss = smoothed_logistic_loss(beta * margin, smoothing_);
    const ChosenNll<Real> nll(pair, statistics, nll_);
    const Real slope = beta * loss.d_difference;
    return {{loss.value + vanishing_product(alpha, nll.value),
             PairGradient<Real>::of_policy(slope + alpha * nll.d_policy_chosen, -slope),
             ParameterGradient<Real>::of_scale(vanishing_product(margin, loss.d_difference))},
            {alpha * nll.d_mean[0], nll.d_mean[1]}};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD PulledBack<Real> pull_back(const PairInput<Real>& pair,
                                                   const Features<Real>& d) const {
    return nll_pull_back(pair, d);
  }

 private:
  Number beta_;
  double alpha_;
  double smoothing_;
  int32_t nll_;
};

// orpo: NLL(chosen) - beta log sigmoid(o), o the log of the odds ratio of the mean token
// probabilities exp(aw) and exp(al). A log-prob that rounding has put above 0 counts as 0. Two that
// are 0 have even odds, whose gradient is left out: its limit depends on the way there.
template <class Number = double>
class Orpo {
  static constexpr ChoiceOption kChoicesHere[] = {kNll};

 public:
  static constexpr LossInfo info{.name = "orpo",
                                 .kind = LR_LOSS_REFERENCE_FREE,
                                 .numbers = kBetaOnly,
                                 .choices = kChoicesHere,
                                 .divides_by_length = true,
                                 .means = 2};

  LR_FORCE_INLINE LR_HD explicit Orpo(const LossOptions<Number>& options)
      : beta_(options.beta), nll_(options.nll) {}

  template <class Real>
  LR_FORCE_INLINE LR_HD Features<Real> features(const PairInput<Real>& pair) const {
    return nll_features(at_most_certain(pair));
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD CoupledOutput<Real> evaluate(const PairInput<Real>& given,
                                                     const Statistics& statistics) const {
    const PairInput<Real> pair = at_most_certain(given);
    const Real beta(beta_), zero(0);
    const Real chosen = pair.policy_chosen / pair.chosen_count,
               rejected = pair.policy_rejected / pair.rejected_count;
    // Equal log-probs have equal odds, infinite ones too.
    const auto equal = chosen == rejected;
    const Logistic<Real> odds(
        select(equal, zero, (chosen - rejected) - (log1mexp(chosen) - log1mexp(rejected))));
    // sigmoid(-o) / (1 - pw) = pl / (pw (1 - pl) + pl (1 - pw)), without the odds, which overflow
    // as pw nears 1; the greater probability is taken out, so that neither underflows.
    const Real highest = select(chosen > rejected, chosen, rejected);
    const Real chosen_rest = zero - expm1(chosen);  // never -0
    const Real rejected_rest = zero - expm1(rejected);
    const Real chosen_share = exp(select(equal, zero, chosen - highest)),
               rejected_share = exp(select(equal, zero, rejected - highest));
    const auto both_certain = (chosen == zero) & (rejected == zero);
    const Real either_rest = chosen_share * rejected_rest + rejected_share * chosen_rest;
    const Real d_chosen = select(both_certain, zero, beta * rejected_share / either_rest);
    const Real d_rejected = select(both_certain, zero, beta * odds.sigmoid_negated / rejected_rest);
    const ChosenNll<Real> nll(pair, statistics, nll_);
    return {{nll.value + vanishing_product(beta, odds.loss),
             PairGradient<Real>::of_policy(nll.d_policy_chosen - d_chosen / pair.chosen_count,
                                           d_rejected / pair.rejected_count),
             ParameterGradient<Real>::of_scale(odds.loss)},
            {nll.d_mean[0], nll.d_mean[1]}};
  }
  template <class Real>
  LR_FORCE_INLINE LR_HD PulledBack<Real> pull_back(const PairInput<Real>& pair,
                                                   const Features<Real>& d) const {
    return nll_pull_back(pair, d);
  }

 private:
  template <class Real>
  LR_FORCE_INLINE LR_HD static PairInput<Real> at_most_certain(PairInput<Real> pair) {
    pair.policy_chosen = select(pair.policy_chosen >= Real(0), Real(0), pair.policy_chosen);
    pair.policy_rejected = select(pair.policy_rejected >= Real(0), Real(0), pair.policy_rejected);
    return pair;
  }

  Number beta_;
  int32_t nll_;
};

using ReferenceFreeLosses = LossList<Simpo<>, AlphaPo<>, Cpo<>, Orpo<>>;

}  // namespace logratio::math
