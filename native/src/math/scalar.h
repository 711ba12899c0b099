// Scalar functions that are accurate over the whole range of double, infinities included. NaN in, NaN out.
#pragma once

#include <cmath>

#include "math/host_device.h"

namespace logratio::math {

// a * b, but 0 where a vanishing factor meets an infinite one: the terms that use it decay faster than they grow.
LR_HD inline double vanishing_product(double a, double b) {
  const double product = a * b;
  if (product == product) [[likely]] return product;
  const bool zero_times_infinity = a == a && b == b;
  return zero_times_infinity ? 0.0 : product;
}

// exp(-|x|) and what softplus and sigmoid need of it. The logarithm of 1 + v gets back what rounding took from the sum, which is
// several times as fast as the C library's log1p.
struct Decay {
  double v;        // exp(-|x|)
  double inverse;  // 1 / (1 + v)
  double log1p_v;

  LR_HD explicit Decay(double x) : v(std::exp(-std::fabs(x))) {
    const double sum = 1 + v;
    inverse = 1 / sum;
    log1p_v = std::log(sum) + (v - (sum - 1)) * inverse;
  }
};

LR_HD inline double sigmoid(double x) {
  const double e = std::exp(-std::fabs(x));
  return (x >= 0 ? 1.0 : e) / (1.0 + e);
}

// log(1 + exp(x))
LR_HD inline double softplus(double x) { return (x > 0 ? x : 0.0) + Decay(x).log1p_v; }

LR_HD inline double log_sigmoid(double x) { return -softplus(-x); }

// t - log(1 + t) for finite t >= 0, given log1p_t = log(1 + t). The difference cancels for small t, where the first terms of the
// series are exact to rounding.
LR_HD inline double excess_over_log1p(double t, double log1p_t) {
  if (!(t < 1.0 / 64)) return t - log1p_t;
  double sum = 0;
  for (int n = 11; n >= 2; --n) sum = 1.0 / n - t * sum;
  return t * t * sum;
}

}  // namespace logratio::math
