// Elements of tensors per token, sequence or pair: of any type, read and written as double or
// int64.
#pragma once

#include "intrinsics.h"
#include "math/sequence.h"
#include "op/tensor_view.h"

namespace logratio::device {

__device__ __forceinline__ int64_t element_offset(const op::TensorView& view, int64_t k) {
  if (view.outer == 1)
    return k * view.inner_stride;
  const int64_t outer = k / view.inner;
  return outer * view.outer_stride + (k - outer * view.inner) * view.inner_stride;
}

__device__ inline double read_double(const op::TensorView& view, int64_t k) {
  const int64_t at = element_offset(view, k);
  switch (view.type) {
    case op::ElementType::f64:
      return static_cast<const double*>(view.data)[at];
    case op::ElementType::f32:
      return static_cast<const float*>(view.data)[at];
    case op::ElementType::bf16:
      return bits_to_float(uint32_t{static_cast<const uint16_t*>(view.data)[at]} << 16);
    case op::ElementType::f16:
      return from_float16(static_cast<const uint16_t*>(view.data)[at]);
    case op::ElementType::i64:
      return static_cast<double>(static_cast<const int64_t*>(view.data)[at]);
    case op::ElementType::i32:
      return static_cast<const int32_t*>(view.data)[at];
    case op::ElementType::flag:
      return static_cast<const uint8_t*>(view.data)[at] != 0 ? 1.0 : 0.0;
  }
  return 0;
}

__device__ inline int64_t read_int(const op::TensorView& view, int64_t k) {
  const int64_t at = element_offset(view, k);
  return view.type == op::ElementType::i32 ? static_cast<const int32_t*>(view.data)[at]
                                           : static_cast<const int64_t*>(view.data)[at];
}

// Rounds once, to nearest even. Absent outputs are left alone.
__device__ inline void write(const op::TensorView& view, int64_t k, double value) {
  if (!view.present)
    return;
  const int64_t at = element_offset(view, k);
  switch (view.type) {
    case op::ElementType::f32:
      static_cast<float*>(view.data)[at] = static_cast<float>(value);
      break;
    case op::ElementType::bf16:
      static_cast<uint16_t*>(view.data)[at] = math::Bfloat16::narrow(value);
      break;
    case op::ElementType::f16:
      static_cast<uint16_t*>(view.data)[at] = math::Float16::narrow(value);
      break;
    default:
      static_cast<double*>(view.data)[at] = value;
      break;
  }
}

__device__ inline void write(const op::TensorView& view, int64_t k, int64_t value) {
  if (!view.present)
    return;
  const int64_t at = element_offset(view, k);
  if (view.type == op::ElementType::i32) {
    static_cast<int32_t*>(view.data)[at] = static_cast<int32_t>(value);
  } else {
    static_cast<int64_t*>(view.data)[at] = value;
  }
}

// Any number may stand in device memory. What is no weight counts as 0.
using math::is_weight;

// A label in device memory: its column, or one of the two below.
constexpr int64_t kIgnored = -1;
constexpr int64_t kBadLabel = -2;

__device__ inline int64_t read_label(const op::Labels& labels, int64_t row, int64_t columns) {
  const int64_t label = read_int(labels.values, row);
  if (label == labels.ignore_index)
    return kIgnored;
  return label >= 0 && label < columns ? label : kBadLabel;
}

}  // namespace logratio::device
