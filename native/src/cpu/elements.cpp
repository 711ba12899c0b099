#include "cpu/elements.h"

#include "cpu/isa.h"
#include "math/narrow_floats.h"

namespace logratio::cpu {
namespace {

using math::Bfloat16;
using math::Float16;

// Calls run(pointer to the run's first element, stride, position in values, length) for each run of
// one outer index.
template <class T, class Run>
void for_runs(const TensorView& view, int64_t first, int64_t count, Run&& run) {
  T* data = static_cast<T*>(view.data);
  for (int64_t done = 0; done < count;) {
    const int64_t o = view.outer == 1 ? 0 : (first + done) / view.inner;
    const int64_t i = first + done - o * view.inner;
    const int64_t left = view.inner - i;
    const int64_t length = count - done < left ? count - done : left;
    run(data + o * view.outer_stride + i * view.inner_stride, view.inner_stride, done, length);
    done += length;
  }
}

template <class T, class Value, class Convert>
void read_as(const TensorView& view, int64_t first, int64_t count, Value* values, Convert convert) {
  for_runs<const T>(view, first, count,
                    [&](const T* source, int64_t stride, int64_t at, int64_t length) {
                      if (stride == 1) {  // a loop of its own, which the compiler vectorises
                        for (int64_t k = 0; k < length; ++k)
                          values[at + k] = convert(source[k]);
                      } else {
                        for (int64_t k = 0; k < length; ++k)
                          values[at + k] = convert(source[k * stride]);
                      }
                    });
}

template <class T, class Value, class Convert>
void write_as(const TensorView& view, int64_t first, int64_t count, const Value* values,
              Convert convert) {
  for_runs<T>(view, first, count, [&](T* target, int64_t stride, int64_t at, int64_t length) {
    if (stride == 1) {
      for (int64_t k = 0; k < length; ++k)
        target[k] = convert(values[at + k]);
    } else {
      for (int64_t k = 0; k < length; ++k)
        target[k * stride] = convert(values[at + k]);
    }
  });
}

bool contiguous(const TensorView& view) {
  return view.inner_stride == 1 && (view.outer == 1 || view.outer_stride == view.inner);
}

}  // namespace

void read(const TensorView& view, int64_t first, int64_t count, double* values) {
  const auto plain = [](auto value) { return static_cast<double>(value); };
  switch (view.type) {
    case ElementType::f64:
      return read_as<double>(view, first, count, values, plain);
    case ElementType::f32:
      if (!contiguous(view))
        return read_as<float>(view, first, count, values, plain);
      return kernels().widen(static_cast<const float*>(view.data) + first, count, values);
    case ElementType::bf16:
      return read_as<uint16_t>(view, first, count, values, Bfloat16::widen);
    case ElementType::f16:
      return read_as<uint16_t>(view, first, count, values, Float16::widen);
    case ElementType::i64:
      return read_as<int64_t>(view, first, count, values, plain);
    case ElementType::i32:
      return read_as<int32_t>(view, first, count, values, plain);
    case ElementType::flag:
      return read_as<uint8_t>(view, first, count, values,
                              [](uint8_t value) { return value != 0 ? 1.0 : 0.0; });
  }
}

void read(const TensorView& view, int64_t first, int64_t count, int64_t* values) {
  const auto plain = [](auto value) { return static_cast<int64_t>(value); };
  if (view.type == ElementType::i32) {
    read_as<int32_t>(view, first, count, values, plain);
  } else {
    read_as<int64_t>(view, first, count, values, plain);
  }
}

void write(const TensorView& view, int64_t first, int64_t count, const double* values) {
  switch (view.type) {
    case ElementType::f32:
      if (!contiguous(view))
        return write_as<float>(view, first, count, values,
                               [](double value) { return static_cast<float>(value); });
      return kernels().narrow(values, count, static_cast<float*>(view.data) + first);
    case ElementType::bf16:
      return write_as<uint16_t>(view, first, count, values, Bfloat16::narrow);
    case ElementType::f16:
      return write_as<uint16_t>(view, first, count, values, Float16::narrow);
    default:
      return write_as<double>(view, first, count, values, [](double value) { return value; });
  }
}

void write(const TensorView& view, int64_t first, int64_t count, const int64_t* values) {
  if (view.type == ElementType::i32) {
    write_as<int32_t>(view, first, count, values,
                      [](int64_t value) { return static_cast<int32_t>(value); });
  } else {
    write_as<int64_t>(view, first, count, values, [](int64_t value) { return value; });
  }
}

}  // namespace logratio::cpu
