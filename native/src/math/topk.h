// Divergences from a row of which the log-probabilities of some columns are known: each of these is
// an outcome, and the mass that they leave is one more, against all other columns of p. All of it
// is float64, and few.
#pragma once

#include <cmath>
#include <cstdint>

#include "math/divergence.h"
#include "math/functions.h"

namespace logratio::math {

// What known log-probabilities may sum to. From 1 on, nothing is left.
constexpr double kMostMass = 1 + 1e-3;

// The log of what is left of q, given the sum of the known probabilities. Where these are of all
// columns, no column has the rest, which is rounding as far as it is within the same bounds.
LR_FORCE_INLINE LR_HD double log_mass_left(double sum, bool of_all_columns) {
  return sum >= (of_all_columns ? 2 - kMostMass : 1) ? -kInfinity : ::log1p(-sum);
}

// The columns of p: the others' sum of exponentials about their maximum, and the largest logit.
struct OutcomeNorm {
  double max_others, sum_others;  // -inf and 0: there are none, or nothing but -inf
  double largest;
  double of_known;  // the sum of the known ones' exponentials about `largest`
  double temperature;

  LR_FORCE_INLINE LR_HD double log_sum() const {  // about `largest`
    return ::log(of_known + others_about_largest());
  }
  // The rest of p, right relative to itself at both ends.
  LR_FORCE_INLINE LR_HD double log_others() const {
    if (sum_others == 0)
      return -kInfinity;
    const double rest = others_about_largest();
    return of_known < rest ? -::log1p(of_known / rest)
                           : ::log(sum_others) + (max_others - largest) / temperature - log_sum();
  }
  LR_FORCE_INLINE LR_HD bool is_defined() const { return log_sum() > -kInfinity; }

 private:
  LR_FORCE_INLINE LR_HD double others_about_largest() const {
    return sum_others == 0 ? 0 : sum_others * ::exp((max_others - largest) / temperature);
  }
};

// log(p / m) and log(q / m), m = w p + (1 - w) q; 0 where both are 0.
struct MixtureLogsOfBoth {
  double p, q;
};
LR_FORCE_INLINE LR_HD MixtureLogsOfBoth mixture_logs(double weight, double log_p, double log_q) {
  if (log_p == -kInfinity && log_q == -kInfinity)
    return {0, 0};
  const bool p_is_larger = log_p >= log_q;
  const double d = p_is_larger ? log_p - log_q : log_q - log_p;
  const double own = p_is_larger ? weight : 1 - weight, other = p_is_larger ? 1 - weight : weight;
  const double below = -other * ::expm1(-d), above = d < 1 ? own * ::expm1(d) : 1;
  const double larger = below < .5 ? -::log1p(-below) : -::log(own + other * ::exp(-d));
  const double smaller = above < .5 ? -::log1p(above) : larger - d;
  return p_is_larger ? MixtureLogsOfBoth{larger, smaller} : MixtureLogsOfBoth{smaller, larger};
}

struct OutcomeSums {
  double p, q;    // of p's terms and of q's
  double mass_q;  // of q
};

// What one outcome adds. A probability of 0 adds nothing, whatever it is multiplied with.
LR_FORCE_INLINE LR_HD OutcomeSums outcome_terms(const DivergenceOptions& options, double log_p,
                                                double log_q) {
  const double p = ::exp(log_p), q = ::exp(log_q);
  const auto kl = [](double u, double log_u, double log_v) {
    return log_u == -kInfinity ? 0 : log_v == -kInfinity ? kInfinity : u * (log_u - log_v);
  };
  switch (options.kind) {
    case Divergence::kl_pq:
      return {kl(p, log_p, log_q), 0, q};
    case Divergence::kl_qp:
      return {0, kl(q, log_q, log_p), q};
    default:
      const MixtureLogsOfBoth logs = mixture_logs(options.js_weight, log_p, log_q);
      return {log_p == -kInfinity ? 0 : p * logs.p, log_q == -kInfinity ? 0 : q * logs.q, q};
  }
}

LR_FORCE_INLINE LR_HD double outcome_value(const DivergenceOptions& options,
                                           const OutcomeSums& sums) {
  const bool js = options.kind == Divergence::js;
  return js ? options.js_weight * sums.p + (1 - options.js_weight) * sums.q : sums.p + sums.q;
}

// The derivative of the value by an outcome's own logit of p, over the temperature. An infinite
// value has none if p is what makes it so.
LR_FORCE_INLINE LR_HD double outcome_gradient(const DivergenceOptions& options,
                                              const OutcomeSums& sums, double log_p, double log_q) {
  if (options.kind == Divergence::kl_pq && !(sums.p < kInfinity))
    return kNaN;
  if (log_p == -kInfinity)
    return 0;
  const double p = ::exp(log_p), unit = 1 / options.temperature;
  switch (options.kind) {
    case Divergence::kl_pq:
      return p * ((log_p - log_q) - sums.p) * unit;
    case Divergence::kl_qp:
      return (p * sums.mass_q - ::exp(log_q)) * unit;
    default:
      return options.js_weight * p * (mixture_logs(options.js_weight, log_p, log_q).p - sums.p) *
             unit;
  }
}

}  // namespace logratio::math
