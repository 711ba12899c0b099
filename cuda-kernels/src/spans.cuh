// Where the sequences of a batch lie among its tokens, and how they are cut into parts: by places
// counted from a sequence's own start, so that neither padding nor other sequences change the order
// of a sum.
#pragma once

#include <algorithm>

#include "block.cuh"
#include "elements.cuh"
#include "math/sequence_spans.h"

namespace logratio::device {

// ---- Offsets of packed sequences ----

// What the kernels use in place of cu_seqlens: a copy that rises from 0 to the number of tokens,
// whatever stands there, and after it how many of its numbers are wrong. If any is, the copy gives
// all tokens to the last sequence.
inline int64_t* take_offsets(Workspace& workspace, const op::TensorView& cu_seqlens,
                             int64_t sequences) {
  return cu_seqlens.present ? workspace.take<int64_t>(sequences + 2) : nullptr;
}

// Before those kernels; nothing where sequences are padded.
void launch_copy(const op::TensorView& cu_seqlens, int64_t sequences, int64_t tokens,
                 int64_t* offsets, int64_t* bad_values, void* stream);

__device__ __forceinline__ bool are_bad(const math::SequenceSpans& spans) {
  return spans.packed() && spans.offsets[spans.count + 1] > 0;
}

// ---- Parts ----

// Numbered one sequence after the other. Of packed sequences, a part may be without a token.
struct Cut {
  math::SequenceSpans spans;
  int64_t part_tokens;  // of each part but a sequence's last
  int64_t parts_each;   // of a sequence, where they are padded; 1 also where none has more
  int64_t parts;        // of all

  bool is_whole() const { return parts_each == 1; }
  // Rises with the sequence, and leaves each enough parts wherever it begins.
  __device__ int64_t first_part(int64_t sequence) const {
    return parts_each != 0 ? sequence * parts_each
                           : spans.offsets[sequence] / part_tokens + sequence;
  }
  __device__ int64_t sequence_of(int64_t part) const {
    if (parts_each != 0)
      return parts_each == 1 ? part : part / parts_each;
    int64_t low = 0;  // its first part is not after this one
    for (int64_t high = spans.count; high - low > 1;) {
      const int64_t middle = low + (high - low) / 2;
      (first_part(middle) <= part ? low : high) = middle;
    }
    return low;
  }
};

// Sequences of `tokens` tokens altogether, in parts of as many, or each whole.
constexpr int64_t kWhole = int64_t{1} << 62;

inline Cut cut_sequences(const math::SequenceSpans& spans, int64_t tokens, int64_t part_tokens) {
  const int64_t longest = spans.packed() ? tokens : spans.length;
  if (longest <= part_tokens)
    return {spans, part_tokens, 1, spans.count};
  if (spans.packed())
    return {spans, part_tokens, 0, spans.count == 0 ? 0 : tokens / part_tokens + spans.count};
  const int64_t each = spans.length / part_tokens + (spans.length % part_tokens == 0 ? 0 : 1);
  return {spans, part_tokens, each, each * spans.count};
}

// What a block takes.
struct Part {
  int64_t sequence;
  int64_t number;      // among all parts
  int64_t row;         // the sequence's first token
  int64_t begin, end;  // tokens of the sequence

  __device__ Part(const Cut& cut, int64_t number)
      : sequence(cut.sequence_of(number)), number(number), row(cut.spans.begin(sequence)) {
    const int64_t size = cut.spans.size(sequence);
    begin = std::min((number - cut.first_part(sequence)) * cut.part_tokens, size);
    end = std::min(begin + cut.part_tokens, size);
  }
};

}  // namespace logratio::device
