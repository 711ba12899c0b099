// The loops over one vocabulary row, compiled once per instruction set (LR_ISA_NAMESPACE,
// LR_ISA_TABLE and LR_ISA_NAME say which).
//
// Forward fuses log-sum-exp(z), log-sum-exp(2z), entropy, mean and maximum into one read of the
// row: 4 (F32) or 2 (BF16, F16) bytes per element, nothing written. The exponents are taken from a
// reference, the maximum of a segment's first tile: any value not far from the row's maximum would
// do. A tile whose sum shows that it lies far above is summed again, from its own maximum; it is
// still in L1. Sums are float32 over a tile and float64 beyond. Backward reads the logit, and
// writes the gradient over it or elsewhere: twice the bytes of the forward.

#include "cpu/row_kernels.h"

#include "cpu/row_simd.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

constexpr int64_t kReadAhead = 20480;   // bytes from the next tile on that the forward prefetches
constexpr int64_t kUpdateAhead = 6144;  // bytes that the backward prefetches

// A tile's sum of exponentials beyond which its columns lie too far above the reference: their
// exponents would have lost digits.
constexpr double kLargestSum = 2 * kTile;

// ---- Elementary functions ----

struct NoSoftcap {
  explicit HWY_INLINE NoSoftcap(float) {}
  HWY_INLINE V operator()(V x) const { return x; }
  HWY_INLINE V derivative(V, V p) const { return p; }
};

// c * tanh(x / c); infinities and NaN stay.
struct Softcap {
  V c, inverse;
  Exp exp{1.44269504f};

  explicit HWY_INLINE Softcap(float softcap)
      : c(hn::Set(kF, softcap)), inverse(hn::Set(kF, 1.0f / softcap)) {}

  HWY_INLINE V operator()(V x) const {
    const V a = hn::Mul(x, inverse);
    const V magnitude = hn::Abs(a);
    const V one = hn::Set(kF, 1.0f);
    const V e = exp(hn::Mul(hn::Set(kF, -2.0f), magnitude));
    const V large = hn::Div(hn::Sub(one, e), hn::Add(one, e));
    const V s = hn::Mul(a, a);  // below 0.6 the quotient would cancel: an odd polynomial
    V q = hn::Set(kF, -5.70498872745e-3f);
    q = hn::MulAdd(q, s, hn::Set(kF, 2.06390887954e-2f));
    q = hn::MulAdd(q, s, hn::Set(kF, -5.37397155531e-2f));
    q = hn::MulAdd(q, s, hn::Set(kF, 1.33314422036e-1f));
    q = hn::MulAdd(q, s, hn::Set(kF, -3.33332819422e-1f));
    const V small = hn::MulAdd(hn::Mul(q, s), magnitude, magnitude);
    const V tanh =
        hn::CopySign(hn::IfThenElse(hn::Lt(magnitude, hn::Set(kF, 0.625f)), small, large), a);
    const auto finite = hn::Lt(hn::Abs(x), hn::Set(kF, kInfinity));
    return hn::IfThenElse(finite, hn::Mul(tanh, c), x);
  }
  // p * (1 - tanh(x / c)^2) without cancellation, and 0 where p is.
  HWY_INLINE V derivative(V x, V p) const {
    const V one = hn::Set(kF, 1.0f);
    const V e = exp(hn::Mul(hn::Set(kF, -2.0f), hn::Abs(hn::Mul(x, inverse))));
    const V sum = hn::Add(one, e);
    const V slope = hn::Div(hn::Mul(hn::Set(kF, 4.0f), e), hn::Mul(sum, sum));
    return hn::Mul(p, slope);
  }
};

// ---- Forward ----

template <class T>
HWY_INLINE float tile_maximum(const typename T::Element* x, int64_t n) {
  V m = hn::Set(kF, -kInfinity);
  int64_t i = 0;
  for (; i + kPair <= n; i += kPair) {
    const Pair v = T::load(x + i);
    m = hn::Max(m, hn::Max(v.a, v.b));
  }
  if (i < n) {
    const Pair v = T::load(Tail<T>(x + i, n - i).x);
    m = hn::Max(m, hn::Max(v.a, v.b));
  }
  return max_of(m);
}

// A tile's sums, as in Partial; with e alone if not everything is wanted.
struct Sums : ExponentialSums {
  double z, raw;
  int64_t infinite;
  float maximum;
};

// The values of a tile that has -inf among them.
template <class T, class Cap>
HWY_NOINLINE void sum_values(const typename T::Element* x, int64_t n, const Cap& cap, Sums* sums) {
  V raw = hn::Zero(kF), z = hn::Zero(kF);
  int64_t finite = 0;
  const auto add = [&](V v) LR_INLINE_LAMBDA {
    const auto is_finite = hn::Gt(v, hn::Set(kF, -kInfinity));
    finite += static_cast<int64_t>(hn::CountTrue(kF, is_finite));
    raw = hn::MulAdd(hn::IfThenElseZero(is_finite, v), hn::Set(kF, kSmall), raw);
    z = hn::MulAdd(hn::IfThenElseZero(is_finite, cap(v)), hn::Set(kF, kSmall), z);
  };
  const auto add_pair = [&](Pair v) LR_INLINE_LAMBDA {
    add(v.a);
    add(v.b);
  };
  walk(
      0, n, [&](int64_t i) LR_INLINE_LAMBDA { add_pair(T::load(x + i)); },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA { add_pair(T::load(Tail<T>(x + i, rest).x)); });
  sums->raw = sum_of(raw) / kSmall;
  sums->z = sum_of(z) / kSmall;
  sums->infinite = n - finite;
}

// e alone takes the reference times `exp.scale`.
template <class T, class Cap, bool kEverything>
HWY_INLINE Sums sums_of_tile(const typename T::Element* x, int64_t n, float reference,
                             const Exp& exp, const Cap& cap) {
  const ExpFrom from(exp, reference);
  V e[2] = {hn::Zero(kF), hn::Zero(kF)}, e2[2] = {hn::Zero(kF), hn::Zero(kF)},
    ed[2] = {hn::Zero(kF), hn::Zero(kF)}, z[2] = {hn::Zero(kF), hn::Zero(kF)},
    raw[2] = {hn::Zero(kF), hn::Zero(kF)}, m = hn::Set(kF, -kInfinity);
  const auto add = [&](int which, V v) LR_INLINE_LAMBDA {
    if constexpr (!kEverything) {
      e[which] = from.add_to(e[which], cap(v));
    } else {
      const V d = hn::Sub(cap(v), hn::Set(kF, reference)), finite = exp.clamp(d), p = exp(d);
      e[which] = hn::Add(e[which], p);
      e2[which] = hn::MulAdd(p, p, e2[which]);
      ed[which] = hn::MulAdd(p, finite, ed[which]);
      m = hn::Max(m, v);
    }
  };
  const auto add_values = [&](int which, V v) LR_INLINE_LAMBDA {
    if constexpr (kEverything) {
      raw[which] = hn::MulAdd(v, hn::Set(kF, kSmall), raw[which]);
      if constexpr (!__is_same(Cap, NoSoftcap))
        z[which] = hn::MulAdd(cap(v), hn::Set(kF, kSmall), z[which]);
    }
  };
  const auto add_pair = [&](int64_t i) LR_INLINE_LAMBDA {
    prefetch_pair<T>(x + i + kTile, kReadAhead);
    const Pair v = T::load(x + i);
    add(0, v.a);
    add(1, v.b);
    add_values(0, v.a);
    add_values(1, v.b);
  };
  const int64_t half = half_of(n);
  for (int64_t i = 0; i < half; i += kPair) {
    add_pair(i);
    add_pair(half + i);
  }
  int64_t i = 2 * half;
  for (; i + kPair <= n; i += kPair)
    add_pair(i);
  Sums sums{};
  if (i < n) {
    const Pair v = T::load(Tail<T>(x + i, n - i).x);
    add(0, v.a);
    add(1, v.b);
    if constexpr (kEverything) {
      for (; i < n; ++i) {
        const float value = T::to_float(x[i]);
        sums.raw += value;
        if constexpr (!__is_same(Cap, NoSoftcap))
          sums.z += hn::GetLane(cap(hn::Set(kF, value)));
      }
    }
  }
  sums.e = sum_of(hn::Add(e[0], e[1]));
  if constexpr (kEverything) {
    sums.e2 = sum_of(hn::Add(e2[0], e2[1]));
    sums.ed = sum_of(hn::Add(ed[0], ed[1]));
    sums.raw += sum_of(hn::Add(raw[0], raw[1])) / kSmall;
    if constexpr (!__is_same(Cap, NoSoftcap))
      sums.z += sum_of(hn::Add(z[0], z[1])) / kSmall;
    if (!(sums.raw > -kInfinity))
      sum_values<T>(x, n, cap, &sums);
    sums.maximum = max_of(m);
  }
  return sums;
}

// A tile whose maximum is -inf: nothing but -inf, or NaN among it (a maximum does not see NaN).
// Only a NaN counts.
template <class T>
HWY_INLINE void add_empty_tile(const typename T::Element* x, int64_t n, Partial* part) {
  for (int64_t i = 0; i < n; ++i) {
    const float raw = T::to_float(x[i]);
    if (raw != raw)
      part->others.e += raw;
  }
  part->infinite += n;
}

HWY_INLINE void move_reference(double reference, const Exp& exp, Partial* part) {
  const double shift = part->reference - reference;
  if (part->e() != 0 && shift != 0) {
    const double factor = __builtin_exp2(shift * hn::GetLane(exp.scale));
    part->top.rebase(shift, factor);
    part->others.rebase(shift, factor);
  }
  part->reference = reference;
}

template <class T, class Cap, bool kEverything>
void forward_segment(const typename T::Element* row, int64_t begin, int64_t end, const Exp& exp,
                     const Cap& cap, Partial* part) {
  *part = Partial{
      -static_cast<double>(kInfinity), -static_cast<double>(kInfinity), {}, {}, 0, 0, 0, begin};
  float value = -kInfinity;  // that the reference is taken from
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    const auto* const x = row + column;
    const int64_t n = stop - column;
    const auto maximum = [&] { return hn::GetLane(cap(hn::Set(kF, tile_maximum<T>(x, n)))); };
    const auto sums_of = [&]() LR_INLINE_LAMBDA {
      const ScaledReference from = scaled_reference(value, hn::GetLane(exp.scale));
      const bool everything = kEverything || !from.is_near;
      move_reference(everything ? value : from.reference, exp, part);
      return everything ? sums_of_tile<T, Cap, true>(x, n, value, exp, cap)
                        : sums_of_tile<T, Cap, false>(x, n, from.scaled, exp, cap);
    };
    if (value == -kInfinity) {
      value = maximum();
      if (value == -kInfinity)
        return add_empty_tile<T>(x, n, part);
    }
    Sums sums = sums_of();
    if (!(sums.e <= kLargestSum)) {
      const float higher = maximum();
      if (higher > value) {
        value = higher;
        sums = sums_of();
      }
    }
    if (kEverything ? sums.maximum > part->maximum : sums.e > part->top.e) {
      part->others.add(part->top);
      part->top = sums;
      part->tile = column;
      if (kEverything)
        part->maximum = sums.maximum;
    } else {
      part->others.add(sums);
    }
    part->z += sums.z;
    part->raw += sums.raw;
    part->infinite += sums.infinite;
  });
}

template <class T, class Cap, bool kEverything>
void forward_row(const ForwardSpec& spec, const typename T::Element* row, int64_t begin,
                 int64_t end, Partial* partials) {
  const Cap cap(spec.softcap);
  const Exp exp(spec.temperature_scale);
  for (int64_t segment = begin; segment < end; segment += kSegment) {
    forward_segment<T, Cap, kEverything>(
        row, segment, end - segment < kSegment ? end : segment + kSegment, exp, cap, partials++);
  }
}

template <class T>
void forward_type(const ForwardSpec& spec, const void* row, int64_t begin, int64_t end,
                  Partial* partials) {
  using E = const typename T::Element*;
  const auto run =
      spec.softcap == 0
          ? (spec.everything ? forward_row<T, NoSoftcap, true> : forward_row<T, NoSoftcap, false>)
          : (spec.everything ? forward_row<T, Softcap, true> : forward_row<T, Softcap, false>);
  run(spec, static_cast<E>(row), begin, end, partials);
}

void forward(const ForwardSpec& spec, const void* row, int64_t begin, int64_t end,
             Partial* partials) {
  const FlushSubnormals flush;
  switch (spec.type) {
    case ElementType::bf16:
      return forward_type<BFloat16>(spec, row, begin, end, partials);
    case ElementType::f16:
      return forward_type<Float16>(spec, row, begin, end, partials);
    default:
      return forward_type<Float32>(spec, row, begin, end, partials);
  }
}

template <class T, class Cap>
ExponentialSums sums_without(const ForwardSpec& spec, const void* row, int64_t begin, int64_t end,
                             int64_t skip, float reference) {
  typename T::Element tile[kTile];
  const int64_t n = end - begin;
  __builtin_memcpy(tile, static_cast<const typename T::Element*>(row) + begin,
                   static_cast<size_t>(n) * sizeof(*tile));
  tile[skip - begin] = T::kMinusInfinity;
  return sums_of_tile<T, Cap, true>(tile, n, reference, Exp(spec.temperature_scale),
                                    Cap(spec.softcap));
}

ExponentialSums without(const ForwardSpec& spec, const void* row, int64_t begin, int64_t end,
                        int64_t skip, float reference) {
  const FlushSubnormals flush;
  const auto run = [&]<class T>(T) {
    return spec.softcap == 0 ? sums_without<T, NoSoftcap>(spec, row, begin, end, skip, reference)
                             : sums_without<T, Softcap>(spec, row, begin, end, skip, reference);
  };
  switch (spec.type) {
    case ElementType::bf16:
      return run(BFloat16());
    case ElementType::f16:
      return run(Float16());
    default:
      return run(Float32());
  }
  return {};
}

float softcap(float x, float c) { return c == 0 ? x : hn::GetLane(Softcap(c)(hn::Set(kF, x))); }

template <class T>
int64_t find_value(const void* row, int64_t from, int64_t columns, float value) {
  const auto* x = static_cast<const typename T::Element*>(row);
  int64_t i = from;
  for (; i + kPair <= columns;
       i += kPair) {  // skips whole pairs; the order inside one does not matter
    const Pair v = T::load(x + i);
    const V wanted = hn::Set(kF, value);
    if (!hn::AllFalse(kF, hn::Or(hn::Eq(v.a, wanted), hn::Eq(v.b, wanted))))
      break;
  }
  while (i < columns && T::to_float(x[i]) != value)
    ++i;
  return i;
}

int64_t find(ElementType type, const void* row, int64_t from, int64_t columns, float value) {
  switch (type) {
    case ElementType::bf16:
      return find_value<BFloat16>(row, from, columns, value);
    case ElementType::f16:
      return find_value<Float16>(row, from, columns, value);
    default:
      return find_value<Float32>(row, from, columns, value);
  }
  return columns;
}

// ---- Backward ----

template <class Cap, BackwardMode kMode>
class Gradient {
 public:
  // In mode logp the exponential has the scale in it.
  explicit HWY_INLINE Gradient(const BackwardSpec& spec)
      : cap_(spec.softcap),
        exp_(spec.temperature_scale, kMode == BackwardMode::logp ? spec.scale : 1),
        from_(exp_, spec.reference),
        reference_(hn::Set(kF, spec.reference)),
        scale_(hn::Set(kF, spec.scale)),
        entropy_scale_(hn::Set(kF, spec.entropy_scale)) {}
  Gradient(const Gradient&) = delete;  // from_ refers to exp_

  HWY_INLINE Pair operator()(Pair x) { return {one(x.a, squares_a_), one(x.b, squares_b_)}; }
  HWY_INLINE double squares() const { return sum_of(hn::Add(squares_a_, squares_b_)); }

 private:
  HWY_INLINE V one(V x, V& squares) {
    if constexpr (kMode == BackwardMode::any) {
      const V d = exp_.clamp(hn::Sub(cap_(x), reference_)), p = cap_.derivative(x, exp_(d));
      squares = hn::MulAdd(p, p, squares);
      return hn::Mul(p, hn::MulAdd(entropy_scale_, d, scale_));
    }
    const V p = cap_.derivative(x, from_(cap_(x)));
    if constexpr (kMode == BackwardMode::logp)
      return p;
    squares = hn::MulAdd(p, p, squares);
    return hn::Mul(p, scale_);
  }

  const Cap cap_;
  const Exp exp_;
  const ExpFrom from_;
  const V reference_, scale_, entropy_scale_;
  V squares_a_ = hn::Zero(kF), squares_b_ = hn::Zero(kF);
};

// n <= kPair columns by way of a buffer; column `skip`, if it is among them, counts as -inf, and so
// gets 0.
template <class T, class G>
HWY_INLINE void backward_buffered(G& gradient, const typename T::Element* x, typename T::Element* g,
                                  int64_t n, int64_t skip) {
  Tail<T> buffer(x, n);
  if (skip >= 0 && skip < n)
    buffer.x[skip] = T::kMinusInfinity;
  T::store(gradient(T::load(buffer.x)), buffer.x);
  for (int64_t i = 0; i < n; ++i)
    g[i] = buffer.x[i];
}

template <class T, class Cap, BackwardMode kMode>
double backward_row(const BackwardSpec& spec, const typename T::Element* x, typename T::Element* g,
                    int64_t begin, int64_t end) {
  double squares = 0;
  for (int64_t column = begin; column < end; column += kTile) {
    const int64_t stop = end - column < kTile ? end : column + kTile;
    Gradient<Cap, kMode> gradient(spec);
    const auto whole_pair = [&](int64_t i) LR_INLINE_LAMBDA {
      prefetch_pair<T>(x + i, kUpdateAhead);
      T::store(gradient(T::load(x + i)), g + i);
    };
    const auto walk = [&](auto&& pair_at) LR_INLINE_LAMBDA {
      const int64_t half = half_of(stop - column);
      for (int64_t i = column; i < column + half; i += kPair) {
        pair_at(i);
        pair_at(half + i);
      }
      for (int64_t i = column + 2 * half; i < stop; i += kPair)
        pair_at(i);
    };
    const bool has_skip = spec.skip >= column && spec.skip < stop;
    if (!has_skip && (stop - column) % kPair == 0) {
      walk(whole_pair);
    } else {  // the label's tile, and a last one that ends within a pair
      const auto buffered_pair = [&](int64_t i) __attribute__((noinline)) {
        backward_buffered<T>(gradient, x + i, g + i, stop - i < kPair ? stop - i : kPair,
                             spec.skip - i);
      };
      walk([&](int64_t i) LR_INLINE_LAMBDA {
        const bool plain = i + kPair <= stop && !(spec.skip >= i && spec.skip < i + kPair);
        plain ? whole_pair(i) : buffered_pair(i);
      });
    }
    if constexpr (kMode != BackwardMode::logp)
      squares += gradient.squares();
  }
  return squares;
}

template <class T, class Cap>
double backward_mode(const BackwardSpec& spec, const void* row, void* gradient, int64_t begin,
                     int64_t end) {
  const auto* x = static_cast<const typename T::Element*>(row);
  auto* g = static_cast<typename T::Element*>(gradient);
  switch (spec.mode) {
    case BackwardMode::logp:
      return backward_row<T, Cap, BackwardMode::logp>(spec, x, g, begin, end);
    case BackwardMode::logp_with_totals:
      return backward_row<T, Cap, BackwardMode::logp_with_totals>(spec, x, g, begin, end);
    case BackwardMode::any:
      return backward_row<T, Cap, BackwardMode::any>(spec, x, g, begin, end);
  }
  return 0;
}

template <class T>
double backward_type(const BackwardSpec& spec, const void* row, void* gradient, int64_t begin,
                     int64_t end) {
  return spec.softcap == 0 ? backward_mode<T, NoSoftcap>(spec, row, gradient, begin, end)
                           : backward_mode<T, Softcap>(spec, row, gradient, begin, end);
}

double backward(const BackwardSpec& spec, const void* row, void* gradient, int64_t begin,
                int64_t end) {
  const FlushSubnormals flush;
  switch (spec.type) {
    case ElementType::bf16:
      return backward_type<BFloat16>(spec, row, gradient, begin, end);
    case ElementType::f16:
      return backward_type<Float16>(spec, row, gradient, begin, end);
    default:
      return backward_type<Float32>(spec, row, gradient, begin, end);
  }
  return 0;
}

// ---- Bandwidth probes: the least work that touches every byte once ----

void read(const void* source, size_t bytes, uint64_t* sum) {
  const auto* x = static_cast<const uint32_t*>(source);
  const size_t n = bytes / sizeof(uint32_t);
  auto s0 = hn::Zero(kU), s1 = s0, s2 = s0, s3 = s0;
  for (size_t i = 0; i + 4 * kLanes <= n; i += 4 * kLanes) {
    s0 = hn::Add(s0, hn::LoadU(kU, x + i));
    s1 = hn::Add(s1, hn::LoadU(kU, x + i + kLanes));
    s2 = hn::Add(s2, hn::LoadU(kU, x + i + 2 * kLanes));
    s3 = hn::Add(s3, hn::LoadU(kU, x + i + 3 * kLanes));
  }
  *sum = hn::GetLane(hn::SumOfLanes(kU, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

void copy(const void* source, void* destination, size_t bytes) {
  __builtin_memcpy(destination, source, bytes);
}

// Writes back what it read: the zero that it adds is one that the compiler cannot see through.
void update(void* memory, size_t bytes) {
  uint32_t hidden_zero = 0;
  asm volatile("" : "+r"(hidden_zero));
  const auto zero = hn::Set(kU, hidden_zero);
  auto* x = static_cast<uint32_t*>(memory);
  const size_t n = bytes / sizeof(uint32_t);
  for (size_t i = 0; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const auto a = hn::Add(hn::LoadU(kU, x + i), zero);
    const auto b = hn::Add(hn::LoadU(kU, x + i + kLanes), zero);
    hn::StoreU(a, kU, x + i);
    hn::StoreU(b, kU, x + i + kLanes);
  }
}

}  // namespace

extern const DivergenceKernels kDivergenceKernels;
extern const RuleKernels kRuleKernels;

}  // namespace logratio::cpu::LR_ISA_NAMESPACE

namespace logratio::cpu {
extern const RowKernels LR_ISA_TABLE = {
    LR_ISA_NAME,
    LR_ISA_NAMESPACE::forward,
    LR_ISA_NAMESPACE::without,
    LR_ISA_NAMESPACE::softcap,
    LR_ISA_NAMESPACE::find,
    LR_ISA_NAMESPACE::backward,
    LR_ISA_NAMESPACE::read,
    LR_ISA_NAMESPACE::copy,
    LR_ISA_NAMESPACE::update,
    &LR_ISA_NAMESPACE::kDivergenceKernels,
    &LR_ISA_NAMESPACE::kRuleKernels,
};
}  // namespace logratio::cpu
