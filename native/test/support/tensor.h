// Owned tensors of any dtype with a DLTensor view, for calling the C ABI from tests.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "logratio.h"
#include "math/narrow_floats.h"
#include "support/device.h"

namespace logratio::test {

enum class D { f64, f32, bf16, f16, i64, i32, boolean, u8 };

inline DLDataType dtype_of(D type) {
  switch (type) {
    case D::f64:
      return {kDLFloat, 64, 1};
    case D::f32:
      return {kDLFloat, 32, 1};
    case D::bf16:
      return {kDLBfloat, 16, 1};
    case D::f16:
      return {kDLFloat, 16, 1};
    case D::i64:
      return {kDLInt, 64, 1};
    case D::i32:
      return {kDLInt, 32, 1};
    case D::boolean:
      return {kDLBool, 8, 1};
    case D::u8:
      return {kDLUInt, 8, 1};
  }
  return {};
}

inline size_t bytes_of(D type) { return dtype_of(type).bits / 8; }
inline bool is_float(D type) { return type <= D::f16; }

// A view of memory that a Tensor owns; element k is the k-th in row-major order of the view.
class Tensor {
 public:
  Tensor(D type, std::vector<int64_t> shape) : Tensor(type, std::move(shape), {}) {}
  Tensor(D type, std::vector<int64_t> shape, const std::vector<double>& values)
      : type_(type), shape_(std::move(shape)) {
    int64_t stride = 1;
    strides_.resize(shape_.size());
    for (size_t d = shape_.size(); d-- > 0;) {
      strides_[d] = stride;
      stride *= shape_[d];
    }
    const size_t bytes = (static_cast<size_t>(stride) * bytes_of(type) + 63) / 64 * 64 + 64;
    memory_ = std::make_shared<std::vector<uint64_t>>(bytes / 8);
    data_ = reinterpret_cast<char*>(memory_->data());
    for (size_t k = 0; k < values.size(); ++k)
      set(static_cast<int64_t>(k), values[k]);
  }

  // The elements from..to-1 of a dimension, without a copy.
  Tensor slice(int dimension, int64_t from, int64_t to, int64_t step = 1) const {
    Tensor view = *this;
    view.data_ += from * strides_[dimension] * static_cast<int64_t>(bytes_of(type_));
    view.shape_[dimension] = (to - from + step - 1) / step;
    view.strides_[dimension] *= step;
    return view;
  }
  Tensor select(int dimension, int64_t index) const {
    Tensor view = slice(dimension, index, index + 1);
    view.shape_.erase(view.shape_.begin() + dimension);
    view.strides_.erase(view.strides_.begin() + dimension);
    return view;
  }
  Tensor reshape(std::vector<int64_t> shape) const {  // of contiguous tensors
    Tensor view(type_, std::move(shape), {});
    view.memory_ = memory_;
    view.data_ = data_;
    return view;
  }
  Tensor clone() const {
    Tensor copy(type_, shape_);
    for (int64_t k = 0; k < size(); ++k)
      std::memcpy(copy.at(k), at(k), bytes_of(type_));
    return copy;
  }

  // For the arguments of a call: valid while this object is.
  operator const DLTensor*() {
    view_ = {data_,
             test_device(),
             static_cast<int32_t>(shape_.size()),
             dtype_of(type_),
             shape_.data(),
             strides_.data(),
             0};
    return &view_;
  }

  int64_t size() const {
    int64_t count = 1;
    for (int64_t s : shape_)
      count *= s;
    return count;
  }
  const std::vector<int64_t>& shape() const { return shape_; }
  D type() const { return type_; }

  char* at(int64_t k) const {
    int64_t offset = 0;
    for (size_t d = shape_.size(); d-- > 0;) {
      offset += k % shape_[d] * strides_[d];
      k /= shape_[d];
    }
    return data_ + offset * static_cast<int64_t>(bytes_of(type_));
  }

  double get(int64_t k) const {
    const char* p = at(k);
    switch (type_) {
      case D::f64:
        return load<double>(p);
      case D::f32:
        return load<float>(p);
      case D::bf16:
        return math::Bfloat16::widen(load<uint16_t>(p));
      case D::f16:
        return math::Float16::widen(load<uint16_t>(p));
      case D::i64:
        return static_cast<double>(load<int64_t>(p));
      case D::i32:
        return load<int32_t>(p);
      default:
        return load<uint8_t>(p);
    }
  }
  void set(int64_t k, double value) {
    char* p = at(k);
    switch (type_) {
      case D::f64:
        return store(p, value);
      case D::f32:
        return store(p, static_cast<float>(value));
      case D::bf16:
        return store(p, math::Bfloat16::narrow(value));
      case D::f16:
        return store(p, math::Float16::narrow(value));
      case D::i64:
        return store(p, static_cast<int64_t>(value));
      case D::i32:
        return store(p, static_cast<int32_t>(value));
      default:
        return store(p, static_cast<uint8_t>(value));
    }
  }
  std::vector<double> values() const {
    std::vector<double> out(static_cast<size_t>(size()));
    for (int64_t k = 0; k < size(); ++k)
      out[static_cast<size_t>(k)] = get(k);
    return out;
  }
  std::string bits() const {
    std::string out;
    for (int64_t k = 0; k < size(); ++k)
      out.append(at(k), bytes_of(type_));
    return out;
  }
  Tensor& fill(double value) {
    for (int64_t k = 0; k < size(); ++k)
      set(k, value);
    return *this;
  }

 private:
  template <class T>
  static T load(const char* p) {
    T value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }
  template <class T>
  static void store(char* p, T value) {
    std::memcpy(p, &value, sizeof value);
  }

  D type_;
  std::vector<int64_t> shape_;
  std::vector<int64_t> strides_;
  std::shared_ptr<std::vector<uint64_t>> memory_;
  char* data_;
  DLTensor view_{};
};

// An argument struct that is ready to be filled in.
template <class Args>
Args make_args() {
  Args args{};
  args.size = sizeof(Args);
  return args;
}

inline lr_token_options default_token_options() { return {-100, 1.0, 0.0, 0}; }
inline lr_sequence_options default_sequence_options() {
  return {LR_SUM, LR_ALIGN_COMPLETION, 1.0, 1.0};
}
inline lr_loss_options loss_options(const char* name) {
  lr_loss_options options{};
  options.size = sizeof options;
  if (lr_loss_init(name, &options) != LR_OK)
    std::abort();
  return options;
}

inline std::vector<double> normal_values(int64_t count, double scale, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<double> values(static_cast<size_t>(count));
  for (double& value : values)
    value = normal(generator);
  return values;
}

inline std::vector<double> random_labels(int64_t count, int64_t vocabulary, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<double> values(static_cast<size_t>(count));
  for (double& value : values)
    value = static_cast<double>(generator() % static_cast<uint64_t>(vocabulary));
  return values;
}

}  // namespace logratio::test
