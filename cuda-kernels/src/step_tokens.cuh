// What follows a step's forward: from the figures of tokens to those of sequences, a block each
// part of a sequence. Some 100 bytes per token are read, and the weights of tokens in their sums,
// where an answer has a tail, are found before the forward, which leaves out rows of weight 0.
#pragma once

#include "math/step.h"
#include "sequences.cuh"

namespace logratio::device {

struct StepSequences {
  Sequences shape;
  double* weights;                    // of tokens in their sums; null: those of the mask
  int64_t* candidates;                // of parts; null where a sequence is one part, or has no tail
  const math::RowNorm* norms;         // of tokens that were read
  const math::TokenFigures* figures;  // of every counted token; null where nobody needs them
  op::TensorView reference_logps;
  op::TensorView reference_token_logps;
  math::SequenceFigures* of_parts;  // sums; null where a sequence is one part
  math::SequenceFigures* of;
  op::TensorView logps;
  op::TensorView counts;
  int64_t* sequence_of;  // of each token, where sequences are packed, for the backward; or null
  int64_t* bad_values;
};

__global__ void __launch_bounds__(kListThreads)
    count_candidates_of_parts(const LR_PARAMETER StepSequences call) {
  LR_SHARED(BlockScratch, scratch, 1);
  for (int64_t b = blockIdx.x; b < call.shape.cut.parts; b += gridDim.x) {
    const Part part(call.shape.cut, b);
    double all[1] = {
        static_cast<double>(count_candidates(call.shape, part.sequence, part.begin, part.end))};
    block_sum(all, scratch);
    if (threadIdx.x == 0)
      call.candidates[b] = static_cast<int64_t>(all[0]);
  }
}

__global__ void __launch_bounds__(kListThreads)
    weigh_tokens(const LR_PARAMETER StepSequences call) {
  LR_SHARED(BlockScratch, scratch, 1);
  for (int64_t b = blockIdx.x; b < call.shape.cut.parts; b += gridDim.x) {
    for_tokens(call.shape, Part(call.shape.cut, b), call.candidates, scratch,
               [&](int64_t token, MaskedToken, double weight) { call.weights[token] = weight; });
  }
}

// Called by one thread, with the sums over all tokens of sequence b.
__device__ inline void finish_sequence(const StepSequences& call, int64_t b,
                                       math::SequenceFigures sums) {
  const bool bad = are_bad(call.shape.cut.spans);
  if (bad) {  // the number of tokens is kept, so that means over them are NaN
    sums.count = sums.nll = sums.weighed_logp = sums.entropy = sums.mean_raw = sums.right =
        math::kNaN;
  }
  sums.divisor = bad ? math::kNaN : math::divisor_of(call.shape.options, sums.count);
  sums.logp /= sums.divisor;
  sums.reference = call.reference_logps.present ? read_double(call.reference_logps, b)
                                                : sums.reference / sums.divisor;
  call.of[b] = sums;
  write(call.logps, b, sums.logp);
  write(call.counts, b, sums.count);
}

// The same where a sequence has several parts.
__device__ inline void finish_sequence(const StepSequences& call, int64_t b) {
  math::SequenceFigures sums{};
  const int64_t end = call.shape.cut.first_part(b + 1);
#pragma unroll 4
  for (int64_t p = call.shape.cut.first_part(b); p < end; ++p)
    sums = sum_of(sums, call.of_parts[p]);
  finish_sequence(call, b, sums);
}

__global__ void __launch_bounds__(kListThreads) step_tokens(const LR_PARAMETER StepSequences call) {
  LR_SHARED(BlockScratch, scratch, 1);
  struct Sums {
    math::SequenceFigures figures;
    double bad;
  };
  const Mask& mask = call.shape.mask;
  const bool of_tokens = call.reference_token_logps.present;
  for (int64_t b = blockIdx.x; b < call.shape.cut.parts; b += gridDim.x) {
    const Part part(call.shape.cut, b);
    Sums own{};
    int bad = 0;
    for (int64_t t = part.begin + threadIdx.x; t < part.end; t += kListThreads) {
      const int64_t token = part.row + t;
      if (call.sequence_of != nullptr)
        call.sequence_of[token] = part.sequence;
      const MaskedToken masked = read_mask(mask, token);
      const double weight = call.weights != nullptr ? call.weights[token] : masked.weight;
      bad += masked.is_bad ? 1 : 0;
      if (math::counts(weight)) {
        own.figures.count += weight;
        own.figures.logp += weight * call.norms[token].logp;
        if (of_tokens)
          own.figures.reference += weight * read_double(call.reference_token_logps, token);
      }
      if (math::counts(masked.weight) && call.figures != nullptr)
        own.figures.add(call.figures[token]);
    }
    own.bad = bad;
    const Sums all = block_sum_of(own, scratch);
    if (threadIdx.x != 0)
      continue;
    if (all.bad > 0 && call.bad_values != nullptr)
      count_up(call.bad_values, static_cast<int64_t>(all.bad));
    if (call.of_parts == nullptr) {
      finish_sequence(call, b, all.figures);
    } else {
      call.of_parts[b] = all.figures;
    }
  }
}

// ---- The host's side ----

// Before the forward.
inline void launch_weights(const StepSequences& call, void* stream) {
  const dim3 grid = grid_of(call.shape.cut.parts);
  if (call.candidates != nullptr)
    launch(count_candidates_of_parts, grid, kListThreads, 0, stream, call);
  launch(weigh_tokens, grid, kListThreads, 0, stream, call);
}

}  // namespace logratio::device
