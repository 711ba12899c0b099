// sequence_logps: masks and token log-probs to sequence log-probs, counts and the gradient by each
// token.
//
// One launch, a block a sequence, after one that looks at the offsets of packed ones. It reads 1
// (bool) or 4 bytes of mask and 4 to 8 of log-prob per token, both sequences' masks twice where a
// tail is weighed down, and writes the gradient once. Tokens are some thousands at most, so what
// counts is that no thread walks a sequence alone: the threads of a block take its tokens in turn.
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
  const bool bad = are_bad(call.sequences.cut.spans);
  for (int64_t b = blockIdx.x; b < call.sequences.count(); b += gridDim.x) {
    double sums[3] = {0, 0, 0};
    const auto for_all = [&](auto&& body) {
      for_tokens(call.sequences, Part(call.sequences.cut, b), nullptr, scratch, body);
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
    if (bad)
      sums[0] = math::kNaN;
    const double divisor = bad ? math::kNaN : math::divisor_of(call.sequences.options, sums[0]);
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
    const int64_t tokens = tensors.mask.size();
    int64_t* const offsets = take_offsets(workspace, tensors.cu_seqlens, tensors.sequences);
    const math::SequenceSpans spans{tensors.sequences, tensors.length, offsets};
    const Call call{{tensors.options, {tensors.mask, {}}, cut_sequences(spans, tokens, kWhole)},
                    tensors,
                    execution->bad_values};
    if (!workspace.ready() || tensors.sequences == 0)
      return;
    for (const op::TensorView* output :
         {&tensors.logps, &tensors.counts, &tensors.grad_token_logps})
      poison(*output);
    launch_copy(tensors.cu_seqlens, tensors.sequences, tokens, offsets, execution->bad_values,
                execution->stream);
    launch(reduce_sequences, grid_of(tensors.sequences), kListThreads, 0, execution->stream, call);
  });
}

}  // namespace logratio::device
