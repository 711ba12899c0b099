// The gradients of two vocabulary rows: one read and one write of each live side, in place if they
// are the logits' memory.
#pragma once

#include "cpu/kernels/two_rows.h"
#include "cpu/kernels/two_rows_second.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::SideCoefficients;

struct TwoRowsGradient {
  SideCoefficients a, b;
  void* grad_a;  // null: not wanted
  void* grad_b;
  float*
      sum_a;  // of the columns that are gone through: what a's gradient is added to, in its place
  double signs;       // transport: N before the columns
  const float* kept;  // transport and mixture: what the second pass kept, of the row
};

struct VectorSide {
  Floats constant, own, other;
  explicit HWY_INLINE VectorSide(const SideCoefficients& c)
      : constant(c.constant), own(c.own), other(c.other) {}
};

// The gradients of columns x and y; the third argument is what was kept of them.
template <TwoRowsForm kForm, bool kFar>
HWY_INLINE auto column_gradient(const TwoRowsScale& scale, const TwoRowsNorm& n,
                                const TwoRowsGradient& g) {
  const VectorNorm<kFar> norm(n);
  const VectorSide a(g.a), b(g.b);
  if constexpr (kForm == TwoRowsForm::mixture) {
    return [norm, a, b, exp_a = FineExp(scale.scale, 0, n.inverse_a),
            exp_b = FineExp(scale.scale, 0, n.inverse_b), lowest = hn::Set(kF, -127 / scale.scale),
            highest = hn::Set(kF, 127 / scale.scale),
            inverse_temperature = hn::Set(kF, scale.inverse_temperature)](
               V x, V y, V log_larger, V* grad_x, V* grad_y) LR_INLINE_LAMBDA {
      const V p = exp_a(hn::Sub(x, norm.max_a.v)), q = exp_b(hn::Sub(y, norm.max_b.v));
      // Both are -inf where the ratio is NaN.
      const V ratio =
          hn::Min(hn::Max(math::log_ratio(Floats(x), Floats(y), norm).v, lowest), highest);
      const V d = hn::Mul(ratio, inverse_temperature), zero = hn::Zero(kF);
      const V log_p = hn::Add(log_larger, hn::Min(d, zero)),
              log_q = hn::Sub(log_larger, hn::Max(d, zero));
      *grad_x = hn::Mul(p, hn::MulAdd(a.own.v, log_p, a.constant.v));
      *grad_y = hn::Mul(q, hn::MulAdd(b.own.v, log_q, b.constant.v));
    };
  } else if constexpr (kForm == TwoRowsForm::weighted_mixture) {
    return [norm, a, b, exp_a = FineExp(scale.scale, 0, n.inverse_a),
            exp_b = FineExp(scale.scale, 0, n.inverse_b), weighted = WeightedLogs(scale),
            lowest = hn::Set(kF, -127 / scale.scale), highest = hn::Set(kF, 127 / scale.scale)](
               V x, V y, V, V* grad_x, V* grad_y) LR_INLINE_LAMBDA {
      const V p = exp_a(hn::Sub(x, norm.max_a.v)), q = exp_b(hn::Sub(y, norm.max_b.v));
      V log_p, log_q;
      weighted(limited_log_ratio(x, y, norm, lowest, highest), &log_p, &log_q);
      *grad_x = hn::Mul(p, hn::MulAdd(a.own.v, log_p, a.constant.v));
      *grad_y = hn::Mul(q, hn::MulAdd(b.own.v, log_q, b.constant.v));
    };
  } else {
    return
        [norm, a, b, exp = FineExp(scale.scale), signs = hn::Set(kF, static_cast<float>(g.signs))](
            V x, V y, V kept, V* grad_x, V* grad_y) LR_INLINE_LAMBDA {
          const V u = exp(hn::Sub(x, norm.max_a.v)), v = exp(hn::Sub(y, norm.max_b.v));
          if constexpr (kForm == TwoRowsForm::transport) {
            const V count = hn::Add(kept, signs);
            *grad_x = hn::Mul(u, hn::MulAdd(a.own.v, count, a.constant.v));
            *grad_y = hn::Mul(v, hn::MulAdd(b.own.v, count, b.constant.v));
          } else {
            Floats of_x(x), of_y(y);
            math::differentiate<kForm>(Floats(x), Floats(y), Floats(u), Floats(v), norm, a, b,
                                       &of_x, &of_y);
            *grad_x = of_x.v;
            *grad_y = of_y.v;
          }
        };
  }
}

template <class T>
HWY_INLINE void store_columns(Vectors2 v, typename T::Element* target, int64_t n) {
  if (target == nullptr)
    return;
  if (n == kStep) {
    T::store(v, target);
    return;
  }
  typename T::Element buffer[kStep];
  T::store(v, buffer);
  for (int64_t k = 0; k < n; ++k)
    target[k] = buffer[k];
}

// `kAdds`: a's gradient is one of several, and is added to float32 in the order of loads.
template <TwoRowsForm kForm, bool kFar, bool kAdds, class Rows>
void write_gradients(const TwoRowsScale& scale, const TwoRowsNorm& norm, const TwoRowsGradient& g,
                     const Rows rows, int64_t begin, int64_t end) {
  using T = typename Rows::Type;
  constexpr bool kKept = kForm == TwoRowsForm::transport || kForm == TwoRowsForm::mixture;
  auto* const grad_a = static_cast<typename T::Element*>(g.grad_a);
  auto* const grad_b = static_cast<typename T::Element*>(g.grad_b);
  const float* const kept = g.kept;
  const auto gradient = column_gradient<kForm, kFar>(scale, norm, g);
  rows.for_vectors(begin, end, [&, gradient](Vectors2 x, Vectors2 y, int64_t i) LR_INLINE_LAMBDA {
    const Vectors2 k = kKept ? Float32::load(kept + i) : x;
    Vectors2 of_a, of_b;
    gradient(x.a, y.a, k.a, &of_a.a, &of_b.a);
    gradient(x.b, y.b, k.b, &of_a.b, &of_b.b);
    const int64_t n = end - i < kStep ? end - i : kStep;
    if constexpr (kAdds) {
      const Vectors2 sum = Float32::load(g.sum_a + (i - begin));
      Float32::store({hn::Add(sum.a, of_a.a), hn::Add(sum.b, of_a.b)}, g.sum_a + (i - begin));
    } else {
      store_columns<T>(of_a, grad_a == nullptr ? nullptr : grad_a + i, n);
    }
    store_columns<T>(of_b, grad_b == nullptr ? nullptr : grad_b + i, n);
  });
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
