// What lies between the forward and the backward of a step: from the figures of sequences to the
// losses of the list, their gradients and the metrics, by one block, as most losses look at few
// numbers of each pair and some at all pairs.
#pragma once

#include <cstddef>

#include "pairs.cuh"
#include "step_nll.cuh"
#include "step_tokens.cuh"

namespace logratio::device {

struct ListedLoss {
  lr_loss_options options;
  double weight;
  bool is_sft;
  bool two_values;
  bool adds_nll;  // which is then left out of the options
  bool nll_of_batch;
};

struct StepPairs {
  int64_t pairs;
  StepSequences sequences;
  int32_t wpo;
  bool nll_apart;          // its figures are the extras'
  SequenceExtras* extras;  // of sequences; may be null
  double reward_beta;
  double token_count;
  op::TensorView pair_weights;
  op::TensorView grad_loss;
  op::PairTensors tensors;  // of one loss of the list, views of the workspace; the rewards' are the
                            // step's own
  double* upstream;         // [2P], as are the values and gradients
  double* value;
  double* gradient;
  double* total_loss;             // [P]
  double* total_gradient;         // [2P]
  double* chosen_token_gradient;  // [P]: of negative log-likelihoods, by their tokens
  double* by_nll_sum;             // [P]: and by the weighted sum of these
  SortEntry* entries[2];
  op::TensorView losses;
  lr_step_metrics* metrics;
  uint32_t* cleared;  // becomes 0; may be null
  int loss_count;
  ListedLoss list[op::kMaxStepLosses];

  bool has_full_counts() const {
    for (int i = 0; i < loss_count; ++i) {
      if (list[i].options.normalise == LR_NORMALISE_FULL)
        return true;
    }
    return false;
  }
  __device__ math::PairWeight weight_of(int64_t pair) const {
    const double own = pair_weights.present ? read_double(pair_weights, pair) : 1;
    return {is_weight(own) ? own : 0,
            math::wpo_weight(wpo, sequences.of[pair], sequences.of[pairs + pair])};
  }
  __device__ double upstream_of_loss() const {
    return grad_loss.present ? read_double(grad_loss, 0) : 1;
  }
  __device__ math::NllFigures nll_figures(int64_t pair) const {
    return nll_apart ? extras[pair].nll
                     : math::nll_figures(sequences.of[pair], sequences.shape.options);
  }
  __device__ double reward(int64_t sequence) const {
    const math::SequenceFigures& of = sequences.of[sequence];
    const double beta = beta_of(sequence % pairs);
    return beta == 0 ? 0 : beta * (of.logp - of.reference);
  }
  // What a pair's rewards are scaled by.
  __device__ double beta_of(int64_t pair) const {
    const op::TensorView& own = tensors.parameters.values[math::kScale];
    return own.present ? read_double(own, own.size() == 1 ? 0 : pair) : reward_beta;
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
    sums.add(call.total_loss[k], call.reward(k), call.reward(call.pairs + k));
  });
  sums = block_sum_of(sums, scratch);
  if (threadIdx.x == 0)
    *call.metrics = math::step_metrics(sums, static_cast<double>(call.pairs), tokens);
}

// The counts that losses see become those before the tail weight, or become again what they were.
__device__ LR_NO_INLINE inline void swap_counts(const StepPairs& call) {
  const auto swap = [&](int64_t sequence) {
    double &count = call.sequences.of[sequence].count, &other = call.extras[sequence].full_count;
    const double kept = count;
    count = other;
    other = kept;
  };
  for_pairs(call, [&](int64_t k) {
    swap(k);
    swap(call.pairs + k);
  });
}

// Adds a loss of pairs, weighted, to the totals.
template <bool kOwn>
__device__ LR_NO_INLINE inline void add_loss(const StepPairs& call, const ListedLoss& loss,
                                             BlockScratch* scratch) {
  const int64_t pairs = call.pairs;
  const double values = static_cast<double>(loss.two_values ? 2 * pairs : pairs);
  const bool full_counts =
      loss.options.normalise == LR_NORMALISE_FULL && call.sequences.shape.has_tails();
  if (full_counts)
    swap_counts(call);
  for_pairs(call, [&](int64_t k) {
    call.upstream[k] = call.upstream[pairs + k] =
        loss.weight * call.weight_of(k).both() / values * call.upstream_of_loss();
  });
  __syncthreads();  // a loss that sorts reads the upstream of others' pairs
  evaluate_pairs<kOwn>(loss.options, {pairs,
                                      call.tensors,
                                      false,
                                      threadIdx.x,
                                      kListThreads,
                                      {call.entries[0], call.entries[1]},
                                      scratch});
  __syncthreads();
  for_pairs(call, [&](int64_t k) {
    const double value =
        loss.two_values ? (call.value[k] + call.value[pairs + k]) / 2 : call.value[k];
    call.total_loss[k] += math::vanishing_product(loss.weight * call.weight_of(k).both(), value);
    call.total_gradient[k] += call.gradient[k];
    call.total_gradient[pairs + k] += call.gradient[pairs + k];
  });
  if (full_counts)
    swap_counts(call);
  __syncthreads();  // values have been read
}

// Adds sft, or the negative log-likelihood that a loss leaves to the step.
__device__ LR_NO_INLINE inline void add_nll(const StepPairs& call, const ListedLoss& loss,
                                            BlockScratch* scratch) {
  const math::NllTerm term(loss.options, loss.weight, loss.is_sft, loss.nll_of_batch);
  math::NllSums sums{};
  for_pairs(call, [&](int64_t k) { sums.add(call.nll_figures(k), call.weight_of(k)); });
  sums = block_sum_of(sums, scratch);
  const double upstream = call.upstream_of_loss();
  for_pairs(call, [&](int64_t k) {
    const math::NllShare share = math::nll_share(term, call.nll_figures(k), call.weight_of(k), sums,
                                                 static_cast<double>(call.pairs), call.token_count);
    call.total_loss[k] += share.value;
    call.chosen_token_gradient[k] += share.by_token * upstream;
    if (call.nll_apart) {
      call.by_nll_sum[k] += share.by_sum * upstream;
    } else {
      call.total_gradient[k] +=
          share.by_sum * upstream *
          math::nll_factor(call.sequences.of[k], call.sequences.shape.options);
    }
  });
}

// kOwn: pairs have parameters of their own, of the one loss of the list.
template <bool kOwn>
__device__ inline void evaluate_list(const StepPairs& call, BlockScratch* scratch) {
  for_pairs(call, [&](int64_t k) {
    call.total_loss[k] = call.total_gradient[k] = call.total_gradient[call.pairs + k] = 0;
    call.chosen_token_gradient[k] = call.by_nll_sum[k] = 0;
    if (call.pair_weights.present && call.sequences.bad_values != nullptr &&
        !is_weight(read_double(call.pair_weights, k)))
      count_up(call.sequences.bad_values);
  });
  for (int i = 0; i < call.loss_count; ++i) {
    const ListedLoss& loss = call.list[i];
    if (!loss.is_sft)
      add_loss<kOwn>(call, loss, scratch);
    if (loss.is_sft || loss.adds_nll)
      add_nll(call, loss, scratch);
  }
  for_pairs(call, [&](int64_t k) {
    write(call.losses, k, call.total_loss[k]);
    write(call.tensors.chosen_rewards, k, call.reward(k));
    write(call.tensors.rejected_rewards, k, call.reward(call.pairs + k));
  });
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
  call->pairs = pairs;
  call->wpo = step.wpo;
  call->pair_weights = step.pair_weights;
  call->grad_loss = step.grad_loss;
  call->reward_beta = step.reward_beta;
  call->token_count = step.token_count;
  call->nll_apart = step.nll_mask.present;
  call->losses = step.losses_out;
  call->upstream = workspace.take<double>(2 * pairs);
  call->value = workspace.take<double>(2 * pairs);
  call->gradient = workspace.take<double>(2 * pairs);
  call->total_loss = workspace.take<double>(pairs);
  call->total_gradient = workspace.take<double>(2 * pairs);
  call->chosen_token_gradient = workspace.take<double>(pairs);
  call->by_nll_sum = workspace.take<double>(pairs);
  bool sorts = false;
  call->loss_count = step.loss_count;
  for (int i = 0; i < step.loss_count; ++i) {
    const math::LossInfo& info = *math::loss_info(step.losses[i].options.loss);
    ListedLoss& loss = call->list[i];
    loss = {step.losses[i].options,
            step.losses[i].weight,
            info.kind == LR_LOSS_AUXILIARY,
            info.two_values,
            step.adds_nll_of(step.losses[i].options, info),
            step.losses[i].options.nll == LR_NLL_TOKEN};
    if (loss.adds_nll)
      loss.options.nll = math::kNllElsewhere;
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
  t.chosen_rewards = step.chosen_rewards;
  t.rejected_rewards = step.rejected_rewards;
  t.parameters = step.parameters;
}

// The memory of what few steps need beside. sft: whether that is in the list.
inline StepExtras plan_extras(const op::PreferenceStep& step, Workspace& workspace, bool sft,
                              bool has_backward, StepPairs* call) {
  const int64_t sequences = step.sequences, rows = step.rows();
  const bool has_mask = step.nll_mask.present,
             has_sums = has_mask || (call->sequences.shape.has_tails() && call->has_full_counts()),
             by_row = has_backward && (has_mask || (sft && step.pair_weights.present));
  call->extras = has_sums ? workspace.take<SequenceExtras>(sequences) : nullptr;
  return {call->sequences,
          rows,
          {step.nll_mask, step.labels},
          has_mask ? workspace.take<double>(rows) : nullptr,
          call->extras,
          by_row ? workspace.take<double>(rows) : nullptr,
          call->chosen_token_gradient,
          call->by_nll_sum,
          call->total_gradient};
}

}  // namespace logratio::device
