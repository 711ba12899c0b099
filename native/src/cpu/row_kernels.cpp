// The loops over one vocabulary row, compiled once per instruction set (LR_ISA_NAMESPACE, LR_ISA_TABLE and LR_ISA_NAME say which).
//
// Forward fuses log-sum-exp(z), log-sum-exp(2z), entropy, mean and maximum into one read of the row: 4 (F32) or 2 (BF16, F16) bytes per
// element, nothing written. A tile fits in L1. While the exponentials of one tile are summed, the maximum of the next is taken, so
// memory streams all the time although every tile is used twice. Sums are float32 over a tile and float64 beyond.
// Backward reads the logit, and writes the gradient over it or elsewhere: twice the bytes of the forward.

#include "cpu/row_kernels.h"

#include "cpu/row_simd.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

constexpr int64_t kReadAhead = 20480;    // bytes from the next tile on that the forward prefetches
constexpr int64_t kUpdateAhead = 6144;   // bytes that the backward prefetches

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

  explicit HWY_INLINE Softcap(float softcap) : c(hn::Set(kF, softcap)), inverse(hn::Set(kF, 1.0f / softcap)) {}

  HWY_INLINE V operator()(V x) const {
    const V a = hn::Mul(x, inverse);
    const V magnitude = hn::Abs(a);
    const V one = hn::Set(kF, 1.0f);
    const V e = exp(exp.clamp(hn::Mul(hn::Set(kF, -2.0f), magnitude)));
    const V large = hn::Div(hn::Sub(one, e), hn::Add(one, e));
    const V s = hn::Mul(a, a);  // below 0.6 the quotient would cancel: an odd polynomial
    V q = hn::Set(kF, -5.70498872745e-3f);
    q = hn::MulAdd(q, s, hn::Set(kF, 2.06390887954e-2f));
    q = hn::MulAdd(q, s, hn::Set(kF, -5.37397155531e-2f));
    q = hn::MulAdd(q, s, hn::Set(kF, 1.33314422036e-1f));
    q = hn::MulAdd(q, s, hn::Set(kF, -3.33332819422e-1f));
    const V small = hn::MulAdd(hn::Mul(q, s), magnitude, magnitude);
    const V tanh = hn::CopySign(hn::IfThenElse(hn::Lt(magnitude, hn::Set(kF, 0.625f)), small, large), a);
    const auto finite = hn::Lt(hn::Abs(x), hn::Set(kF, kInfinity));
    return hn::IfThenElse(finite, hn::Mul(tanh, c), x);
  }
  // p * (1 - tanh(x / c)^2) without cancellation, and 0 where p is.
  HWY_INLINE V derivative(V x, V p) const {
    const V one = hn::Set(kF, 1.0f);
    const V e = exp(exp.clamp(hn::Mul(hn::Set(kF, -2.0f), hn::Abs(hn::Mul(x, inverse)))));
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

template <bool kEverything>
struct Sums {
  V e0 = hn::Zero(kF), e1 = hn::Zero(kF), e20 = hn::Zero(kF), e21 = hn::Zero(kF);
  V ed0 = hn::Zero(kF), ed1 = hn::Zero(kF), z0 = hn::Zero(kF), z1 = hn::Zero(kF), raw0 = hn::Zero(kF), raw1 = hn::Zero(kF);

  template <class Cap>
  HWY_INLINE void add(Pair x, const Cap& cap, V reference, const Exp& exp) {
    const V za = cap(x.a), zb = cap(x.b);
    const V da = exp.clamp(hn::Sub(za, reference)), db = exp.clamp(hn::Sub(zb, reference));
    if constexpr (!kEverything) {  // the product and the sum in one instruction
      const Exp::Factors fa = exp.factors(da), fb = exp.factors(db);
      e0 = hn::MulAdd(fa.p, fa.power, e0);
      e1 = hn::MulAdd(fb.p, fb.power, e1);
    } else {
      const V ea = exp(da), eb = exp(db);
      e0 = hn::Add(e0, ea);
      e1 = hn::Add(e1, eb);
      e20 = hn::MulAdd(ea, ea, e20);
      e21 = hn::MulAdd(eb, eb, e21);
      ed0 = hn::MulAdd(ea, da, ed0);
      ed1 = hn::MulAdd(eb, db, ed1);
    }
  }
  template <class Cap>
  HWY_INLINE void add_values(Pair x, const Cap& cap) {
    if constexpr (kEverything) {
      raw0 = hn::Add(raw0, x.a);
      raw1 = hn::Add(raw1, x.b);
      if constexpr (!__is_same(Cap, NoSoftcap)) {
        z0 = hn::Add(z0, cap(x.a));
        z1 = hn::Add(z1, cap(x.b));
      }
    }
  }
};

// Adds a tile to `part`. While it runs, the maximum of the `ahead_n` columns at `ahead` is taken and returned.
template <class T, class Cap, bool kEverything>
HWY_INLINE float add_tile(const typename T::Element* x, int64_t n, float reference, const Cap& cap, const Exp& exp,
                          const typename T::Element* ahead, int64_t ahead_n, Partial* part) {
  Sums<kEverything> sums;
  const V ref = hn::Set(kF, reference);
  const auto add_pair = [&](int64_t i) LR_INLINE_LAMBDA {
    prefetch_pair<T>(x + i + kTile, kReadAhead);
    const Pair v = T::load(x + i);
    sums.add(v, cap, ref, exp);
    sums.add_values(v, cap);
  };
  const int64_t half = half_of(n);
  float maximum;
  if (ahead_n == n) {
    V m = hn::Set(kF, -kInfinity);
    const auto look_ahead = [&](int64_t i) LR_INLINE_LAMBDA {
      const Pair w = T::load(ahead + i);
      m = hn::Max(m, hn::Max(w.a, w.b));
    };
    for (int64_t i = 0; i < half; i += kPair) {
      add_pair(i);
      add_pair(half + i);
      look_ahead(i);
      look_ahead(half + i);
    }
    const float rest = tile_maximum<T>(ahead + 2 * half, n - 2 * half);
    maximum = max_of(m);
    maximum = rest > maximum ? rest : maximum;
  } else {
    for (int64_t i = 0; i < half; i += kPair) {
      add_pair(i);
      add_pair(half + i);
    }
    maximum = tile_maximum<T>(ahead, ahead_n);
  }
  int64_t i = 2 * half;
  for (; i + kPair <= n; i += kPair) add_pair(i);
  if (i < n) {
    sums.add(T::load(Tail<T>(x + i, n - i).x), cap, ref, exp);
    if constexpr (kEverything) {
      for (; i < n; ++i) {
        const float raw = T::to_float(x[i]);
        part->raw += raw;
        if constexpr (!__is_same(Cap, NoSoftcap)) part->z += hn::GetLane(cap(hn::Set(kF, raw)));
      }
    }
  }
  part->e += sum_of(hn::Add(sums.e0, sums.e1));
  if constexpr (kEverything) {
    part->e2 += sum_of(hn::Add(sums.e20, sums.e21));
    part->ed += sum_of(hn::Add(sums.ed0, sums.ed1));
    part->raw += sum_of(hn::Add(sums.raw0, sums.raw1));
    if constexpr (!__is_same(Cap, NoSoftcap)) part->z += sum_of(hn::Add(sums.z0, sums.z1));
  }
  return maximum;
}

// A tile whose maximum is -inf: nothing but -inf, or NaN among it (a maximum does not see NaN). Only a NaN counts.
template <class T>
HWY_INLINE void add_empty_tile(const typename T::Element* x, int64_t n, Partial* part) {
  for (int64_t i = 0; i < n; ++i) {
    const float raw = T::to_float(x[i]);
    part->raw += raw;
    part->z += raw;
    if (raw != raw) part->e += raw;
  }
}

template <class T, class Cap, bool kEverything>
void forward_row(const ForwardSpec& spec, const typename T::Element* row, int64_t begin, int64_t end, Partial* partials) {
  const Cap cap(spec.softcap);
  const Exp exp(spec.temperature_scale);
  const auto columns_at = [end](int64_t column) { return end - column < kTile ? end - column : kTile; };
  float maximum = tile_maximum<T>(row + begin, columns_at(begin));
  Partial* part = partials;
  for (int64_t column = begin; column < end; column += kTile) {
    const int64_t n = columns_at(column);
    if (column == begin || column % kSegment == 0) {
      part = partials + (column - begin) / kSegment;
      *part = Partial{-static_cast<double>(kInfinity), 0, 0, 0, 0, 0, 0, column};
    }
    if (maximum > part->maximum) {
      const float reference = hn::GetLane(cap(hn::Set(kF, maximum)));
      const double shift = part->reference - reference;
      if (part->e != 0) rebase(part, shift, __builtin_exp2(shift * spec.temperature_scale));
      part->maximum = maximum;
      part->reference = reference;
      part->tile = column;
    }
    const int64_t ahead = column + n;
    const int64_t ahead_n = ahead < end ? columns_at(ahead) : 0;
    if (part->maximum == -static_cast<double>(kInfinity)) {
      add_empty_tile<T>(row + column, n, part);
      maximum = tile_maximum<T>(row + ahead, ahead_n);
    } else {
      maximum = add_tile<T, Cap, kEverything>(row + column, n, static_cast<float>(part->reference), cap, exp, row + ahead, ahead_n, part);
    }
  }
}

template <class T>
void forward_type(const ForwardSpec& spec, const void* row, int64_t begin, int64_t end, Partial* partials) {
  using E = const typename T::Element*;
  const auto run = spec.softcap == 0 ? (spec.everything ? forward_row<T, NoSoftcap, true> : forward_row<T, NoSoftcap, false>)
                                     : (spec.everything ? forward_row<T, Softcap, true> : forward_row<T, Softcap, false>);
  run(spec, static_cast<E>(row), begin, end, partials);
}

void forward(const ForwardSpec& spec, const void* row, int64_t begin, int64_t end, Partial* partials) {
  switch (spec.type) {
    case LogitType::f32: return forward_type<Float32>(spec, row, begin, end, partials);
    case LogitType::bf16: return forward_type<BFloat16>(spec, row, begin, end, partials);
    case LogitType::f16: return forward_type<Float16>(spec, row, begin, end, partials);
  }
}

float softcap(float x, float c) { return c == 0 ? x : hn::GetLane(Softcap(c)(hn::Set(kF, x))); }

template <class T>
int64_t find_value(const void* row, int64_t from, int64_t columns, float value) {
  const auto* x = static_cast<const typename T::Element*>(row);
  int64_t i = from;
  for (; i + kPair <= columns; i += kPair) {  // skips whole pairs; the order inside one does not matter
    const Pair v = T::load(x + i);
    const V wanted = hn::Set(kF, value);
    if (!hn::AllFalse(kF, hn::Or(hn::Eq(v.a, wanted), hn::Eq(v.b, wanted)))) break;
  }
  while (i < columns && T::to_float(x[i]) != value) ++i;
  return i;
}

int64_t find(LogitType type, const void* row, int64_t from, int64_t columns, float value) {
  switch (type) {
    case LogitType::f32: return find_value<Float32>(row, from, columns, value);
    case LogitType::bf16: return find_value<BFloat16>(row, from, columns, value);
    case LogitType::f16: return find_value<Float16>(row, from, columns, value);
  }
  return columns;
}

// ---- Backward ----

template <class Cap, BackwardMode kMode>
struct Gradient {
  Cap cap;
  Exp exp;
  V reference, scale, entropy_scale;
  V squares0 = hn::Zero(kF), squares1 = hn::Zero(kF);

  explicit HWY_INLINE Gradient(const BackwardSpec& spec)
      : cap(spec.softcap), exp(spec.temperature_scale, kMode == BackwardMode::logp ? spec.scale : 1), reference(hn::Set(kF, spec.reference)), scale(hn::Set(kF, spec.scale)),
        entropy_scale(hn::Set(kF, spec.entropy_scale)) {}

  HWY_INLINE V one(V x, V& squares) {
    const V d = exp.clamp(hn::Sub(cap(x), reference));
    const V p = cap.derivative(x, exp(d));  // in mode logp the exponential has the scale in it
    if constexpr (kMode == BackwardMode::logp) return p;
    if constexpr (kMode == BackwardMode::logp_with_totals) squares = hn::MulAdd(p, p, squares);
    if constexpr (kMode == BackwardMode::entropy) return hn::Mul(p, hn::MulAdd(entropy_scale, d, scale));
    return hn::Mul(p, scale);
  }
  HWY_INLINE Pair operator()(Pair x) { return {one(x.a, squares0), one(x.b, squares1)}; }
};

// n <= kPair columns by way of a buffer; column `skip`, if it is among them, counts as -inf, and so gets 0.
template <class T, class G>
HWY_INLINE void backward_buffered(G& gradient, const typename T::Element* x, typename T::Element* g, int64_t n, int64_t skip) {
  Tail<T> buffer(x, n);
  if (skip >= 0 && skip < n) buffer.x[skip] = T::kMinusInfinity;
  T::store(gradient(T::load(buffer.x)), buffer.x);
  for (int64_t i = 0; i < n; ++i) g[i] = buffer.x[i];
}

template <class T, class Cap, BackwardMode kMode>
double backward_row(const BackwardSpec& spec, const typename T::Element* x, typename T::Element* g, int64_t begin, int64_t end) {
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
      for (int64_t i = column + 2 * half; i < stop; i += kPair) pair_at(i);
    };
    const bool has_skip = spec.skip >= column && spec.skip < stop;
    if (!has_skip && (stop - column) % kPair == 0) {
      walk(whole_pair);
    } else {  // the label's tile, and a last one that ends within a pair
      const auto buffered_pair = [&](int64_t i) __attribute__((noinline)) {
        backward_buffered<T>(gradient, x + i, g + i, stop - i < kPair ? stop - i : kPair, spec.skip - i);
      };
      walk([&](int64_t i) LR_INLINE_LAMBDA {
        const bool plain = i + kPair <= stop && !(spec.skip >= i && spec.skip < i + kPair);
        plain ? whole_pair(i) : buffered_pair(i);
      });
    }
    if constexpr (kMode == BackwardMode::logp_with_totals) squares += sum_of(hn::Add(gradient.squares0, gradient.squares1));
  }
  return squares;
}

template <class T, class Cap>
double backward_mode(const BackwardSpec& spec, const void* row, void* gradient, int64_t begin, int64_t end) {
  const auto* x = static_cast<const typename T::Element*>(row);
  auto* g = static_cast<typename T::Element*>(gradient);
  switch (spec.mode) {
    case BackwardMode::logp: return backward_row<T, Cap, BackwardMode::logp>(spec, x, g, begin, end);
    case BackwardMode::logp_with_totals: return backward_row<T, Cap, BackwardMode::logp_with_totals>(spec, x, g, begin, end);
    case BackwardMode::entropy: return backward_row<T, Cap, BackwardMode::entropy>(spec, x, g, begin, end);
  }
  return 0;
}

template <class T>
double backward_type(const BackwardSpec& spec, const void* row, void* gradient, int64_t begin, int64_t end) {
  return spec.softcap == 0 ? backward_mode<T, NoSoftcap>(spec, row, gradient, begin, end)
                           : backward_mode<T, Softcap>(spec, row, gradient, begin, end);
}

double backward(const BackwardSpec& spec, const void* row, void* gradient, int64_t begin, int64_t end) {
  switch (spec.type) {
    case LogitType::f32: return backward_type<Float32>(spec, row, gradient, begin, end);
    case LogitType::bf16: return backward_type<BFloat16>(spec, row, gradient, begin, end);
    case LogitType::f16: return backward_type<Float16>(spec, row, gradient, begin, end);
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

void copy(const void* source, void* destination, size_t bytes) { __builtin_memcpy(destination, source, bytes); }

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
