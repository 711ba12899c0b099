// Several labels per row: the log of what they leave, the tail, and the gradients of both. All that
// columns other than the labels have is one upstream of the row, which goes through the loops that
// a single label has; the labels' own values are apart.
#pragma once

#include <cmath>

#include "math/functions.h"
#include "math/token_row.h"

namespace logratio::math {

LR_FORCE_INLINE LR_HD double probability(double logp) { return ::exp(logp); }

// ---- Forward ----

// Whether the tail follows from the probability that the labels hold: less than half.
LR_FORCE_INLINE LR_HD bool labels_hold_little(double held) { return held < 0.5; }
// NaN where the row has no probabilities, though it may have no label to show that.
LR_FORCE_INLINE LR_HD double log_of_tail(double held, const RowNorm& norm) {
  return is_nan(norm.pivot + norm.log_sum) ? kNaN : held == 0 ? 0 : ::log1p(-held);
}
// Else it does from the other columns' sum of exp((softcap(x) - pivot) / temperature).
LR_FORCE_INLINE LR_HD double log_of_tail(double sum, double pivot, const RowNorm& norm,
                                         double temperature) {
  return sum == 0 ? -kInfinity : (pivot - norm.pivot) / temperature + (::log(sum) - norm.log_sum);
}

// Whether a caller's tail, rounded to a type of this epsilon, holds enough digits.
LR_FORCE_INLINE LR_HD bool tail_serves(double tail, double epsilon) {
  return std::fabs(tail) * epsilon <= kLseHolds;
}

// ---- Backward ----

// What comes from upstream of a row, and what its labels are together.
struct SeveralUpstream {
  RowNorm norm;
  double entropy;  // used where grad_entropy is not 0
  double tail;     // used where grad_tail is not 0
  double grad_entropy, grad_lse, grad_tail;
  double grad_logps;  // the labels' sum
  double held;        // of the probability, by the labels

  LR_FORCE_INLINE LR_HD bool has_tail() const { return grad_tail != 0 && tail != -kInfinity; }
};

// What columns other than the labels see, as if of a single label elsewhere; `label` is any column.
LR_FORCE_INLINE LR_HD RowUpstream rest_upstream(const SeveralUpstream& up, int64_t label,
                                                double temperature) {
  RowUpstream rest{label, up.norm, up.entropy, up.grad_logps - up.grad_lse, up.grad_entropy, 0};
  if (up.has_tail()) {
    // Their exponents are of the shares that they have of the tail. Where that is next to nothing,
    // the pivot goes to their midst, as far below the labels as that may be.
    const double tail = ::exp(up.tail);
    rest.norm = {up.norm.pivot, up.norm.log_sum + up.tail, -kInfinity};
    if (up.tail < -40) {
      double pivot = up.norm.pivot + rest.norm.log_sum * temperature;
      // So far from 0 that rounding is not small beside the temperature, it is their largest value.
      if (abs(pivot) > 0x1p45 * temperature)
        pivot = static_cast<float>(pivot);
      rest.norm = {pivot, 0, -kInfinity};
    }
    rest.grad_logp = vanishing_product(tail, up.grad_logps - up.grad_lse) +
                     vanishing_product(up.grad_tail, ::expm1(up.tail));
    rest.entropy = up.entropy + up.tail;
    rest.grad_entropy = up.grad_entropy == 0 ? 0 : up.grad_entropy * tail;
  } else {
    // What certain labels leave, as far as float64 tells it.
    const double left = 1 - up.held;
    rest.norm.logp =
        !(left < kOthersOfCertain) ? -kInfinity : ::log1p(left > 0x1p-40 ? -left : -0x1p-40);
  }
  if (is_nan(up.norm.pivot + up.norm.log_sum))
    rest.grad_logp = kNaN;  // in all of the row, even where upstream gradients cancel
  return rest;
}

// The gradient of a label's logit. `others` is the sum of the other labels' grad_logp, `slope` the
// softcap's.
LR_FORCE_INLINE LR_HD double label_gradient(const SeveralUpstream& up, double logp,
                                            double grad_logp, double others, double temperature,
                                            double slope) {
  if (logp == -kInfinity)
    return 0;
  const double p = ::exp(logp);
  double of_z = vanishing_product(-grad_logp, ::expm1(logp));
  if (up.grad_entropy != 0)
    of_z -= up.grad_entropy * p * (logp + up.entropy);
  if (others != 0)
    of_z -= vanishing_product(p, others);
  if (up.grad_lse != 0)
    of_z += vanishing_product(up.grad_lse, p);
  if (up.has_tail())
    of_z -= vanishing_product(up.grad_tail, p);
  return of_z / temperature * slope;
}

// The sum of the other labels' grad_logp follows from that of all, but beside a label that has most
// of the probability, whose own must not drown theirs.
LR_FORCE_INLINE LR_HD bool others_follow(double logp) { return !(logp > -0.7); }

}  // namespace logratio::math
