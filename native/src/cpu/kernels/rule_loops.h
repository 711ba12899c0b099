// The loops of scoring rules over a row: the sums of the first pass, those over the masked columns,
// and the gradient.
#pragma once

#include "cpu/kernels/row_pivot.h"
#include "cpu/simd/exp.h"
#include "math/scoring_rule.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::MaskedSums;
using math::RuleForm;
using math::RuleGradient;
using math::RuleSums;

constexpr auto kLog2E = static_cast<float>(math::kLog2E);

// RuleForm, with order 1.5 apart: there u = exp((alpha-1) d) is the root of e = exp(d), and one
// exponential serves both. `log` is plain with the sum of the differences from the maximum.
enum class Loop : uint8_t { plain, log, square, root, power };

struct RuleScale {
  double alpha;
  float order;  // (alpha - 1) log2(e)
  float top;    // what the largest of the sums' exponents is of d
};

template <class T, Loop kLoop>
HWY_INLINE RuleSums sum_tile(const typename T::Element* x, int64_t n, const RuleScale& scale,
                             float pivot, float* top) {
  const FineExp exp(kLog2E), exp_order(scale.order);
  const V from = hn::Set(kF, pivot), small = hn::Set(kF, kSmall), small_from = hn::Mul(from, small);
  V e0 = hn::Zero(kF), e1 = e0, alpha = e0, less = e0, differences = e0,
    m = hn::Set(kF, -kInfinity);
  const auto add = [&, exp, exp_order, from](V v) LR_INLINE_LAMBDA {
    const V d = hn::Sub(v, from);
    if constexpr (kLoop == Loop::root) {
      const V u = exp_order(d), e = hn::Mul(u, u);
      less = hn::Add(less, u);
      e0 = hn::Add(e0, e);
      alpha = hn::MulAdd(e, u, alpha);
    } else {
      const V e = exp(d);
      e0 = hn::Add(e0, e);
      if constexpr (kLoop == Loop::square)
        alpha = hn::MulAdd(e, e, alpha);
      if constexpr (kLoop == Loop::power) {
        const V u = exp_order(d);
        less = hn::Add(less, u);
        alpha = hn::MulAdd(e, u, alpha);
      }
    }
  };
  const auto add_both = [&, exp, from](Vectors2 v) LR_INLINE_LAMBDA {
    m = hn::Max(m, hn::Max(v.a, v.b));
    if constexpr (kLoop <= Loop::log) {
      e0 = hn::Add(e0, exp(hn::Sub(v.a, from)));
      e1 = hn::Add(e1, exp(hn::Sub(v.b, from)));
    } else {
      add(v.a);
      add(v.b);
    }
  };
  double rest_d = 0;
  for_steps(
      n,
      [&](int64_t i) LR_INLINE_LAMBDA {
        prefetch_step<T>(x + i, kReadAhead<T>);
        const Vectors2 v = T::load(x + i);
        add_both(v);
        if constexpr (kLoop == Loop::log) {
          differences = hn::Add(differences, hn::Add(hn::MulSub(v.a, small, small_from),
                                                     hn::MulSub(v.b, small, small_from)));
        }
      },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA {
        add_both(T::load(Tail<T>(x + i, rest).x));
        for (int64_t k = i; kLoop == Loop::log && k < n; ++k)
          rest_d += static_cast<double>(T::to_float(x[k])) - pivot;
      });
  *top = max_of(m);
  const double d = kLoop == Loop::log ? sum_of(differences) / kSmall + rest_d : 0;
  return {pivot, sum_of(hn::Add(e0, e1)), sum_of(alpha), sum_of(less), d, static_cast<double>(n)};
}

template <class T, Loop kLoop>
RuleSums sum_columns(const RuleScale& scale, const typename T::Element* x, int64_t begin,
                     int64_t end) {
  RowPivot pivot;
  RuleSums sums = math::no_rule_sums();
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    pivot.begin_tile<T>(x + column, stop - column);
    float top;
    RuleSums tile = sum_tile<T, kLoop>(x + column, stop - column, scale, pivot.value, &top);
    if (!pivot.serves(top, scale.top)) {
      pivot.value = top;
      tile = sum_tile<T, kLoop>(x + column, stop - column, scale, pivot.value, &top);
    }
    sums = math::rebased(sums, pivot.value, scale.alpha);
    sums.e += tile.e;
    sums.e_alpha += tile.e_alpha;
    sums.e_less += tile.e_less;
    sums.d += tile.d;
    sums.columns += tile.columns;
    pivot.end_tile(top);
  });
  return math::rebased(sums, pivot.maximum, scale.alpha);
}

template <class T>
MaskedSums sum_masked(const RuleGradient& g, const typename T::Element* x, int64_t begin,
                      int64_t end) {
  const V from = hn::Set(kF, g.maximum), limit = hn::Set(kF, g.threshold), one = hn::Set(kF, 1.0f),
          small = hn::Set(kF, kSmall);
  MaskedSums sums{0, 0};
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    V d = hn::Zero(kF), count = d;
    const auto add = [&](V v) LR_INLINE_LAMBDA {
      const V difference = hn::Sub(v, from);
      const auto masked = hn::Lt(difference, limit);
      d = hn::MulAdd(hn::IfThenElseZero(masked, difference), small, d);
      count = hn::Add(count, hn::IfThenElseZero(masked, one));
    };
    for_steps(
        stop - column,
        [&](int64_t i) LR_INLINE_LAMBDA {
          const Vectors2 v = T::load(x + column + i);
          add(v.a);
          add(v.b);
        },
        [&](int64_t i, int64_t) LR_INLINE_LAMBDA {
          for (int64_t k = column + i; k < stop; ++k) {
            const float difference = T::to_float(x[k]) - g.maximum;
            if (difference < g.threshold) {
              sums.d += difference;
              sums.count += 1;
            }
          }
        });
    sums.d += sum_of(d) / kSmall;
    sums.count += sum_of(count);
  });
  return sums;
}

// kConstant: columns get something that does not vanish with their probability.
template <class T, Loop kLoop, bool kConstant>
void write_gradient(const RuleScale& scale, const RuleGradient& g, const typename T::Element* x,
                    typename T::Element* target, int64_t n) {
  const auto one = [exp = FineExp(kLog2E), exp_order = FineExp(scale.order),
                    from = hn::Set(kF, g.maximum), linear = hn::Set(kF, g.linear),
                    product = hn::Set(kF, g.product), less = hn::Set(kF, g.less),
                    constant = hn::Set(kF, g.constant), masked = hn::Set(kF, g.masked),
                    threshold = hn::Set(kF, g.threshold)](V v) LR_INLINE_LAMBDA {
    const V d = hn::Sub(v, from);
    V result;
    if constexpr (kLoop == Loop::root) {
      const V u = exp_order(d);
      result = hn::Mul(u, hn::MulAdd(u, hn::MulAdd(product, u, linear), less));
    } else if constexpr (kLoop == Loop::power) {
      const V e = exp(d), u = exp_order(d);
      result = hn::MulAdd(e, hn::MulAdd(product, u, linear), hn::Mul(less, u));
    } else {
      const V e = exp(d);
      result = hn::Mul(e, hn::MulAdd(product, e, linear));
    }
    if constexpr (kConstant) {
      const V all = hn::Add(constant, hn::IfThenElseZero(hn::Lt(d, threshold), masked));
      result = hn::Add(result, hn::IfThenElseZero(hn::Gt(v, hn::Set(kF, -kInfinity)), all));
    }
    return result;
  };
  constexpr int64_t kAhead = 4096;
  map_vectors<T>(x, target, n, kAhead, [&, one](Vectors2 v) LR_INLINE_LAMBDA {
    return Vectors2{one(v.a), one(v.b)};
  });
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
