// Columns of two vocabulary rows, for the passes of divergence.
#pragma once

#include "cpu/simd/exp.h"
#include "cpu/simd/floats.h"
#include "math/two_rows.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::TwoRowsForm;
using math::TwoRowsNorm;
using math::TwoRowsScale;

template <class T>
struct TwoRows {
  using Type = T;
  const typename T::Element* a;
  const typename T::Element* b;

  // Calls body(x, y, i) with the steps from column i, from `begin` up to `end`, the last one padded
  // with -inf. Two rows are two streams of addresses, which is what for_steps() makes of one.
  template <class Body>
  HWY_INLINE void for_vectors(int64_t begin, int64_t end, Body&& body) const {
    constexpr int64_t kAhead = 4096;
    int64_t i = begin;
    for (; i + kStep <= end; i += kStep) {
      prefetch_step<T>(a + i, kAhead);
      prefetch_step<T>(b + i, kAhead);
      body(T::load(a + i), T::load(b + i), i);
    }
    if (i < end)
      body(T::load(Tail<T>(a + i, end - i).x), T::load(Tail<T>(b + i, end - i).x), i);
  }
};

// TwoRowsNorm in vectors.
template <bool kFar>
struct VectorNorm {
  static constexpr bool far = kFar;
  Floats max_a, max_b, offset, offset_rest, ratio, ratio_rest;
  explicit HWY_INLINE VectorNorm(const TwoRowsNorm& n)
      : max_a(n.max_a),
        max_b(n.max_b),
        offset(n.offset),
        offset_rest(n.offset_rest),
        ratio(n.ratio),
        ratio_rest(n.ratio_rest) {}
};

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
