// What few steps need beside, in launches of their own, so that the others do without: negative
// log-likelihoods over tokens that a mask of their own names, or with weights of pairs, and counts
// before the tail weight. Some tens of bytes per token each.
//
//   mark      before the forward: which rows it reads, where a mask of their own names some
//   extras    a block a sequence: sums over the tokens
//   by_row    before the backward: each row's coefficient, where tokens of one sequence differ in
//             more than their weight
#pragma once

#include "math/step_nll.h"
#include "step_tokens.cuh"

namespace logratio::device {

struct SequenceExtras {
  double full_count;  // of the mask's weights
  math::NllFigures nll;
};

struct StepExtras {
  StepSequences sequences;
  int64_t rows;
  Mask nll_mask;           // its weights are absent where the mask has the say
  double* reads;           // of each row, above 0 where it is read; null where the mask says it
  SequenceExtras* of;      // of each sequence; null where nobody needs them
  double* row_gradient;    // of each row; null where the backward can find it
  const double* by_token;  // of each pair, of the negative log-likelihoods' tokens
  const double* by_sum;    // the same, of their weighted sum
  const double* by_sequence;

  __device__ bool is_chosen(int64_t sequence) const {
    return 2 * sequence < sequences.shape.count();
  }
  // A token's place in the mask of negative log-likelihoods, which chosen answers alone have.
  __device__ MaskedToken nll_token(int64_t token) const {
    const math::SequenceSpans& spans = sequences.shape.cut.spans;
    return nll_mask.weights.present && token < spans.begin(spans.count / 2)
               ? read_mask(nll_mask, token)
               : MaskedToken{0, false};
  }
};

// `drops_rows` where rows that the tail weight leaves nothing of are not read.
__global__ void __launch_bounds__(kListThreads)
    mark_rows(const LR_PARAMETER StepExtras call, bool drops_rows) {
  const Sequences& shape = call.sequences.shape;
  for (int64_t r = int64_t{blockIdx.x} * kListThreads + threadIdx.x; r < call.rows;
       r += int64_t{gridDim.x} * kListThreads) {
    const double weight = drops_rows ? call.sequences.weights[r] : mask_weight(shape.mask, r);
    call.reads[r] = math::counts(weight) ? weight : call.nll_token(r).weight;
  }
}

__global__ void __launch_bounds__(kListThreads) sum_extras(const LR_PARAMETER StepExtras call) {
  LR_SHARED(BlockScratch, scratch, 1);
  struct Sums {
    SequenceExtras extras;
    double bad;
  };
  const math::SequenceSpans& spans = call.sequences.shape.cut.spans;
  for (int64_t b = blockIdx.x; b < spans.count; b += gridDim.x) {
    Sums own{};
    int bad = 0;
    for (int64_t t = threadIdx.x; t < spans.size(b); t += kListThreads) {
      const int64_t token = spans.begin(b) + t;
      own.extras.full_count += mask_weight(call.sequences.shape.mask, token);
      const MaskedToken covered = call.nll_token(token);
      bad += covered.is_bad ? 1 : 0;
      if (math::counts(covered.weight))
        own.extras.nll.add(covered.weight, call.sequences.norms[token].logp);
    }
    own.bad = bad;
    const Sums all = block_sum_of(own, scratch);
    if (threadIdx.x != 0)
      continue;
    call.of[b] = all.extras;
    if (are_bad(spans))  // with a token, so that means over tokens are NaN
      call.of[b] = {math::kNaN, {1, math::kNaN, math::kNaN, math::kNaN}};
    if (all.bad > 0 && call.sequences.bad_values != nullptr)
      count_up(call.sequences.bad_values, static_cast<int64_t>(all.bad));
  }
}

__global__ void __launch_bounds__(kListThreads)
    find_row_gradients(const LR_PARAMETER StepExtras call) {
  const Sequences& shape = call.sequences.shape;
  for (int64_t r = int64_t{blockIdx.x} * kListThreads + threadIdx.x; r < call.rows;
       r += int64_t{gridDim.x} * kListThreads) {
    const int64_t sequence = call.sequences.sequence_of != nullptr ? call.sequences.sequence_of[r]
                                                                   : r / shape.cut.spans.length;
    const bool chosen = call.is_chosen(sequence);
    const double masked = mask_weight(shape.mask, r);
    const double weight = call.sequences.weights != nullptr ? call.sequences.weights[r] : masked;
    double of_nll = 0;
    if (call.nll_mask.weights.present) {
      const double covered = call.nll_token(r).weight;
      if (math::counts(covered))
        of_nll = call.by_token[sequence] + covered * call.by_sum[sequence];
    } else if (chosen && math::counts(masked)) {
      of_nll = call.by_token[sequence];
    }
    call.row_gradient[r] =
        math::token_gradient(call.by_sequence[sequence], math::counts(masked) ? weight : 0,
                             call.sequences.of[sequence].divisor, of_nll, chosen);
  }
}

// ---- The host's side ----

inline int64_t row_blocks(const StepExtras& call) {
  return (call.rows + kListThreads - 1) / kListThreads;
}

// Before the forward, and after the weights.
inline void launch_marks(const StepExtras& call, bool drops_rows, void* stream) {
  if (call.reads != nullptr)
    launch(mark_rows, grid_of(row_blocks(call)), kListThreads, 0, stream, call, drops_rows);
}

// Before the pairs.
inline void launch_extras(const StepExtras& call, void* stream) {
  if (call.of != nullptr)
    launch(sum_extras, grid_of(call.sequences.shape.count()), kListThreads, 0, stream, call);
}

// Before the backward.
inline void launch_row_gradients(const StepExtras& call, void* stream) {
  if (call.row_gradient != nullptr)
    launch(find_row_gradients, grid_of(row_blocks(call)), kListThreads, 0, stream, call);
}

}  // namespace logratio::device
