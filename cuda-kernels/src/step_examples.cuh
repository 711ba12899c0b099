// What lies between the forward and the backward of an unpaired step: from the figures of sequences
// to the losses of examples, their gradients and the metrics, by one block, as a step has few.
#pragma once

#include "examples.cuh"
#include "op/unpaired_step.h"
#include "step_tokens.cuh"

namespace logratio::device {

struct StepExamples {
  lr_loss_options options;
  int64_t examples;
  StepSequences sequences;
  op::TensorView chosen;
  op::TensorView kl_policy_logps;
  op::TensorView kl_reference_logps;
  op::TensorView weights;
  op::TensorView grad_loss;
  op::TensorView losses;
  op::TensorView rewards;
  op::TensorView kl;
  double* value;                  // [B], the weighted losses
  double* total_gradient;         // [B]
  double* chosen_token_gradient;  // 0
  lr_step_metrics* metrics;
  uint32_t* cleared;  // becomes 0; may be null

  __device__ double log_ratio(int64_t k) const {
    return sequences.of[k].logp - sequences.of[k].reference;
  }
};

// Each of the functions below is called by all threads of the block. Those that are out of line
// would make the losses beside them spill registers. A thread meets the same examples in every
// loop.
template <class Body>
__device__ __forceinline__ void for_examples(const StepExamples& call, Body&& body) {
  for (int64_t k = threadIdx.x; k < call.examples; k += kListThreads)
    body(k);
}

__device__ LR_NO_INLINE inline void finish_examples(const StepExamples& call) {
  for_examples(call, [&](int64_t k) { finish_sequence(call.sequences, k); });
}

// What is no weight counts as 0.
__device__ LR_NO_INLINE inline double example_weight(const StepExamples& call, int64_t k) {
  const double weight = call.weights.present ? read_double(call.weights, k) : 1;
  if (is_weight(weight))
    return weight;
  if (call.sequences.bad_values != nullptr)
    count_up(call.sequences.bad_values);
  return 0;
}

__device__ LR_NO_INLINE inline void write_metrics(const StepExamples& call, BlockScratch* scratch) {
  math::StepSums tokens{};
  math::ExampleMetricSums sums{};
  for_examples(call, [&](int64_t k) {
    const bool is_chosen = read_double(call.chosen, k) > 0;
    tokens.add(call.sequences.of[k], is_chosen);
    sums.add(call.value[k], call.options.beta * call.log_ratio(k), is_chosen);
  });
  tokens = block_sum_of(tokens, scratch);
  sums = block_sum_of(sums, scratch);
  if (threadIdx.x == 0)
    *call.metrics = math::step_metrics(sums, tokens);
}

__global__ void __launch_bounds__(kListThreads)
    step_examples(const LR_PARAMETER StepExamples call) {
  LR_SHARED(BlockScratch, scratch, 1);
  const double kl = mean_log_ratio(call.kl_policy_logps, call.kl_reference_logps, scratch),
               grad_loss = call.grad_loss.present ? read_double(call.grad_loss, 0) : 1;
  if (threadIdx.x == 0) {
    if (call.cleared != nullptr)
      *call.cleared = 0;
    *call.chosen_token_gradient = 0;
    write(call.kl, 0, kl);
  }
  if (call.sequences.of_parts != nullptr)
    finish_examples(call);
  for_examples(
      call.options, call.chosen, kl, threadIdx.x, kListThreads, call.examples,
      [&](int64_t k) { return call.log_ratio(k); },
      [&](int64_t k, double ratio, const math::ExampleOutput<double>& out) {
        const double weight = example_weight(call, k),
                     upstream = math::vanishing_product(
                         grad_loss, weight / static_cast<double>(call.examples));
        call.value[k] = math::vanishing_product(weight, out.value);
        call.total_gradient[k] = math::vanishing_product(upstream, out.d_ratio);
        write(call.losses, k, call.value[k]);
        write(call.rewards, k, call.options.beta * ratio);
      });
  if (call.metrics != nullptr)
    write_metrics(call, scratch);
}

// ---- The host's side ----

inline void plan_examples(const op::UnpairedStep& step, Workspace& workspace, StepExamples* call) {
  call->options = step.options;
  call->examples = step.sequences;
  call->chosen = step.chosen;
  call->kl_policy_logps = step.kl_policy_logps;
  call->kl_reference_logps = step.kl_reference_logps;
  call->weights = step.weights;
  call->grad_loss = step.grad_loss;
  call->losses = step.losses_out;
  call->rewards = step.rewards;
  call->kl = step.kl;
  call->value = workspace.take<double>(step.sequences);
  call->total_gradient = workspace.take<double>(step.sequences);
  call->chosen_token_gradient = workspace.take<double>(1);
}

}  // namespace logratio::device
