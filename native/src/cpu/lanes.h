// A vector of doubles with the vocabulary of math/scalar.h, for the formulas of src/math. Included only by the files that are compiled once
// per instruction set: everything here is local to them.
//
// exp, expm1 and log are within about one unit in the last place of the true value, over the whole range of double.
#pragma once

#include <hwy/highway.h>

#include "math/host_device.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

class Lanes {
 public:
  using Tag = hn::ScalableTag<double>;
  using Vector = hn::Vec<Tag>;
  static constexpr int64_t kCount = HWY_MAX_BYTES / sizeof(double);

  Vector v;

  Lanes() = default;
  HWY_INLINE explicit Lanes(Vector vector) : v(vector) {}
  HWY_INLINE explicit Lanes(double x) : v(hn::Set(Tag(), x)) {}
  static HWY_INLINE Lanes load(const double* x) { return Lanes(hn::LoadU(Tag(), x)); }
  HWY_INLINE void store(double* x) const { hn::StoreU(v, Tag(), x); }

  friend HWY_INLINE Lanes operator+(Lanes a, Lanes b) { return Lanes(hn::Add(a.v, b.v)); }
  friend HWY_INLINE Lanes operator-(Lanes a, Lanes b) { return Lanes(hn::Sub(a.v, b.v)); }
  friend HWY_INLINE Lanes operator*(Lanes a, Lanes b) { return Lanes(hn::Mul(a.v, b.v)); }
  friend HWY_INLINE Lanes operator/(Lanes a, Lanes b) { return Lanes(hn::Div(a.v, b.v)); }
  friend HWY_INLINE Lanes operator-(Lanes a) { return Lanes(hn::Neg(a.v)); }
};

using LaneBits = hn::RebindToSigned<Lanes::Tag>;

struct LaneFlags {
  hn::Mask<Lanes::Tag> m;

  friend HWY_INLINE LaneFlags operator&(LaneFlags a, LaneFlags b) { return {hn::And(a.m, b.m)}; }
  friend HWY_INLINE LaneFlags operator|(LaneFlags a, LaneFlags b) { return {hn::Or(a.m, b.m)}; }
  friend HWY_INLINE LaneFlags operator!(LaneFlags a) { return {hn::Not(a.m)}; }
};

HWY_INLINE LaneFlags operator<(Lanes a, Lanes b) { return {hn::Lt(a.v, b.v)}; }
HWY_INLINE LaneFlags operator<=(Lanes a, Lanes b) { return {hn::Le(a.v, b.v)}; }
HWY_INLINE LaneFlags operator>(Lanes a, Lanes b) { return {hn::Gt(a.v, b.v)}; }
HWY_INLINE LaneFlags operator>=(Lanes a, Lanes b) { return {hn::Ge(a.v, b.v)}; }
HWY_INLINE LaneFlags operator==(Lanes a, Lanes b) { return {hn::Eq(a.v, b.v)}; }

HWY_INLINE LaneFlags is_nan(Lanes x) { return {hn::IsNaN(x.v)}; }
HWY_INLINE Lanes select(LaneFlags condition, Lanes yes, Lanes no) { return Lanes(hn::IfThenElse(condition.m, yes.v, no.v)); }
HWY_INLINE Lanes abs(Lanes x) { return Lanes(hn::Abs(x.v)); }
HWY_INLINE Lanes sqrt(Lanes x) { return Lanes(hn::Sqrt(x.v)); }
HWY_INLINE Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return Lanes(hn::MulAdd(a.v, b.v, c.v)); }
HWY_INLINE bool any(LaneFlags condition) { return !hn::AllFalse(Lanes::Tag(), condition.m); }
HWY_INLINE double sum_of(Lanes x) { return hn::GetLane(hn::SumOfLanes(Lanes::Tag(), x.v)); }

// Adding this much to a small number rounds it to an integer, which it leaves in the low bits.
constexpr double kRounding = 0x1.8p52;

#if HWY_TARGET <= HWY_AVX3
// x 2^n for an integer n, with infinite and subnormal results.
HWY_INLINE Lanes scale(Lanes x, Lanes n) { return Lanes(hn::Vec<Lanes::Tag>{_mm512_scalef_pd(x.v.raw, n.v.raw)}); }
#else
HWY_INLINE Lanes power_of_two(hn::Vec<LaneBits> n) {
  return Lanes(hn::BitCast(Lanes::Tag(), hn::ShiftLeft<52>(hn::Add(n, hn::Set(LaneBits(), 1023)))));
}

// x 2^n for an integer n, with infinite and subnormal results: in two steps, as 2^n may be either.
HWY_INLINE Lanes scale(Lanes x, Lanes n) {
  const Lanes rounding(kRounding);
  const auto bits = hn::Sub(hn::BitCast(LaneBits(), (n + rounding).v), hn::BitCast(LaneBits(), rounding.v));
  const auto half = hn::ShiftRight<1>(bits);
  return x * power_of_two(half) * power_of_two(hn::Sub(bits, half));
}
#endif

// exp(x) = 2^n (1 + p): n is x / log(2) rounded, and p = expm1 of the rest, which is at most log(2) / 2 in size.
struct Exponential {
  Lanes p;
  Lanes n;

  // Beyond these ends the result is 0 or infinite anyway. A NaN passes: a maximum or minimum gives its second operand then.
  explicit HWY_INLINE Exponential(Lanes x) {
    const Lanes::Tag d;
    const auto clamped = hn::Max(hn::Set(d, -746.0), hn::Min(hn::Set(d, 710.0), x.v));
    const Lanes rounding(kRounding);
    n = multiply_add(Lanes(clamped), Lanes(1.44269504088896340736), rounding) - rounding;
    // log(2) in two parts, the first short enough for an exact product.
    const auto head = hn::NegMulAdd(n.v, hn::Set(d, 6.93147180369123816490e-01), clamped);
    const Lanes r(hn::NegMulAdd(n.v, hn::Set(d, 1.90821492927058770002e-10), head));
    // The Taylor series, of which 14 terms are exact to double here. Two by two, then four by four: so few steps depend on each other.
    const auto pair = [r](double a, double b) { return multiply_add(r, Lanes(b), Lanes(a)); };
    const Lanes r2 = r * r, r4 = r2 * r2;
    const Lanes from_2 = multiply_add(r2, pair(1.0 / 24, 1.0 / 120), pair(1.0 / 2, 1.0 / 6));
    const Lanes from_6 = multiply_add(r2, pair(1.0 / 40320, 1.0 / 362880), pair(1.0 / 720, 1.0 / 5040));
    const Lanes from_10 = multiply_add(r2, pair(1.0 / 479001600, 1.0 / 6227020800), pair(1.0 / 3628800, 1.0 / 39916800));
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

// log(x) = k log(2) + log(m), m between sqrt(1/2) and sqrt(2), by the odd series in f / (2 + f) with f = m - 1; its coefficients are
// those of FreeBSD's msun (Sun Microsystems).
HWY_INLINE Lanes log(Lanes x) {
  const Lanes::Tag d;
  const LaneBits di;
  const LaneFlags tiny = x < Lanes(0x1p-1022);
  const Lanes scaled = select(tiny, x * Lanes(0x1p54), x);
  const auto bits = hn::BitCast(di, scaled.v);
  const auto k = hn::ShiftRight<52>(hn::Sub(bits, hn::Set(di, 0x3fe6a09e667f3bcd)));
  const Lanes m(hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<52>(k))));
  const Lanes exponent = Lanes(hn::ConvertTo(d, k)) - select(tiny, Lanes(54.0), Lanes(0.0));
  const Lanes f = m - Lanes(1.0);
  const Lanes s = f / (Lanes(2.0) + f);
  const Lanes z = s * s;
  auto series = hn::Set(d, 1.479819860511658591e-01);
  for (const double coefficient : {1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01, 2.857142874366239149e-01,
                                   3.999999999940941908e-01, 6.666666666666735130e-01}) {
    series = hn::MulAdd(series, z.v, hn::Set(d, coefficient));
  }
  const Lanes r = z * Lanes(series);
  const Lanes half_square = Lanes(0.5) * f * f;
  const Lanes low = s * (half_square + r) + exponent * Lanes(1.90821492927058770002e-10);
  const Lanes value = exponent * Lanes(6.93147180369123816490e-01) - ((half_square - low) - f);
  const Lanes at_ends = select(x == Lanes(0.0), Lanes(-__builtin_inf()), select(x < Lanes(0.0), Lanes(__builtin_nan("")), x));  // inf, NaN
  return select((x > Lanes(0.0)) & (x < Lanes(__builtin_inf())), value, at_ends);
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
