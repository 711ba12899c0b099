// The second pass over two vocabulary rows: one more read of each side, for the forms that need
// normalised probabilities. p and q are computed again rather than kept: two exponentials cost less
// than writing and reading two float32 per column.
#pragma once

#include "cpu/kernels/two_rows.h"
#include "cpu/kernels/weights.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::SecondSums;

// The forms squares and signs. The sign is that of the logits' difference, which is exactly 0 at
// ties.
template <TwoRowsForm kForm, bool kFar, class Rows>
void compare_rows(const TwoRowsScale& scale, const TwoRowsNorm& n, const Rows rows, int64_t begin,
                  int64_t end, SecondSums* sums) {
  const VectorNorm<kFar> norm(n);
  const FineExp exp_a(scale.scale, 0, n.inverse_a), exp_b(scale.scale, 0, n.inverse_b);
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    V value = hn::Zero(kF), sum_p = value, sum_q = value;
    const auto add = [&, norm, exp_a, exp_b](V x, V y) LR_INLINE_LAMBDA {
      const V p = exp_a(hn::Sub(x, norm.max_a.v)), q = exp_b(hn::Sub(y, norm.max_b.v));
      const V d = hn::Sub(p, q);
      V weight = d;
      if constexpr (kForm == TwoRowsForm::squares) {
        value = hn::MulAdd(d, d, value);
      } else {
        value = hn::Add(value, hn::Abs(d));
        weight = math::sign_of(math::log_ratio(Floats(x), Floats(y), norm)).v;
      }
      sum_p = hn::MulAdd(p, weight, sum_p);
      sum_q = hn::MulAdd(q, weight, sum_q);
    };
    rows.for_vectors(column, stop, [&](Vectors2 x, Vectors2 y, int64_t) LR_INLINE_LAMBDA {
      add(x.a, y.a);
      add(x.b, y.b);
    });
    sums->value += sum_of(value);
    sums->p += sum_of(sum_p);
    sums->q += sum_of(sum_q);
  });
}

// The form mixture: p log(p / m) and q log(q / m), m = (p + q) / 2, from the larger of p and q and
// from the ratio of the smaller to it. `kept` receives the larger one's logarithm for the gradient:
// a polynomial and an exponential for one float32. It may be null.
template <bool kFar, class Rows>
void mix_rows(const TwoRowsScale& scale, const TwoRowsNorm& n, const Rows rows, int64_t begin,
              int64_t end, float* kept, SecondSums* sums) {
  const VectorNorm<kFar> norm(n);
  const FineExp exp(scale.scale);
  const V log_a = hn::Set(kF, n.log_a), log_b = hn::Set(kF, n.log_b),
          inverse_temperature = hn::Set(kF, scale.inverse_temperature);
  const V lowest = hn::Set(kF, -127 / scale.scale);
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    V sum_p = hn::Zero(kF), sum_q = sum_p;
    const auto add = [&, norm, exp, log_a, log_b, inverse_temperature, lowest](
                         V x, V y) LR_INLINE_LAMBDA {
      const V larger = hn::Max(hn::Sub(hn::Sub(y, norm.max_b.v), log_b),
                               hn::Sub(hn::Sub(x, norm.max_a.v), log_a));
      const V ratio = math::log_ratio(Floats(x), Floats(y), norm).v;
      // -|ratio| down to where the exponential is 0; there, too, where both are -inf and the ratio
      // is NaN.
      const V minus_size = hn::Max(hn::Or(ratio, hn::SignBit(kF)), lowest);
      const V e = exp(larger), t = exp.of_clamped(minus_size);
      const V minus_d = hn::Mul(minus_size, inverse_temperature);
      const V log_larger = math::log_of_larger(Floats(minus_d), Floats(t)).v;
      const V of_larger = hn::Mul(e, log_larger),
              of_smaller = hn::Mul(hn::Mul(e, t), hn::Add(log_larger, minus_d));
      sum_p = hn::Add(sum_p, hn::IfNegativeThenElse(ratio, of_smaller, of_larger));
      sum_q = hn::Add(sum_q, hn::IfNegativeThenElse(ratio, of_larger, of_smaller));
      return log_larger;
    };
    const auto columns = [&](Vectors2 x, Vectors2 y, int64_t i) LR_INLINE_LAMBDA {
      const Vectors2 logs = {add(x.a, y.a), add(x.b, y.b)};
      if (kept != nullptr)
        Float32::store(logs, kept + i);
    };
    rows.for_vectors(column, stop, columns);
    sums->p += sum_of(sum_p);
    sums->q += sum_of(sum_q);
  });
}

// The logarithms of the form weighted_mixture: of p / m and q / m, from log(p / q) times the
// temperature, which is finite.
class WeightedLogs {
 public:
  explicit HWY_INLINE WeightedLogs(const TwoRowsScale& scale)
      : exp_(scale.scale),
        inverse_temperature_(hn::Set(kF, scale.inverse_temperature)),
        weight_p_(hn::Set(kF, scale.weight_p)),
        weight_q_(hn::Set(kF, scale.weight_q)) {}

  HWY_INLINE void operator()(V ratio, V* log_p, V* log_q) const {
    const V size = hn::Abs(ratio);
    const auto q_is_larger = hn::Lt(ratio, hn::Zero(kF));
    const auto logs = math::weighted_mixture_logs(
        Floats(hn::Mul(size, inverse_temperature_)), Floats(exp_.of_clamped(hn::Neg(size))),
        Floats(hn::IfThenElse(q_is_larger, weight_q_, weight_p_)),
        Floats(hn::IfThenElse(q_is_larger, weight_p_, weight_q_)),
        [](Floats x) LR_INLINE_LAMBDA { return Floats(log_weight(x.v, hn::Zero(kF))); });
    *log_p = hn::IfThenElse(q_is_larger, logs.smaller.v, logs.larger.v);
    *log_q = hn::IfThenElse(q_is_larger, logs.larger.v, logs.smaller.v);
  }

 private:
  FineExp exp_;
  V inverse_temperature_, weight_p_, weight_q_;
};

// log(p / q) times the temperature, down and up to where the smaller one is 0 beside the other;
// there, too, where both are 0 and it is NaN.
template <class Norm>
HWY_INLINE V limited_log_ratio(V x, V y, const Norm& norm, V lowest, V highest) {
  return hn::Min(hn::Max(math::log_ratio(Floats(x), Floats(y), norm).v, lowest), highest);
}

// The form weighted_mixture.
template <bool kFar, class Rows>
void mix_weighted_rows(const TwoRowsScale& scale, const TwoRowsNorm& n, const Rows rows,
                       int64_t begin, int64_t end, SecondSums* sums) {
  const VectorNorm<kFar> norm(n);
  const FineExp exp_a(scale.scale, 0, n.inverse_a), exp_b(scale.scale, 0, n.inverse_b);
  const WeightedLogs weighted(scale);
  const V lowest = hn::Set(kF, -127 / scale.scale), highest = hn::Set(kF, 127 / scale.scale);
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    V sum_p = hn::Zero(kF), sum_q = sum_p;
    const auto add = [&, norm, exp_a, exp_b, weighted, lowest, highest](V x, V y) LR_INLINE_LAMBDA {
      const V p = exp_a(hn::Sub(x, norm.max_a.v)), q = exp_b(hn::Sub(y, norm.max_b.v));
      V log_p, log_q;
      weighted(limited_log_ratio(x, y, norm, lowest, highest), &log_p, &log_q);
      sum_p = hn::MulAdd(p, log_p, sum_p);
      sum_q = hn::MulAdd(q, log_q, sum_q);
    };
    rows.for_vectors(column, stop, [&](Vectors2 x, Vectors2 y, int64_t) LR_INLINE_LAMBDA {
      add(x.a, y.a);
      add(x.b, y.b);
    });
    sums->p += sum_of(sum_p);
    sums->q += sum_of(sum_q);
  });
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
