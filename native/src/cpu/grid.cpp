#include "cpu/grid.h"

#include "cpu/isa.h"
#include "math/narrow_floats.h"

namespace logratio::cpu {
namespace {

using math::Bfloat16;
using math::Float16;

// Calls run(pointer to the run's first element, stride, position in values, length) for each run of
// one outer index.
template <class T, class Run>
void for_runs(const Grid& grid, int64_t first, int64_t count, Run&& run) {
  T* data = static_cast<T*>(grid.data);
  for (int64_t done = 0; done < count;) {
    const int64_t o = grid.outer == 1 ? 0 : (first + done) / grid.inner;
    const int64_t i = first + done - o * grid.inner;
    const int64_t left = grid.inner - i;
    const int64_t length = count - done < left ? count - done : left;
    run(data + o * grid.outer_stride + i * grid.inner_stride, grid.inner_stride, done, length);
    done += length;
  }
}

template <class T, class Value, class Convert>
void read_as(const Grid& grid, int64_t first, int64_t count, Value* values, Convert convert) {
  for_runs<const T>(grid, first, count,
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
void write_as(const Grid& grid, int64_t first, int64_t count, const Value* values,
              Convert convert) {
  for_runs<T>(grid, first, count, [&](T* target, int64_t stride, int64_t at, int64_t length) {
    if (stride == 1) {
      for (int64_t k = 0; k < length; ++k)
        target[k] = convert(values[at + k]);
    } else {
      for (int64_t k = 0; k < length; ++k)
        target[k * stride] = convert(values[at + k]);
    }
  });
}

bool contiguous(const Grid& grid) {
  return grid.inner_stride == 1 && (grid.outer == 1 || grid.outer_stride == grid.inner);
}

}  // namespace

void read(const Grid& grid, int64_t first, int64_t count, double* values) {
  const auto plain = [](auto value) { return static_cast<double>(value); };
  switch (grid.type) {
    case ElementType::f64:
      return read_as<double>(grid, first, count, values, plain);
    case ElementType::f32:
      if (!contiguous(grid))
        return read_as<float>(grid, first, count, values, plain);
      return pair_kernels()->widen(static_cast<const float*>(grid.data) + first, count, values);
    case ElementType::bf16:
      return read_as<uint16_t>(grid, first, count, values, Bfloat16::widen);
    case ElementType::f16:
      return read_as<uint16_t>(grid, first, count, values, Float16::widen);
    case ElementType::i64:
      return read_as<int64_t>(grid, first, count, values, plain);
    case ElementType::i32:
      return read_as<int32_t>(grid, first, count, values, plain);
    case ElementType::flag:
      return read_as<uint8_t>(grid, first, count, values,
                              [](uint8_t value) { return value != 0 ? 1.0 : 0.0; });
  }
}

void read(const Grid& grid, int64_t first, int64_t count, int64_t* values) {
  const auto plain = [](auto value) { return static_cast<int64_t>(value); };
  if (grid.type == ElementType::i32) {
    read_as<int32_t>(grid, first, count, values, plain);
  } else {
    read_as<int64_t>(grid, first, count, values, plain);
  }
}

void write(const Grid& grid, int64_t first, int64_t count, const double* values) {
  switch (grid.type) {
    case ElementType::f32:
      if (!contiguous(grid))
        return write_as<float>(grid, first, count, values,
                               [](double value) { return static_cast<float>(value); });
      return pair_kernels()->narrow(values, count, static_cast<float*>(grid.data) + first);
    case ElementType::bf16:
      return write_as<uint16_t>(grid, first, count, values, Bfloat16::narrow);
    case ElementType::f16:
      return write_as<uint16_t>(grid, first, count, values, Float16::narrow);
    default:
      return write_as<double>(grid, first, count, values, [](double value) { return value; });
  }
}

void write(const Grid& grid, int64_t first, int64_t count, const int64_t* values) {
  if (grid.type == ElementType::i32) {
    write_as<int32_t>(grid, first, count, values,
                      [](int64_t value) { return static_cast<int32_t>(value); });
  } else {
    write_as<int64_t>(grid, first, count, values, [](int64_t value) { return value; });
  }
}

}  // namespace logratio::cpu
