// preference_step: logits to loss, gradient and metrics. Fused are token_logprobs, sequence_logps,
// every loss of the list, their gradients back to the logits, and what a trainer logs.
//
// The rows are read once forward, 2 or 4 bytes per element, and read and written once backward, 4
// or 8; between lie some tens of bytes per token. Rows that do not count are not read, and get
// zeros. The launches, none of which waits for a value on the host:
//
//   weights   only where answers have tails: of tokens in their sums, by two launches where a
//             sequence is long. With a tail of weight 0 whole rows drop out, if nothing else needs
//             them
//   forward   a warp or a block a row; figures of each token to the workspace. Few long rows are
//             shared out by segment, and a second launch merges these
//   tokens    a block a part of a sequence: sums over its tokens
//   pairs     one block: sequences, losses and metrics
//   backward  a warp or a block a row again. A row's coefficient is four numbers away, so that no
//             pass over the tokens is needed for it. With metrics it leaves each row's sum of
//             squares and number of non-finite values behind
//   norm      only with metrics and a gradient: a grid adds these up, in a fixed order
#include "list_sum.cuh"
#include "operations.h"
#include "step_pairs.cuh"
#include "token_backward.cuh"
#include "token_forward.cuh"

namespace logratio::device {
namespace {

// ---- Forward: a token's figures to the workspace ----

struct FigureStore {
  Mask mask;
  const double* weights;  // of tokens in their sums, where rows of weight 0 drop out; null: the
                          // mask alone decides
  math::RowNorm* norms;
  math::TokenFigures* figures;  // null where nobody needs them

  __device__ __forceinline__ bool reads(int64_t r) const {
    return math::counts(weights != nullptr ? weights[r] : mask_weight(mask, r));
  }
  template <bool kEverything>
  __device__ void take(int64_t r, int64_t label, math::RowFigures row, int64_t argmax) const {
    if (threadIdx.x % kWarp != 0)
      return;
    if (label < 0)
      row.norm.logp = math::kNaN;
    norms[r] = row.norm;
    if (figures == nullptr)
      return;
    if constexpr (kEverything) {
      figures[r] = math::token_figures(row, argmax == label);
    } else {
      figures[r] = {row.norm.logp, 0, 0, 0, 0};
    }
  }
};

// ---- Backward: a token's coefficient from the workspace ----

struct RowTotals {
  double squares;
  double nonfinite;
};

// Sum of squares of what is written, in units of the row's scale so that it stays within float32,
// and the number of values that are stored as inf or NaN. The label's value is added apart.
struct Totals {
  static constexpr float kAlwaysFinite = 65504;  // what every type of logits can hold
  static constexpr float kLargest = 3.402823466e38f;

  int64_t columns;
  int64_t label;
  float scale;
  float inverse_scale;
  double squares = 0;
  double label_square = 0;
  int nonfinite = 0;

  __device__ Totals(const RowPlan& plan, int64_t columns)
      : columns(columns),
        label(plan.label),
        scale(plan.scale),
        inverse_scale(fabsf(plan.scale) > 1e-37f ? 1 / plan.scale : 0) {}

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
  template <class T>
  __device__ __forceinline__ void see_label(double value) {
    label_square = value * value;
    nonfinite += fabsf(T::widen(T::narrow(value))) <= kLargest ? 0 : 1;
  }
  __device__ RowTotals of_warp() const {
    return {warp_sum(squares * scale * scale + label_square), warp_sum<double>(nonfinite)};
  }
};

template <class Watcher>
struct StepUpstream {
  using Watch = Watcher;
  static constexpr bool kHasEntropy = false;

  Mask mask;
  int64_t columns;
  int64_t tokens;  // of a sequence
  int64_t chosen_rows;
  const double* weights;  // of tokens in their sums; null: those of the mask
  const math::RowNorm* norms;
  const math::SequenceFigures* sequences;
  const double* sequence_gradient;
  const double* chosen_token_gradient;
  RowTotals* totals;  // of each piece of each row

  __device__ __forceinline__ math::RowUpstream upstream(int64_t r) const {
    math::RowUpstream up{read_label(mask.labels, r, columns), {}, 0, 0, 0};
    const double weight = mask_weight(mask, r);
    if (!math::counts(weight))
      return up;
    const int64_t sequence = r / tokens;
    up.grad_logp =
        math::token_gradient(sequence_gradient[sequence], weights != nullptr ? weights[r] : weight,
                             sequences[sequence].divisor, *chosen_token_gradient, r < chosen_rows);
    if (!up.is_zero())
      up.norm = norms[r];
    return up;
  }

  template <int kThreads>
  __device__ __forceinline__ void watched(int64_t, const Unwatched&) const {}

  template <int kThreads>
  __device__ __forceinline__ void watched(int64_t piece, const Totals& seen) const {
    RowTotals all = seen.of_warp();
    if constexpr (kThreads > kWarp) {
      LR_SHARED(RowTotals, of_warps, kThreads / kWarp);
      if (threadIdx.x % kWarp == 0)
        of_warps[threadIdx.x / kWarp] = all;
      __syncthreads();
      for (int w = 1; w < kThreads / kWarp; ++w) {
        all.squares += of_warps[w].squares;
        all.nonfinite += of_warps[w].nonfinite;
      }
    }
    if (threadIdx.x % kThreads == 0)
      totals[piece] = all;
  }
};

__global__ void __launch_bounds__(kListThreads)
    step_norm(const RowTotals* totals, int64_t count, ListMemory memory, lr_step_metrics* metrics) {
  LR_SHARED(BlockScratch, scratch, 1);
  double sums[2];
  const bool finishes = sum_list(count, memory, scratch, sums, [&](int64_t k, double(&own)[2]) {
    own[0] += totals[k].squares;
    own[1] += totals[k].nonfinite;
  });
  if (!finishes || threadIdx.x != 0)
    return;
  metrics->grad_norm = sqrt(sums[0]);
  metrics->nonfinite += static_cast<int64_t>(sums[1]);
}

template <class Watch>
void launch_step_backward(const op::PreferenceStep& step, const BackwardRows& rows,
                          const StepPairs& pairs, RowTotals* totals, const Machine& machine) {
  const StepSequences& sequences = pairs.sequences;
  const StepUpstream<Watch> upstream{sequences.shape.mask,
                                     step.logits.columns,
                                     step.tokens,
                                     rows.count / 2,
                                     sequences.weights,
                                     sequences.norms,
                                     sequences.of,
                                     pairs.total_gradient,
                                     pairs.chosen_token_gradient,
                                     totals};
  launch_backward(rows, upstream, false, machine);
}

}  // namespace

lr_status preference_step(Execution* execution, const op::PreferenceStep* step) {
  return run(execution, [&] {
    const Machine machine(*execution);
    const int64_t sequences = 2 * step->pairs, rows = step->rows();
    const bool metrics = step->metrics != nullptr, everything = metrics || step->wpo,
               has_backward = step->wants_gradient && rows > 0;
    const bool sft = std::any_of(step->losses, step->losses + step->loss_count, [](const auto& l) {
      return math::loss_info(l.options.loss)->kind == LR_LOSS_AUXILIARY;
    });
    const bool wants_figures = everything || sft,
               drops_rows = step->sequence.tail_weight == 0 && !wants_figures;

    Workspace workspace(*execution);
    const auto take = [&]<class T>(bool wanted, int64_t count) {
      return wanted ? workspace.take<T>(count) : nullptr;
    };
    StepPairs pairs{};
    pairs.pairs = step->pairs;
    pairs.wpo = step->wpo;
    pairs.losses = step->losses_out;
    pairs.metrics = step->metrics;
    const Sequences shape =
        cut_sequences(step->sequence, {step->mask, step->labels}, sequences, step->tokens);
    const bool has_parts = shape.parts > 1;
    math::RowNorm* const norms = workspace.take<math::RowNorm>(rows);
    math::TokenFigures* const figures =
        take.template operator()<math::TokenFigures>(wants_figures, rows);
    const int64_t parts = sequences * shape.parts;
    pairs.sequences = {shape,
                       take.template operator()<double>(shape.has_tails(), rows),
                       take.template operator()<Candidates>(shape.has_tails() && has_parts, parts),
                       norms,
                       figures,
                       step->reference_logps,
                       step->reference_token_logps,
                       take.template operator()<math::SequenceFigures>(has_parts, parts),
                       workspace.take<math::SequenceFigures>(sequences),
                       step->logps,
                       step->counts,
                       execution->bad_values};
    plan_pairs(*step, workspace, &pairs);

    const Transform transform = make_transform(step->transform);
    const ForwardRows forward{step->logits, rows,    cut(step->logits.columns), transform,
                              step->labels, metrics, execution->bad_values,     nullptr};
    Partial* const partials = take.template operator()<Partial>(
        machine.shares_out(rows, forward.segments), rows * forward.segments.count);
    const BackwardRows backward{step->logits, step->gradient, rows,
                                cut_backward(rows, step->logits, machine), transform};
    RowTotals* const totals =
        take.template operator()<RowTotals>(has_backward && metrics, rows * backward.pieces.count);
    ListMemory norm_memory{};
    if (has_backward && metrics)
      norm_memory = take_list_memory(workspace, rows * backward.pieces.count);
    pairs.cleared = norm_memory.arrivals;
    if (!workspace.ready())
      return;

    for (const op::TensorView* output : {&step->losses_out, &step->logps, &step->counts})
      poison(*output);
    if (has_backward && step->gradient.base != step->logits.base)
      poison(step->gradient, rows);
    const StepSequences& tokens = pairs.sequences;
    if (rows > 0) {
      if (shape.has_tails())
        launch_weights(tokens, machine.stream);
      launch_forward(forward,
                     FigureStore{shape.mask, drops_rows ? tokens.weights : nullptr, norms, figures},
                     everything, partials, machine);
    }
    launch(step_tokens, grid_of(parts), kListThreads, 0, machine.stream, tokens);
    launch(step_pairs, 1, kListThreads, 0, machine.stream, pairs);
    if (!has_backward)
      return;
    if (metrics) {
      launch_step_backward<Totals>(*step, backward, pairs, totals, machine);
      const int64_t count = rows * backward.pieces.count;
      launch(step_norm, grid_of(parts_of(count)), kListThreads, 0, machine.stream, totals, count,
             norm_memory, step->metrics);
    } else {
      launch_step_backward<Unwatched>(*step, backward, pairs, nullptr, machine);
    }
  });
}

}  // namespace logratio::device
