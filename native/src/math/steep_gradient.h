// Gradients of rows whose upstream float32 cannot hold: of a loss that is infinite, NaN, or
// exponential in a log-prob.
//
// A row's gradient is exp((softcap(x) - pivot) / temperature - log_sum) * upstream, computed in
// float32. Where the upstream leaves that range, it goes into the exponent. So each column gets
// what double arithmetic gives it, and one of probability 0 gets 0, whatever the upstream.
#pragma once

#include <cmath>

#include "math/functions.h"

namespace logratio::math {

struct RowScale {
  double pivot;  // of softcap(x)
  double upstream;
  bool steep;  // the upstream went into the pivot
};

// Where the exponents of a row are taken from whose upstream is infinite or NaN and whose logits
// lie so far from 0 that float32's places are some temperatures apart: such that every place whose
// probability is above 0 in double is more than kOverflows above it, and no other one is.
// `vanishing` is the logit whose probability is 0 there, `beyond` what would do without places.
LR_FORCE_INLINE LR_HD double pivot_of_places(double vanishing, double beyond, double spread) {
  auto place = static_cast<float>(vanishing);
  if (place > vanishing)
    place = nextafterf(place, -static_cast<float>(kInfinity));
  const double next = nextafterf(place, static_cast<float>(kInfinity));
  return next - place > spread ? place : beyond;
}

// `others` is 1, or the probability that a certain label leaves. Then the exponents are of the
// shares that the other columns have of it: their probabilities, and all the more their squares,
// may vanish in float32. The label's own gradient is apart.
LR_FORCE_INLINE LR_HD RowScale row_scale(double pivot, double log_sum, double upstream,
                                         double temperature, double others) {
  constexpr double kLargest = 3.4028234e38;
  constexpr double kVanishes = 745.14;  // exp of minus this is 0 in double
  constexpr double kOverflows = 88.73;  // exp of this is infinity in float32
  constexpr double kLogOfRest =
      44.361419555836498;  // log(2^64): what stays a factor, so that squares of gradients have room
  const double of_others = others > 0 ? ::log(others) * temperature : 0,
               share = others > 0 ? others : 1;
  if (abs(share * upstream) <= 1e30)
    return {pivot + of_others, share * upstream, false};
  // Every power that is not 0 in double becomes infinity: times 0 that is NaN.
  double beyond = pivot + (log_sum - kVanishes - kOverflows) * temperature;
  if (abs(pivot) > 0x1p28 * temperature) {
    // So far from 0, exponentials are 1 or next to nothing, and the pivot moves by whole places of
    // a float32, if there is one below.
    const auto near = static_cast<float>(pivot - kOverflows * temperature);
    const double below = nextafterf(near, -static_cast<float>(kInfinity));
    if (abs(upstream) <= kLargest || below < -kLargest)
      return {pivot, upstream, true};
    if (abs(upstream) < kInfinity) {
      upstream = upstream > 0 ? kInfinity : -kInfinity;
      beyond = below;
    } else {
      const double place =
          pivot_of_places(beyond + kOverflows * temperature, beyond, kOverflows * temperature);
      beyond = place < below && place >= -kLargest ? place : below;
    }
  }
  if (is_nan(upstream))
    return {beyond, 0, true};
  const double sign = upstream > 0 ? 1 : -1;
  if (abs(upstream) == kInfinity)
    return {beyond, sign * 0x1p-119 * temperature * ::exp(log_sum), true};  // 2^-119 as a factor
  return {pivot - (::log(abs(upstream)) - kLogOfRest) * temperature, sign * 0x1p64, true};
}

}  // namespace logratio::math
