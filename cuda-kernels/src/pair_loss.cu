// pair_loss and unpaired_loss: sequence log-probs to losses, rewards and every gradient.
//
// One launch. A pair is some 100 bytes and one or two exponentials in double, so the launch itself
// is most of the time, and what matters is that there is no second one: a loss that looks at the
// whole batch, by its means, its order or a parameter's gradient, has a block of its own that meets
// between its passes over the pairs; pairs of any other loss are shared out over the grid.
#include <algorithm>

#include "examples.cuh"
#include "operations.h"
#include "pairs.cuh"

namespace logratio::device {
namespace {

int64_t blocks_for(int64_t elements) { return (elements + kListThreads - 1) / kListThreads; }

struct SortMemory {
  SortEntry* entries[2];
};

// Two blocks on a multiprocessor at once: registers for three of them would be spilled.
__global__ void __launch_bounds__(kListThreads, 2)
    evaluate_pair_losses(const LR_PARAMETER op::PairLoss call, SortMemory sort) {
  LR_SHARED(BlockScratch, scratch, 1);
  lr_loss_options options = call.options;
#pragma unroll
  for (int k = 0; k < math::kParameters; ++k) {
    if (call.learned[k].present)
      options.*math::learned_option(k) = read_double(call.learned[k], 0);
  }
  evaluate_pairs(options, {call.pairs,
                           call.tensors,
                           true,
                           int64_t{blockIdx.x} * kListThreads + threadIdx.x,
                           int64_t{gridDim.x} * kListThreads,
                           {sort.entries[0], sort.entries[1]},
                           scratch});
}

__global__ void __launch_bounds__(kListThreads)
    evaluate_example_losses(const LR_PARAMETER op::UnpairedLoss call) {
  LR_SHARED(BlockScratch, scratch, 1);
  const op::UnpairedLoss& t = call;
  const double kl = mean_log_ratio(t.kl_policy_logps, t.kl_reference_logps, scratch);
  if (blockIdx.x == 0 && threadIdx.x == 0)
    write(t.kl, 0, kl);
  for_examples(
      call.options, t.chosen, kl, int64_t{blockIdx.x} * kListThreads + threadIdx.x,
      int64_t{gridDim.x} * kListThreads, call.examples,
      [&](int64_t k) { return read_double(t.policy_logps, k) - read_double(t.reference_logps, k); },
      [&](int64_t k, double ratio, const math::ExampleOutput<double>& out) {
        const double upstream = t.grad_loss.present ? read_double(t.grad_loss, k)
                                                    : 1.0 / static_cast<double>(call.examples);
        const double gradient = math::vanishing_product(upstream, out.d_ratio);
        write(t.loss, k, out.value);
        write(t.rewards, k, call.options.beta * ratio);
        write(t.grad_policy_logps, k, gradient);
        write(t.grad_reference_logps, k, -gradient);
      });
}

}  // namespace

lr_status pair_loss(Execution* execution, const op::PairLoss* losses) {
  return run(execution, [&] {
    const math::LossInfo& info = *math::loss_info(losses->options.loss);
    const op::PairTensors& t = losses->tensors;
    Workspace workspace(*execution);
    SortMemory sort{};
    if (info.sorting != math::Sorting::none) {
      for (SortEntry*& entries : sort.entries)
        entries = workspace.take<SortEntry>(sort_capacity(losses->pairs));
    }
    if (!workspace.ready())
      return;
    for (const op::TensorView* output :
         {&t.loss, &t.chosen_rewards, &t.rejected_rewards, &t.grad_policy_chosen,
          &t.grad_policy_rejected, &t.grad_reference_chosen, &t.grad_reference_rejected})
      poison(*output);
    for (const op::TensorView& gradient : t.grad_parameters)
      poison(gradient);
    launch(evaluate_pair_losses, grid_of(needs_one_block(info) ? 1 : blocks_for(losses->pairs)),
           kListThreads, 0, execution->stream, *losses, sort);
  });
}

lr_status unpaired_loss(Execution* execution, const op::UnpairedLoss* losses) {
  return run(execution, [&] {
    Workspace workspace(*execution);
    if (!workspace.ready())
      return;
    const op::UnpairedLoss& t = *losses;
    for (const op::TensorView* output :
         {&t.loss, &t.rewards, &t.kl, &t.grad_policy_logps, &t.grad_reference_logps})
      poison(*output);
    launch(evaluate_example_losses, grid_of(blocks_for(losses->examples)), kListThreads, 0,
           execution->stream, *losses);
  });
}

}  // namespace logratio::device
