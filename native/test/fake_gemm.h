// What the libraries of products share that the tests make up. LR_FAULT is what each does wrong.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

enum Fault {
  kNone,
  kRowDependent,     // the last row is an ulp off
  kUnsteady,         // every second product is
  kNotAccumulating,  // c is overwritten
  kForeignThreads    // oneDNN on TBB
};

inline float value_of(float x) { return x; }
inline float value_of(uint16_t bfloat16) {
  const uint32_t bits = static_cast<uint32_t>(bfloat16) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// The row-major product by plain loops; NaN if it is not on one thread.
template <class T>
void fake_multiply(bool transposed_a, bool transposed_b, int64_t rows, int64_t columns,
                   int64_t depth, const T* a, int64_t a_stride, const T* b, int64_t b_stride,
                   float beta, float* c, int64_t c_stride, bool one_thread) {
  static int products = 0;
  ++products;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      float sum = one_thread ? 0 : std::numeric_limits<float>::quiet_NaN();
      for (int64_t k = 0; k < depth; ++k)
        sum += value_of(transposed_a ? a[k * a_stride + i] : a[i * a_stride + k]) *
               value_of(transposed_b ? b[j * b_stride + k] : b[k * b_stride + j]);
      if ((LR_FAULT == kRowDependent && i == rows - 1) ||
          (LR_FAULT == kUnsteady && products % 2 == 0))
        sum = std::nextafter(sum, 2 * sum);
      float& element = c[i * c_stride + j];
      element = beta == 0 || LR_FAULT == kNotAccumulating ? sum : element + sum;
    }
  }
}
