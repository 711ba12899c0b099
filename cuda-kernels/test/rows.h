// Rows of logits and of gradients, for tests of what takes whole rows on a device.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support.h"
#include "support/tensor.h"

namespace logratio::test {

constexpr uint64_t kSeeds[] = {1, 2, 3, 5, 8};

// The rounding of a gradient to its type, where the two sides of a tie part.
inline double unit(D type) {
  return type == D::f32 ? 0 : type == D::bf16 ? std::ldexp(1, -7) : std::ldexp(1, -10);
}

// Within `tolerance` of the largest number, `rounding` of the number itself and `slack`. Where one
// is not finite, so is the other.
inline void expect_close(const Tensor& actual, const Tensor& expected, double tolerance,
                         double rounding, const std::string& what, double slack = 0) {
  double largest = 0;
  for (int64_t k = 0; k < expected.size(); ++k) {
    if (std::isfinite(expected.get(k)))
      largest = std::fmax(largest, std::fabs(expected.get(k)));
  }
  const double tiny = expected.type() == D::f16 ? std::ldexp(1, -24) : 1e-12;
  for (int64_t k = 0; k < expected.size(); ++k) {
    const double a = actual.get(k), e = expected.get(k);
    if (!std::isfinite(e)) {
      ASSERT_TRUE(std::isnan(e) ? std::isnan(a) : a == e)
          << what << ' ' << k << ": " << a << ", " << e;
    } else {
      ASSERT_NEAR(a, e, tolerance * largest + rounding * std::fabs(e) + slack + tiny)
          << what << ' ' << k;
    }
  }
}

inline Tensor rows_of(D type, int64_t rows, int64_t columns, double scale, uint32_t seed,
                      bool strided) {
  const std::vector<double> values = normal_values(rows * columns, scale, seed);
  Tensor tensor = strided ? Tensor(type, {rows, columns + 5}).slice(1, 3, columns + 3)
                          : Tensor(type, {rows, columns});
  for (int64_t k = 0; k < rows * columns; ++k)
    tensor.set(k, values[static_cast<size_t>(k)]);
  return tensor;
}

// Of the shape and strides of another one.
inline Tensor like(const Tensor& tensor, bool strided) {
  const int64_t rows = tensor.shape()[0], columns = tensor.shape()[1];
  return strided ? Tensor(tensor.type(), {rows, columns + 2}).slice(1, 1, columns + 1)
                 : Tensor(tensor.type(), {rows, columns});
}

}  // namespace logratio::test
