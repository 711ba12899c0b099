// The value that the exponents of a row's tiles are taken from, where sums must not change with a
// constant that is added to all logits: one of the logits, so that differences from it are what
// they were.
#pragma once

#include "cpu/simd/exp.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

// The maximum of the first tile that holds more than -inf; a tile that lies too far above makes its
// own maximum the pivot, and is summed again.
struct RowPivot {
  float value = 0;             // any finite number while there is nothing but -inf
  float maximum = -kInfinity;  // of the tiles so far

  template <class T>
  HWY_INLINE void begin_tile(const typename T::Element* x, int64_t n) {
    if (maximum > -kInfinity)
      return;
    const float first = maximum_of<T>(x, n);
    value = first > -kInfinity ? first : 0;
  }
  // `scale` is that of the exponents, powers of two.
  HWY_INLINE bool serves(float top, float scale) const {
    return !((static_cast<double>(top) - value) * scale > kHeadroom);
  }
  HWY_INLINE void end_tile(float top) { maximum = top > maximum ? top : maximum; }
};

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
