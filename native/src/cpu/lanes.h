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

struct LaneFlags {
  hn::Mask<hn::ScalableTag<double>> a, b;

  friend HWY_INLINE LaneFlags operator&(LaneFlags x, LaneFlags y) {
    return {hn::And(x.a, y.a), hn::And(x.b, y.b)};
  }
  friend HWY_INLINE LaneFlags operator|(LaneFlags x, LaneFlags y) {
    return {hn::Or(x.a, y.a), hn::Or(x.b, y.b)};
  }
  friend HWY_INLINE LaneFlags operator!(LaneFlags x) { return {hn::Not(x.a), hn::Not(x.b)}; }
};

class Lanes {
 public:
  using Tag = hn::ScalableTag<double>;
  using Vector = hn::Vec<Tag>;
  static constexpr int64_t kCount = 2 * HWY_MAX_BYTES / sizeof(double);

  Vector a, b;

  Lanes() = default;
  HWY_INLINE Lanes(Vector first, Vector second) : a(first), b(second) {}
  HWY_INLINE explicit Lanes(double x) : a(hn::Set(Tag(), x)), b(a) {}
  static HWY_INLINE Lanes load(const double* x) {
    return {hn::LoadU(Tag(), x), hn::LoadU(Tag(), x + kCount / 2)};
  }
  HWY_INLINE void store(double* x) const {
    hn::StoreU(a, Tag(), x);
    hn::StoreU(b, Tag(), x + kCount / 2);
  }

  friend HWY_INLINE Lanes operator+(Lanes x, Lanes y) {
    return {hn::Add(x.a, y.a), hn::Add(x.b, y.b)};
  }
  friend HWY_INLINE Lanes operator-(Lanes x, Lanes y) {
    return {hn::Sub(x.a, y.a), hn::Sub(x.b, y.b)};
  }
  friend HWY_INLINE Lanes operator*(Lanes x, Lanes y) {
    return {hn::Mul(x.a, y.a), hn::Mul(x.b, y.b)};
  }
  friend HWY_INLINE Lanes operator/(Lanes x, Lanes y) {
    return {hn::Div(x.a, y.a), hn::Div(x.b, y.b)};
  }
  friend HWY_INLINE Lanes operator-(Lanes x) { return {hn::Neg(x.a), hn::Neg(x.b)}; }

  friend HWY_INLINE LaneFlags operator<(Lanes x, Lanes y) {
    return {hn::Lt(x.a, y.a), hn::Lt(x.b, y.b)};
  }
  friend HWY_INLINE LaneFlags operator<=(Lanes x, Lanes y) {
    return {hn::Le(x.a, y.a), hn::Le(x.b, y.b)};
  }
  friend HWY_INLINE LaneFlags operator>(Lanes x, Lanes y) {
    return {hn::Gt(x.a, y.a), hn::Gt(x.b, y.b)};
  }
  friend HWY_INLINE LaneFlags operator>=(Lanes x, Lanes y) {
    return {hn::Ge(x.a, y.a), hn::Ge(x.b, y.b)};
  }
  friend HWY_INLINE LaneFlags operator==(Lanes x, Lanes y) {
    return {hn::Eq(x.a, y.a), hn::Eq(x.b, y.b)};
  }
};

HWY_INLINE LaneFlags is_nan(Lanes x) { return {hn::IsNaN(x.a), hn::IsNaN(x.b)}; }
HWY_INLINE bool any(LaneFlags x) { return !hn::AllFalse(Lanes::Tag(), hn::Or(x.a, x.b)); }
HWY_INLINE Lanes select(LaneFlags condition, Lanes yes, Lanes no) {
  return {hn::IfThenElse(condition.a, yes.a, no.a), hn::IfThenElse(condition.b, yes.b, no.b)};
}
HWY_INLINE Lanes abs(Lanes x) { return {hn::Abs(x.a), hn::Abs(x.b)}; }
HWY_INLINE Lanes sqrt(Lanes x) { return {hn::Sqrt(x.a), hn::Sqrt(x.b)}; }
HWY_INLINE Lanes multiply_add(Lanes x, Lanes y, Lanes z) {
  return {hn::MulAdd(x.a, y.a, z.a), hn::MulAdd(x.b, y.b, z.b)};
}
HWY_INLINE double sum_of(Lanes x) {
  return hn::GetLane(hn::SumOfLanes(Lanes::Tag(), hn::Add(x.a, x.b)));
}
// y if x is NaN.
HWY_INLINE Lanes min(Lanes x, Lanes y) { return {hn::Min(x.a, y.a), hn::Min(x.b, y.b)}; }
HWY_INLINE Lanes max(Lanes x, Lanes y) { return {hn::Max(x.a, y.a), hn::Max(x.b, y.b)}; }

// The bits of the lanes as integers.
struct LaneBits {
  using Tag = hn::RebindToSigned<Lanes::Tag>;
  hn::Vec<Tag> a, b;

  HWY_INLINE LaneBits(hn::Vec<Tag> first, hn::Vec<Tag> second) : a(first), b(second) {}
  HWY_INLINE explicit LaneBits(int64_t x) : a(hn::Set(Tag(), x)), b(a) {}
  HWY_INLINE explicit LaneBits(Lanes x) : a(hn::BitCast(Tag(), x.a)), b(hn::BitCast(Tag(), x.b)) {}
  HWY_INLINE Lanes lanes() const {
    return {hn::BitCast(Lanes::Tag(), a), hn::BitCast(Lanes::Tag(), b)};
  }
  HWY_INLINE Lanes value() const {
    return {hn::ConvertTo(Lanes::Tag(), a), hn::ConvertTo(Lanes::Tag(), b)};
  }

  friend HWY_INLINE LaneBits operator+(LaneBits x, LaneBits y) {
    return {hn::Add(x.a, y.a), hn::Add(x.b, y.b)};
  }
  friend HWY_INLINE LaneBits operator-(LaneBits x, LaneBits y) {
    return {hn::Sub(x.a, y.a), hn::Sub(x.b, y.b)};
  }
};

template <int kBits>
HWY_INLINE LaneBits shift_left(LaneBits x) {
  return {hn::ShiftLeft<kBits>(x.a), hn::ShiftLeft<kBits>(x.b)};
}

template <int kBits>
HWY_INLINE LaneBits shift_right(LaneBits x) {
  return {hn::ShiftRight<kBits>(x.a), hn::ShiftRight<kBits>(x.b)};
}

// Adding this much to a small number rounds it to an integer, which it leaves in the low bits.
constexpr double kRounding = 0x1.8p52;

// x 2^n for an integer n, with infinite and subnormal results.
#if HWY_TARGET <= HWY_AVX3
HWY_INLINE Lanes scale(Lanes x, Lanes n) {
  return {Lanes::Vector{_mm512_scalef_pd(x.a.raw, n.a.raw)},
          Lanes::Vector{_mm512_scalef_pd(x.b.raw, n.b.raw)}};
}
#else
HWY_INLINE Lanes power_of_two(LaneBits n) { return shift_left<52>(n + LaneBits(1023)).lanes(); }

HWY_INLINE Lanes scale(Lanes x, Lanes n) {
  const LaneBits bits = LaneBits(n + Lanes(kRounding)) - LaneBits(Lanes(kRounding));
  const LaneBits half = shift_right<1>(bits);  // in two steps, as 2^n may be subnormal or infinite
  return x * power_of_two(half) * power_of_two(bits - half);
}
#endif

// exp(x) = 2^n (1 + p): n is x / log(2) rounded, and p = expm1 of the rest, which is at most log(2)
// / 2 in size.
struct Exponential {
  Lanes p;
  Lanes n;

  explicit HWY_INLINE Exponential(Lanes x) {
    const Lanes clamped =
        max(Lanes(-746.0),
            min(Lanes(710.0), x));  // beyond, the result is 0 or infinite anyway; a NaN passes
    n = multiply_add(clamped, Lanes(1.44269504088896340736), Lanes(kRounding)) - Lanes(kRounding);
    const Lanes r =
        multiply_add(n, Lanes(-math::kLog2Tail), multiply_add(n, Lanes(-math::kLog2Head), clamped));
    // The Taylor series, of which 14 terms are exact to double here. Two by two, then four by four:
    // so few steps depend on each other.
    const auto pair = [r](double low, double high) {
      return multiply_add(r, Lanes(high), Lanes(low));
    };
    const Lanes r2 = r * r, r4 = r2 * r2;
    const Lanes from_2 = multiply_add(r2, pair(1.0 / 24, 1.0 / 120), pair(1.0 / 2, 1.0 / 6));
    const Lanes from_6 =
        multiply_add(r2, pair(1.0 / 40320, 1.0 / 362880), pair(1.0 / 720, 1.0 / 5040));
    const Lanes from_10 = multiply_add(r2, pair(1.0 / 479001600, 1.0 / 6227020800),
                                       pair(1.0 / 3628800, 1.0 / 39916800));
    p = multiply_add(r2, multiply_add(r4, multiply_add(r4, from_10, from_6), from_2), r);
  }
};

HWY_INLINE Lanes exp(Lanes x) {
  const Exponential e(x);
  return scale(Lanes(1.0) + e.p, e.n);
}

HWY_INLINE Lanes expm1(Lanes x) {
  const Exponential e(x);
  const Lanes power = scale(Lanes(1.0), e.n);
  return select(x < Lanes(40.0), power * e.p + (power - Lanes(1.0)), exp(x) - Lanes(1.0));
}

// log(x) = k log(2) + log(1 + f), 1 + f between sqrt(1/2) and sqrt(2).
HWY_INLINE Lanes log(Lanes x) {
  const LaneFlags tiny = x < Lanes(0x1p-1022);
  const LaneBits bits(select(tiny, x * Lanes(0x1p54), x));
  const LaneBits k = shift_right<52>(bits - LaneBits(0x3fe6a09e667f3bcd));
  const Lanes f = (bits - shift_left<52>(k)).lanes() - Lanes(1.0);
  const Lanes exponent = k.value() - select(tiny, Lanes(54.0), Lanes(0.0));
  const math::LogSeries<Lanes> series(f);
  const Lanes tail = series.tail + exponent * Lanes(math::kLog2Tail);
  const Lanes value = exponent * Lanes(math::kLog2Head) - ((series.half_square - tail) - f);
  const Lanes at_ends = select(x == Lanes(0.0), Lanes(-__builtin_inf()),
                               select(x < Lanes(0.0), Lanes(__builtin_nan("")), x));  // inf, NaN
  return select((x > Lanes(0.0)) & (x < Lanes(__builtin_inf())), value, at_ends);
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
