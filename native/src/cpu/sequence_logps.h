// Token log-probs to sequence log-probs: which tokens count, with what weight, and the weighted sum
// or mean with its gradient.
#pragma once

#include <cstdint>
#include <vector>

#include "math/sequence_spans.h"
#include "op/sequence_logps.h"

namespace logratio::cpu {

// The spans of sequences, whose offsets are read into memory that must stay.
math::SequenceSpans read_spans(int64_t sequences, int64_t length, const op::TensorView& cu_seqlens,
                               std::vector<int64_t>* offsets);

// Mask weights of tokens become the weights in the sum: tokens past a pair's shared set are scaled
// by tail_weight.
void apply_tail_weight(const lr_sequence_options& options, const math::SequenceSpans& sequences,
                       double* weights);

// A sequence's reduction: logp = sum of weight * log-prob / divisor.
struct SequenceSum {
  double logp;
  double count;    // sum of weights
  double divisor;  // 1, or max(count, 1) for the mean
};

// token_logps is read only where the weight is above 0; nullptr leaves logp 0.
SequenceSum reduce_sequence(const lr_sequence_options& options, int64_t tokens,
                            const double* weights, const double* token_logps);

void sequence_logps(const op::SequenceLogps& call);

}  // namespace logratio::cpu
