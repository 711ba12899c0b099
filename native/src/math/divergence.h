// Divergences of two rows of probabilities p = softmax(a / temperature) and q = softmax(b /
// temperature): all that follows from the sums over the vocabulary, in float64.
//
// The first pass sums exponentials and, where that is enough for the value, what else it takes; the
// second pass, for the kinds that need normalised probabilities, sums the rest. Differences of
// logits are kept apart from the maxima, so that a constant added to all logits of one side cancels
// exactly: log(p / q) = ((a - b) - offset) / temperature.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "math/functions.h"

namespace logratio::math {

enum class Divergence : uint8_t { sce, jeffreys, kl_pq, kl_qp, js, l2, tvd, wasserstein1, cosine };

struct DivergenceOptions {
  Divergence kind;
  double w1, w2;  // of sce
  double temperature;
  double js_weight;  // of p in js's mixture, in (0, 1)
};

// The shape of the sums and of the gradient.
enum class TwoRowsForm : uint8_t {
  cross,
  relative,
  cosine,
  squares,
  signs,
  transport,
  mixture,          // of equal weights
  weighted_mixture  // the same loops with more arithmetic
};

LR_FORCE_INLINE LR_HD TwoRowsForm form_of(const DivergenceOptions& options) {
  switch (options.kind) {
    case Divergence::sce:
      return TwoRowsForm::cross;
    case Divergence::jeffreys:
    case Divergence::kl_pq:
    case Divergence::kl_qp:
      return TwoRowsForm::relative;
    case Divergence::cosine:
      return TwoRowsForm::cosine;
    case Divergence::l2:
      return TwoRowsForm::squares;
    case Divergence::tvd:
      return TwoRowsForm::signs;
    case Divergence::wasserstein1:
      return TwoRowsForm::transport;
    case Divergence::js:
      return options.js_weight == .5 ? TwoRowsForm::mixture : TwoRowsForm::weighted_mixture;
  }
  return TwoRowsForm::mixture;
}

LR_FORCE_INLINE LR_HD constexpr bool is_mixture(TwoRowsForm form) {
  return form >= TwoRowsForm::mixture;
}

LR_FORCE_INLINE LR_HD constexpr bool needs_second_pass(TwoRowsForm form) {
  return form >= TwoRowsForm::squares;
}

// ---- First pass ----

// Sums over a part of two rows, with da = a - max_a and ea = exp(da / temperature), db and eb
// alike.
struct TwoRowsSums {
  double max_a, max_b;  // -inf where nothing is above it
  double sum_a, sum_b;  // of ea, eb
  double x;             // cross: ea db    relative: ea (da - db)    cosine: ea eb
  double y;             // cross: eb da    relative: eb (db - da)    cosine: ea ea
  double z;             //                                           cosine: eb eb
  bool a_alone;  // a column has a > -inf and b = -inf; seen in cross and relative, as the next
  bool b_alone;
  bool deep;  // a logit lies more than kDeep below its row's maximum, and is not -inf
};

// Where differences of logits may be larger than this, loops take them kDeepScale times, which
// keeps their products within float32.
constexpr float kDeep = 1e30f;
constexpr float kDeepScale = 0x1p-24f;

LR_FORCE_INLINE LR_HD TwoRowsSums no_sums() {
  return {-kInfinity, -kInfinity, 0, 0, 0, 0, 0, false, false, false};
}

// What maxima that rise by -shift_a and -shift_b make of the sums. The factors are exp(shift /
// temperature).
LR_FORCE_INLINE LR_HD TwoRowsSums shifted_sums(TwoRowsForm form, TwoRowsSums s, double shift_a,
                                               double shift_b, double factor_a, double factor_b) {
  switch (form) {
    case TwoRowsForm::cross:
      s.x = factor_a * (s.x + shift_b * s.sum_a);
      s.y = factor_b * (s.y + shift_a * s.sum_b);
      break;
    case TwoRowsForm::relative:
      s.x = factor_a * (s.x + (shift_a - shift_b) * s.sum_a);
      s.y = factor_b * (s.y + (shift_b - shift_a) * s.sum_b);
      break;
    case TwoRowsForm::cosine:
      s.x *= factor_a * factor_b;
      s.y *= factor_a * factor_a;
      s.z *= factor_b * factor_b;
      break;
    default:
      break;
  }
  s.sum_a *= factor_a;
  s.sum_b *= factor_b;
  s.deep |= shift_a < -kDeep || shift_b < -kDeep;
  return s;
}

// The same sums about maxima at or above their own.
LR_FORCE_INLINE LR_HD TwoRowsSums rebased(TwoRowsForm form, TwoRowsSums s, double max_a,
                                          double max_b, double temperature) {
  // A side that saw only -inf has no sums to move; what the other side's columns met there is
  // infinite, and marked so.
  const double shift_a = s.sum_a == 0 || s.max_a == max_a ? 0 : s.max_a - max_a;
  const double shift_b = s.sum_b == 0 || s.max_b == max_b ? 0 : s.max_b - max_b;
  s.max_a = max_a;
  s.max_b = max_b;
  if (shift_a == 0 && shift_b == 0)
    return s;
  return shifted_sums(form, s, shift_a, shift_b, ::exp(shift_a / temperature),
                      ::exp(shift_b / temperature));
}

LR_FORCE_INLINE LR_HD TwoRowsSums merged(TwoRowsForm form, const TwoRowsSums& before,
                                         const TwoRowsSums& after, double temperature) {
  const double max_a = before.max_a > after.max_a ? before.max_a : after.max_a;
  const double max_b = before.max_b > after.max_b ? before.max_b : after.max_b;
  const TwoRowsSums s = rebased(form, before, max_a, max_b, temperature);
  const TwoRowsSums t = rebased(form, after, max_a, max_b, temperature);
  return {max_a,     max_b,     s.sum_a + t.sum_a,      s.sum_b + t.sum_b,      s.x + t.x,
          s.y + t.y, s.z + t.z, s.a_alone || t.a_alone, s.b_alone || t.b_alone, s.deep || t.deep};
}

// Neither row is all -inf, or holds +inf or NaN.
LR_FORCE_INLINE LR_HD bool is_defined(const TwoRowsSums& s) { return s.sum_a > 0 && s.sum_b > 0; }

// Whether the difference of two logits has lost digits that the differences from their maxima have.
LR_FORCE_INLINE LR_HD bool is_apart(double max_a, double max_b, double temperature) {
  return !(::fabs(max_a - max_b) <= 4 * temperature);
}

// What the loops of the second pass and of the gradient take of two rows, in float32. NaN if either
// row is undefined.
struct TwoRowsNorm {
  float max_a, max_b;
  float log_a, log_b;          // temperature * log(sum of exponentials)
  float inverse_a, inverse_b;  // 1 / sum of exponentials
  float offset, offset_rest;  // log(p / q) = ((a - b) - offset - offset_rest) / temperature; of a -
                              // max_a and b - max_b if far. The form relative has the logs of the
                              // sums in its constant instead
  float ratio, ratio_rest;    // their sum is the sum of exponentials of a over that of b
  bool far;                   // the rows lie apart, or one of them is deep
};

LR_FORCE_INLINE LR_HD TwoRowsNorm two_rows_norm(TwoRowsForm form, const TwoRowsSums& s,
                                                double temperature) {
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  if (!is_defined(s))
    return {kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone, false};
  const bool far = s.deep || is_apart(s.max_a, s.max_b, temperature);
  const double of_logs =
      form == TwoRowsForm::relative ? 0 : temperature * (::log(s.sum_a) - ::log(s.sum_b));
  const double all = (far ? 0 : s.max_a - s.max_b) + of_logs, ratio = s.sum_a / s.sum_b;
  const auto rounded = static_cast<float>(all), rounded_ratio = static_cast<float>(ratio);
  return {static_cast<float>(s.max_a),
          static_cast<float>(s.max_b),
          static_cast<float>(temperature * ::log(s.sum_a)),
          static_cast<float>(temperature * ::log(s.sum_b)),
          static_cast<float>(1 / s.sum_a),
          static_cast<float>(1 / s.sum_b),
          rounded,
          static_cast<float>(all - rounded),
          rounded_ratio,
          static_cast<float>(ratio - rounded_ratio),
          far};
}

// ---- Second pass ----

// Sums over a part of a row, with p and q normalised, by form:
//              value        p            q
//   squares    (p - q)^2    p (p - q)    q (p - q)
//   signs      |p - q|      p sgn        q sgn
//   transport  |C|          p N          q N
//   mixtures                p log(p/m)   q log(q/m)
// C is the running sum of p - q, and N the sum of sgn C over the columns before.
struct SecondSums {
  double value, p, q;
  double signs;           // transport: the sum of sgn C
  double mass_p, mass_q;  // transport: the p and q that N was multiplied with, summed; their
                          // rounding errors drop out of a mean of N
};

// What the running sums of transport are where a part begins.
struct TransportStart {
  double distance;  // C
  double signs;     // N
};

// The share that a part of the row has of the whole row's probability.
LR_FORCE_INLINE LR_HD double share_of_p(const TwoRowsSums& part, const TwoRowsSums& all,
                                        double temperature) {
  return part.sum_a == 0 ? 0
                         : part.sum_a * ::exp((part.max_a - all.max_a) / temperature) / all.sum_a;
}
LR_FORCE_INLINE LR_HD double share_of_q(const TwoRowsSums& part, const TwoRowsSums& all,
                                        double temperature) {
  return part.sum_b == 0 ? 0
                         : part.sum_b * ::exp((part.max_b - all.max_b) / temperature) / all.sum_b;
}

// Adds a part whose N began at 0 to the parts before it.
LR_FORCE_INLINE LR_HD void append(SecondSums* sums, const SecondSums& part) {
  sums->value += part.value;
  sums->p += part.p + sums->signs * part.mass_p;
  sums->q += part.q + sums->signs * part.mass_q;
  sums->signs += part.signs;
  sums->mass_p += part.mass_p;
  sums->mass_q += part.mass_q;
}

// ---- Value and gradient ----

// How one side's gradient follows from its own probability, u, and the other side's, v:
//   cross            u (constant + own * dv) + other * v
//   relative         u (constant + own * t) + other * v
//   cosine, squares  u (constant + own * u + other * v)
//   signs            u (constant + own * sgn)
//   transport        u (constant + own * N)
//   mixtures         u (constant + own * log(u / m))
// dv is the other side's logit less its maximum, t = (a - max_a) - (b - max_b), and sgn = sgn(p -
// q); for the side of b, t and sgn are negated.
struct SideGradient {
  double constant, own, other;
};

struct TwoRowsResult {
  double value;
  SideGradient a, b;
};

// Counts transport's N from a whole number next to its mean, which it returns: where the
// probability is, N is small then, and the gradient does not cancel.
LR_FORCE_INLINE LR_HD double count_from_mean(TwoRowsResult* result) {
  const double middle = ::rint(-result->a.constant / result->a.own);
  result->a.constant += result->a.own * middle;
  result->b.constant += result->b.own * middle;
  return middle;
}

// A side's gradient times the upstream one, for the loops: these multiply exponentials, not
// probabilities; only the mixtures' are normalised. The constant is kDeepScale times what it is
// where the form is cross or relative and the rows are far.
struct SideCoefficients {
  float constant, own, other;
};

LR_FORCE_INLINE LR_HD SideCoefficients side_coefficients(TwoRowsForm form, bool far,
                                                         const SideGradient& side, double upstream,
                                                         double own_sum, double other_sum) {
  const double unit = far && form <= TwoRowsForm::relative ? kDeepScale : 1;
  const bool products = form == TwoRowsForm::cosine || form == TwoRowsForm::squares;
  const double own = is_mixture(form) ? 1 : 1 / own_sum;
  const double other = 1 / other_sum;
  return {quiet_float(side.constant * upstream * own * unit),
          quiet_float(side.own * upstream * own * (products ? own : 1)),
          quiet_float(side.other * upstream * other * (products ? own : 1))};
}

// u's side of the weighted cross entropies: weight of H(u, v) and of H(v, u). A weight of 0 keeps
// an infinite entropy out.
LR_FORCE_INLINE LR_HD double weighted(double weight, double x) {
  return weight == 0 ? 0 : weight * x;
}

// The gradient's coefficients are those of the value; an infinite value has no gradient on the
// sides that it enters, and they become NaN.
LR_FORCE_INLINE LR_HD TwoRowsResult two_rows_result(const DivergenceOptions& options,
                                                    const TwoRowsSums& s,
                                                    const SecondSums& second) {
  if (!is_defined(s))
    return {kNaN, {kNaN, kNaN, kNaN}, {kNaN, kNaN, kNaN}};
  const double temperature = options.temperature;
  const double log_a = ::log(s.sum_a), log_b = ::log(s.sum_b);
  const double unit = 1 / temperature;
  const auto finite = [](double x) { return x < kInfinity ? x : kNaN; };
  switch (options.kind) {
    case Divergence::sce: {
      const double w1 = options.w1, w2 = options.w2;
      const double h_pq = s.a_alone ? kInfinity : log_b - s.x / s.sum_a * unit;
      const double h_qp = s.b_alone ? kInfinity : log_a - s.y / s.sum_b * unit;
      return {weighted(w1, h_pq) + weighted(w2, h_qp),
              {(w2 + weighted(w1, log_b - finite(h_pq))) * unit, -w1 * unit * unit, -w2 * unit},
              {(w1 + weighted(w2, log_a - finite(h_qp))) * unit, -w2 * unit * unit, -w1 * unit}};
    }
    case Divergence::jeffreys:
    case Divergence::kl_pq:
    case Divergence::kl_qp: {
      const double forward = options.kind == Divergence::kl_qp ? 0 : 1,
                   backward = options.kind == Divergence::kl_pq ? 0 : 1;
      const double mean_a = s.a_alone ? kInfinity : s.x / s.sum_a * unit;  // of t under p
      const double mean_b = s.b_alone ? kInfinity : s.y / s.sum_b * unit;
      return {
          weighted(forward, mean_a - log_a + log_b) + weighted(backward, mean_b - log_b + log_a),
          {(backward - weighted(forward, finite(mean_a))) * unit, forward * unit * unit,
           -backward * unit},
          {(forward - weighted(backward, finite(mean_b))) * unit, backward * unit * unit,
           -forward * unit}};
    }
    case Divergence::cosine: {
      const double norms = ::sqrt(s.y) * ::sqrt(s.z);  // times the two sums of exponentials
      const double cosine = s.x / norms;
      const double other = -s.sum_a * s.sum_b / norms * unit;
      return {1 - cosine,
              {0, cosine * s.sum_a / s.y * s.sum_a * unit, other},
              {0, cosine * s.sum_b / s.z * s.sum_b * unit, other}};
    }
    case Divergence::l2:
      return {second.value,
              {-2 * second.p * unit, 2 * unit, -2 * unit},
              {2 * second.q * unit, 2 * unit, -2 * unit}};
    case Divergence::tvd:
      return {.5 * second.value,
              {-.5 * second.p * unit, .5 * unit, 0},
              {.5 * second.q * unit, .5 * unit, 0}};
    case Divergence::wasserstein1:
      return {second.value,
              {second.p / second.mass_p * unit, -unit, 0},
              {-second.q / second.mass_q * unit, unit, 0}};
    case Divergence::js: {
      const double w = options.js_weight, rest = 1 - w;
      return {w * second.p + rest * second.q,
              {-w * second.p * unit, w * unit, 0},
              {-rest * second.q * unit, rest * unit, 0}};
    }
  }
  return {kNaN, {kNaN, kNaN, kNaN}, {kNaN, kNaN, kNaN}};
}

}  // namespace logratio::math
