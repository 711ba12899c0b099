// What lies between the forward and the backward of a step: from the figures of sequences to the
// losses of the list, their gradients and the metrics, by one block, as most losses look at few
// numbers of each pair and some at all pairs.
#pragma once

#include <cstddef>

#include "pairs.cuh"
#include "step_tokens.cuh"

namespace logratio::device {

struct ListedLoss {
  lr_loss_options options;
  double weight;
  bool is_sft;
  bool two_values;
};

struct StepPairs {
  int64_t pairs;
  StepSequences sequences;
  bool wpo;
  op::PairTensors tensors;  // of one loss of the list, views of the workspace
  double* upstream;         // [2P], as are the values and gradients
  double* value;
  double* gradient;
  double* total_loss;             // [P]
  double* total_gradient;         // [2P]
  double* chosen_token_gradient;  // of sft
  SortEntry* entries[2];
  op::TensorView losses;
  lr_step_metrics* metrics;
  uint32_t* cleared;  // becomes 0; may be null
  int loss_count;
  ListedLoss list[op::kMaxStepLosses];

  __device__ double wpo_weight(int64_t pair) const {
    return wpo ? math::wpo_weight(sequences.of[pair], sequences.of[pairs + pair]) : 1;
  }
};

// Each of the functions below is called by all threads of the block. Those that are out of line
// would make the losses beside them spill registers. A thread meets the same pairs in every loop
// but those of a loss that sorts.
template <class Body>
__device__ __forceinline__ void for_pairs(const StepPairs& call, Body&& body) {
  for (int64_t k = threadIdx.x; k < call.pairs; k += kListThreads)
    body(k);
}

__device__ LR_NO_INLINE inline void finish_sequences(const StepPairs& call) {
  for_pairs(call, [&](int64_t k) {
    finish_sequence(call.sequences, k);
    finish_sequence(call.sequences, call.pairs + k);
  });
}

__device__ LR_NO_INLINE inline math::StepSums add_sequences(const StepPairs& call,
                                                            BlockScratch* scratch) {
  math::StepSums sums{};
  for_pairs(call, [&](int64_t k) {
    sums.add(call.sequences.of[k], true);
    sums.add(call.sequences.of[call.pairs + k], false);
  });
  return block_sum_of(sums, scratch);
}

__device__ LR_NO_INLINE inline void write_metrics(const StepPairs& call, BlockScratch* scratch) {
  const math::StepSums tokens = add_sequences(call, scratch);
  math::PairMetricSums sums{};
  for_pairs(call, [&](int64_t k) {
    sums.add(call.total_loss[k], read_double(call.tensors.chosen_rewards, k),
             read_double(call.tensors.rejected_rewards, k));
  });
  sums = block_sum_of(sums, scratch);
  if (threadIdx.x == 0)
    *call.metrics = math::step_metrics(sums, static_cast<double>(call.pairs), tokens);
}

// Adds a loss of pairs, weighted, to the totals.
template <bool kOwn>
__device__ LR_NO_INLINE inline void add_loss(const StepPairs& call, const ListedLoss& loss,
                                             bool wants_rewards, BlockScratch* scratch) {
  const int64_t pairs = call.pairs;
  const double values = static_cast<double>(loss.two_values ? 2 * pairs : pairs);
  for_pairs(call, [&](int64_t k) {
    call.upstream[k] = call.upstream[pairs + k] = loss.weight * call.wpo_weight(k) / values;
  });
  __syncthreads();  // a loss that sorts reads the upstream of others' pairs
  evaluate_pairs<kOwn>(loss.options, {pairs,
                                      call.tensors,
                                      wants_rewards,
                                      threadIdx.x,
                                      kListThreads,
                                      {call.entries[0], call.entries[1]},
                                      scratch});
  __syncthreads();
  for_pairs(call, [&](int64_t k) {
    const double value =
        loss.two_values ? (call.value[k] + call.value[pairs + k]) / 2 : call.value[k];
    call.total_loss[k] += math::vanishing_product(loss.weight * call.wpo_weight(k), value);
    call.total_gradient[k] += call.gradient[k];
    call.total_gradient[pairs + k] += call.gradient[pairs + k];
  });
  __syncthreads();  // values have been read
}

// kOwn: pairs have parameters of their own, of the one loss of the list.
template <bool kOwn>
__device__ inline void evaluate_list(const StepPairs& call, BlockScratch* scratch) {
  // The metrics take these sums again, so that the losses need not keep them all.
  const math::StepSums tokens = add_sequences(call, scratch);
  const double sft = tokens.sft(), chosen_tokens = tokens.chosen_tokens;
  for_pairs(call, [&](int64_t k) {
    call.total_loss[k] = call.total_gradient[k] = call.total_gradient[call.pairs + k] = 0;
    write(call.tensors.chosen_rewards, k, 0.0);
    write(call.tensors.rejected_rewards, k, 0.0);
  });
  double chosen_token_gradient = 0;
  bool rewarded = false;  // rewards are those of the first loss of pairs
  for (int i = 0; i < call.loss_count; ++i) {
    const ListedLoss& loss = call.list[i];
    if (loss.is_sft) {
      const double value = math::vanishing_product(loss.weight, sft);
      for_pairs(call, [&](int64_t k) { call.total_loss[k] += value; });
      if (chosen_tokens > 0)
        chosen_token_gradient -= loss.weight / chosen_tokens;
    } else {
      add_loss<kOwn>(call, loss, !rewarded, scratch);
      rewarded = true;
    }
  }
  for_pairs(call, [&](int64_t k) { write(call.losses, k, call.total_loss[k]); });
  if (threadIdx.x == 0)
    *call.chosen_token_gradient = chosen_token_gradient;
  if (call.metrics != nullptr)
    write_metrics(call, scratch);
}

template <bool kOwn>
__global__ void __launch_bounds__(kListThreads) step_pairs(const LR_PARAMETER StepPairs call) {
  LR_SHARED(BlockScratch, scratch, 1);
  if (call.cleared != nullptr && threadIdx.x == 0)
    *call.cleared = 0;
  if (call.sequences.of_parts != nullptr)
    finish_sequences(call);
  evaluate_list<kOwn>(call, scratch);
}

// ---- The host's side ----

inline op::TensorView view_of(double* values, int64_t count, int64_t stride = 1) {
  return {true, op::ElementType::f64, values, 1, count, 0, stride};
}

// The pairs' memory, and the list.
inline void plan_pairs(const op::PreferenceStep& step, Workspace& workspace, StepPairs* call) {
  const int64_t pairs = step.pairs;
  call->upstream = workspace.take<double>(2 * pairs);
  call->value = workspace.take<double>(2 * pairs);
  call->gradient = workspace.take<double>(2 * pairs);
  call->total_loss = workspace.take<double>(pairs);
  call->total_gradient = workspace.take<double>(2 * pairs);
  call->chosen_token_gradient = workspace.take<double>(1);
  double* const rewards = workspace.take<double>(2 * pairs);
  bool sorts = false;
  call->loss_count = step.loss_count;
  for (int i = 0; i < step.loss_count; ++i) {
    const math::LossInfo& info = *math::loss_info(step.losses[i].options.loss);
    call->list[i] = {step.losses[i].options, step.losses[i].weight, info.kind == LR_LOSS_AUXILIARY,
                     info.two_values};
    sorts |= info.sorting != math::Sorting::none;
  }
  if (sorts) {
    for (SortEntry*& entries : call->entries)
      entries = workspace.take<SortEntry>(sort_capacity(pairs));
  }
  const auto figure = [&](size_t offset, int64_t first) {
    constexpr int64_t kStride = sizeof(math::SequenceFigures) / sizeof(double);
    return view_of(
        reinterpret_cast<double*>(call->sequences.of) + first * kStride + offset / sizeof(double),
        pairs, kStride);
  };
  op::PairTensors& t = call->tensors;
  t.policy_chosen = figure(offsetof(math::SequenceFigures, logp), 0);
  t.policy_rejected = figure(offsetof(math::SequenceFigures, logp), pairs);
  if (step.reference_logps.present || step.reference_token_logps.present) {
    t.reference_chosen = figure(offsetof(math::SequenceFigures, reference), 0);
    t.reference_rejected = figure(offsetof(math::SequenceFigures, reference), pairs);
  }
  t.logps_are_means = step.sequence.reduction == LR_MEAN;
  t.chosen_counts = figure(offsetof(math::SequenceFigures, count), 0);
  t.rejected_counts = figure(offsetof(math::SequenceFigures, count), pairs);
  t.grad_loss = view_of(call->upstream, 2 * pairs);
  t.loss = view_of(call->value, 2 * pairs);
  t.grad_policy_chosen = view_of(call->gradient, pairs);
  t.grad_policy_rejected = view_of(call->gradient + pairs, pairs);
  t.chosen_rewards = view_of(rewards, pairs);
  t.rejected_rewards = view_of(rewards + pairs, pairs);
  t.parameters = step.parameters;
}

}  // namespace logratio::device
