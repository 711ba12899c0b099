// A vector of floats with the vocabulary of math/scalar.h, for the formulas of src/math that the
// loops over columns share with CUDA.
#pragma once

#include "cpu/simd/vectors.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

struct Floats {
  V v;

  HWY_INLINE Floats(V vector) : v(vector) {}
  explicit HWY_INLINE Floats(float x) : v(hn::Set(kF, x)) {}

  friend HWY_INLINE Floats operator+(Floats x, Floats y) { return hn::Add(x.v, y.v); }
  friend HWY_INLINE Floats operator-(Floats x, Floats y) { return hn::Sub(x.v, y.v); }
  friend HWY_INLINE Floats operator*(Floats x, Floats y) { return hn::Mul(x.v, y.v); }
  friend HWY_INLINE Floats operator-(Floats x) { return hn::Neg(x.v); }
  friend HWY_INLINE hn::Mask<F> operator<(Floats x, Floats y) { return hn::Lt(x.v, y.v); }
  friend HWY_INLINE hn::Mask<F> operator<=(Floats x, Floats y) { return hn::Le(x.v, y.v); }
  friend HWY_INLINE hn::Mask<F> operator>(Floats x, Floats y) { return hn::Gt(x.v, y.v); }
  friend HWY_INLINE hn::Mask<F> operator>=(Floats x, Floats y) { return hn::Ge(x.v, y.v); }
  friend HWY_INLINE hn::Mask<F> operator==(Floats x, Floats y) { return hn::Eq(x.v, y.v); }

  friend HWY_INLINE Floats select(hn::Mask<F> condition, Floats yes, Floats no) {
    return hn::IfThenElse(condition, yes.v, no.v);
  }
  friend HWY_INLINE Floats multiply_add(Floats x, Floats y, Floats z) {
    return hn::MulAdd(x.v, y.v, z.v);
  }
  friend HWY_INLINE Floats minus_product(Floats x, Floats y, Floats z) {
    return hn::NegMulAdd(x.v, y.v, z.v);
  }
  friend HWY_INLINE Floats only_if(hn::Mask<F> condition, Floats yes) {
    return hn::IfThenElseZero(condition, yes.v);
  }
  friend HWY_INLINE Floats min(Floats x, Floats y) { return hn::Min(x.v, y.v); }
  friend HWY_INLINE Floats max(Floats x, Floats y) { return hn::Max(x.v, y.v); }
  friend HWY_INLINE Floats abs(Floats x) { return hn::Abs(x.v); }
  friend HWY_INLINE Floats copy_sign(Floats magnitude, Floats sign) {
    return hn::CopySign(magnitude.v, sign.v);
  }
  friend HWY_INLINE Floats divide(Floats x, Floats y) { return hn::Div(x.v, y.v); }
};

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
