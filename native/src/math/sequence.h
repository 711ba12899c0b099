// Which tokens of a sequence count, with what weight, and what divides their sum.
#pragma once

#include <cmath>
#include <cstdint>

#include "logratio.h"
#include "math/functions.h"

namespace logratio::math {

// What may stand in a mask.
LR_FORCE_INLINE LR_HD bool is_weight(double value) { return value >= 0 && value < kInfinity; }

LR_FORCE_INLINE LR_HD bool counts(double weight) { return weight > 0; }

// How many tokens of a pair belong to its shared set: `keep_fraction` of those that the answers
// have in common, at least one if there is any.
LR_FORCE_INLINE LR_HD int64_t shared_tokens(const lr_sequence_options& options, int64_t common) {
  if (common == 0 || options.keep_fraction == 1)
    return common;
  const auto kept =
      static_cast<int64_t>(::floor(options.keep_fraction * static_cast<double>(common)));
  return kept > 1 ? kept : 1;
}

// A counted token's weight in the sum, by its place among the tokens that may be shared (1, 2,
// ...); 0 where it cannot be.
LR_FORCE_INLINE LR_HD double tail_weighted(const lr_sequence_options& options, double weight,
                                           int64_t place, int64_t shared) {
  return place >= 1 && place <= shared ? weight : weight * options.tail_weight;
}

LR_FORCE_INLINE LR_HD double divisor_of(const lr_sequence_options& options, double count) {
  return options.reduction == LR_MEAN && count > 1 ? count : 1;
}

}  // namespace logratio::math
