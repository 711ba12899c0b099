// Token- and pair-sized tensors of any element type and strides, read and written as double.
// Checked at the C ABI, unchecked here.
#pragma once

#include <cstdint>

#include "op/tensor_view.h"

namespace logratio::cpu {

using op::ElementType;
using op::TensorView;

// Elements first .. first+count-1 in row-major order. write() rounds once, to nearest even.
void read(const TensorView& view, int64_t first, int64_t count, double* values);
void read(const TensorView& view, int64_t first, int64_t count,
          int64_t* values);  // of an integer view
void write(const TensorView& view, int64_t first, int64_t count, const double* values);
void write(const TensorView& view, int64_t first, int64_t count,
           const int64_t* values);  // to an integer view

// The same one element after the other: value(k) is stored as element k. For outputs that are
// gathered from structs.
template <class Value>
void write_each(const TensorView& view, int64_t count, Value&& value) {
  using Element = decltype(value(int64_t{0}));
  constexpr int64_t kBlock = 256;
  Element block[kBlock];
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t size = count - first < kBlock ? count - first : kBlock;
    for (int64_t k = 0; k < size; ++k)
      block[k] = value(first + k);
    write(view, first, size, block);
  }
}

}  // namespace logratio::cpu
