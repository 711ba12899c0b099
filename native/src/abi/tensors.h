// A DLTensor as the plain view that the kernels take. Inline, since a call has a dozen of them and
// a microsecond.
#pragma once

#include <cstdint>
#include <optional>

#include "logratio.h"
#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::abi {
constexpr int type_key(int code, int bits) { return code << 8 | bits; }

// The address of an empty tensor, whose data may be NULL, is one like any other that nobody
// follows.
inline void* first_element(const DLTensor& tensor) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(tensor.data) +
                                 static_cast<uintptr_t>(tensor.byte_offset));
}

inline uint64_t magnitude(int64_t stride) {
  return stride < 0 ? -static_cast<uint64_t>(stride) : static_cast<uint64_t>(stride);
}

// Whether the elements, or the bytes between the lowest and the highest, whichever way the strides
// run, are more than 64 bits count.
inline bool reaches_too_far(const DLTensor& tensor, int64_t element_bytes) {
  int64_t elements = 1, reach = element_bytes, bytes;
  bool overflow = false;
  for (int d = 0; d < tensor.ndim; ++d) {
    overflow |= __builtin_mul_overflow(elements, tensor.shape[d], &elements);
    if (tensor.strides == nullptr || tensor.shape[d] == 1)
      continue;
    int64_t step;
    overflow |= __builtin_mul_overflow(tensor.shape[d] - 1, magnitude(tensor.strides[d]), &step);
    overflow |= __builtin_mul_overflow(step, element_bytes, &step);
    overflow |= __builtin_add_overflow(reach, step, &reach);
  }
  return overflow || __builtin_mul_overflow(elements, element_bytes, &bytes);
}

// The element type, nothing where the library knows none like it.
inline std::optional<op::ElementType> element_type(DLDataType type) {
  if (type.lanes != 1)
    return std::nullopt;
  switch (type_key(type.code, type.bits)) {
    case type_key(kDLFloat, 64):
      return op::ElementType::f64;
    case type_key(kDLFloat, 32):
      return op::ElementType::f32;
    case type_key(kDLBfloat, 16):
      return op::ElementType::bf16;
    case type_key(kDLFloat, 16):
      return op::ElementType::f16;
    case type_key(kDLInt, 64):
      return op::ElementType::i64;
    case type_key(kDLInt, 32):
      return op::ElementType::i32;
    case type_key(kDLUInt, 8):
    case type_key(kDLBool, 8):
      return op::ElementType::flag;
    default:
      return std::nullopt;
  }
}

// What stands in the way of following a tensor's addresses, in words; nullptr: nothing. Its shape
// is known to have no negative size.
inline const char* memory_fault(const DLTensor& tensor, int64_t element_bytes) {
  for (int d = 0; d < tensor.ndim; ++d) {
    if (tensor.shape[d] == 0)
      return nullptr;
  }
  if (reaches_too_far(tensor, element_bytes))
    return "that reaches further than 64-bit addresses do";
  if (tensor.data == nullptr)
    return "with NULL data";
  const uint64_t within_element = static_cast<uint64_t>(element_bytes) - 1;  // a power of two
  if (((reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset) & within_element) != 0)
    return "at an address that is no multiple of its element's bytes";
  return nullptr;
}

// In elements; that of a dimension that is never stepped along is 0.
inline int64_t stride_of(const DLTensor& tensor, int dimension) {
  if (tensor.shape[dimension] <= 1)
    return 0;
  if (tensor.strides != nullptr)
    return tensor.strides[dimension];
  int64_t stride = 1;
  for (int d = dimension + 1; d < tensor.ndim; ++d)
    stride *= tensor.shape[d];
  return stride;
}

// A tensor of one or two dimensions.
inline op::TensorView view_of(const DLTensor& tensor, op::ElementType type) {
  const bool matrix = tensor.ndim == 2;
  return {true,
          type,
          first_element(tensor),
          matrix ? tensor.shape[0] : 1,
          tensor.shape[tensor.ndim - 1],
          matrix ? stride_of(tensor, 0) : 0,
          stride_of(tensor, tensor.ndim - 1)};
}

// The first column of a tensor of two or three dimensions, with all of them in `columns`.
inline op::TensorView first_column_of(const DLTensor& tensor, op::ElementType type,
                                      op::Columns* columns) {
  const int last = tensor.ndim - 1;
  const bool batched = last == 2;
  *columns = {tensor.shape[last], stride_of(tensor, last)};
  return {true,
          type,
          first_element(tensor),
          batched ? tensor.shape[0] : 1,
          tensor.shape[last - 1],
          batched ? stride_of(tensor, 0) : 0,
          stride_of(tensor, last - 1)};
}

// A tensor of two or three dimensions, the last being the vocabulary. Without a row they have one
// column: what is planned by columns must not ask for 2^62 of none.
inline op::LogitRows rows_of(const DLTensor& tensor, op::ElementType type) {
  const int last = tensor.ndim - 1;
  const bool batched = last == 2;
  const int64_t inner = tensor.shape[last - 1];
  if (inner == 0 || tensor.shape[0] == 0)
    return {first_element(tensor), type, 0, 0, 0, 1};
  return {first_element(tensor),
          type,
          inner,
          batched ? stride_of(tensor, 0) : 0,
          stride_of(tensor, last - 1),
          tensor.shape[last]};
}

}  // namespace logratio::abi
