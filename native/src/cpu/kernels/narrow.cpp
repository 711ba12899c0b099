// Between float32 and the types of 16 bits, rounded to nearest even.
#include "cpu/kernels/kernels.h"
#include "cpu/simd/vectors.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

// A type's vectors hold neighbours side by side, or the even ones and the odd ones.
template <class T>
HWY_INLINE Vectors2 load_floats(const float* x) {
  if constexpr (T::kEvenFirst) {
    Vectors2 v;
    hn::LoadInterleaved2(kF, x, v.a, v.b);
    return v;
  } else {
    return Float32::load(x);
  }
}

template <class T>
HWY_INLINE void store_floats(Vectors2 v, float* x) {
  if constexpr (T::kEvenFirst) {
    hn::StoreInterleaved2(v.a, v.b, kF, x);
  } else {
    Float32::store(v, x);
  }
}

}  // namespace

void widen_row(op::ElementType type, const void* from, int64_t count, float* to) {
  with_type(type, [&](auto element) {
    using T = decltype(element);
    const auto* const x = static_cast<const typename T::Element*>(from);
    int64_t i = 0;
    for (; i + kStep <= count; i += kStep)
      store_floats<T>(T::load(x + i), to + i);
    for (; i < count; ++i)
      to[i] = T::to_float(x[i]);
  });
}

void narrow_row(op::ElementType type, const float* from, int64_t count, void* to) {
  with_type(type, [&](auto element) {
    using T = decltype(element);
    auto* const x = static_cast<typename T::Element*>(to);
    int64_t i = 0;
    for (; i + kStep <= count; i += kStep)
      T::store(load_floats<T>(from + i), x + i);
    if (i == count)
      return;
    float rest[kStep];
    typename T::Element narrow[kStep];
    for (int64_t k = 0; k < kStep; ++k)
      rest[k] = i + k < count ? from[i + k] : 0;
    T::store(load_floats<T>(rest), narrow);
    for (int64_t k = 0; i + k < count; ++k)
      x[i + k] = narrow[k];
  });
}

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
