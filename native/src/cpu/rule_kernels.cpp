// The loops over a vocabulary row that scoring rules need, compiled once per instruction set.
//
// Forward: one read of the row, 4 (F32) or 2 bytes per element, for log-sum-exp and the sums of
// powers; the masked log term needs the log-sum-exp first, and reads once more. Gradient: one read
// and one write. The caller takes a row through all of it while it is in the cache. Sums are
// float32 over a tile and float64 beyond.

#include "cpu/rule_kernels.h"

#include "cpu/row_simd.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::MaskedSums;
using math::RuleForm;
using math::RuleSums;

constexpr float kLog2E = 1.44269504f;

// RuleForm, with order 1.5 apart: there u = exp((alpha-1) d) is the root of e = exp(d), and one
// exponential serves both.
enum class Loop : uint8_t { plain, square, root, power };

Loop loop_of(const RuleSpec& spec) {
  switch (spec.form) {
    case RuleForm::plain:
      return Loop::plain;
    case RuleForm::square:
      return Loop::square;
    case RuleForm::power:
      break;
  }
  return spec.alpha == 1.5 ? Loop::root : Loop::power;
}

// ---- Forward ----

template <class T>
HWY_INLINE float maximum_of(const typename T::Element* x, int64_t n) {
  V m0 = hn::Set(kF, -kInfinity), m1 = m0;
  const auto add = [&](Pair v) LR_INLINE_LAMBDA {
    m0 = hn::Max(m0, v.a);
    m1 = hn::Max(m1, v.b);
  };
  walk(
      0, n, [&](int64_t i) LR_INLINE_LAMBDA { add(T::load(x + i)); },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA { add(T::load(Tail<T>(x + i, rest).x)); });
  return max_of(hn::Max(m0, m1));
}

template <class T, Loop kLoop, bool kDifferences>
HWY_INLINE void add_tile(const typename T::Element* x, int64_t n, const Exp& exp,
                         const Exp& exp_order, RuleSums* sums) {
  const V maximum = hn::Set(kF, static_cast<float>(sums->maximum));
  V e[2] = {hn::Zero(kF), hn::Zero(kF)}, alpha[2] = {hn::Zero(kF), hn::Zero(kF)},
    less[2] = {hn::Zero(kF), hn::Zero(kF)}, differences[2] = {hn::Zero(kF), hn::Zero(kF)};
  const V small = hn::Set(kF, kSmall), small_maximum = hn::Mul(maximum, small);
  const auto add = [&](int which, V v) LR_INLINE_LAMBDA {
    const V d = hn::Sub(v, maximum);
    if constexpr (kLoop == Loop::plain) {
      e[which] = exp.add_to(e[which], d);
      return;
    }
    if constexpr (kLoop == Loop::root) {
      const V u = exp_order(d);
      less[which] = hn::Add(less[which], u);
      e[which] = hn::MulAdd(u, u, e[which]);
      alpha[which] = hn::MulAdd(hn::Mul(u, u), u, alpha[which]);
      return;
    }
    const V p = exp(d);
    e[which] = hn::Add(e[which], p);
    if constexpr (kLoop == Loop::square) {
      alpha[which] = hn::MulAdd(p, p, alpha[which]);
    } else {
      const V u = exp_order(d);
      less[which] = hn::Add(less[which], u);
      alpha[which] = hn::MulAdd(p, u, alpha[which]);
    }
  };
  walk(
      0, n,
      [&](int64_t i) LR_INLINE_LAMBDA {
        prefetch_pair<T>(x + i + kTile, 0);
        const Pair v = T::load(x + i);
        add(0, v.a);
        add(1, v.b);
        if constexpr (kDifferences) {
          differences[0] = hn::Add(differences[0], hn::MulSub(v.a, small, small_maximum));
          differences[1] = hn::Add(differences[1], hn::MulSub(v.b, small, small_maximum));
        }
      },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA {
        const Pair v = T::load(Tail<T>(x + i, rest).x);
        add(0, v.a);
        add(1, v.b);
        for (int64_t k = i; kDifferences && k < n; ++k)
          sums->d += T::to_float(x[k]) - sums->maximum;
      });
  sums->e += sum_of(hn::Add(e[0], e[1]));
  if constexpr (kLoop != Loop::plain)
    sums->e_alpha += sum_of(hn::Add(alpha[0], alpha[1]));
  if constexpr (kLoop >= Loop::root)
    sums->e_less += sum_of(hn::Add(less[0], less[1]));
  if constexpr (kDifferences) {
    sums->d += sum_of(hn::Add(differences[0], differences[1])) / kSmall;
    sums->columns += static_cast<double>(n);
  }
}

// A tile, all tiles before it included, that is nothing but -inf, or has NaN among it.
template <class T>
HWY_INLINE void add_empty_tile(const typename T::Element* x, int64_t n, RuleSums* sums) {
  sums->d = -kInfinity;
  for (int64_t i = 0; i < n; ++i) {
    const float value = T::to_float(x[i]);
    if (value != value)
      sums->e += value;
  }
}

template <class T, Loop kLoop, bool kDifferences>
void sums_of(const RuleSpec& spec, const void* row, int64_t begin, int64_t end, RuleSums* sums) {
  const auto* x = static_cast<const typename T::Element*>(row);
  const Exp exp(kLog2E), exp_order(spec.order_scale);
  *sums = RuleSums{-kInfinity, 0, 0, 0, 0, 0};
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    const float tile_maximum = maximum_of<T>(x + column, stop - column);
    *sums = math::rebased(*sums, tile_maximum > sums->maximum ? tile_maximum : sums->maximum,
                          spec.alpha);
    if (sums->maximum == -static_cast<double>(kInfinity)) {
      add_empty_tile<T>(x + column, stop - column, sums);
    } else {
      add_tile<T, kLoop, kDifferences>(x + column, stop - column, exp, exp_order, sums);
    }
  });
}

template <class T>
void masked_of(float maximum, float threshold, const void* row, int64_t begin, int64_t end,
               MaskedSums* sums) {
  const auto* x = static_cast<const typename T::Element*>(row);
  const V reference = hn::Set(kF, maximum), limit = hn::Set(kF, threshold), one = hn::Set(kF, 1.0f),
          small = hn::Set(kF, kSmall);
  *sums = MaskedSums{0, 0};
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    V d[2] = {hn::Zero(kF), hn::Zero(kF)}, count[2] = {hn::Zero(kF), hn::Zero(kF)};
    const auto add = [&](int which, V v) LR_INLINE_LAMBDA {
      const V difference = hn::Sub(v, reference);
      const auto masked = hn::Lt(difference, limit);
      d[which] = hn::MulAdd(hn::IfThenElseZero(masked, difference), small, d[which]);
      count[which] = hn::Add(count[which], hn::IfThenElseZero(masked, one));
    };
    walk(
        column, stop,
        [&](int64_t i) LR_INLINE_LAMBDA {
          const Pair v = T::load(x + i);
          add(0, v.a);
          add(1, v.b);
        },
        [&](int64_t i, int64_t) LR_INLINE_LAMBDA {
          for (; i < stop; ++i) {
            const float difference = T::to_float(x[i]) - maximum;
            if (difference < threshold) {
              sums->d += difference;
              sums->count += 1;
            }
          }
        });
    sums->d += sum_of(hn::Add(d[0], d[1])) / kSmall;
    sums->count += sum_of(hn::Add(count[0], count[1]));
  });
}

// ---- Gradient ----

template <class T, Loop kLoop, bool kConstant>
void gradient_of(const RuleSpec& spec, const RuleGradient& g, const void* row, void* target,
                 int64_t begin, int64_t end) {
  const auto* x = static_cast<const typename T::Element*>(row);
  auto* y = static_cast<typename T::Element*>(target);
  const Exp exp(kLog2E), exp_order(spec.order_scale);
  const V maximum = hn::Set(kF, g.maximum), linear = hn::Set(kF, g.linear),
          product = hn::Set(kF, g.product), less = hn::Set(kF, g.less),
          constant = hn::Set(kF, g.constant), masked = hn::Set(kF, g.masked),
          threshold = hn::Set(kF, g.threshold);
  const auto one = [&](V v) LR_INLINE_LAMBDA {
    const V d = hn::Sub(v, maximum);
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
  walk(
      begin, end,
      [&](int64_t i) LR_INLINE_LAMBDA {
        const Pair v = T::load(x + i);
        T::store(Pair{one(v.a), one(v.b)}, y + i);
      },
      [&](int64_t i, int64_t n) LR_INLINE_LAMBDA {
        Tail<T> buffer(x + i, n);
        const Pair v = T::load(buffer.x);
        T::store(Pair{one(v.a), one(v.b)}, buffer.x);
        for (int64_t k = 0; k < n; ++k)
          y[i + k] = buffer.x[k];
      });
}

// ---- By element type and form ----

template <class Run>
HWY_INLINE void with_type(ElementType type, Run&& run) {
  switch (type) {
    case ElementType::bf16:
      return run(BFloat16());
    case ElementType::f16:
      return run(Float16());
    default:
      return run(Float32());
  }
}

void sums(const RuleSpec& spec, const void* row, int64_t begin, int64_t end, RuleSums* result) {
  const FlushSubnormals flush;
  with_type(spec.type, [&](auto element) {
    using T = decltype(element);
    switch (loop_of(spec)) {
      case Loop::plain:
        return spec.differences ? sums_of<T, Loop::plain, true>(spec, row, begin, end, result)
                                : sums_of<T, Loop::plain, false>(spec, row, begin, end, result);
      case Loop::square:
        return sums_of<T, Loop::square, false>(spec, row, begin, end, result);
      case Loop::root:
        return sums_of<T, Loop::root, false>(spec, row, begin, end, result);
      case Loop::power:
        return sums_of<T, Loop::power, false>(spec, row, begin, end, result);
    }
  });
}

void masked(ElementType type, float maximum, float threshold, const void* row, int64_t begin,
            int64_t end, MaskedSums* result) {
  with_type(type, [&](auto element) {
    masked_of<decltype(element)>(maximum, threshold, row, begin, end, result);
  });
}

void gradient(const RuleSpec& spec, const RuleGradient& g, const void* row, void* target,
              int64_t begin, int64_t end) {
  const FlushSubnormals flush;
  const bool constant = g.constant != 0 || g.masked != 0;
  with_type(spec.type, [&](auto element) {
    using T = decltype(element);
    switch (loop_of(spec)) {
      case Loop::plain:  // as square
      case Loop::square:
        return constant ? gradient_of<T, Loop::square, true>(spec, g, row, target, begin, end)
                        : gradient_of<T, Loop::square, false>(spec, g, row, target, begin, end);
      case Loop::root:
        return constant ? gradient_of<T, Loop::root, true>(spec, g, row, target, begin, end)
                        : gradient_of<T, Loop::root, false>(spec, g, row, target, begin, end);
      case Loop::power:
        return constant ? gradient_of<T, Loop::power, true>(spec, g, row, target, begin, end)
                        : gradient_of<T, Loop::power, false>(spec, g, row, target, begin, end);
    }
  });
}

}  // namespace

extern const RuleKernels kRuleKernels = {sums, masked, gradient};

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
