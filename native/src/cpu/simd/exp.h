// amplitude * 2^(x * scale - pivot) over vectors of float32: the exponential of every loop over
// columns, with the pivot subtracted and the amplitude multiplied on the way.
//
//            lanes   relative error     steps
//   AVX-512  16      2.8e-7 + 4.5e-8 t  one instruction gives the rest, one multiplies by 2^n; 32
//                                       roots and a polynomial of degree 2
//   AVX2      8      6.1e-7             the sum with a large number rounds; 4 roots and a cubic
//   the same, FineExp 1.8e-7            4 roots and a polynomial of degree 4: a twelfth slower
//   baseline  4      as AVX2 + 9e-8 t   the same, without fused products
// t being the size of the exponent: where it is rounded itself, errors grow with it. Sums of many
// columns take Exp, and what is a difference or a power of probabilities FineExp.
//
// FlushSubnormals has to be alive. The result is exactly the amplitude where the exponent is 0, so
// that a pivot counts as what it is. It is exactly 0 for -inf and below about 2^-126 times
// the amplitude, and NaN for NaN. Above 2^127 it is infinity on AVX-512; on the others it is
// meaningless there, and callers that cannot rule it out use Exp::limited().
#pragma once

#include "cpu/simd/vectors.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

// Pivots are whole numbers up to this size. So the difference of exponents is exact, and the ends
// of the range are known to a quarter of a power of two.
constexpr float kLargestPivot = 0x1p19f;

// Sums may hold exponents up to this much above the pivot; larger ones are for another pivot.
constexpr float kHeadroom = 12;

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
// registers; 2^r is a polynomial of degree 2.
class Exp {
 public:
  explicit HWY_INLINE Exp(float scale, float pivot = 0, float amplitude = 1)
      : scale_(hn::Set(kF, scale)),
        pivot_(hn::Set(kF, pivot)),
        lowest_(hn::Set(kF, (pivot - 127) / scale)),
        roots_{hn::Mul(hn::LoadU(kF, kRoots), hn::Set(kF, amplitude)),
               hn::Mul(hn::LoadU(kF, kRoots + kLanes), hn::Set(kF, amplitude))} {}

  HWY_INLINE V operator()(V x) const {
    const Factors f = factors(x);
    return hn::Mul(f.root, f.rest);
  }
  HWY_INLINE bool is_too_large(float x) const {
    return hn::GetLane(hn::MulSub(hn::Set(kF, x), scale_, pivot_)) > kHeadroom;
  }
  // Tells of a sum whether an exponent in it may have been too large.
  struct Guard {};
  HWY_INLINE bool exceeded(Guard, double sum) const { return !(sum <= 0x1p12); }
  // The product and the sum in one instruction.
  HWY_INLINE V add_to(V sum, V x, Guard&) const {
    const Factors f = factors(x);
    return hn::MulAdd(f.root, f.rest, sum);
  }
  HWY_INLINE V limited(V x) const { return (*this)(x); }
  // Keeps x finite for -inf, and changes no result.
  HWY_INLINE V clamp(V x) const { return hn::Max(lowest_, x); }
  HWY_INLINE V of_clamped(V x) const { return (*this)(x); }

 private:
  struct Factors {
    V root, rest;
  };
  HWY_INLINE Factors factors(V x) const {
    constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC, kFractionBits = 5 << 4;
    const V t = hn::MulSub(x, scale_, pivot_);
    const V r{_mm512_reduce_ps(t.raw, kFractionBits | kDown)};  // 0 for an infinity
    const __m512i k =
        _mm512_castps_si512(_mm512_add_round_ps(t.raw, _mm512_set1_ps(0x1.8p18f), kDown));
    const __m512 root = _mm512_permutex2var_ps(roots_[0].raw, k, roots_[1].raw);
    return {V{_mm512_scalef_ps(root, t.raw)},
            hn::MulAdd(hn::MulAdd(hn::Set(kF, 0.2426527f), r, hn::Set(kF, 0.69312376f)), r,
                       hn::Set(kF, 1.0f))};
  }

  V scale_, pivot_, lowest_;
  V roots_[2];  // times the amplitude
};

using FineExp = Exp;

#else

// Four times the exponent, rounded by a sum with a large number, stays in the low bits: two of them
// choose a root of two, the others are shifted into the exponent. The pivot is in that number, so
// that it costs nothing. The rest, at most 1/2, goes into a cubic.
template <int kDegree>
class RootExp {
 public:
  explicit HWY_INLINE RootExp(float scale, float pivot = 0, float amplitude = 1)
      : scale_(hn::Set(kF, 4 * scale)),
        magic_(hn::Set(kF, 0x1.8p23f + 4 * (127 - (HWY_NATIVE_FMA ? pivot : 0)))),
        lowest_(hn::Set(kF, (pivot - 127) / scale)),
        highest_(hn::Set(kF, (pivot + 128) / scale)),
        too_large_(hn::Set(kF, (pivot + kHeadroom) / scale)),
        center_(hn::Set(kF, pivot / scale)),
        off_center_(hn::Set(kF, static_cast<float>(4 * (static_cast<double>(pivot / scale) * scale -
                                                        static_cast<double>(pivot))))),
        roots_(hn::LoadDup128(kU, kRoots)),
        c_{hn::Set(kF, amplitude), hn::Set(kF, amplitude * kCoefficients[0]),
           hn::Set(kF, amplitude * kCoefficients[1]), hn::Set(kF, amplitude * kCoefficients[2]),
           hn::Set(kF, amplitude * kCoefficients[3])} {}

  HWY_INLINE V operator()(V x) const { return of_clamped(clamp(x)); }
  HWY_INLINE bool is_too_large(float x) const { return x > hn::GetLane(too_large_); }
  // Tells of a sum whether an exponent in it may have been too large.
  struct Guard {
    V seen = hn::Set(kF, -kInfinity);
  };
  HWY_INLINE bool exceeded(const Guard& guard, double) const {
    return is_too_large(max_of(guard.seen));
  }
  // The product and the sum in one instruction.
  HWY_INLINE V add_to(V sum, V x, Guard& guard) const {
    const Factors f = factors(clamp(x));
    guard.seen = hn::Max(guard.seen, x);
    return hn::MulAdd(f.root, f.rest, sum);
  }
  // Infinity where the exponent is too large.
  HWY_INLINE V limited(V x) const { return of_clamped(hn::Min(highest_, clamp(x))); }
  // Keeps x finite for -inf, and changes no result. Max and Min return their second operand where
  // that is NaN.
  HWY_INLINE V clamp(V x) const { return hn::Max(lowest_, x); }
  HWY_INLINE V of_clamped(V x) const {
    const Factors f = factors(x);
    return hn::Mul(f.root, f.rest);
  }

 private:
  struct Factors {
    V root, rest;
  };
  HWY_INLINE Factors factors(V x) const {
#if HWY_NATIVE_FMA
    const V shifted = hn::MulAdd(x, scale_, magic_);
    const V r = hn::MulSub(x, scale_, hn::Sub(shifted, magic_));
#else  // the exponent is rounded, and so is taken from a number next to the pivot's
    const V t = hn::MulAdd(hn::Sub(x, center_), scale_, off_center_);
    const V shifted = hn::Add(t, magic_);
    const V r = hn::Sub(t, hn::Sub(shifted, magic_));
#endif
    const auto k = hn::BitCast(kU, shifted);
    const auto root = hn::Add(hn::ShiftLeft<21>(k), root_at(k));
    const V high = kDegree == 4 ? hn::MulAdd(c_[4], r, c_[3]) : c_[3];
    const V p = hn::MulAdd(hn::MulAdd(hn::MulAdd(high, r, c_[2]), r, c_[1]), r, c_[0]);
    return {hn::BitCast(kF, root), p};
  }

  // The bits of 2^(k/4) less those of 1 and less k, where the shift leaves k in the mantissa.
  static constexpr uint32_t kRoots[4] = {0, 0x1837f0u - (1u << 21), 0x3504f3u - (2u << 21),
                                         0x5744fdu - (3u << 21)};
  HWY_INLINE hn::Vec<U> root_at(hn::Vec<U> k) const {
#if HWY_TARGET <= HWY_AVX2
    return hn::Vec<U>{
        _mm256_castps_si256(_mm256_permutevar_ps(_mm256_castsi256_ps(roots_.raw), k.raw))};
#else
    return hn::TableLookupLanes(roots_, hn::IndicesFromVec(kU, hn::And(k, hn::Set(kU, 3))));
#endif
  }

  V scale_, magic_;
  V lowest_, highest_;  // where the power is 0 and infinity
  V too_large_;         // for sums
  V center_, off_center_;
  hn::Vec<U> roots_;
  V c_[5];  // times the amplitude

  // 2^(r/4) from the linear term on; the constant one is 1.
  static constexpr float kCoefficients[4] = {
      kDegree == 4 ? 0.17328676978f : 0.1732867956f, kDegree == 4 ? 0.015014161827f : 0.0150218727f,
      kDegree == 4 ? 0.00086765842718f : 0.00086731097f, kDegree == 4 ? 3.7559066531e-05f : 0};
};

using Exp = RootExp<3>;
using FineExp = RootExp<4>;

#endif

// The whole number next to value * scale that exponents are taken from, and what it is the image
// of. `is_near` is false where it would be too large, for NaN, and for a scale that is too small.
struct Pivot {
  float scaled;
  double value;
  bool is_near;
};

// Below this scale, what a power of two is 0 for does not fit into a float32.
constexpr float kLeastScale = 1e-30f;

HWY_INLINE Pivot pivot_at(double value, float scale) {
  const auto scaled = static_cast<float>(__builtin_rint(value * scale));
  return {scaled, static_cast<double>(scaled) / scale,
          __builtin_fabsf(scaled) < kLargestPivot && scale >= kLeastScale};
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
