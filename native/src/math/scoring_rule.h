// Strictly proper scoring rules of one row of logits and a label: all that follows from the sums
// over the vocabulary, in float64.
//
// Brier is the power rule and spherical the pseudo-spherical one, both of order 2. Powers of
// probabilities are taken in the log domain: with d = x - maximum, p^(alpha-1) is exp((alpha-1) d)
// times what the row has in common.
#pragma once

#include <cmath>
#include <cstdint>

#include "math/functions.h"
#include "math/token_row.h"

namespace logratio::math {

enum class RuleFamily : uint8_t { log, power, pseudo_spherical };

struct RuleOptions {
  RuleFamily family;
  bool jnw;         // Jose, Nau and Winkler's normalisation in place of Selten's
  bool masked_log;  // only with epsilon > 0
  double alpha;     // of the power rules, > 1
  double epsilon;
  int64_t vocabulary;
};

// What is summed over the vocabulary.
enum class RuleForm : uint8_t { plain, square, power };

LR_FORCE_INLINE LR_HD RuleForm form_of(const RuleOptions& options) {
  if (options.family == RuleFamily::log)
    return RuleForm::plain;
  return options.alpha == 2 ? RuleForm::square : RuleForm::power;
}

// Sums over a part of a row, with d = x - maximum.
struct RuleSums {
  double maximum;  // -inf where nothing is above it
  double e;        // exp(d)
  double e_alpha;  // exp(alpha d)      of square and power
  double e_less;   // exp((alpha-1) d)  of power
  double d;        // d                 of plain
  double columns;  // their number      of plain
};

LR_FORCE_INLINE LR_HD RuleSums no_rule_sums() { return {-kInfinity, 0, 0, 0, 0, 0}; }

// The same sums about a maximum at or above their own.
LR_FORCE_INLINE LR_HD RuleSums rebased(RuleSums s, double maximum, double alpha) {
  if (s.e != 0 && s.maximum != maximum) {
    const double shift = s.maximum - maximum;
    s.e *= ::exp(shift);
    s.e_alpha *= ::exp(alpha * shift);
    s.e_less *= ::exp((alpha - 1) * shift);
    s.d += s.columns * shift;
  }
  s.maximum = maximum;
  return s;
}

LR_FORCE_INLINE LR_HD RuleSums merged(const RuleSums& before, const RuleSums& after, double alpha) {
  const double maximum = before.maximum > after.maximum ? before.maximum : after.maximum;
  const RuleSums s = rebased(before, maximum, alpha), t = rebased(after, maximum, alpha);
  return {maximum,
          s.e + t.e,
          s.e_alpha + t.e_alpha,
          s.e_less + t.e_less,
          s.d + t.d,
          s.columns + t.columns};
}

// Sums over a row. Where the label has nearly all of the probability, those over the other columns
// have to be known by themselves.
struct RowRuleSums {
  RuleSums all;
  double label_d;
  double others_e, others_alpha, others_less;  // as e, e_alpha and e_less, without the label
};

// They follow from the difference, as long as it is not a small one.
LR_FORCE_INLINE LR_HD RowRuleSums without_label(const RuleSums& all, double label_d, double alpha) {
  const auto rest = [label_d](double sum, double order) {
    return ::fmax(sum - ::exp(order * label_d), 0);
  };
  return {all, label_d, rest(all.e, 1), rest(all.e_alpha, alpha), rest(all.e_less, alpha - 1)};
}

LR_FORCE_INLINE LR_HD bool is_small(const RowRuleSums& sums) {
  return sums.others_e < kOthersOfCertain * sums.all.e;
}

// Sums over the columns of which p < epsilon / vocabulary, that is d < mask_threshold.
struct MaskedSums {
  double d;
  double count;
};

LR_FORCE_INLINE LR_HD bool has_mask(const RuleOptions& options) {
  return options.masked_log && options.epsilon > 0;
}

LR_FORCE_INLINE LR_HD double mask_threshold(const RuleOptions& options, const RuleSums& sums) {
  return ::log(options.epsilon / static_cast<double>(options.vocabulary)) + ::log(sums.e);
}

// The gradient of a column is e (linear + product u) + less u + constant, + masked where d is below
// the threshold, with e = exp(d) and u = exp((alpha-1) d). Where the logit is -inf it is 0, and the
// label's own is `label`.
struct RuleResult {
  double value;
  double linear, product, less, constant, masked;
  double label;
};

LR_FORCE_INLINE LR_HD RuleResult rule_result(const RuleOptions& options, const RowRuleSums& row,
                                             const MaskedSums& masked) {
  const RuleSums& sums = row.all;
  if (!(sums.e > 0))
    return {kNaN, kNaN, kNaN, kNaN, kNaN, kNaN, kNaN};
  const double label_d = row.label_d;
  const double epsilon = options.epsilon;
  const double each = epsilon / static_cast<double>(options.vocabulary);
  const double of_label = 1 - epsilon;
  const double label_e = ::exp(label_d);
  const double log_sum =
      label_e > row.others_e ? label_d + ::log1p(row.others_e / label_e) : ::log(sums.e);
  const double label_logp =
      label_e > row.others_e ? -::log1p(row.others_e / label_e) : label_d - log_sum;
  const double label_p = ::exp(label_logp);
  const double others_p =
      label_e > row.others_e ? row.others_e / (label_e + row.others_e) : 1 - label_p;
  RuleResult result{};
  if (options.family == RuleFamily::log) {
    result.value = -of_label * label_logp;
    if (epsilon > 0)
      result.value += epsilon * (log_sum - sums.d / static_cast<double>(options.vocabulary));
    result.linear = 1 / sums.e;
    result.constant = -each;
    result.label = (epsilon - each) - others_p;
  } else {
    const double alpha = options.alpha, order = alpha - 1;
    const bool power = options.family == RuleFamily::power;
    const double label_alpha = ::exp(alpha * label_d);
    const double log_alpha = label_alpha > row.others_alpha
                                 ? alpha * label_d + ::log1p(row.others_alpha / label_alpha)
                                 : ::log(sums.e_alpha);
    // A column's score is s = exp(order (d - norm)), norm being log_sum for the power rule, and
    // that of the pseudo-spherical one else.
    const double norm = power ? log_sum : log_alpha / alpha;
    const double unit = ::exp(-order * norm);
    const double label_s = ::exp(order * (label_d - norm));
    const double all_s = (options.alpha == 2 ? sums.e : sums.e_less) * unit;
    const double others_s = (options.alpha == 2 ? row.others_e : row.others_less) * unit;
    const double mean_s = of_label * label_s + each * all_s;
    const double factor = options.jnw ? 1 : power ? alpha * order : order;
    const double log_power_sum = log_alpha - alpha * log_sum;  // of the sum of p^alpha
    const double others_power =
        row.others_alpha * ::exp(-alpha * log_sum);  // that sum without the label
    if (options.jnw) {
      result.value = -(of_label * ::expm1(order * (label_d - norm)) +
                       epsilon * (all_s / static_cast<double>(options.vocabulary) - 1)) /
                     order;
      if (power)
        result.value += ::expm1(log_power_sum) / alpha;
    } else {
      result.value = power ? -alpha * mean_s + order * ::exp(log_power_sum) : -mean_s;
    }
    result.less = -factor * each * unit;
    if (power) {
      // mean_s less the sum of p^alpha: of a certain label nothing but the others' share is left,
      // and of its own gradient the share's square.
      result.linear = factor *
                      (label_s * others_p - others_power + (each * all_s - epsilon * label_s)) /
                      sums.e;
      result.product = factor * ::exp(-alpha * log_sum);
      result.label = factor * (each * (label_p * others_s - label_s * others_p) +
                               (epsilon - others_p) * label_s * others_p - label_p * others_power);
    } else {
      const double label_share = ::exp(alpha * label_d - log_alpha);
      const double others_share = row.others_alpha * ::exp(-log_alpha);
      result.product = factor * mean_s / sums.e_alpha;
      result.label = factor * (each * (label_share * others_s - label_s * others_share) -
                               of_label * label_s * others_share);
    }
  }
  if (has_mask(options)) {
    result.value += each * (masked.count * log_sum - masked.d);
    result.linear += each * masked.count / sums.e;
    result.masked = -each;
    result.label +=
        each * (label_p * masked.count - (label_d < mask_threshold(options, sums) ? 1 : 0));
  }
  if (label_d == -kInfinity)
    result.label = 0;
  return result;
}

// The gradient's coefficients for the loops, in float32.
struct RuleGradient {  // RuleResult's, times the upstream gradient
  float maximum;       // NaN if the row is undefined
  float linear, product, less, constant, masked;
  float threshold;  // -inf: nothing is masked
};

// What the loops of the second pass and of the gradient compare with; the coefficients are still to
// come.
LR_FORCE_INLINE LR_HD RuleGradient begin_rule_gradient(const RuleOptions& options,
                                                       const RuleSums& sums) {
  RuleGradient gradient{};
  const bool defined = sums.e > 0;
  gradient.maximum = quiet_float(defined ? sums.maximum : kNaN);
  gradient.threshold = defined && has_mask(options)
                           ? static_cast<float>(mask_threshold(options, sums))
                           : static_cast<float>(-kInfinity);
  return gradient;
}

LR_FORCE_INLINE LR_HD void finish_rule_gradient(const RuleOptions& options,
                                                const RuleResult& result, double upstream,
                                                RuleGradient* gradient) {
  const auto scaled = [upstream](double value) { return quiet_float(upstream * value); };
  const bool merged = form_of(options) != RuleForm::power;  // there u is e
  gradient->linear = scaled(result.linear + (merged ? result.less : 0));
  gradient->product = scaled(result.product);
  gradient->less = scaled(result.less);
  gradient->constant = scaled(result.constant);
  gradient->masked = scaled(result.masked);
}

}  // namespace logratio::math
