// What the loops over vocabulary rows share: vectors of float32, loads and stores of each element
// type, exp and sums. It is included by sources that are compiled once per instruction set, with
// LR_ISA_NAMESPACE naming the set.
//
// Nothing but that namespace may be emitted there: an inline function of a header, compiled for
// AVX-512 and shared with other files by the linker, would crash older machines. So all of this is
// static, Highway's functions are too, and the standard library is not used.
#pragma once

#include <hwy/highway.h>

#include "cpu/row_kernels.h"

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
constexpr int64_t kPair = 2 * kLanes;  // columns that one load of a Pair takes
static_assert(kTile % (2 * kPair) == 0);

constexpr float kInfinity = __builtin_inff();

// Values of any size are summed in units of its inverse, so that no sum over a tile overflows.
constexpr float kSmall = 0x1p-10f;
static_assert(kTile / kLanes * kSmall < 1);

// Two vectors of logits as float32. Their order within a pair is the load's own affair: for BF16
// the even columns come first.
struct Pair {
  V a, b;
};

// ---- Loads and stores by element type ----

struct Float32 {
  using Element = float;
  static constexpr Element kMinusInfinity = -kInfinity;
  static HWY_INLINE Pair load(const Element* x) {
    return {hn::LoadU(kF, x), hn::LoadU(kF, x + kLanes)};
  }
  static HWY_INLINE void store(Pair v, Element* x) {
    hn::StoreU(v.a, kF, x);
    hn::StoreU(v.b, kF, x + kLanes);
  }
  static HWY_INLINE float to_float(Element x) { return x; }
};

struct BFloat16 {
  using Element = uint16_t;
  static constexpr Element kMinusInfinity = 0xff80;
  static HWY_INLINE Pair load(const Element* x) {
    const auto bits = hn::LoadU(kU, reinterpret_cast<const uint32_t*>(x));
    return {hn::BitCast(kF, hn::ShiftLeft<16>(bits)),
            hn::BitCast(kF, hn::And(bits, hn::Set(kU, 0xffff0000u)))};
  }
  // To nearest even: up where more than half a unit is dropped, or half of one from an odd number.
  // NaNs survive, as those met here have nothing in their lower half.
  static HWY_INLINE void store(Pair v, Element* x) {
    constexpr hn::Repartition<uint16_t, F> k16;
    const auto even = hn::BitCast(kU, v.a), odd = hn::BitCast(kU, v.b);
    const auto kept =
        hn::BitCast(k16, hn::OrAnd(hn::ShiftRight<16>(even), odd, hn::Set(kU, 0xffff0000u)));
    const auto dropped =
        hn::BitCast(k16, hn::OrAnd(hn::ShiftLeft<16>(odd), even, hn::Set(kU, 0xffffu)));
    const auto one = hn::Set(k16, 1);
    const auto up = hn::Gt(hn::OrAnd(dropped, kept, one), hn::Set(k16, 0x8000));
    hn::StoreU(hn::BitCast(kU, hn::IfThenElse(up, hn::Add(kept, one), kept)), kU,
               reinterpret_cast<uint32_t*>(x));
  }
  static HWY_INLINE float to_float(Element x) {
    return __builtin_bit_cast(float, static_cast<uint32_t>(x) << 16);
  }
};

struct Float16 {
  using Element = uint16_t;
  static constexpr Element kMinusInfinity = 0xfc00;
  // Even columns first, as BFloat16; integer operations alone, so that every instruction set agrees
  // on subnormals, infinities and NaN.
  static HWY_INLINE V widen(hn::Vec<U> half) {
    const auto magnitude = hn::ShiftLeft<13>(hn::And(half, hn::Set(kU, 0x7fff)));
    const auto sign = hn::ShiftLeft<16>(hn::And(half, hn::Set(kU, 0x8000)));
    const V value = hn::Mul(hn::BitCast(kF, magnitude), hn::Set(kF, 0x1p112f));
    const auto special = hn::Ge(value, hn::Set(kF, 65536.0f));
    const auto bits = hn::Or(hn::BitCast(kU, value), hn::IfThenElseZero(hn::RebindMask(kU, special),
                                                                        hn::Set(kU, 0x7f800000u)));
    return hn::BitCast(kF, hn::Or(bits, sign));
  }
  static HWY_INLINE hn::Vec<U> narrow(V v) {
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
    const auto signed_magnitude = hn::BitCast(hn::RebindToSigned<U>(), magnitude);
    const auto below = [&](uint32_t limit) {
      return hn::RebindMask(kU, hn::Lt(signed_magnitude, hn::Set(hn::RebindToSigned<U>(),
                                                                 static_cast<int32_t>(limit))));
    };
    const auto infinite =
        hn::IfThenElse(below(0x7f800001u), hn::Set(kU, 0x7c00), hn::Set(kU, 0x7e00));
    const auto finite = hn::IfThenElse(below(0x38800000u), tiny, normal);
    return hn::Or(hn::IfThenElse(below(0x477ff000u), finite, infinite), sign);
  }
  static HWY_INLINE Pair load(const Element* x) {
    const auto bits = hn::LoadU(kU, reinterpret_cast<const uint32_t*>(x));
    return {widen(hn::And(bits, hn::Set(kU, 0xffff))), widen(hn::ShiftRight<16>(bits))};
  }
  static HWY_INLINE void store(Pair v, Element* x) {
    hn::StoreU(hn::Or(narrow(v.a), hn::ShiftLeft<16>(narrow(v.b))), kU,
               reinterpret_cast<uint32_t*>(x));
  }
  static HWY_INLINE float to_float(Element x) { return hn::GetLane(widen(hn::Set(kU, x))); }
};

// The last n < kPair columns of a range, padded with -inf, which adds nothing to any sum but those
// of the raw values.
template <class T>
struct Tail {
  typename T::Element x[kPair];
  HWY_INLINE Tail(const typename T::Element* source, int64_t n) {
    for (int64_t i = 0; i < kPair; ++i)
      x[i] = i < n ? source[i] : T::kMinusInfinity;
  }
};

// ---- Elementary functions ----

// While it lives, results below the normal numbers are 0. They would cost as much as thirty others.
class FlushSubnormals {
 public:
  HWY_INLINE FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON); }
  HWY_INLINE ~FlushSubnormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
};

// amplitude * 2^t, NaN for NaN: exactly the amplitude at 0, 0 below about t = -126 and infinity
// above about 128. FlushSubnormals has to be alive.
#if HWY_TARGET <= HWY_AVX3

// 2^(k/32)
constexpr float kRoots[32] = {
    1.0f,        1.0218972f,  1.04427373f, 1.06714046f, 1.09050775f, 1.1143868f,  1.13878858f,
    1.1637249f,  1.18920708f, 1.21524739f, 1.24185777f, 1.26905096f, 1.29683959f, 1.32523668f,
    1.35425556f, 1.38390994f, 1.41421354f, 1.44518077f, 1.47682619f, 1.50916445f, 1.54221082f,
    1.5759809f,  1.61049032f, 1.64575553f, 1.68179286f, 1.71861935f, 1.75625217f, 1.79470909f,
    1.8340081f,  1.87416768f, 1.91520655f, 1.95714414f};

// t = n + k/32 + r, all rounded down: one instruction gives r, one multiplies by 2^n. k is in the
// low bits of t plus a number whose last place is 1/32, and 2^(k/32) is looked up by it in two
// registers; 2^r is a polynomial of degree 2 (relative error 7e-8).
class Power {
 public:
  explicit HWY_INLINE Power(float amplitude)
      : roots_{hn::Mul(hn::LoadU(kF, kRoots), hn::Set(kF, amplitude)),
               hn::Mul(hn::LoadU(kF, kRoots + kLanes), hn::Set(kF, amplitude))} {}

  struct Factors {
    V root, rest;
  };
  HWY_INLINE Factors factors(V t) const {
    constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC, kFractionBits = 5 << 4;
    const V r{_mm512_reduce_ps(t.raw, kFractionBits | kDown)};  // 0 for an infinity
    const __m512i k =
        _mm512_castps_si512(_mm512_add_round_ps(t.raw, _mm512_set1_ps(0x1.8p18f), kDown));
    const __m512 root = _mm512_permutex2var_ps(roots_[0].raw, k, roots_[1].raw);
    return {V{_mm512_scalef_ps(root, t.raw)},
            hn::MulAdd(hn::MulAdd(hn::Set(kF, 0.2426527f), r, hn::Set(kF, 0.69312376f)), r,
                       hn::Set(kF, 1.0f))};
  }

 private:
  V roots_[2];  // times the amplitude
};

#else

// t = n + r with n = round(t), left by an addition in the low bits, from where it is shifted into
// the exponent; 2^r is a polynomial of degree 5.
class Power {
 public:
  explicit HWY_INLINE Power(float amplitude)
      : c_{hn::Set(kF, amplitude),
           hn::Set(kF, amplitude * 0.6931469671f),
           hn::Set(kF, amplitude * 0.2402211972f),
           hn::Set(kF, amplitude * 0.05550713274f),
           hn::Set(kF, amplitude * 0.009675541334f),
           hn::Set(kF, amplitude * 0.001327647198f)} {}

  struct Factors {
    V root, rest;
  };
  HWY_INLINE Factors factors(V t) const {
    const V clamped =
        hn::Min(hn::Set(kF, 128.0f),
                hn::Max(hn::Set(kF, -127.0f), t));  // whose powers are infinity and 0; NaN stays
    const V magic =
        hn::Set(kF, 0x1.8p23f + 127.0f);  // rounds to an integer and leaves n + 127 in the low bits
    const V shifted = hn::Add(clamped, magic);
    const V r = hn::Sub(clamped, hn::Sub(shifted, magic));
    V p = hn::MulAdd(c_[5], r, c_[4]);
    p = hn::MulAdd(p, r, c_[3]);
    p = hn::MulAdd(p, r, c_[2]);
    p = hn::MulAdd(p, r, c_[1]);
    p = hn::MulAdd(p, r, c_[0]);
    return {hn::BitCast(kF, hn::ShiftLeft<23>(hn::BitCast(kU, shifted))), p};
  }

 private:
  V c_[6];  // times the amplitude
};

#endif

// amplitude * exp(d / temperature).
struct Exp {
  V scale;   // log2(e) / temperature
  V lowest;  // d below which the power is 0
  Power power;

  explicit HWY_INLINE Exp(float temperature_scale, float amplitude = 1)
      : scale(hn::Set(kF, temperature_scale)),
        lowest(hn::Set(kF, -127.0f / temperature_scale)),
        power(amplitude) {}

  HWY_INLINE V operator()(V d) const { return of_power(hn::Mul(d, scale)); }
  HWY_INLINE V add_to(V sum, V d) const { return add_power_to(sum, hn::Mul(d, scale)); }

  HWY_INLINE V of_power(V t) const {
    const Power::Factors f = power.factors(t);
    return hn::Mul(f.root, f.rest);
  }
  // The product and the sum in one instruction.
  HWY_INLINE V add_power_to(V sum, V t) const {
    const Power::Factors f = power.factors(t);
    return hn::MulAdd(f.root, f.rest, sum);
  }
  // Keeps d finite for -inf. Max returns its second operand when that is NaN.
  HWY_INLINE V clamp(V d) const { return hn::Max(lowest, d); }
};

// exp((x - r) / temperature), where r is what scales to this float32. A fused product and
// difference rounds the exponent once; without one, the difference comes first, from the float32
// next to r.
class ExpFrom {
 public:
  HWY_INLINE ExpFrom(const Exp& exp, float scaled_reference)
      : exp_(exp), scaled_(hn::Set(kF, scaled_reference)) {
    const float scale = hn::GetLane(exp.scale), nearest = scaled_reference / scale;
    nearest_ = hn::Set(kF, nearest);
    rest_ =
        hn::Set(kF, static_cast<float>(static_cast<double>(nearest) * scale - scaled_reference));
  }

  HWY_INLINE V operator()(V x) const { return exp_.of_power(power_of(x)); }
  HWY_INLINE V add_to(V sum, V x) const { return exp_.add_power_to(sum, power_of(x)); }

 private:
  HWY_INLINE V power_of(V x) const {
    return HWY_NATIVE_FMA ? hn::MulSub(x, exp_.scale, scaled_)
                          : hn::MulAdd(hn::Sub(x, nearest_), exp_.scale, rest_);
  }

  const Exp& exp_;
  V scaled_, nearest_, rest_;
};

HWY_INLINE double sum_of(V v) {
  const hn::Repartition<double, F> d64;
  const hn::Half<F> half;
  const auto low = hn::PromoteTo(d64, hn::LowerHalf(half, v));
  const auto high = hn::PromoteTo(d64, hn::UpperHalf(half, v));
  return hn::GetLane(hn::SumOfLanes(d64, hn::Add(low, high)));
}

HWY_INLINE float max_of(V v) { return hn::GetLane(hn::MaxOfLanes(kF, v)); }

// ---- Walking a tile ----

// Calls whole(i) for the pairs of columns from..stop-1 that are whole, then rest(i, n) for what is
// left.
template <class Whole, class Rest>
HWY_INLINE void walk(int64_t from, int64_t stop, Whole&& whole, Rest&& rest) {
  int64_t i = from;
  for (; i + kPair <= stop; i += kPair)
    whole(i);
  if (i < stop)
    rest(i, stop - i);
}

template <class F>
HWY_INLINE void for_tiles(int64_t begin, int64_t end, F&& body) {
  for (int64_t column = begin; column < end; column += kTile)
    body(column, end - column < kTile ? end : column + kTile);
}

// A tile is walked in two halves side by side, in pairs: two streams of addresses keep more memory
// under way than one.
HWY_INLINE int64_t half_of(int64_t columns) { return columns / (2 * kPair) * kPair; }

// Asks for the memory under a pair that comes `ahead` bytes later. The hardware's own prefetcher
// stops at each page, and the arithmetic between two loads leaves the processor too few of them in
// flight to make up for it. Past the end of a row lies, as a rule, the next one; a prefetch of
// memory that is not there does nothing.
template <class T>
HWY_INLINE void prefetch_pair(const typename T::Element* x, int64_t ahead) {
  constexpr int kSecondLevel = 2;  // cache
  const char* const p = reinterpret_cast<const char*>(x) + ahead;
  for (int64_t line = 0; line < kPair * static_cast<int64_t>(sizeof(*x)); line += 64)
    __builtin_prefetch(p + line, 0, kSecondLevel);
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
