// Gradients of rows whose upstream float32 cannot hold: of a loss that is infinite, NaN, or exponential
// in a log-prob.
//
// A row's gradient is exp((softcap(x) - pivot) / temperature - log_sum) * upstream, computed in float32.
// Where the upstream leaves that range, it goes into the exponent. So each column gets what double
// arithmetic gives it, and one of probability 0 gets 0, whatever the upstream.
#pragma once

#include "math/functions.h"

namespace logratio::math {

struct RowScale {
  double pivot;  // of softcap(x)
  double upstream;
  bool steep;  // the upstream went into the pivot
};

// Where the label is certain, an upstream that is large, as orpo's is, meets probabilities whose squares vanish in float32: it goes into
// the exponent as well.
LR_HD inline RowScale row_scale(double pivot, double upstream, double temperature, double label_logp) {
  constexpr double kVanishes = 745.14;  // exp of minus this is 0 in double
  constexpr double kOverflows = 88.73;  // exp of this is infinity in float32
  constexpr double kLogOfRest = 44.361419555836498;  // log(2^64): what stays a factor, so that squares of gradients have room
  const bool certain = label_logp > -0x1p-6;
  if (abs(upstream) <= (certain ? 0x1p10 : 1e30)) return {pivot, upstream, false};
  const double beyond = pivot - (kVanishes + kOverflows) * temperature;
  // Every power that is not 0 in double becomes infinity: times 0 that is NaN.
  if (is_nan(upstream)) return {beyond, 0, true};
  const double sign = upstream > 0 ? 1 : -1;
  if (abs(upstream) == kInfinity) return {beyond, sign * 0x1p-119, true};
  return {pivot - (log(abs(upstream)) - (certain ? 0 : kLogOfRest)) * temperature, sign * (certain ? 1 : 0x1p64), true};
}

}  // namespace logratio::math
