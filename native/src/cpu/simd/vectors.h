// Vectors of float32 columns: element types, tails, sums. Included by the sources that are compiled
// once per instruction set, with LR_ISA_NAMESPACE naming the set.
//
// Nothing but that namespace may be emitted there: an inline function of a header, compiled for
// AVX-512 and shared with other files by the linker, would crash older machines. So all of this is
// static, Highway's functions are too, and the standard library is not used.
#pragma once

#include <hwy/highway.h>

#include <cstdint>

#include "op/element_type.h"

// For the bodies of loops that stand in several places, which the compiler would rather call.
#define LR_INLINE_LAMBDA __attribute__((always_inline))

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using U = hn::Rebind<uint32_t, F>;
using V = hn::Vec<F>;
constexpr F kF;
constexpr U kU;
constexpr int64_t kLanes = HWY_MAX_BYTES / sizeof(float);
constexpr int64_t kStep = 2 * kLanes;  // columns of a Vectors2
constexpr int64_t kTile = 2048;        // columns that float32 sums go over
static_assert(kTile % (2 * kStep) == 0);

constexpr float kInfinity = __builtin_inff();

// Two vectors of columns as float32. Their order is the load's own affair: for BF16 the even
// columns come first.
struct Vectors2 {
  V a, b;
};

// ---- Loads and stores by element type ----

struct Float32 {
  using Element = float;
  static constexpr Element kMinusInfinity = -kInfinity;
  static constexpr bool kEvenFirst = false;
  static HWY_INLINE Vectors2 load(const Element* x) {
    return {hn::LoadU(kF, x), hn::LoadU(kF, x + kLanes)};
  }
  static HWY_INLINE void store(Vectors2 v, Element* x) {
    hn::StoreU(v.a, kF, x);
    hn::StoreU(v.b, kF, x + kLanes);
  }
  static HWY_INLINE float to_float(Element x) { return x; }
};

struct BFloat16 {
  using Element = uint16_t;
  static constexpr Element kMinusInfinity = 0xff80;
  static constexpr bool kEvenFirst = true;
  static HWY_INLINE Vectors2 load(const Element* x) {
    const auto bits = hn::LoadU(kU, reinterpret_cast<const uint32_t*>(x));
    return {hn::BitCast(kF, hn::ShiftLeft<16>(bits)),
            hn::BitCast(kF, hn::And(bits, hn::Set(kU, 0xffff0000u)))};
  }
  // To nearest even: up where more than half a unit is dropped, or half of one from an odd number.
  // NaNs survive, as those met here have nothing in their lower half.
  static HWY_INLINE void store(Vectors2 v, Element* x) {
    constexpr hn::Repartition<uint16_t, F> k16;
    const auto even = hn::BitCast(k16, v.a), odd = hn::BitCast(k16, v.b);
    const auto kept = hn::OddEven(odd, hn::BitCast(k16, hn::ShiftRight<16>(hn::BitCast(kU, v.a))));
    const auto dropped =
        hn::OddEven(hn::BitCast(k16, hn::ShiftLeft<16>(hn::BitCast(kU, v.b))), even);
    const auto one = hn::Set(k16, 1);
    const auto beyond = hn::SaturatedSub(hn::OrAnd(dropped, kept, one), hn::Set(k16, 0x8000));
    hn::StoreU(hn::BitCast(kU, hn::Add(kept, hn::Min(beyond, one))), kU,
               reinterpret_cast<uint32_t*>(x));
  }
  static HWY_INLINE float to_float(Element x) {
    return __builtin_bit_cast(float, static_cast<uint32_t>(x) << 16);
  }
};

struct Float16 {
  using Element = uint16_t;
  static constexpr Element kMinusInfinity = 0xfc00;
  static constexpr bool kEvenFirst = false;
  using Halves = hn::Rebind<uint16_t, F>;
  static HWY_INLINE Vectors2 load(const Element* x) {
    return {widen(hn::LoadU(Halves(), x)), widen(hn::LoadU(Halves(), x + kLanes))};
  }
  static HWY_INLINE void store(Vectors2 v, Element* x) {
    hn::StoreU(narrow(v.a), Halves(), x);
    hn::StoreU(narrow(v.b), Halves(), x + kLanes);
  }
  static HWY_INLINE float to_float(Element x) { return hn::GetLane(widen(hn::Set(Halves(), x))); }

 private:
#if HWY_TARGET <= HWY_AVX2  // whose conversions know subnormals in every mode
  using Half = hn::Rebind<hwy::float16_t, F>;
  static HWY_INLINE V widen(hn::Vec<Halves> half) {
    return hn::PromoteTo(kF, hn::BitCast(Half(), half));
  }
  static HWY_INLINE hn::Vec<Halves> narrow(V v) {
    return hn::BitCast(Halves(), hn::DemoteTo(Half(), v));
  }
#else
  static HWY_INLINE hn::Mask<U> below(hn::Vec<U> magnitude, uint32_t limit) {
    constexpr hn::RebindToSigned<U> ints;
    return hn::RebindMask(
        kU, hn::Lt(hn::BitCast(ints, magnitude), hn::Set(ints, static_cast<int32_t>(limit))));
  }
  static HWY_INLINE V widen(hn::Vec<Halves> half) {
    const auto bits = hn::PromoteTo(kU, half);
    const auto magnitude = hn::ShiftLeft<13>(hn::And(bits, hn::Set(kU, 0x7fff)));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(kU, 0x8000)));
    const auto rebased = hn::Add(magnitude, hn::Set(kU, 112u << 23));
    // A subnormal is what an exponent of its own leaves when it is taken away again.
    const auto tiny = hn::BitCast(
        kU,
        hn::Sub(hn::BitCast(kF, hn::Add(rebased, hn::Set(kU, 1u << 23))), hn::Set(kF, 0x1p-14f)));
    const auto special = hn::Or(magnitude, hn::Set(kU, 0x7f800000u));
    const auto finite = hn::IfThenElse(below(magnitude, 1u << 23), tiny, rebased);
    const auto value = hn::IfThenElse(below(magnitude, 31u << 23), finite, special);
    return hn::BitCast(kF, hn::Or(value, sign));
  }
  static HWY_INLINE hn::Vec<Halves> narrow(V v) {
    const auto bits = hn::BitCast(kU, v);
    const auto sign = hn::ShiftRight<16>(hn::And(bits, hn::Set(kU, 0x80000000u)));
    const auto magnitude = hn::And(bits, hn::Set(kU, 0x7fffffffu));
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(kU, 1));
    const auto normal =
        hn::ShiftRight<13>(hn::Add(hn::Sub(magnitude, hn::Set(kU, (112u << 23) - 0xfff)), odd));
    // Adding 0.5 leaves the subnormal half in the low bits, rounded to nearest even by the
    // addition.
    const auto half_bits = hn::BitCast(kU, hn::Set(kF, 0.5f));
    const auto tiny =
        hn::Sub(hn::BitCast(kU, hn::Add(hn::BitCast(kF, magnitude), hn::Set(kF, 0.5f))), half_bits);
    const auto infinite =
        hn::IfThenElse(below(magnitude, 0x7f800001u), hn::Set(kU, 0x7c00), hn::Set(kU, 0x7e00));
    const auto finite = hn::IfThenElse(below(magnitude, 0x38800000u), tiny, normal);
    const auto half = hn::Or(hn::IfThenElse(below(magnitude, 0x477ff000u), finite, infinite), sign);
    return hn::DemoteTo(Halves(), hn::BitCast(hn::RebindToSigned<U>(), half));
  }
#endif
};

// body(T()) with the loads and stores of a type of logits.
template <class Body>
HWY_INLINE void with_type(op::ElementType type, Body&& body) {
  switch (type) {
    case op::ElementType::bf16:
      return body(BFloat16());
    case op::ElementType::f16:
      return body(Float16());
    default:
      return body(Float32());
  }
}

// ---- Sums ----

// Values of any size are summed in units of its inverse, so that no sum over a tile overflows.
constexpr float kSmall = 0x1p-10f;
static_assert(kTile / kLanes * kSmall < 1);

HWY_INLINE double sum_of(V v) {
  const hn::Repartition<double, F> d64;
  const hn::Half<F> half;
  const auto low = hn::PromoteTo(d64, hn::LowerHalf(half, v));
  const auto high = hn::PromoteTo(d64, hn::UpperHalf(half, v));
  return hn::GetLane(hn::SumOfLanes(d64, hn::Add(low, high)));
}

HWY_INLINE float max_of(V v) { return hn::GetLane(hn::MaxOfLanes(kF, v)); }

// While it lives, numbers below the normal ones are 0. They would cost as much as thirty others.
class FlushSubnormals {
 public:
  HWY_INLINE FlushSubnormals() : before_(_mm_getcsr()) {
    constexpr unsigned kInputsAreZero = 0x40;
    _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON | kInputsAreZero);
  }
  HWY_INLINE ~FlushSubnormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
};

// ---- Walking a row: alignment, tails and prefetch ----

// The last n < kStep columns of a range, padded with -inf, which adds nothing to any sum but those
// of the raw values.
template <class T>
struct Tail {
  typename T::Element x[kStep];
  HWY_INLINE Tail(const typename T::Element* source, int64_t n) {
    for (int64_t i = 0; i < kStep; ++i)
      x[i] = i < n ? source[i] : T::kMinusInfinity;
  }
};

template <class Body>
HWY_INLINE void for_tiles(int64_t begin, int64_t end, Body&& body) {
  for (int64_t column = begin; column < end; column += kTile)
    body(column, end - column < kTile ? end : column + kTile);
}

// Asks for the memory under a step that comes `ahead` bytes later. The hardware's own prefetcher
// stops at each page, and the arithmetic between two loads leaves the processor too few of them in
// flight to make up for it. Past the end of a row lies, as a rule, the next one; a prefetch of
// memory that is not there does nothing.
template <class T>
HWY_INLINE void prefetch_step(const typename T::Element* x, int64_t ahead) {
  constexpr int kSecondLevel = 2;  // cache
  const char* const p = reinterpret_cast<const char*>(x) + ahead;
  for (int64_t line = 0; line < kStep * static_cast<int64_t>(sizeof(*x)); line += 64)
    __builtin_prefetch(p + line, 0, kSecondLevel);
}

// Bytes that a first pass asks for ahead of those that it reads: those of the next tile, and more.
template <class T>
constexpr int64_t kReadAhead = kTile* int64_t{sizeof(typename T::Element)} + 20480;

// The first bytes of a run of rows are asked for at once; nobody did so before it.
template <class T>
HWY_INLINE void prefetch_start(const typename T::Element* x, int64_t columns, int64_t ahead) {
  const int64_t bytes = columns * static_cast<int64_t>(sizeof(*x));
  for (int64_t at = 0; at < (bytes < ahead ? bytes : ahead); at += 64)
    __builtin_prefetch(reinterpret_cast<const char*>(x) + at, 0, 2);
}

// Calls step(i) for the columns of a tile in steps of kStep, whole ones first, then rest(i, n) with
// the n < kStep that are left. The tile is walked in two halves side by side: two streams of
// addresses keep more memory under way than one.
template <class Step, class Rest>
HWY_INLINE void for_steps(int64_t n, Step&& step, Rest&& rest) {
  const int64_t half = n / (2 * kStep) * kStep;
  for (int64_t i = 0; i < half; i += kStep) {
    step(i);
    step(half + i);
  }
  int64_t i = 2 * half;
  for (; i + kStep <= n; i += kStep)
    step(i);
  if (i < n)
    rest(i, n - i);
}

// Calls body(Vectors2) for all of a tile's columns and what pads them, asking for the memory that
// lies `ahead` bytes behind them.
template <class T, class Body>
HWY_INLINE void for_vectors(const typename T::Element* x, int64_t n, int64_t ahead, Body&& body) {
  for_steps(
      n,
      [&](int64_t i) LR_INLINE_LAMBDA {
        prefetch_step<T>(x + i, ahead);
        body(T::load(x + i));
      },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA { body(T::load(Tail<T>(x + i, rest).x)); });
}

// The largest of a tile's columns; a NaN counts or does not.
template <class T>
HWY_INLINE float maximum_of(const typename T::Element* x, int64_t n) {
  V m = hn::Set(kF, -kInfinity);
  for_vectors<T>(x, n, 0, [&](Vectors2 v) LR_INLINE_LAMBDA { m = hn::Max(m, hn::Max(v.a, v.b)); });
  return max_of(m);
}

// The first column at or after `from` that holds a value, or `columns`.
template <class T>
HWY_INLINE int64_t find(const typename T::Element* x, int64_t from, int64_t columns, float value) {
  const V wanted = hn::Set(kF, value);
  int64_t i = from;
  for (; i + kStep <= columns; i += kStep) {  // the order inside a step does not matter
    const Vectors2 v = T::load(x + i);
    if (!hn::AllFalse(kF, hn::Or(hn::Eq(v.a, wanted), hn::Eq(v.b, wanted))))
      break;
  }
  while (i < columns && T::to_float(x[i]) != value)
    ++i;
  return i;
}

// target[k] = body(x[k]) for the columns of a tile; the two may be the same memory.
template <class T, class Body>
HWY_INLINE void map_vectors(const typename T::Element* x, typename T::Element* target, int64_t n,
                            int64_t ahead, Body&& body) {
  for_steps(
      n,
      [&](int64_t i) LR_INLINE_LAMBDA {
        prefetch_step<T>(x + i, ahead);
        T::store(body(T::load(x + i)), target + i);
      },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA {
        Tail<T> buffer(x + i, rest);
        T::store(body(T::load(buffer.x)), buffer.x);
        for (int64_t k = 0; k < rest; ++k)
          target[i + k] = buffer.x[k];
      });
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
