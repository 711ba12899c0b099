// Where packed sequences end, looked at and copied before other kernels rely on it: some hundred
// numbers, by one block.
#include "spans.cuh"

namespace logratio::device {
namespace {

struct OffsetsCopy {
  op::TensorView cu_seqlens;
  int64_t sequences;
  int64_t tokens;
  int64_t* offsets;  // [sequences + 2]
  int64_t* bad_values;
};

__global__ void __launch_bounds__(kListThreads) copy_offsets(const LR_PARAMETER OffsetsCopy call) {
  LR_SHARED(BlockScratch, scratch, 1);
  double bad[1] = {0};
  for (int64_t k = threadIdx.x; k <= call.sequences; k += kListThreads) {
    const int64_t value = read_int(call.cu_seqlens, k);
    const bool rises = k == 0 ? value == 0 : value >= read_int(call.cu_seqlens, k - 1);
    bad[0] += rises && (k < call.sequences || value == call.tokens) ? 0 : 1;
    call.offsets[k] = value;
  }
  block_sum(bad, scratch);
  for (int64_t k = threadIdx.x; bad[0] > 0 && k <= call.sequences; k += kListThreads)
    call.offsets[k] = k < call.sequences ? 0 : call.tokens;
  if (threadIdx.x != 0)
    return;
  call.offsets[call.sequences + 1] = static_cast<int64_t>(bad[0]);
  if (bad[0] > 0 && call.bad_values != nullptr)
    count_up(call.bad_values, static_cast<int64_t>(bad[0]));
}

}  // namespace

void launch_copy(const op::TensorView& cu_seqlens, int64_t sequences, int64_t tokens,
                 int64_t* offsets, int64_t* bad_values, void* stream) {
  if (cu_seqlens.present) {
    launch(copy_offsets, 1, kListThreads, 0, stream,
           OffsetsCopy{cu_seqlens, sequences, tokens, offsets, bad_values});
  }
}

}  // namespace logratio::device
