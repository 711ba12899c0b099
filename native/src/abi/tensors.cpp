#include "abi/tensors.h"

namespace logratio::abi {

namespace {

std::string type_text(DLDataType type) {
  std::string text;
  switch (type.code) {
    case kDLInt:
      text = "int";
      break;
    case kDLUInt:
      text = "uint";
      break;
    case kDLFloat:
      text = "float";
      break;
    case kDLBfloat:
      text = "bfloat";
      break;
    case kDLBool:
      text = "bool";
      break;
    default:
      text = "code " + std::to_string(type.code) + ", bits ";
      break;
  }
  if (type.code != kDLBool || type.bits != 8)
    text += std::to_string(type.bits);
  if (type.lanes != 1)
    text += "x" + std::to_string(type.lanes);
  return text;
}

Shape shape_of_tensor(const DLTensor& tensor) {
  Shape shape{tensor.ndim, {0, 0, 0}};
  for (int d = 0; d < tensor.ndim && d < 3; ++d)
    shape.size[d] = tensor.shape[d];
  return shape;
}

std::string shape_text(const DLTensor& tensor) {
  if (tensor.ndim < 0 || (tensor.ndim > 0 && tensor.shape == nullptr))
    return "of rank " + std::to_string(tensor.ndim) + " without a shape";
  std::string text = "[";
  for (int d = 0; d < tensor.ndim && d < 8; ++d)
    text += (d > 0 ? "," : "") + std::to_string(tensor.shape[d]);
  return text + (tensor.ndim > 8 ? ",...]" : "]");
}

[[noreturn]] void wrong_shape(const Argument& argument, const std::string& expected) {
  invalid(std::string(argument.name) + " has shape " + shape_text(*argument.tensor) +
          ", expected " + expected);
}

[[noreturn]] void fail(const Argument& argument, const std::string& what) {
  invalid(std::string(argument.name) + " (" + type_text(argument.tensor->dtype) + " " +
          shape_text(*argument.tensor) + ") " + what);
}

constexpr int type_key(int code, int bits) { return code << 8 | bits; }

ElementType check_type(const Argument& argument, const Types& types) {
  const DLDataType dtype = argument.tensor->dtype;
  ElementType type = ElementType::f64;
  bool known = dtype.lanes == 1;
  switch (type_key(dtype.code, dtype.bits)) {
    case type_key(kDLFloat, 64):
      type = ElementType::f64;
      break;
    case type_key(kDLFloat, 32):
      type = ElementType::f32;
      break;
    case type_key(kDLBfloat, 16):
      type = ElementType::bf16;
      break;
    case type_key(kDLFloat, 16):
      type = ElementType::f16;
      break;
    case type_key(kDLInt, 64):
      type = ElementType::i64;
      break;
    case type_key(kDLInt, 32):
      type = ElementType::i32;
      break;
    case type_key(kDLUInt, 8):
    case type_key(kDLBool, 8):
      type = ElementType::flag;
      break;
    default:
      known = false;
  }
  if (!known || !types.has(type)) {
    invalid(std::string(argument.name) + " has dtype " + type_text(dtype) + " (shape " +
            shape_text(*argument.tensor) + "), expected " + types.text);
  }
  return type;
}

// The data is there, aligned, and its addresses can be counted in 64 bits.
void check_memory(const Argument& argument, int64_t size) {
  const DLTensor& tensor = *argument.tensor;
  int64_t elements = 1;
  bool empty = false;
  for (int d = 0; d < tensor.ndim; ++d)
    empty |= tensor.shape[d] == 0;
  if (empty)
    return;
  int64_t reach =
      size;  // bytes between the lowest and the highest element, whichever way the strides run
  bool overflow = false;
  for (int d = 0; d < tensor.ndim; ++d) {
    overflow |= __builtin_mul_overflow(elements, tensor.shape[d], &elements);
    if (tensor.strides == nullptr || tensor.shape[d] == 1)
      continue;
    int64_t step;
    const int64_t stride = tensor.strides[d];
    overflow |= __builtin_mul_overflow(
        tensor.shape[d] - 1,
        stride < 0 ? -static_cast<uint64_t>(stride) : static_cast<uint64_t>(stride), &step);
    overflow |=
        __builtin_mul_overflow(step, size, &step) || __builtin_add_overflow(reach, step, &reach);
  }
  int64_t bytes;
  overflow |= __builtin_mul_overflow(elements, size, &bytes);
  if (overflow)
    fail(argument, "reaches further than 64-bit addresses do");
  if (tensor.data == nullptr)
    fail(argument, "has NULL data");
  const uint64_t within_element = static_cast<uint64_t>(size) - 1;  // sizes are powers of two
  if (((reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset) & within_element) != 0) {
    fail(argument, "is not aligned to its elements of " + std::to_string(size) + " bytes");
  }
}

// The address of an empty tensor, whose data may be NULL, is one like any other that nobody
// follows.
void* first_element(const DLTensor& tensor) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(tensor.data) +
                                 static_cast<uintptr_t>(tensor.byte_offset));
}

// In elements; that of a dimension that is never stepped along is 0.
int64_t stride_of(const DLTensor& tensor, int dimension) {
  if (tensor.shape[dimension] <= 1)
    return 0;
  if (tensor.strides != nullptr)
    return tensor.strides[dimension];
  int64_t stride = 1;
  for (int d = dimension + 1; d < tensor.ndim; ++d)
    stride *= tensor.shape[d];
  return stride;
}

op::TensorView view_from(const DLTensor& tensor, ElementType type) {
  const bool matrix = tensor.ndim == 2;
  return {true,
          type,
          first_element(tensor),
          matrix ? tensor.shape[0] : 1,
          tensor.shape[tensor.ndim - 1],
          matrix ? stride_of(tensor, 0) : 0,
          stride_of(tensor, tensor.ndim - 1)};
}

bool matches(const DLTensor& tensor, const Shape& shape) {
  if (tensor.ndim != shape.ndim)
    return false;
  for (int d = 0; d < shape.ndim; ++d) {
    if (tensor.shape[d] != shape.size[d])
      return false;
  }
  return true;
}

RowsArgument rows_of(const Argument& argument, ElementType type) {
  const DLTensor& tensor = *argument.tensor;
  const int last = tensor.ndim - 1;
  if (tensor.shape[last] > 1 && stride_of(tensor, last) != 1) {
    fail(argument, "has stride " + std::to_string(stride_of(tensor, last)) +
                       " in its last dimension, expected 1: rows are contiguous");
  }
  Shape rows = shape_of_tensor(tensor);
  rows.ndim = last;
  rows.size[last] = 0;
  const bool batched = last == 2;
  const int64_t inner = tensor.shape[last - 1], columns = tensor.shape[last];
  const int64_t count = batched ? tensor.shape[0] * inner : inner;
  if (count == 0)
    return {{first_element(tensor), type, 0, 0, 0, 1}, rows, 0, columns};
  return {{first_element(tensor), type, inner, batched ? stride_of(tensor, 0) : 0,
           stride_of(tensor, last - 1), columns},
          rows,
          count,
          columns};
}

}  // namespace

std::string to_text(const Shape& shape) {
  std::string text = "[";
  for (int d = 0; d < shape.ndim; ++d)
    text += (d > 0 ? "," : "") + std::to_string(shape.size[d]);
  return text + "]";
}

void require(const Argument& argument) {
  if (argument.tensor == nullptr)
    invalid(std::string(argument.name) + " is NULL, and it is required");
}

ElementType check_tensor(const Argument& argument, const Types& types, int min_rank, int max_rank,
                         const char* expected) {
  require(argument);
  const DLTensor& tensor = *argument.tensor;
  const ElementType type = check_type(argument, types);
  bool valid = tensor.ndim >= min_rank && tensor.ndim <= max_rank && tensor.shape != nullptr;
  for (int d = 0; valid && d < tensor.ndim; ++d)
    valid = tensor.shape[d] >= 0;
  if (!valid)
    wrong_shape(argument, expected);
  check_memory(argument, bytes_of(type));
  return type;
}

op::TensorView view_of(const Argument& argument, const Types& types, int rank,
                       const char* expected) {
  const ElementType type = check_tensor(argument, types, rank, rank, expected);
  return view_from(*argument.tensor, type);
}

op::TensorView view_of(const Argument& argument, const Types& types, const Shape& shape,
                       const char* reason) {
  require(argument);
  const ElementType type = check_type(argument, types);
  const bool readable = argument.tensor->ndim == shape.ndim && argument.tensor->shape != nullptr;
  if (!readable || !matches(*argument.tensor, shape))
    wrong_shape(argument, to_text(shape) + " (" + reason + ")");
  check_memory(argument, bytes_of(type));
  return view_from(*argument.tensor, type);
}

RowsArgument logit_rows(const Argument& argument, int min_rank, const char* expected) {
  const ElementType type = check_tensor(argument, kLogits, min_rank, 3, expected);
  if (argument.tensor->shape[argument.tensor->ndim - 1] < 1)
    wrong_shape(argument, std::string(expected) + " with V >= 1");
  return rows_of(argument, type);
}

RowsArgument gradient_rows(const Argument& argument, const Argument& of, const RowsArgument& like) {
  const ElementType type = check_tensor(argument, kLogits, 1, 3, shape_text(*of.tensor).c_str());
  if (type != like.rows.type) {
    invalid(std::string(argument.name) + " has dtype " + type_text(argument.tensor->dtype) +
            ", expected " + type_text(of.tensor->dtype) + " (the dtype of " + of.name + ")");
  }
  if (!matches(*argument.tensor, shape_of_tensor(*of.tensor))) {
    wrong_shape(argument, shape_text(*of.tensor) + " (the shape of " + of.name + ")");
  }
  return rows_of(argument, type);
}

}  // namespace logratio::abi
