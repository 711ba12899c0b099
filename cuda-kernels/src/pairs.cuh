// Losses of pairs by the threads of a grid, in double, from the formulas of src/math: what
// pair_loss and the step share. Loads and stores stay out of line, so that the losses, each of them
// a copy of what is around the formula, stay short.
#pragma once

#include "block.cuh"
#include "elements.cuh"
#include "math/losses.h"

namespace logratio::device {

using PairInput = math::PairInput<double>;
using PairOutput = math::PairOutput<double>;

// An element to sort: by its key, equal ones by their pair.
struct SortEntry {
  uint64_t key;
  int64_t pair;
};

struct PairBatch {
  int64_t pairs;
  const op::PairTensors& tensors;
  bool wants_rewards;
  int64_t first, step;    // this thread takes pairs first, first + step, ...; a loss that looks at
                          // others needs all of them in one block
  SortEntry* entries[2];  // sort_capacity(pairs) each, of a loss that sorts
  BlockScratch* scratch;
};

// True if one block has to see all pairs.
inline bool needs_one_block(const math::LossInfo& info, const op::PairTensors& tensors) {
  bool sums = info.differentiates_options;
  for (const op::TensorView& gradient : tensors.parameters.gradients)
    sums |= gradient.present && gradient.size() == 1;
  return info.means > 0 || sums || info.sorting != math::Sorting::none;
}

LR_HD inline int64_t sort_capacity(int64_t pairs) {
  int64_t capacity = 1;
  while (capacity < pairs)
    capacity *= 2;
  return capacity;
}

struct LoadedPair {
  PairInput input;
  double upstream[2];  // of the chosen and of the rejected answer's value; the same for a loss with
                       // one value
};

__device__ inline double at_least_one(double count) { return count < 1 ? 1 : count; }

__device__ inline double read_upstream(const PairBatch& batch, int64_t value, int64_t values) {
  const op::TensorView& upstream = batch.tensors.grad_loss;
  return upstream.present ? read_double(upstream, value) : 1.0 / static_cast<double>(values);
}

__device__ LR_NO_INLINE inline LoadedPair load_pair(const PairBatch& batch, int64_t k,
                                                    bool reference_free, bool two_values) {
  const op::PairTensors& t = batch.tensors;
  LoadedPair loaded{
      {read_double(t.policy_chosen, k), read_double(t.policy_rejected, k), 0, 0, 1, 1}, {}};
  if (!reference_free && t.reference_chosen.present) {
    loaded.input.reference_chosen = read_double(t.reference_chosen, k);
    loaded.input.reference_rejected = read_double(t.reference_rejected, k);
  }
  if (t.chosen_counts.present) {  // an answer without tokens is divided by 1
    loaded.input.chosen_count = at_least_one(read_double(t.chosen_counts, k));
    loaded.input.rejected_count = at_least_one(read_double(t.rejected_counts, k));
  }
  loaded.input.logps_are_means = t.logps_are_means;
  loaded.upstream[0] = read_upstream(batch, k, two_values ? 2 * batch.pairs : batch.pairs);
  loaded.upstream[1] =
      two_values ? read_upstream(batch, batch.pairs + k, 2 * batch.pairs) : loaded.upstream[0];
  return loaded;
}

__device__ LR_NO_INLINE inline void store_rewards(const PairBatch& batch, int64_t k,
                                                  const PairInput& pair, double beta) {
  if (!batch.wants_rewards)
    return;
  write(batch.tensors.chosen_rewards, k, beta * pair.chosen_ratio());
  write(batch.tensors.rejected_rewards, k, beta * pair.rejected_ratio());
}

// The output's gradients are complete.
__device__ LR_NO_INLINE inline void store_pair(const PairBatch& batch, int64_t k,
                                               const PairOutput& out, bool two_values) {
  const op::PairTensors& t = batch.tensors;
  write(t.loss, k, out.value);
  if (two_values)
    write(t.loss, batch.pairs + k, out.second_value);
  write(t.grad_policy_chosen, k, out.gradient.policy_chosen);
  write(t.grad_policy_rejected, k, out.gradient.policy_rejected);
  write(t.grad_reference_chosen, k, out.gradient.reference_chosen);
  write(t.grad_reference_rejected, k, out.gradient.reference_rejected);
}

// ---- The loss of a pair ----

// A parameter's tensor is [1] or [P].
__device__ inline double read_parameter(const op::TensorView& parameter, int64_t k) {
  return read_double(parameter, parameter.outer * parameter.inner == 1 ? 0 : k);
}

template <class Loss, int kParameter>
__device__ __forceinline__ void set_own(const op::PairTensors& tensors, int64_t k,
                                        lr_loss_options* own) {
  constexpr auto kOption = Loss::info.option_of(kParameter);
  const op::TensorView& parameter = tensors.parameters.values[kParameter];
  if constexpr (kOption != nullptr) {
    if (parameter.present)
      own->*kOption = read_parameter(parameter, k);
  }
}

// The options with a pair's parameters in their places.
template <class Loss>
__device__ __forceinline__ lr_loss_options own_options(const lr_loss_options& options,
                                                       const op::PairTensors& tensors, int64_t k) {
  lr_loss_options own = options;
  set_own<Loss, math::kScale>(tensors, k, &own);
  set_own<Loss, math::kMix>(tensors, k, &own);
  set_own<Loss, math::kTemperature>(tensors, k, &own);
  return own;
}

// The losses of a batch: one for all pairs, or each pair's own.
template <class Loss>
struct SharedLoss {
  static constexpr bool kOwn = false;

  const Loss& loss;
  double reward_beta;

  __device__ __forceinline__ const Loss& at(int64_t) const { return loss; }
  __device__ __forceinline__ double beta(int64_t) const { return reward_beta; }
};

template <class Loss>
struct OwnLosses {
  static constexpr bool kOwn = true;

  const lr_loss_options& options;
  const op::PairTensors& tensors;

  __device__ __forceinline__ Loss at(int64_t k) const {
    return Loss(own_options<Loss>(options, tensors, k));
  }
  __device__ __forceinline__ double beta(int64_t k) const {
    constexpr auto kRewardBeta = Loss::info.reward_beta;
    return own_options<Loss>(options, tensors, k).*kRewardBeta;
  }
};

// The gradients by parameters: of each pair, or summed.
__device__ LR_NO_INLINE inline void store_parameters(const PairBatch& batch, int64_t k,
                                                     const math::ParameterGradient<double>& own,
                                                     double (&sums)[math::kParameters]) {
#pragma unroll
  for (int p = 0; p < math::kParameters; ++p) {
    const op::TensorView& gradient = batch.tensors.parameters.gradients[p];
    if (gradient.outer * gradient.inner == 1) {
      sums[p] += own[p];
    } else {
      write(gradient, k, own[p]);
    }
  }
}

// The sums of all threads to the gradients that are [1].
__device__ inline void store_sums(const PairBatch& batch, double (&sums)[math::kParameters]) {
  block_sum(sums, batch.scratch);
  if (threadIdx.x != 0)
    return;
#pragma unroll
  for (int p = 0; p < math::kParameters; ++p) {
    const op::TensorView& gradient = batch.tensors.parameters.gradients[p];
    if (gradient.outer * gradient.inner == 1)
      write(gradient, 0, sums[p]);
  }
}

// ---- Losses of the whole batch ----

// Means of the features, the variance about the first of them, and the derivatives of the weighted
// losses by these statistics.
template <class Loss, class Losses>
__device__ inline void take_statistics(const Losses& losses, const PairBatch& batch,
                                       math::Statistics* statistics,
                                       math::Statistics* derivatives) {
  constexpr bool kReferenceFree = Loss::info.kind == LR_LOSS_REFERENCE_FREE,
                 kTwoValues = Loss::info.two_values, kVariance = Loss::info.variance;
  constexpr int kMeans = Loss::info.means;
  const double count = static_cast<double>(batch.pairs);
  double sums[3] = {0, 0, 0};
  for (int64_t k = batch.first; k < batch.pairs; k += batch.step) {
    const math::Features<double> features =
        losses.at(k).features(load_pair(batch, k, kReferenceFree, kTwoValues).input);
    sums[0] += features.first;
    sums[1] += features.second;
  }
  block_sum(sums, batch.scratch);
  *statistics = {count, {sums[0] / count, sums[1] / count}, 0};
  if constexpr (kVariance) {
    double squares[1] = {0};
    for (int64_t k = batch.first; k < batch.pairs; k += batch.step) {
      const double off =
          losses.at(k).features(load_pair(batch, k, kReferenceFree, kTwoValues).input).first -
          statistics->mean[0];
      squares[0] += off * off;
    }
    block_sum(squares, batch.scratch);
    statistics->variance = squares[0] / (count - 1);
  }
  sums[0] = sums[1] = sums[2] = 0;
  for (int64_t k = batch.first; k < batch.pairs; k += batch.step) {
    const LoadedPair in = load_pair(batch, k, kReferenceFree, kTwoValues);
    const math::CoupledOutput<double> out = losses.at(k).evaluate(in.input, *statistics);
    for (int i = 0; i < kMeans; ++i)
      sums[i] += math::by_statistic(in.upstream[kTwoValues ? i : 0], out.d_mean[i]);
    if (kVariance)
      sums[2] += math::by_statistic(in.upstream[0], out.d_variance);
  }
  block_sum(sums, batch.scratch);
  *derivatives = {count, {sums[0], sums[1]}, sums[2]};
}

// ---- Losses that sort ----

// Orders as the numbers do, -0 being 0 and NaN last.
__device__ inline uint64_t sort_key(double value) {
  if (value != value)
    return ~uint64_t{0};
  const uint64_t bits = std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
  return bits >> 63 != 0 ? ~bits : bits | uint64_t{1} << 63;
}

__device__ inline bool goes_before(const SortEntry& a, const SortEntry& b) {
  return a.key < b.key || (a.key == b.key && a.pair < b.pair);
}

// Bitonic, in ascending order; the count is a power of two. No two entries are equal, so the result
// is that of a stable sort.
__device__ LR_NO_INLINE inline void sort_entries(SortEntry* entries, int64_t count) {
  for (int64_t run = 2; run <= count; run *= 2) {
    for (int64_t distance = run / 2; distance > 0; distance /= 2) {
      __syncthreads();
      for (int64_t k = threadIdx.x; k < count / 2; k += kListThreads) {
        const int64_t low = 2 * k - (k & (distance - 1)), high = low + distance;
        const SortEntry a = entries[low], b = entries[high];
        const bool ascending = (low & run) == 0;
        if (goes_before(b, a) == ascending) {
          entries[low] = b;
          entries[high] = a;
        }
      }
    }
  }
  __syncthreads();
}

struct SortKeys {
  double first, second;
};

template <bool kByModel>
__device__ inline SortKeys sort_keys(const PairInput& pair) {
  if (kByModel)
    return {pair.policy_chosen - pair.policy_rejected,
            pair.reference_chosen - pair.reference_rejected};
  return {pair.chosen_ratio(), pair.rejected_ratio()};
}

// The formula is evaluated on ranks as if they were pairs, and its gradient goes back to the pairs
// that hold the ranks.
template <class Loss, class Losses>
__device__ inline void evaluate_sorted(const Losses& losses, const PairBatch& batch) {
  constexpr bool kByModel = Loss::info.sorting == math::Sorting::by_model;
  const op::PairTensors& t = batch.tensors;
  const auto keys_of = [&](int64_t pair) {
    return sort_keys<kByModel>(load_pair(batch, pair, false, false).input);
  };
  const int64_t capacity = sort_capacity(batch.pairs);
  for (int64_t k = batch.first; k < capacity; k += batch.step) {  // what fills up goes last
    SortEntry first{~uint64_t{0}, k}, second = first;
    if (k < batch.pairs) {
      const SortKeys keys = keys_of(k);
      first.key = sort_key(keys.first);
      second.key = sort_key(keys.second);
    }
    batch.entries[0][k] = first;
    batch.entries[1][k] = second;
  }
  sort_entries(batch.entries[0], capacity);
  sort_entries(batch.entries[1], capacity);
  double parameters[math::kParameters] = {};
  for (int64_t rank = batch.first; rank < batch.pairs; rank += batch.step) {
    const int64_t first = batch.entries[0][rank].pair, second = batch.entries[1][rank].pair;
    const LoadedPair own = load_pair(batch, rank, false, false);
    const PairOutput out = losses.at(rank).evaluate(
        PairInput{keys_of(first).first, keys_of(second).second, 0, 0, 1, 1});
    const double d_first = math::vanishing_product(own.upstream[0], out.gradient.policy_chosen);
    const double d_second = math::vanishing_product(own.upstream[0], out.gradient.policy_rejected);
    write(t.loss, rank, out.value);
    write(t.grad_policy_chosen, first, d_first);
    write(kByModel ? t.grad_policy_rejected : t.grad_reference_chosen, first, -d_first);
    write(kByModel ? t.grad_reference_chosen : t.grad_policy_rejected, second, d_second);
    write(t.grad_reference_rejected, second, -d_second);
    store_rewards(batch, rank, own.input, losses.beta(rank));
    if constexpr (Losses::kOwn) {
      math::ParameterGradient<double> gradient = out.parameters;
#pragma unroll
      for (int p = 0; p < math::kParameters; ++p)
        gradient[p] = math::vanishing_product(own.upstream[0], gradient[p]);
      store_parameters(batch, rank, gradient, parameters);
    }
  }
  if constexpr (Losses::kOwn)
    store_sums(batch, parameters);
}

// ---- Any loss ----

template <class Loss, class Losses>
__device__ inline void evaluate_loss(const Losses& losses, const PairBatch& batch) {
  constexpr bool kReferenceFree = Loss::info.kind == LR_LOSS_REFERENCE_FREE,
                 kTwoValues = Loss::info.two_values, kCoupled = Loss::info.means > 0;
  constexpr bool kOwn = Losses::kOwn, kSumsParameters = !kOwn && Loss::info.differentiates_options;
  math::Statistics statistics, derivatives;
  if constexpr (kCoupled)
    take_statistics<Loss>(losses, batch, &statistics, &derivatives);
  double parameters[math::kParameters] = {};
  for (int64_t k = batch.first; k < batch.pairs; k += batch.step) {
    const LoadedPair in = load_pair(batch, k, kReferenceFree, kTwoValues);
    const auto& loss = losses.at(k);
    PairOutput out;
    if constexpr (kCoupled) {
      out = loss.evaluate(in.input, statistics).pair;
    } else {
      out = loss.evaluate(in.input);
    }
    math::PairGradient<double>& gradient = out.gradient;
    gradient.policy_chosen = math::vanishing_product(in.upstream[0], gradient.policy_chosen);
    gradient.policy_rejected = math::vanishing_product(in.upstream[1], gradient.policy_rejected);
    gradient.reference_chosen = math::vanishing_product(in.upstream[0], gradient.reference_chosen);
    gradient.reference_rejected =
        math::vanishing_product(in.upstream[1], gradient.reference_rejected);
    math::ParameterGradient<double> by_own;
    if constexpr (kOwn) {
#pragma unroll
      for (int p = 0; p < math::kParameters; ++p) {
        by_own[p] = math::vanishing_product(in.upstream[0], out.parameters[p]);
        if (kTwoValues)
          by_own[p] += math::vanishing_product(in.upstream[1], out.second_parameters[p]);
      }
    }
    if constexpr (kCoupled) {
      const math::PulledBack<double> back = loss.pull_back(
          in.input, math::feature_gradient(loss.features(in.input), statistics, derivatives));
      const math::PairGradient<double>& more = back.gradient;
      gradient.policy_chosen += more.policy_chosen;
      gradient.policy_rejected += more.policy_rejected;
      gradient.reference_chosen += more.reference_chosen;
      gradient.reference_rejected += more.reference_rejected;
#pragma unroll
      for (int p = 0; kOwn && p < math::kParameters; ++p)
        by_own[p] += back.parameters[p];
    }
    if constexpr (kOwn)
      store_parameters(batch, k, by_own, parameters);
    if constexpr (kSumsParameters) {
#pragma unroll
      for (int p = 0; p < math::kParameters; ++p)
        parameters[p] += math::vanishing_product(in.upstream[0], out.parameters[p]);
    }
    store_pair(batch, k, out, kTwoValues);
    store_rewards(batch, k, in.input, losses.beta(k));
  }
  if constexpr (kOwn || kSumsParameters)
    store_sums(batch, parameters);
}

// Called by all threads of a block, which must all come.
template <bool kOwn>
__device__ inline void evaluate_pairs(const lr_loss_options& options, const PairBatch& batch) {
  math::visit_paired(options, [&]<class Loss>(const Loss& loss) {
    const auto evaluate = [&](const auto& losses) {
      if constexpr (Loss::info.sorting != math::Sorting::none) {
        evaluate_sorted<Loss>(losses, batch);
      } else {
        evaluate_loss<Loss>(losses, batch);
      }
    };
    if constexpr (kOwn) {
      evaluate(OwnLosses<Loss>{options, batch.tensors});
    } else {
      constexpr auto kRewardBeta = Loss::info.reward_beta;
      evaluate(SharedLoss<Loss>{loss, options.*kRewardBeta});
    }
  });
}

}  // namespace logratio::device
