// Constant weights in place of q's logits: both rows are taken as float32 then, p's in a copy if
// its type is another.
#pragma once

#include "cpu/simd/floats.h"
#include "math/two_rows.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

HWY_INLINE V log_weight(V w, V largest_exponent) {
  using I = hn::RebindToSigned<F>;
  constexpr I kI;
  const auto tiny = hn::Lt(w, hn::Set(kF, 0x1p-126f));
  const V normal = hn::IfThenElse(tiny, hn::Mul(w, hn::Set(kF, 0x1p64f)), w);
  const auto bits = hn::Add(hn::BitCast(kI, normal),
                            hn::Set(kI, 0x3f800000 - 0x3f3504f3));  // carries at sqrt 1/2
  const V exponent = hn::ConvertTo(kF, hn::Sub(hn::ShiftRight<23>(bits), hn::Set(kI, 127)));
  const V own = hn::Sub(exponent, hn::IfThenElseZero(tiny, hn::Set(kF, 64.0f)));
  const V mantissa =
      hn::BitCast(kF, hn::Add(hn::And(bits, hn::Set(kI, 0x007fffff)), hn::Set(kI, 0x3f3504f3)));
  const V log = math::log_of(Floats(hn::Sub(own, largest_exponent)), Floats(mantissa)).v;
  return hn::IfThenElse(hn::Eq(w, hn::Zero(kF)), hn::Set(kF, -kInfinity), log);
}

// Weights as logits: temperature * log(weight / scale), scale being the power of two next to the
// largest weight of the row. -inf where they are 0. Subnormal weights count, so it is called where
// FlushSubnormals is not alive.
HWY_INLINE void take_logarithms(const float* weights, int64_t columns, double temperature,
                                float* logs) {
  int exponent = 0;
  __builtin_frexpf(maximum_of<Float32>(weights, columns), &exponent);
  const V base = hn::Set(kF, static_cast<float>(exponent)),
          scale = hn::Set(kF, static_cast<float>(temperature));
  map_vectors<Float32>(weights, logs, columns, 0, [&](Vectors2 w) LR_INLINE_LAMBDA {
    return Vectors2{hn::Mul(log_weight(w.a, base), scale), hn::Mul(log_weight(w.b, base), scale)};
  });
}

template <class T>
HWY_INLINE void widen_row(const typename T::Element* x, int64_t columns, float* y) {
  const auto widen = [](const typename T::Element* from, float* to) LR_INLINE_LAMBDA {
    const Vectors2 v = T::load(from);
    if constexpr (T::kEvenFirst) {
      hn::StoreInterleaved2(v.a, v.b, kF, to);
    } else {
      Float32::store(v, to);
    }
  };
  for_steps(
      columns, [&](int64_t i) LR_INLINE_LAMBDA { widen(x + i, y + i); },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA {
        float buffer[kStep];
        widen(Tail<T>(x + i, rest).x, buffer);
        for (int64_t k = 0; k < rest; ++k)
          y[i + k] = buffer[k];
      });
}

template <class T>
HWY_INLINE void narrow_row(const float* x, int64_t columns, typename T::Element* y) {
  const auto narrow = [](const float* from, typename T::Element* to) LR_INLINE_LAMBDA {
    Vectors2 v = Float32::load(from);
    if constexpr (T::kEvenFirst)
      v = {hn::ConcatEven(kF, v.b, v.a), hn::ConcatOdd(kF, v.b, v.a)};
    T::store(v, to);
  };
  for_steps(
      columns, [&](int64_t i) LR_INLINE_LAMBDA { narrow(x + i, y + i); },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA {
        typename T::Element buffer[kStep];
        narrow(Tail<Float32>(x + i, rest).x, buffer);
        for (int64_t k = 0; k < rest; ++k)
          y[i + k] = buffer[k];
      });
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
