// Two vectors of doubles with the vocabulary of math/scalar.h, for the formulas of src/math: two,
// because the steps of a formula wait for each other, and those of the second vector fill the gaps.
// Included only by the files that are compiled once per instruction set: everything here is local
// to them.
//
// exp, expm1 and log are within about one unit in the last place of the true value, over the whole
// range of double.
#pragma once

#include <hwy/highway.h>

#include "math/functions.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

struct DoubleFlags {
  hn::Mask<hn::ScalableTag<double>> a, b;

  friend HWY_INLINE DoubleFlags operator&(DoubleFlags x, DoubleFlags y) {
    return {hn::And(x.a, y.a), hn::And(x.b, y.b)};
  }
  friend HWY_INLINE DoubleFlags operator|(DoubleFlags x, DoubleFlags y) {
    return {hn::Or(x.a, y.a), hn::Or(x.b, y.b)};
  }
  friend HWY_INLINE DoubleFlags operator!(DoubleFlags x) { return {hn::Not(x.a), hn::Not(x.b)}; }
};

class Doubles {
 public:
  using Tag = hn::ScalableTag<double>;
  using Vector = hn::Vec<Tag>;
  static constexpr int64_t kCount = 2 * HWY_MAX_BYTES / sizeof(double);

  Vector a, b;

  Doubles() = default;
  HWY_INLINE Doubles(Vector first, Vector second) : a(first), b(second) {}
  HWY_INLINE explicit Doubles(double x) : a(hn::Set(Tag(), x)), b(a) {}
  static HWY_INLINE Doubles load(const double* x) {
    return {hn::LoadU(Tag(), x), hn::LoadU(Tag(), x + kCount / 2)};
  }
  HWY_INLINE void store(double* x) const {
    hn::StoreU(a, Tag(), x);
    hn::StoreU(b, Tag(), x + kCount / 2);
  }

  friend HWY_INLINE Doubles operator+(Doubles x, Doubles y) {
    return {hn::Add(x.a, y.a), hn::Add(x.b, y.b)};
  }
  friend HWY_INLINE Doubles operator-(Doubles x, Doubles y) {
    return {hn::Sub(x.a, y.a), hn::Sub(x.b, y.b)};
  }
  friend HWY_INLINE Doubles operator*(Doubles x, Doubles y) {
    return {hn::Mul(x.a, y.a), hn::Mul(x.b, y.b)};
  }
  friend HWY_INLINE Doubles operator/(Doubles x, Doubles y) {
    return {hn::Div(x.a, y.a), hn::Div(x.b, y.b)};
  }
  friend HWY_INLINE Doubles operator-(Doubles x) { return {hn::Neg(x.a), hn::Neg(x.b)}; }

  friend HWY_INLINE DoubleFlags operator<(Doubles x, Doubles y) {
    return {hn::Lt(x.a, y.a), hn::Lt(x.b, y.b)};
  }
  friend HWY_INLINE DoubleFlags operator<=(Doubles x, Doubles y) {
    return {hn::Le(x.a, y.a), hn::Le(x.b, y.b)};
  }
  friend HWY_INLINE DoubleFlags operator>(Doubles x, Doubles y) {
    return {hn::Gt(x.a, y.a), hn::Gt(x.b, y.b)};
  }
  friend HWY_INLINE DoubleFlags operator>=(Doubles x, Doubles y) {
    return {hn::Ge(x.a, y.a), hn::Ge(x.b, y.b)};
  }
  friend HWY_INLINE DoubleFlags operator==(Doubles x, Doubles y) {
    return {hn::Eq(x.a, y.a), hn::Eq(x.b, y.b)};
  }
};

HWY_INLINE DoubleFlags is_nan(Doubles x) { return {hn::IsNaN(x.a), hn::IsNaN(x.b)}; }
HWY_INLINE bool any(DoubleFlags x) { return !hn::AllFalse(Doubles::Tag(), hn::Or(x.a, x.b)); }
HWY_INLINE Doubles select(DoubleFlags condition, Doubles yes, Doubles no) {
  return {hn::IfThenElse(condition.a, yes.a, no.a), hn::IfThenElse(condition.b, yes.b, no.b)};
}
HWY_INLINE Doubles select(bool condition, Doubles yes, Doubles no) { return condition ? yes : no; }
HWY_INLINE Doubles abs(Doubles x) { return {hn::Abs(x.a), hn::Abs(x.b)}; }
HWY_INLINE Doubles sqrt(Doubles x) { return {hn::Sqrt(x.a), hn::Sqrt(x.b)}; }
HWY_INLINE Doubles multiply_add(Doubles x, Doubles y, Doubles z) {
  return {hn::MulAdd(x.a, y.a, z.a), hn::MulAdd(x.b, y.b, z.b)};
}
HWY_INLINE double sum_of(Doubles x) {
  return hn::GetLane(hn::SumOfLanes(Doubles::Tag(), hn::Add(x.a, x.b)));
}
// y if x is NaN.
HWY_INLINE Doubles min(Doubles x, Doubles y) { return {hn::Min(x.a, y.a), hn::Min(x.b, y.b)}; }
HWY_INLINE Doubles max(Doubles x, Doubles y) { return {hn::Max(x.a, y.a), hn::Max(x.b, y.b)}; }

// The bits of the lanes as integers.
struct DoubleBits {
  using Tag = hn::RebindToSigned<Doubles::Tag>;
  hn::Vec<Tag> a, b;

  HWY_INLINE DoubleBits(hn::Vec<Tag> first, hn::Vec<Tag> second) : a(first), b(second) {}
  HWY_INLINE explicit DoubleBits(int64_t x) : a(hn::Set(Tag(), x)), b(a) {}
  HWY_INLINE explicit DoubleBits(Doubles x)
      : a(hn::BitCast(Tag(), x.a)), b(hn::BitCast(Tag(), x.b)) {}
  HWY_INLINE Doubles doubles() const {
    return {hn::BitCast(Doubles::Tag(), a), hn::BitCast(Doubles::Tag(), b)};
  }
  HWY_INLINE Doubles value() const {
    return {hn::ConvertTo(Doubles::Tag(), a), hn::ConvertTo(Doubles::Tag(), b)};
  }

  friend HWY_INLINE DoubleBits operator+(DoubleBits x, DoubleBits y) {
    return {hn::Add(x.a, y.a), hn::Add(x.b, y.b)};
  }
  friend HWY_INLINE DoubleBits operator-(DoubleBits x, DoubleBits y) {
    return {hn::Sub(x.a, y.a), hn::Sub(x.b, y.b)};
  }
};

template <int kBits>
HWY_INLINE DoubleBits shift_left(DoubleBits x) {
  return {hn::ShiftLeft<kBits>(x.a), hn::ShiftLeft<kBits>(x.b)};
}

template <int kBits>
HWY_INLINE DoubleBits shift_right(DoubleBits x) {
  return {hn::ShiftRight<kBits>(x.a), hn::ShiftRight<kBits>(x.b)};
}

// Adding this much to a small number rounds it to an integer, which it leaves in the low bits.
constexpr double kRounding = 0x1.8p52;

// x 2^n for an integer n, with infinite and subnormal results.
#if HWY_TARGET <= HWY_AVX3
HWY_INLINE Doubles scale(Doubles x, Doubles n) {
  return {Doubles::Vector{_mm512_scalef_pd(x.a.raw, n.a.raw)},
          Doubles::Vector{_mm512_scalef_pd(x.b.raw, n.b.raw)}};
}
#else
HWY_INLINE Doubles power_of_two(DoubleBits n) {
  return shift_left<52>(n + DoubleBits(1023)).doubles();
}

HWY_INLINE Doubles scale(Doubles x, Doubles n) {
  const DoubleBits bits = DoubleBits(n + Doubles(kRounding)) - DoubleBits(Doubles(kRounding));
  const DoubleBits half =
      shift_right<1>(bits);  // in two steps, as 2^n may be subnormal or infinite
  return x * power_of_two(half) * power_of_two(bits - half);
}
#endif

// exp(x) = 2^n (1 + p): n is x / log(2) rounded, and p = expm1 of the rest, which is at most log(2)
// / 2 in size.
struct Exponential {
  Doubles p;
  Doubles n;

  explicit HWY_INLINE Exponential(Doubles x) {
    const Doubles clamped =
        max(Doubles(-746.0),
            min(Doubles(710.0), x));  // beyond, the result is 0 or infinite anyway; a NaN passes
    n = multiply_add(clamped, Doubles(1.44269504088896340736), Doubles(kRounding)) -
        Doubles(kRounding);
    const Doubles r = multiply_add(n, Doubles(-math::kLog2Tail),
                                   multiply_add(n, Doubles(-math::kLog2Head), clamped));
    // The Taylor series, of which 14 terms are exact to double here. Two by two, then four by four:
    // so few steps depend on each other.
    const auto pair = [r](double low, double high) {
      return multiply_add(r, Doubles(high), Doubles(low));
    };
    const Doubles r2 = r * r, r4 = r2 * r2;
    const Doubles from_2 = multiply_add(r2, pair(1.0 / 24, 1.0 / 120), pair(1.0 / 2, 1.0 / 6));
    const Doubles from_6 =
        multiply_add(r2, pair(1.0 / 40320, 1.0 / 362880), pair(1.0 / 720, 1.0 / 5040));
    const Doubles from_10 = multiply_add(r2, pair(1.0 / 479001600, 1.0 / 6227020800),
                                         pair(1.0 / 3628800, 1.0 / 39916800));
    p = multiply_add(r2, multiply_add(r4, multiply_add(r4, from_10, from_6), from_2), r);
  }
};

HWY_INLINE Doubles exp(Doubles x) {
  const Exponential e(x);
  return scale(Doubles(1.0) + e.p, e.n);
}

HWY_INLINE Doubles expm1(Doubles x) {
  const Exponential e(x);
  const Doubles power = scale(Doubles(1.0), e.n);
  return select(x < Doubles(40.0), power * e.p + (power - Doubles(1.0)), exp(x) - Doubles(1.0));
}

// log(x) = k log(2) + log(1 + f), 1 + f between sqrt(1/2) and sqrt(2).
HWY_INLINE Doubles log(Doubles x) {
  const DoubleFlags tiny = x < Doubles(0x1p-1022);
  const DoubleBits bits(select(tiny, x * Doubles(0x1p54), x));
  const DoubleBits k = shift_right<52>(bits - DoubleBits(0x3fe6a09e667f3bcd));
  const Doubles f = (bits - shift_left<52>(k)).doubles() - Doubles(1.0);
  const Doubles exponent = k.value() - select(tiny, Doubles(54.0), Doubles(0.0));
  const math::LogSeries<Doubles> series(f);
  const Doubles tail = series.tail + exponent * Doubles(math::kLog2Tail);
  const Doubles value = exponent * Doubles(math::kLog2Head) - ((series.half_square - tail) - f);
  const Doubles at_ends =
      select(x == Doubles(0.0), Doubles(-__builtin_inf()),
             select(x < Doubles(0.0), Doubles(__builtin_nan("")), x));  // inf, NaN
  return select((x > Doubles(0.0)) & (x < Doubles(__builtin_inf())), value, at_ends);
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
