// The gradient of vocabulary rows: one read and one write, 8 (F32) or 4 (BF16, F16) bytes per
// element, in place if the two views are one.
//
// What a row's columns share is computed once, in float64: the pivot, which has the log-sum in it
// where that fits, and a factor, which goes into the exponential's polynomial. Then a column is one
// exponential, and nothing else. Upstream gradients of the entropy, and those that float32 cannot
// hold, take a slower loop. The label's own value is written after the row; for the sum of squares
// its step counts as if it were -inf.
#include "cpu/kernels/kernels.h"
#include "cpu/row_tasks.h"
#include "cpu/simd/softcap.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::RowGradient;
using math::RowUpstream;

constexpr int64_t kUpdateAhead = 6144;  // bytes that are asked for

// Squares of gradients within these factors stay within float32: no probability of a row that is
// not certain is below 2^-28 everywhere, and no one is above 1.
constexpr double kLeastFactor = 0x1p-30, kLargestFactor = 0x1p50;

// How the columns of a row become its gradient: e * (scale + entropy_scale * d) * slope.
struct RowCoefficients {
  float pivot;  // of the exponents: a whole number in the fast loop, else a value of softcap(x)
  float scale;
  float entropy_scale;
  bool fast;  // e * scale, without an end that could be met
};

template <class T>
class Backward {
  using Element = typename T::Element;

 public:
  explicit HWY_INLINE Backward(const TokenBackward& call)
      : call_(call),
        columns_(call.logits.columns),
        temperature_(call.transform.temperature),
        scale_(exp2_scale(temperature_)),
        softcap_(static_cast<float>(call.transform.softcap)),
        wants_totals_(call.totals != nullptr || call.row_totals != nullptr) {}

  void run(Scratch& scratch) const {
    const RowPlan plan = plan_rows(call_.count, columns_, columns_ * int64_t{sizeof(Element)});
    auto* const totals = scratch.array<GradientTotals>(call_.totals == nullptr ? 0 : call_.count);
    const auto finish_row = [&](int64_t r, const Row& row, double squares) {
      const GradientTotals result = finish(r, row, squares);
      if (call_.totals != nullptr)
        totals[r] = result;
      if (call_.row_totals != nullptr)
        call_.row_totals[r] = result;
    };
    if (!plan.by_segment) {
      for_row_runs(call_.count, plan.rows_per_task, [&](int64_t first, int64_t last) {
        prefetch_start<T>(logits(first), columns_, kUpdateAhead);
        for (int64_t r = first; r < last; ++r) {
          const Row row = prepare(r);
          double squares = 0;
          for (int64_t s = 0; s < plan.segments; ++s)
            squares += segment(r, s, row);
          finish_row(r, row, squares);
        }
      });
    } else {
      auto* const rows = scratch.array<Row>(call_.count);
      auto* const squares = scratch.array<double>(call_.count * plan.segments);
      for (int64_t r = 0; r < call_.count; ++r)
        rows[r] = prepare(r);
      parallel_for(call_.count * plan.segments, [&](int64_t i) {
        const int64_t r = i / plan.segments;
        squares[i] = segment(r, i % plan.segments, rows[r]);
      });
      for (int64_t r = 0; r < call_.count; ++r) {
        double sum = 0;
        for (int64_t s = 0; s < plan.segments; ++s)
          sum += squares[r * plan.segments + s];
        finish_row(r, rows[r], sum);
      }
    }
    if (call_.totals == nullptr)
      return;
    *call_.totals = {0, 0};
    for (int64_t r = 0; r < call_.count; ++r) {  // in row order, whoever computed them
      call_.totals->squares += totals[r].squares;
      call_.totals->nonfinite += totals[r].nonfinite;
    }
  }

 private:
  struct Row {
    bool zero;
    int64_t label;
    double label_value;
    RowCoefficients coefficients;
  };

  const Element* logits(int64_t r) const {
    return reinterpret_cast<const Element*>(row_address(call_.logits, r));
  }
  Element* gradient(int64_t r) const {
    return reinterpret_cast<Element*>(row_address(call_.gradient, r));
  }

  // Reads the label's logit, which an in-place run overwrites.
  Row prepare(int64_t r) const {
    const RowUpstream& up = call_.upstream[r];
    if (up.is_zero())
      return {true, -1, 0, {}};
    // The label is in this part of the row, or in another one.
    const int64_t label = up.label - call_.first_column;
    const bool is_here = label >= 0 && label < columns_;
    const float x = is_here ? T::to_float(logits(r)[label]) : 0;
    const math::RowScale fitted = math::row_scale(up, temperature_);
    const Pivot pivot = pivot_at(fitted.pivot + up.norm.log_sum * temperature_, scale_);
    const double slope = math::softcap_slope_at(x, call_.transform.softcap);
    const auto about = [&](double value) {
      return math::row_gradient(up, fitted, value, temperature_, slope);
    };
    const RowGradient row = about(pivot.value);
    const double size = __builtin_fabs(row.scale);
    const int64_t apart = call_.several == nullptr && is_here ? label : -1;
    const bool fast = up.grad_entropy == 0 && pivot.is_near && !fitted.steep &&
                      size <= kLargestFactor && (!wants_totals_ || size >= kLeastFactor);
    if (fast)
      return {
          false, apart, row.label_value, {pivot.scaled, static_cast<float>(row.scale), 0, true}};
    const float value = math::quiet_float(fitted.pivot);
    const RowGradient general = about(value);
    return {
        false,
        apart,
        row.label_value,
        {value, math::quiet_float(general.scale), math::quiet_float(general.entropy_scale), false}};
  }

  // The part of a row in segment s; returns its sum of squares, the label aside.
  double segment(int64_t r, int64_t s, const Row& row) const {
    const int64_t begin = s * kSegment, end = segment_end(columns_, begin);
    const Element* const x = logits(r);
    Element* const g = gradient(r);
    if (row.zero) {
      __builtin_memset(g + begin, 0, static_cast<size_t>(end - begin) * sizeof(Element));
      return 0;
    }
    const FlushSubnormals flush;
    double squares = 0;
    with_softcap(softcap_, [&](const auto cap) {
      const RowCoefficients& c = row.coefficients;
      if (!c.fast) {
        squares = columns_of(general(cap, c), x, g, begin, end, row.label) * c.scale * c.scale;
      } else if (!wants_totals_) {
        columns_of(plain<false>(cap, c), x, g, begin, end, row.label);
      } else {
        squares = columns_of(plain<true>(cap, c), x, g, begin, end, row.label);
      }
    });
    return squares;
  }

  // The loops' bodies: a column's gradient, and its square for the sum.

  template <bool kTotals, class Cap>
  HWY_INLINE auto plain(const Cap cap, const RowCoefficients& c) const {
    return [cap, exp = Exp(scale_, c.pivot, c.scale)](V x, V& squares) LR_INLINE_LAMBDA {
      V g = exp(cap(x));
      if constexpr (Cap::kCaps)
        g = hn::Mul(g, cap.slope(x));
      if constexpr (kTotals)
        squares = hn::MulAdd(g, g, squares);
      return g;
    };
  }

  // Squares are in units of the scale.
  template <class Cap>
  HWY_INLINE auto general(const Cap cap, const RowCoefficients& c) const {
    return [cap, exp = Exp(scale_), pivot = hn::Set(kF, c.pivot), scale = hn::Set(kF, c.scale),
            entropy_scale = hn::Set(kF, c.entropy_scale)](V x, V& squares) LR_INLINE_LAMBDA {
      const V d = exp.clamp(hn::Sub(cap(x), pivot));
      V p = exp.limited(d);
      if constexpr (Cap::kCaps)
        p = hn::Mul(p, cap.slope(x));
      squares = hn::MulAdd(p, p, squares);
      return hn::Mul(p, hn::MulAdd(entropy_scale, d, scale));
    };
  }

  template <class Body>
  HWY_INLINE double columns_of(const Body body, const Element* x, Element* g, int64_t begin,
                               int64_t end, int64_t label) const {
    double sum = 0;
    const auto map = [&](int64_t from, int64_t to) LR_INLINE_LAMBDA {
      V squares = hn::Zero(kF);
      map_vectors<T>(x + from, g + from, to - from, kUpdateAhead, [&](Vectors2 v) LR_INLINE_LAMBDA {
        return Vectors2{body(v.a, squares), body(v.b, squares)};
      });
      sum += sum_of(squares);
    };
    for_tiles(begin, end, [&](int64_t column, int64_t stop) {
      if (label < column || label >= stop) {
        map(column, stop);
        return;
      }
      // The label's step is kept out of the loops.
      const int64_t at = column + (label - column) / kStep * kStep;
      const int64_t after = stop - at < kStep ? stop : at + kStep;
      map(column, at);
      Tail<T> step(x + at, after - at);
      step.x[label - at] = T::kMinusInfinity;
      V squares = hn::Zero(kF);
      const Vectors2 v = T::load(step.x);
      T::store({body(v.a, squares), body(v.b, squares)}, step.x);
      for (int64_t k = at; k < after; ++k)
        g[k] = step.x[k - at];
      sum += sum_of(squares);
      map(after, stop);
    });
    return sum;
  }

  GradientTotals finish(int64_t r, const Row& row, double squares) const {
    Element* const g = gradient(r);
    if (call_.gradient.columns > columns_) {
      __builtin_memset(g + columns_, 0,
                       static_cast<size_t>(call_.gradient.columns - columns_) * sizeof(Element));
    }
    if (call_.several != nullptr) {
      const int64_t first = r * call_.several->per_row;
      for (int64_t k = first; k < first + call_.several->per_row; ++k) {
        if (call_.several->labels[k] >= 0)
          store_logit(call_.gradient.type, g, call_.several->labels[k], call_.several->values[k]);
      }
      return {0, 0};
    }
    if (row.zero)
      return {0, 0};
    if (row.label >= 0) {
      store_logit(call_.gradient.type, g, row.label, row.label_value);
      squares += row.label_value * row.label_value;
    }
    if (!wants_totals_)
      return {0, 0};
    // No value can exceed the square root of the sum of squares: only a row beyond the type's range
    // is looked at again.
    const double limit = call_.gradient.type == op::ElementType::f16 ? 65504.0 : 0x1p127;
    int64_t nonfinite = 0;
    if (!(squares < limit * limit)) {
      for (int64_t i = 0; i < columns_; ++i)
        nonfinite += !(__builtin_fabsf(T::to_float(g[i])) < kInfinity);
    }
    return {squares, nonfinite};
  }

  const TokenBackward& call_;
  const int64_t columns_;
  const double temperature_;
  const float scale_;
  const float softcap_;
  const bool wants_totals_;
};

}  // namespace

void token_backward(const TokenBackward& call, Scratch& scratch) {
  with_type(call.logits.type,
            [&](auto element) { Backward<decltype(element)>(call).run(scratch); });
}

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
