// preference_step: logits to loss, gradient and metrics. Fused are token_logprobs, sequence_logps,
// every loss of the list, their gradients back to the logits, and what a trainer logs.
//
// The rows are read once forward, 2 or 4 bytes per element, and read and written once backward, 4
// or 8; between lie some tens of bytes per token. Rows that do not count are not read, and get
// zeros. The launches:
//   tails       only where a tail of weight 0 makes rows drop out and nothing else needs them:
//   which rows those are forward     a team of threads a row: a warp where the row is short, a
//   block otherwise; figures of each token to the workspace pairs       a block a sequence; the
//   last block to finish goes on with the pairs, as the only one that then has work backward    the
//   teams of the forward again; a row's coefficient is four numbers away, so that no pass over the
//   tokens is needed for it.
//               With metrics it leaves each row's sum of squares and number of non-finite values
//               behind
//   norm        only with metrics and a gradient: one block adds these up, in a fixed order
// That is two launches at least and four at most, as tails and norm exclude each other. None waits
// for a value on the host.
#include <cstddef>

#include "operations.h"
#include "pairs.cuh"
#include "row_backward.cuh"
#include "row_forward.cuh"
#include "row_launch.cuh"
#include "sequences.cuh"

namespace logratio::device {
namespace {

// ---- What lies in the workspace ----

// One number a token each, of tokens that count; null where nobody needs it.
struct TokenFigures {
  double* logp;
  double* pivot;
  double* log_sum;
  double* weighed_logp;  // logp - log(sum of p^2), for wpo
  double* entropy;       // this and the next two for metrics
  double* mean_raw;
  double* right;  // 1 where the argmax is the label
};

struct SequenceFigures {
  double logp;
  double count;
  double divisor;
  double reference;
  // Over every token that the mask counts.
  double tokens;
  double nll;  // of the chosen ones
  double weighed_logp;
  double entropy;
  double mean_raw;
  double right;
};

struct RowTotals {
  double squares;
  double nonfinite;
};

// ---- Rows ----

struct Rows {
  op::LogitRows logits;
  int64_t count;
  Transform transform;
  Mask mask;
  const double* dropped_weights;  // of tokens in their sums, where rows of weight 0 drop out; null:
                                  // the mask alone decides
};

__device__ __forceinline__ bool is_read(const Rows& rows, int64_t r) {
  return (rows.dropped_weights != nullptr ? rows.dropped_weights[r] : mask_weight(rows.mask, r)) >
         0;
}

struct ForwardCall {
  Rows rows;
  Segments segments;
  TokenFigures figures;
  uint32_t* arrivals;  // of the next launch, set to 0 here
  int64_t* bad_values;
};

template <class Cap, bool kEverything>
__device__ inline void write_figures(const ForwardCall& call, int64_t r, int64_t label,
                                     float label_logit, const Partial& part) {
  const RowFigures row = finish_row<Cap, kEverything>(part, label_logit, call.rows.transform);
  const double logp = label >= 0 ? row.norm.logp : nan("");
  call.figures.logp[r] = logp;
  call.figures.pivot[r] = row.norm.pivot;
  call.figures.log_sum[r] = row.norm.log_sum;
  if constexpr (kEverything) {
    if (call.figures.weighed_logp != nullptr)
      call.figures.weighed_logp[r] = logp - (row.log_sum2 - 2 * row.norm.log_sum);
    if (call.figures.entropy != nullptr) {
      call.figures.entropy[r] = row.entropy;
      call.figures.mean_raw[r] = row.mean_raw;
      call.figures.right[r] = row.argmax == label ? 1 : 0;
    }
  }
}

// Under a softcap a thread has more sums than a third block on a multiprocessor would leave
// registers for.
template <class Cap>
constexpr int kForwardBlocks = Cap::kCaps ? kBlocksAtOnce - 1 : kBlocksAtOnce;

template <class T, class Cap, bool kEverything, int kThreads>
__global__ void __launch_bounds__(kBlockThreads, kForwardBlocks<Cap>)
    step_forward(const LR_PARAMETER ForwardCall call) {
  LR_SHARED(Scratch, scratch, 1);
  LR_SHARED(Partial, partials, kMaxSegments);
  constexpr int kTeams = kBlockThreads / kThreads;
  const int thread = static_cast<int>(threadIdx.x) % kThreads;
  const int64_t columns = call.rows.logits.columns;
  if (blockIdx.x == 0 && threadIdx.x == 0)
    *call.arrivals = 0;
  for (int64_t r = int64_t{blockIdx.x} * kTeams + threadIdx.x / kThreads; r < call.rows.count;
       r += int64_t{gridDim.x} * kTeams) {
    const int64_t label = read_label(call.rows.mask.labels, r, columns);
    if (thread == 0 && call.bad_values != nullptr) {
      if (label == kBadLabel)
        count_up(call.bad_values);
      if (has_bad_weight(call.rows.mask, r))
        count_up(call.bad_values);
    }
    if (!is_read(call.rows, r))
      continue;
    const typename T::Element* row = row_address<T>(call.rows.logits, r);
    const float label_logit = thread == 0 && label >= 0 ? T::widen(row[label]) : 0;
    Partial part = sum_row<T, Cap, kEverything, kThreads>(row, columns, call.segments,
                                                          call.figures.right != nullptr,
                                                          call.rows.transform, scratch, partials);
    if (thread >= kWarp)
      continue;
    sum_far_others<T, Cap>(row, columns, call.rows.transform, &part);
    if (thread == 0)
      write_figures<Cap, kEverything>(call, r, label, label_logit, part);
  }
}

struct BackwardCall {
  Rows rows;
  op::LogitRows gradient;
  int64_t pieces;  // of a row, each a block's
  int64_t piece_vectors;
  int64_t tokens;  // of a sequence
  int64_t chosen_rows;
  const double* weights;  // of tokens in their sums; null: those of the mask
  TokenFigures figures;
  const SequenceFigures* sequences;
  const double* sequence_gradient;
  const double* chosen_token_gradient;
  RowTotals* totals;  // [rows, pieces]; null: not wanted
};

struct BackwardRow {
  bool zero;
  int64_t label;
  RowGradient gradient;
};

// Of the loss by the row's log-prob; 0 where it does not count.
__device__ inline double coefficient(const BackwardCall& call, int64_t r) {
  const double mask = mask_weight(call.rows.mask, r);
  if (!(mask > 0))
    return 0;
  const double weight = call.weights != nullptr ? call.weights[r] : mask;
  const int64_t sequence = r / call.tokens;
  const double own =
      weight > 0 ? call.sequence_gradient[sequence] * weight / call.sequences[sequence].divisor : 0;
  return r < call.chosen_rows ? own + *call.chosen_token_gradient : own;
}

// By one thread for all of its row's.
template <class T, class Cap>
__device__ inline BackwardRow prepare_row(const BackwardCall& call, const typename T::Element* row,
                                          int64_t r) {
  RowUpstream up{};
  up.label = read_label(call.rows.mask.labels, r, call.rows.logits.columns);
  up.grad_logp = coefficient(call, r);
  if (up.label < 0 || up.grad_logp == 0)
    return {true, up.label, {}};
  up.norm = {call.figures.pivot[r], call.figures.log_sum[r], call.figures.logp[r]};
  return {false, up.label, prepare_gradient<Cap>(up, T::widen(row[up.label]), call.rows.transform)};
}

// Sum of squares of what is written, in units of the row's scale so that it stays within float32,
// and the number of values that are stored as inf or NaN. The label's value is added apart.
struct Totals {
  static constexpr float kAlwaysFinite = 65504;  // what every type of logits can hold
  static constexpr float kLargest = 3.402823466e38f;

  int64_t columns;
  int64_t label;
  float inverse_scale;
  double squares = 0;
  int64_t nonfinite = 0;

  template <class T>
  __device__ __forceinline__ void see(const float* x, const Vector& packed, int64_t column) {
    float sum = 0, largest = 0;
#pragma unroll
    for (int k = 0; k < T::kPerVector; ++k) {
      const float y = column + k == label ? 0 : x[k] * inverse_scale;
      sum = fused(y, y, sum);
      largest = max_nan(largest, fabsf(x[k]));
    }
    squares += sum;
    if (largest <= kAlwaysFinite)
      return;
    float stored[T::kPerVector];
    T::unpack(packed, stored);
#pragma unroll
    for (int k = 0; k < T::kPerVector; ++k) {
      const int64_t c = column + k;
      nonfinite += c >= 0 && c < columns && c != label && !(fabsf(stored[k]) <= kLargest);
    }
  }
};

// In place, only the piece that the label lies in has read its logit for certain before it was
// overwritten.
template <class T>
__device__ __forceinline__ bool owns_label(const BackwardCall& call,
                                           const typename T::Element* gradient, int64_t label,
                                           int64_t piece) {
  const int64_t before = misalignment(gradient) / static_cast<int64_t>(sizeof(typename T::Element));
  return (label + before) / T::kPerVector / call.piece_vectors == piece;
}

template <class T, class Cap, bool kTotals, int kThreads>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    step_backward(const LR_PARAMETER BackwardCall call) {
  constexpr int kTeams = kBlockThreads / kThreads;
  LR_SHARED(BackwardRow, rows, kTeams);
  LR_SHARED(RowTotals, warp_totals, kBlockThreads / kWarp);
  const auto meet = [] {
    if constexpr (kThreads == kWarp) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  };
  const int team = static_cast<int>(threadIdx.x) / kThreads,
            thread = static_cast<int>(threadIdx.x) % kThreads;
  const int64_t columns = call.rows.logits.columns;
  BackwardRow& row = rows[team];
  for (int64_t b = int64_t{blockIdx.x} * kTeams + team; b < call.rows.count * call.pieces;
       b += int64_t{gridDim.x} * kTeams) {
    const int64_t r = call.pieces == 1 ? b : b / call.pieces, piece = b - r * call.pieces;
    const typename T::Element* logits = row_address<T>(call.rows.logits, r);
    meet();  // the row before has been read
    if (thread == 0)
      row = prepare_row<T, Cap>(call, logits, r);
    meet();
    typename T::Element* const gradient = row_address<T>(call.gradient, r);
    const auto write_with = [&](auto&& watch) {
      write_gradient<T, Cap, false, kThreads>(logits, gradient, columns, piece * call.piece_vectors,
                                              (piece + 1) * call.piece_vectors, row.zero, row.label,
                                              row.gradient, call.rows.transform, watch);
    };
    if constexpr (!kTotals) {
      write_with(Unwatched{});
    } else {
      const double scale = row.gradient.scale;
      Totals seen{columns, row.label, fabs(scale) > 1e-37 ? static_cast<float>(1 / scale) : 0};
      write_with(seen);
      RowTotals totals{warp_sum(seen.squares) * scale * scale,
                       static_cast<double>(warp_sum(seen.nonfinite))};
      if (kThreads > kWarp) {
        if (thread % kWarp == 0)
          warp_totals[thread / kWarp] = totals;
        __syncthreads();
        if (thread == 0) {
          for (int w = 1; w < kThreads / kWarp; ++w) {
            totals.squares += warp_totals[w].squares;
            totals.nonfinite += warp_totals[w].nonfinite;
          }
        }
      }
      if (thread == 0) {
        if (row.zero) {
          totals = {0, 0};
        } else if (owns_label<T>(call, gradient, row.label, piece)) {
          totals.squares += row.gradient.label_value * row.gradient.label_value;
          totals.nonfinite +=
              fabsf(T::widen(T::narrow(row.gradient.label_value))) <= Totals::kLargest ? 0 : 1;
        }
        call.totals[b] = totals;
      }
    }
  }
}

// ---- Sequences and pairs ----

struct ListedLoss {
  lr_loss_options options;
  double weight;
  bool is_sft;
  bool two_values;
};

struct PairsCall {
  int64_t pairs;
  int64_t tokens;
  lr_sequence_options options;
  Mask mask;
  TokenFigures figures;
  op::TensorView reference_logps;
  op::TensorView reference_token_logps;
  double* weights;  // of tokens in their sums; null: those of the mask
  SequenceFigures* sequences;
  uint32_t* arrivals;
  bool wpo;
  bool sft;
  // The pairs, by the last block.
  op::PairTensors tensors;  // of one loss of the list, views of the workspace
  double* upstream;         // [2P], as are the values and gradients
  double* value;
  double* gradient;
  double* total_loss;             // [P]
  double* total_gradient;         // [2P]
  double* chosen_token_gradient;  // of sft
  SortEntry* entries[2];
  op::TensorView losses;
  op::TensorView logps;
  op::TensorView counts;
  lr_step_metrics* metrics;
  int loss_count;
  ListedLoss list[op::kMaxStepLosses];
};

__global__ void __launch_bounds__(kListThreads)
    find_tails(const lr_sequence_options options, const LR_PARAMETER Mask mask, int64_t sequences,
               int64_t tokens, double* weights) {
  LR_SHARED(BlockScratch, scratch, 1);
  for (int64_t b = blockIdx.x; b < sequences; b += gridDim.x) {
    for_tokens(options, mask, b, sequences, tokens, scratch,
               [&](int64_t token, double, double weight) { weights[token] = weight; });
  }
}

__device__ inline void reduce_sequence(const PairsCall& call, int64_t b, BlockScratch* scratch) {
  enum Sum {
    kCount,
    kLogp,
    kReference,
    kTokens,
    kNll,
    kWeighedLogp,
    kEntropy,
    kMeanRaw,
    kRight,
    kSums
  };
  double sums[kSums] = {};
  const bool chosen = b < call.pairs, of_tokens = call.reference_token_logps.present;
  const TokenFigures& figures = call.figures;
  for_tokens(call.options, call.mask, b, 2 * call.pairs, call.tokens, scratch,
             [&](int64_t token, double mask, double weight) {
               if (call.weights != nullptr)
                 call.weights[token] = weight;
               if (weight > 0) {
                 sums[kCount] += weight;
                 sums[kLogp] += weight * figures.logp[token];
                 if (of_tokens)
                   sums[kReference] += weight * read_double(call.reference_token_logps, token);
               }
               if (!(mask > 0))
                 return;
               sums[kTokens] += 1;
               if (call.sft && chosen)
                 sums[kNll] -= figures.logp[token];
               if (call.wpo)
                 sums[kWeighedLogp] += figures.weighed_logp[token];
               if (call.metrics != nullptr) {
                 sums[kEntropy] += figures.entropy[token];
                 sums[kMeanRaw] += figures.mean_raw[token];
                 sums[kRight] += figures.right[token];
               }
             });
  block_sum(sums, scratch);
  if (threadIdx.x != 0)
    return;
  const double divisor = divisor_of(call.options, sums[kCount]);
  const double reference = call.reference_logps.present ? read_double(call.reference_logps, b)
                                                        : sums[kReference] / divisor;
  call.sequences[b] = {
      sums[kLogp] / divisor, sums[kCount],   divisor,        reference,   sums[kTokens], sums[kNll],
      sums[kWeighedLogp],    sums[kEntropy], sums[kMeanRaw], sums[kRight]};
  write(call.logps, b, sums[kLogp] / divisor);
  write(call.counts, b, sums[kCount]);
}

// WPO's weight of a pair (arXiv 2406.11827).
__device__ inline double pair_weight(const PairsCall& call, int64_t pair) {
  if (!call.wpo)
    return 1;
  const auto mean = [&](int64_t b) {
    return call.sequences[b].tokens > 0 ? call.sequences[b].weighed_logp / call.sequences[b].tokens
                                        : 0;
  };
  return exp(mean(pair) + mean(call.pairs + pair));
}

__device__ inline double mean_of(double sum, double count) { return count > 0 ? sum / count : 0; }

struct TokenTotals {
  double chosen, rejected;  // tokens
  double nll, entropy, chosen_raw, rejected_raw, right;
};

__device__ inline TokenTotals add_sequences(const PairsCall& call, BlockScratch* scratch) {
  double sums[7] = {};
  for (int64_t b = threadIdx.x; b < 2 * call.pairs; b += kListThreads) {
    const SequenceFigures& sequence = call.sequences[b];
    const bool chosen = b < call.pairs;
    sums[chosen ? 0 : 1] += sequence.tokens;
    sums[2] += sequence.nll;
    sums[3] += sequence.entropy;
    sums[chosen ? 4 : 5] += sequence.mean_raw;
    if (chosen)
      sums[6] += sequence.right;
  }
  block_sum(sums, scratch);
  return {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6]};
}

__device__ inline void write_metrics(const PairsCall& call, const TokenTotals& tokens,
                                     BlockScratch* scratch) {
  double sums[6] = {};
  for (int64_t k = threadIdx.x; k < call.pairs; k += kListThreads) {
    const double chosen = read_double(call.tensors.chosen_rewards, k),
                 rejected = read_double(call.tensors.rejected_rewards, k);
    sums[0] += call.total_loss[k];
    sums[1] += chosen;
    sums[2] += rejected;
    sums[3] += chosen - rejected;
    sums[4] += chosen > rejected ? 1 : 0;
    sums[5] += fabs(call.total_loss[k]) < static_cast<double>(INFINITY) ? 0 : 1;
  }
  block_sum(sums, scratch);
  if (threadIdx.x != 0)
    return;
  const double pairs = static_cast<double>(call.pairs);
  *call.metrics = {mean_of(sums[0], pairs),
                   mean_of(sums[1], pairs),
                   mean_of(sums[2], pairs),
                   mean_of(sums[3], pairs),
                   mean_of(sums[4], pairs),
                   mean_of(tokens.entropy, tokens.chosen + tokens.rejected),
                   mean_of(tokens.right, tokens.chosen),
                   mean_of(tokens.chosen_raw, tokens.chosen),
                   mean_of(tokens.rejected_raw, tokens.rejected),
                   0,
                   static_cast<int64_t>(sums[5])};
}

// The block that comes last does this. A thread meets the same pairs in every loop but those of a
// loss that sorts.
__device__ inline void evaluate_list(const PairsCall& call, BlockScratch* scratch) {
  const int64_t pairs = call.pairs;
  const TokenTotals tokens = add_sequences(call, scratch);
  const double count = static_cast<double>(pairs);
  for (int64_t k = threadIdx.x; k < pairs; k += kListThreads) {
    call.total_loss[k] = call.total_gradient[k] = call.total_gradient[pairs + k] = 0;
    write(call.tensors.chosen_rewards, k, 0.0);
    write(call.tensors.rejected_rewards, k, 0.0);
  }
  double chosen_token_gradient = 0;
  bool rewarded = false;
  for (int i = 0; i < call.loss_count; ++i) {
    const ListedLoss& loss = call.list[i];
    if (loss.is_sft) {
      const double value = math::vanishing_product(loss.weight, mean_of(tokens.nll, tokens.chosen));
      for (int64_t k = threadIdx.x; k < pairs; k += kListThreads)
        call.total_loss[k] += value;
      if (tokens.chosen > 0)
        chosen_token_gradient -= loss.weight / tokens.chosen;
      continue;
    }
    const bool two_values = loss.two_values;
    for (int64_t k = threadIdx.x; k < pairs; k += kListThreads) {
      const double upstream = loss.weight * pair_weight(call, k) / (two_values ? 2 * count : count);
      call.upstream[k] = call.upstream[pairs + k] = upstream;
    }
    __syncthreads();  // a loss that sorts reads the upstream of others' pairs
    evaluate_pairs(loss.options, {pairs,
                                  call.tensors,
                                  !rewarded,
                                  threadIdx.x,
                                  kListThreads,
                                  {call.entries[0], call.entries[1]},
                                  scratch});
    __syncthreads();
    rewarded = true;
    for (int64_t k = threadIdx.x; k < pairs; k += kListThreads) {
      const double value = two_values ? (call.value[k] + call.value[pairs + k]) / 2 : call.value[k];
      call.total_loss[k] += math::vanishing_product(loss.weight * pair_weight(call, k), value);
      call.total_gradient[k] += call.gradient[k];
      call.total_gradient[pairs + k] += call.gradient[pairs + k];
    }
    __syncthreads();  // values have been read
  }
  for (int64_t k = threadIdx.x; k < pairs; k += kListThreads)
    write(call.losses, k, call.total_loss[k]);
  if (threadIdx.x == 0)
    *call.chosen_token_gradient = chosen_token_gradient;
  if (call.metrics != nullptr)
    write_metrics(call, tokens, scratch);
}

__global__ void __launch_bounds__(kListThreads) step_pairs(const LR_PARAMETER PairsCall call) {
  LR_SHARED(BlockScratch, scratch, 1);
  for (int64_t b = blockIdx.x; b < 2 * call.pairs; b += gridDim.x)
    reduce_sequence(call, b, scratch);
  if (last_of_grid(call.arrivals, scratch))
    evaluate_list(call, scratch);
}

__global__ void __launch_bounds__(kListThreads)
    step_norm(const RowTotals* totals, int64_t count, lr_step_metrics* metrics) {
  LR_SHARED(BlockScratch, scratch, 1);
  double sums[2] = {0, 0};
  for (int64_t k = threadIdx.x; k < count; k += kListThreads) {
    sums[0] += totals[k].squares;
    sums[1] += totals[k].nonfinite;
  }
  block_sum(sums, scratch);
  if (threadIdx.x != 0)
    return;
  metrics->grad_norm = sqrt(sums[0]);
  metrics->nonfinite += static_cast<int64_t>(sums[1]);
}

// ---- The host's side ----

op::TensorView view(double* values, int64_t count, int64_t stride = 1) {
  return {true, op::ElementType::f64, values, 1, count, 0, stride};
}

// The part of the pairs' memory, and what the list says.
void plan_pairs(const op::PreferenceStep& step, Workspace& workspace, PairsCall* call) {
  const int64_t pairs = step.pairs;
  call->sequences = workspace.take<SequenceFigures>(2 * pairs);
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
    call->sft |= call->list[i].is_sft;
    sorts |= info.sorting != math::Sorting::none;
  }
  if (sorts) {
    for (SortEntry*& entries : call->entries)
      entries = workspace.take<SortEntry>(sort_capacity(pairs));
  }
  const auto figure = [&](size_t offset, int64_t first) {
    constexpr int64_t kStride = sizeof(SequenceFigures) / sizeof(double);
    return view(
        reinterpret_cast<double*>(call->sequences) + first * kStride + offset / sizeof(double),
        pairs, kStride);
  };
  op::PairTensors& t = call->tensors;
  t.policy_chosen = figure(offsetof(SequenceFigures, logp), 0);
  t.policy_rejected = figure(offsetof(SequenceFigures, logp), pairs);
  if (step.reference_logps.present || step.reference_token_logps.present) {
    t.reference_chosen = figure(offsetof(SequenceFigures, reference), 0);
    t.reference_rejected = figure(offsetof(SequenceFigures, reference), pairs);
  }
  t.logps_are_means = step.sequence.reduction == LR_MEAN;
  t.chosen_counts = figure(offsetof(SequenceFigures, count), 0);
  t.rejected_counts = figure(offsetof(SequenceFigures, count), pairs);
  t.grad_loss = view(call->upstream, 2 * pairs);
  t.loss = view(call->value, 2 * pairs);
  t.grad_policy_chosen = view(call->gradient, pairs);
  t.grad_policy_rejected = view(call->gradient + pairs, pairs);
  t.chosen_rewards = view(rewards, pairs);
  t.rejected_rewards = view(rewards + pairs, pairs);
}

template <class T, class Cap, bool kEverything>
void launch_forward(const ForwardCall& call, const Machine& machine) {
  if (is_warp_row(call.rows.logits)) {
    launch(step_forward<T, Cap, kEverything, kWarp>,
           machine.blocks(blocks_of_warps(call.rows.count)), kBlockThreads, 0, machine.stream,
           call);
  } else {
    launch(step_forward<T, Cap, kEverything, kBlockThreads>, machine.blocks(call.rows.count),
           kBlockThreads, 0, machine.stream, call);
  }
}

template <class T, class Cap, bool kTotals>
void launch_backward(const BackwardCall& call, const Machine& machine) {
  if (is_warp_row(call.rows.logits)) {
    launch(step_backward<T, Cap, kTotals, kWarp>, machine.blocks(blocks_of_warps(call.rows.count)),
           kBlockThreads, 0, machine.stream, call);
  } else {
    launch(step_backward<T, Cap, kTotals, kBlockThreads>,
           machine.blocks(call.rows.count * call.pieces), kBlockThreads, 0, machine.stream, call);
  }
}

}  // namespace

lr_status preference_step(Execution* execution, const op::PreferenceStep* step) {
  return run(execution, [&] {
    const Machine machine(*execution);
    const int64_t sequences = 2 * step->pairs, rows = sequences * step->tokens;
    const bool metrics = step->metrics != nullptr, has_tails = step->sequence.tail_weight != 1;
    Workspace workspace(*execution);
    const auto figures = [&](bool wanted) {
      return wanted ? workspace.take<double>(rows) : nullptr;
    };

    PairsCall pairs{};
    pairs.pairs = step->pairs;
    pairs.tokens = step->tokens;
    pairs.options = step->sequence;
    pairs.mask = {step->mask, step->labels};
    pairs.reference_logps = step->reference_logps;
    pairs.reference_token_logps = step->reference_token_logps;
    pairs.wpo = step->wpo;
    pairs.losses = step->losses_out;
    pairs.logps = step->logps;
    pairs.counts = step->counts;
    pairs.metrics = step->metrics;
    pairs.figures = {figures(true),    figures(true),    figures(true),   figures(step->wpo),
                     figures(metrics), figures(metrics), figures(metrics)};
    pairs.weights = figures(has_tails);
    pairs.arrivals = workspace.take<uint32_t>(1);
    plan_pairs(*step, workspace, &pairs);
    const bool drops_rows = step->sequence.tail_weight == 0 && !metrics && !pairs.wpo && !pairs.sft;
    const Rows all{step->logits, rows, make_transform(step->transform), pairs.mask,
                   drops_rows ? pairs.weights : nullptr};

    BackwardCall backward{};
    backward.rows = all;
    backward.tokens = step->tokens;
    backward.chosen_rows = rows / 2;
    backward.weights = pairs.weights;
    backward.figures = pairs.figures;
    backward.sequences = pairs.sequences;
    backward.sequence_gradient = pairs.total_gradient;
    backward.chosen_token_gradient = pairs.chosen_token_gradient;
    const bool has_backward = step->wants_gradient && rows > 0;
    if (has_backward) {
      const Pieces pieces = cut_backward(rows, step->logits, machine);
      backward.gradient = step->gradient;
      backward.pieces = pieces.count;
      backward.piece_vectors = pieces.vectors;
      backward.totals = metrics ? workspace.take<RowTotals>(rows * pieces.count) : nullptr;
    }
    if (!workspace.ready())
      return;

    for (const op::TensorView* grid : {&step->losses_out, &step->logps, &step->counts})
      poison(*grid);
    if (has_backward && step->gradient.base != step->logits.base)
      poison(step->gradient, rows);
    if (drops_rows && rows > 0) {
      launch(find_tails, grid_of(sequences), kListThreads, 0, machine.stream, step->sequence,
             pairs.mask, sequences, step->tokens, pairs.weights);
    }
    const ForwardCall forward{all, cut(step->logits.columns), pairs.figures, pairs.arrivals,
                              execution->bad_values};
    const bool everything = metrics || pairs.wpo, caps = all.transform.softcap != 0;
    with_type(step->logits.type, [&]<class T>(T) {
      const auto start = caps         ? launch_forward<T, Softcap, true>
                         : everything ? launch_forward<T, NoSoftcap, true>
                                      : launch_forward<T, NoSoftcap, false>;
      start(forward, machine);
    });
    launch(step_pairs, grid_of(sequences), kListThreads, 0, machine.stream, pairs);
    if (!has_backward)
      return;
    with_type(step->logits.type, [&]<class T>(T) {
      const auto start =
          caps ? (metrics ? launch_backward<T, Softcap, true> : launch_backward<T, Softcap, false>)
               : (metrics ? launch_backward<T, NoSoftcap, true>
                          : launch_backward<T, NoSoftcap, false>);
      start(backward, machine);
    });
    if (metrics)
      launch(step_norm, dim3(1), kListThreads, 0, machine.stream, backward.totals,
             rows * backward.pieces, step->metrics);
  });
}

}  // namespace logratio::device
