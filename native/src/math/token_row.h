// The algebra of one vocabulary row, for every side: sums of exponentials over parts of it, what
// follows from them, and the coefficients of its gradient. All in float64; the loops over columns
// are the sides' own.
#pragma once

#include <cmath>
#include <cstdint>

#include "math/functions.h"
#include "math/steep_gradient.h"

namespace logratio::math {

// A token is certain where the others have less than this of the probability. There sums that hold
// its own 1 would have lost what they have.
inline constexpr double kOthersOfCertain = 0x1p-6;
LR_FORCE_INLINE LR_HD bool is_certain(double logp) { return logp > -kOthersOfCertain; }

// Float32 sums of exponentials down to here have all their digits.
inline constexpr double kFloat32Holds = 1e-30;

// The error that a probability may take from the rounding of a caller's lse.
inline constexpr double kLseHolds = 0x1p-16;

// Whether a caller's lse, rounded to a type of this epsilon, holds enough digits of the row's
// log-sum and of the label's log-prob. Else the row has to be summed again.
LR_FORCE_INLINE LR_HD bool lse_serves(double lse, double epsilon, double logp) {
  const double unit = std::fabs(lse) * epsilon;
  return !(unit > kLseHolds || -logp * kLseHolds < unit);
}

// ---- Forward ----

// With d = softcap(x) - pivot and e = exp(d / temperature).
struct ExponentialSums {
  double e;   // sum of e
  double e2;  // sum of e * e
  double ed;  // sum of e * d

  LR_FORCE_INLINE LR_HD void add(const ExponentialSums& other) {
    e += other.e;
    e2 += other.e2;
    ed += other.ed;
  }
  // The same sums about another pivot. None to move where only -inf was seen, whatever the pivots.
  LR_FORCE_INLINE LR_HD void move(double from, double to, double temperature) {
    if (e == 0 || from == to)
      return;
    const double shift = from - to, factor = ::exp(shift / temperature);
    ed = factor * (ed + shift * e);
    e *= factor;
    e2 *= factor * factor;
  }
};

// All of a row. Where one token has nearly all of the probability its 1 stands apart from the
// others, and the pivot is its value.
struct RowSums {
  double pivot;
  double ones;
  ExponentialSums others;
  double z;       // sum of softcap(x) over the columns that are not -inf
  double raw;     // sum of x over these
  double finite;  // their number

  LR_FORCE_INLINE LR_HD double e() const { return ones + others.e; }
};

// A part of a row, such as a tile of columns, or some of them together.
struct RowPart {
  RowSums sums;
  double maximum;  // of the raw logits, and where it stands; NaN where there is one
  int64_t argmax;
  double label_value;  // softcap(x) of the label, -inf where it is elsewhere

  // Nothing but columns of -inf.
  LR_FORCE_INLINE LR_HD static RowPart none() {
    return {{0, 0, {0, 0, 0}, 0, 0, 0}, -kInfinity, 0, -kInfinity};
  }

  // Adds the part that follows; its columns count from the same one.
  LR_FORCE_INLINE LR_HD void add(const RowPart& next, double temperature) {
    if (!is_nan(maximum) && !(next.maximum <= maximum)) {
      maximum = next.maximum;
      argmax = next.argmax;
    }
    if (next.label_value != -kInfinity)
      label_value = next.label_value;
    const double z = sums.z + next.sums.z, raw = sums.raw + next.sums.raw,
                 finite = sums.finite + next.sums.finite;
    if (sums.e() == 0) {
      sums = next.sums;
    } else if (next.sums.e() != 0) {
      RowSums below = next.sums;
      if (below.pivot > sums.pivot) {
        below = sums;
        sums = next.sums;
      }
      below.others.add({below.ones, below.ones, 0});
      below.others.move(below.pivot, sums.pivot, temperature);
      sums.others.add(below.others);
    }
    sums.z = z;
    sums.raw = raw;
    sums.finite = finite;
  }
};

// What a row's probabilities are, and its label's: p = exp((softcap(x) - pivot) / temperature -
// log_sum).
struct RowNorm {
  double pivot;
  double log_sum;
  double logp;
};

// From a caller's lse, if that serves.
LR_FORCE_INLINE LR_HD RowNorm norm_of_lse(double lse, double label_value, double temperature) {
  const double pivot = lse * temperature;
  return {pivot, 0, (label_value - pivot) / temperature};
}

enum TokenOutput { kLogp, kLse, kLse2, kEntropy, kMeanLogit, kArgmax, kTokenOutputs };

// Figures of a whole row. Those of a row that holds +inf or NaN, or nothing but -inf, are NaN.
struct RowFigures {
  RowNorm norm;
  double log_square_sum;     // log(sum of p^2); far from 0, lse and lse2 have no digits left for it
  double mean_raw;           // mean of the logits that are not -inf
  double of[kTokenOutputs];  // argmax, which the caller knows, is left out
};

// The log-prob of a column; `value` is its softcap(x).
LR_FORCE_INLINE LR_HD double column_logp(double value, double pivot, double log_sum,
                                         double temperature) {
  return (value - pivot) / temperature - log_sum;
}

// log(ones + e), with all the digits of an e beside a 1.
LR_FORCE_INLINE LR_HD double log_of_sum(double ones, double e) {
  return ones > 0 ? ::log1p((ones - 1) + e) : ::log(e);
}

// `label_value` is softcap(x) of the label. Without the sums of squares, what follows from them
// means nothing.
LR_FORCE_INLINE LR_HD RowFigures finish_row(const RowSums& row, double label_value,
                                            double temperature) {
  RowFigures figures;
  if (!(row.e() > 0)) {
    figures.norm = {kNaN, kNaN, kNaN};
    figures.log_square_sum = figures.mean_raw = kNaN;
    for (double& figure : figures.of)
      figure = kNaN;
    return figures;
  }
  const double log_sum = log_of_sum(row.ones, row.others.e),
               log_sum2 =
                   row.others.e2 > 0 || row.ones > 0 ? log_of_sum(row.ones, row.others.e2) : 0;
  const double pivot_z = row.pivot / temperature;
  figures.norm = {row.pivot, log_sum, column_logp(label_value, row.pivot, log_sum, temperature)};
  figures.log_square_sum = log_sum2 - 2 * log_sum;
  figures.mean_raw = row.raw / row.finite;
  figures.of[kLogp] = figures.norm.logp;
  figures.of[kLse] = pivot_z + log_sum;
  figures.of[kLse2] = 2 * pivot_z + log_sum2;
  figures.of[kEntropy] = log_sum - row.others.ed / row.e() / temperature;
  figures.of[kMeanLogit] = row.z / row.finite / temperature;
  return figures;
}

LR_FORCE_INLINE LR_HD RowFigures finish_row(const RowPart& row, int64_t label, double temperature) {
  RowFigures figures = finish_row(row.sums, row.label_value, temperature);
  if (label < 0)
    figures.norm.logp = figures.of[kLogp] = 0;
  figures.of[kArgmax] = static_cast<double>(row.argmax);
  return figures;
}

// ---- Backward ----

struct RowUpstream {
  int64_t label;  // < 0: the row's gradient is 0
  RowNorm norm;
  double entropy;  // used where grad_entropy is not 0
  double grad_logp;
  double grad_entropy;
  double grad_lse = 0;

  LR_HD bool is_zero() const {
    return label < 0 || (grad_logp == 0 && grad_entropy == 0 && grad_lse == 0);
  }
  // What columns other than the label have of the log-probs: their gradient is minus it times p.
  LR_HD double of_others() const { return grad_logp - grad_lse; }
};

// gradient = e * (scale + entropy_scale * d) * slope of the softcap, with d = softcap(x) - pivot
// and e = exp(d / temperature); the label's is apart.
struct RowGradient {
  double scale;
  double entropy_scale;
  double label_value;
};

// Where the exponents of a row's gradient are best taken from, and what is left of the upstream.
LR_FORCE_INLINE LR_HD RowScale row_scale(const RowUpstream& up, double temperature) {
  if (up.grad_entropy != 0)
    return {up.norm.pivot, up.of_others(), false};
  const double others = is_certain(up.norm.logp) ? -::expm1(up.norm.logp) : 1;
  return row_scale(up.norm.pivot, up.norm.log_sum, up.of_others(), temperature, others);
}

// `pivot` is the one that the loops take, near `fitted`'s or, with the log-sum in it, that much
// above; `label_slope` is the softcap's at the label.
LR_FORCE_INLINE LR_HD RowGradient row_gradient(const RowUpstream& up, const RowScale& fitted,
                                               double pivot, double temperature,
                                               double label_slope) {
  const double g = up.grad_logp, h = up.grad_entropy, logp = up.norm.logp;
  const double entropy = h == 0 ? 0 : up.entropy;
  const double rest = (fitted.pivot - pivot) / temperature + up.norm.log_sum;
  const double factor = ::exp(-rest) / temperature;
  RowGradient row{-(fitted.upstream + h * (entropy - rest)) * factor, -h * factor / temperature, 0};
  if (logp != -kInfinity) {
    const double of_logp = vanishing_product(-g, ::expm1(logp));
    const double of_entropy = h == 0 ? 0 : h * ::exp(logp) * (logp + entropy);
    double of_z = of_logp - of_entropy;
    if (up.grad_lse != 0)
      of_z += vanishing_product(up.grad_lse, ::exp(logp));
    row.label_value = of_z / temperature * label_slope;
  }
  return row;
}

}  // namespace logratio::math
