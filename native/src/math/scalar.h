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

LR_HD inline double sigmoid(double x) {
  const double e = std::exp(-std::fabs(x));
  return (x >= 0 ? 1.0 : e) / (1.0 + e);
}

// log(1 + exp(x))
LR_HD inline double softplus(double x) { return (x > 0 ? x : 0.0) + std::log1p(std::exp(-std::fabs(x))); }

LR_HD inline double log_sigmoid(double x) { return -softplus(-x); }

// t - log(1 + t) for finite t >= 0. The difference cancels for small t, where eleven terms of the series are exact to rounding.
LR_HD inline double excess_over_log1p(double t) {
  if (!(t < 1.0 / 64)) return t - std::log1p(t);
  double sum = 0;
  for (int n = 11; n >= 2; --n) sum = 1.0 / n - t * sum;
  return t * t * sum;
}

}  // namespace logratio::math
