// Where the sequences of a batch lie among its tokens.
#pragma once

#include <cstdint>

#include "math/host_device.h"

namespace logratio::math {

inline constexpr int64_t kPacked = -1;  // in place of a length

// Sequences of one length, padded, or packed ones of any length, one after the other.
struct SequenceSpans {
  int64_t count;
  int64_t length;          // of each, or kPacked
  const int64_t* offsets;  // [count + 1] of packed ones: 0, then where each ends

  LR_FORCE_INLINE LR_HD bool packed() const { return length == kPacked; }
  LR_FORCE_INLINE LR_HD int64_t begin(int64_t sequence) const {
    return packed() ? offsets[sequence] : sequence * length;
  }
  LR_FORCE_INLINE LR_HD int64_t end(int64_t sequence) const { return begin(sequence + 1); }
  LR_FORCE_INLINE LR_HD int64_t size(int64_t sequence) const {
    return packed() ? offsets[sequence + 1] - offsets[sequence] : length;
  }
  // The other answer of a sequence's pair.
  LR_FORCE_INLINE LR_HD int64_t partner(int64_t sequence) const {
    const int64_t pairs = count / 2;
    return sequence < pairs ? sequence + pairs : sequence - pairs;
  }
};

}  // namespace logratio::math
