// sequence_logps: masks and token log-probs to sequence log-probs, counts and the gradient by each
// token.
//
// One launch, a block a sequence. It reads 1 (bool) or 4 bytes of mask and 4 to 8 of log-prob
// per token, both sequences' masks twice where a tail is weighed down, and writes the gradient
// once. Tokens are some thousands at most, so what counts is that no thread walks a sequence alone:
// each warp takes a stretch of it.
#include "operations.h"
#include "sequences.cuh"

namespace logratio::device {
namespace {

struct Call {
  Sequences sequences;  // of one part each
  op::SequenceLogps tensors;
  int64_t* bad_values;
};

__global__ void __launch_bounds__(kListThreads) reduce_sequences(const LR_PARAMETER Call call) {
  LR_SHARED(BlockScratch, scratch, 1);
  for (int64_t b = blockIdx.x; b < call.sequences.count; b += gridDim.x) {
    double sums[3] = {0, 0, 0};
    const auto for_all = [&](auto&& body) {
      for_tokens(call.sequences, Part(call.sequences, b), nullptr, scratch, body);
    };
    for_all([&](int64_t token, MaskedToken mask, double weight) {
      sums[2] += mask.is_bad ? 1 : 0;
      if (!math::counts(weight))
        return;
      sums[0] += weight;
      if (call.tensors.logps.present)
        sums[1] += weight * read_double(call.tensors.token_logps, token);
    });
    block_sum(sums, scratch);
    const double divisor = math::divisor_of(call.sequences.options, sums[0]);
    if (threadIdx.x == 0) {
      write(call.tensors.counts, b, sums[0]);
      write(call.tensors.logps, b, sums[1] / divisor);
      if (sums[2] > 0 && call.bad_values != nullptr)
        count_up(call.bad_values, static_cast<int64_t>(sums[2]));
    }
    if (!call.tensors.grad_token_logps.present)
      continue;
    const double upstream = read_double(call.tensors.grad_logps, b);
    for_all([&](int64_t token, MaskedToken, double weight) {
      write(call.tensors.grad_token_logps, token,
            math::counts(weight) ? upstream * weight / divisor : 0.0);
    });
  }
}

}  // namespace

lr_status sequence_logps(Execution* execution, const op::SequenceLogps* reduction) {
  return run(execution, [&] {
    Workspace workspace(*execution);
    const op::SequenceLogps& tensors = *reduction;
    const Call call{whole_sequences(reduction->options, {reduction->mask, {}},
                                    reduction->mask.outer, reduction->mask.inner),
                    tensors, execution->bad_values};
    if (!workspace.ready() || call.sequences.count == 0)
      return;
    for (const op::TensorView* output :
         {&tensors.logps, &tensors.counts, &tensors.grad_token_logps})
      poison(*output);
    launch(reduce_sequences, grid_of(call.sequences.count), kListThreads, 0, execution->stream,
           call);
  });
}

}  // namespace logratio::device
