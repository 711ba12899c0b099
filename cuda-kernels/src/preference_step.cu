// preference_step and unpaired_step: logits to loss, gradient and metrics. Fused are
// token_logprobs, sequence_logps, every loss of the list or the loss of single examples, the
// gradients back to the logits, and what a trainer logs. The two are one chain: its rows and
// sequences are the same, and pairs or examples a layer between them.
//
// The rows are read once forward, 2 or 4 bytes per element, and read and written once backward, 4
// or 8; between lie some tens of bytes per token. Rows that do not count are not read, and get
// zeros. The launches, none of which waits for a value on the host:
//
//   offsets   only of packed sequences: whether they rise, by one block
//   weights   only where answers have tails: of tokens in their sums, by two launches where a
//             sequence is long. With a tail of weight 0 whole rows drop out, if nothing else needs
//             them
//   forward   a warp or a block a row; figures of each token to the workspace. Few long rows are
//             shared out by segment, and a second launch merges these
//   tokens    a block a part of a sequence: sums over its tokens
//   pairs     one block: sequences, losses and metrics; or examples
//   backward  a warp or a block a row again. A row's coefficient is four numbers away, so that no
//             pass over the tokens is needed for it. With metrics it leaves each row's sum of
//             squares and number of non-finite values behind
//   norm      only with metrics and a gradient: a grid adds these up, in a fixed order
#include "operations.h"
#include "step_examples.cuh"
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

  static constexpr bool takes(Wanted wanted) { return wanted != Wanted::entropy; }
  __device__ __forceinline__ bool reads(int64_t r) const {
    return math::counts(weights != nullptr ? weights[r] : mask_weight(mask, r));
  }
  template <Wanted kWanted>
  __device__ void take(int64_t r, int64_t label, math::RowFigures row, int64_t argmax) const {
    if (label < 0)
      row.norm.logp = math::kNaN;
    norms[r] = row.norm;
    if (figures == nullptr)
      return;
    if constexpr (kWanted == Wanted::everything) {
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

  float scale;
  float of_chunk = 0;
  double squares = 0;
  double label_square = 0;
  int nonfinite = 0;

  __device__ explicit Totals(const RowPlan& plan) : scale(plan.scale) {}

  template <class T>
  __device__ __forceinline__ void see(const float* y, int label) {
    if (label >= 0 && label < T::kPerVector) {
#pragma unroll
      for (int k = 0; k < T::kPerVector; ++k)
        of_chunk = k == label ? of_chunk : fused(y[k], y[k], of_chunk);
      return;
    }
#pragma unroll
    for (int k = 0; k < T::kPerVector; ++k)
      of_chunk = fused(y[k], y[k], of_chunk);
  }
  template <class T, class Chunk>
  __device__ __forceinline__ void see_stored(const Vector* v, const Chunk& chunk, int64_t label) {
    squares += of_chunk;
    const float limit = kAlwaysFinite / scale;
    if (fabsf(scale) > kAlwaysFinite || !(of_chunk < limit * limit))
      count(v, chunk, label);
    of_chunk = 0;
  }
  template <class T, int kCount, int kStep>
  __device__ __forceinline__ void count(const Vector* v, const Chunk<T, kCount, kStep>& chunk,
                                        int64_t label) {
    for_columns<T, kCount, kStep>(v, [&](float x, int k) {
      const int64_t column = chunk.first + k;
      nonfinite += column >= 0 && k < chunk.left && column != label && !(fabsf(x) <= kLargest);
    });
  }
  template <class T>
  __device__ __forceinline__ void see_label(double value) {
    label_square = value * value;
    nonfinite += fabsf(T::widen(T::narrow(value))) <= kLargest ? 0 : 1;
  }
  __device__ RowTotals of_warp() const {
    return {warp_sum(squares * scale * scale + label_square),
            static_cast<double>(warp_sum(nonfinite))};
  }
};

template <class Watcher>
struct StepUpstream {
  using Watch = Watcher;
  static constexpr bool kHasEntropy = false;

  Mask mask;
  int64_t columns;
  int64_t chosen;              // sequences, the first ones
  int64_t length;              // of a sequence, where they are padded
  const int64_t* sequence_of;  // of each row, where they are packed; or null
  const double* weights;       // of tokens in their sums; null: those of the mask
  const math::RowNorm* norms;
  const math::SequenceFigures* sequences;
  const double* sequence_gradient;
  const double* chosen_token_gradient;
  RowTotals* totals;  // of each warp's part of each piece of each row

  __device__ __forceinline__ math::RowUpstream upstream(int64_t r) const {
    math::RowUpstream up{read_label(mask.labels, r, columns), {}, 0, 0, 0};
    const double weight = mask_weight(mask, r);
    if (!math::counts(weight))
      return up;
    const int64_t sequence = sequence_of != nullptr ? sequence_of[r] : r / length;
    up.grad_logp = math::token_gradient(
        sequence_gradient[sequence], weights != nullptr ? weights[r] : weight,
        sequences[sequence].divisor, *chosen_token_gradient, sequence < chosen);
    if (!up.is_zero())
      up.norm = norms[r];
    return up;
  }

  __device__ __forceinline__ void watched(int64_t, const Unwatched&) const {}

  __device__ __forceinline__ void watched(int64_t part, const Totals& seen) const {
    const RowTotals all = seen.of_warp();
    if (threadIdx.x % kWarp == 0)
      totals[part] = all;
  }
};

// The norm of the gradient: by parts of sequences of some hundred totals each, by sequence, and
// then over the sequences.
struct StepNorm {
  Cut cut;
  int64_t totals_each;  // of a row
  const RowTotals* totals;
  RowTotals* of_parts;
  uint32_t* arrivals;  // 0 before and after
  lr_step_metrics* metrics;
};

inline Cut cut_for_norm(const math::SequenceSpans& spans, int64_t rows, int64_t totals_each) {
  return cut_sequences(spans, rows, std::max<int64_t>(kPartTokens / totals_each, 1));
}

__global__ void __launch_bounds__(kListThreads) step_norm(const LR_PARAMETER StepNorm call) {
  LR_SHARED(BlockScratch, scratch, 1);
  for (int64_t b = blockIdx.x; b < call.cut.parts; b += gridDim.x) {
    const Part part(call.cut, b);
    const RowTotals* const totals = call.totals + (part.row + part.begin) * call.totals_each;
    const int64_t count = (part.end - part.begin) * call.totals_each;
    RowTotals own{};
    for (int64_t k = threadIdx.x; k < count; k += kListThreads)
      own = sum_of(own, totals[k]);
    own = block_sum_of(own, scratch);
    if (threadIdx.x == 0)
      call.of_parts[b] = own;
  }
  if (!last_of_grid(call.arrivals, scratch))
    return;
  // A thread takes a sequence, or a warp where there are few of them.
  const int64_t sequences = call.cut.spans.count, team = sequences < kListThreads ? kWarp : 1;
  RowTotals all{};
  for (int64_t b = threadIdx.x / team; b < sequences; b += kListThreads / team) {
    const int64_t end = call.cut.first_part(b + 1);
    RowTotals own{};
    for (int64_t p = call.cut.first_part(b) + threadIdx.x % team; p < end; p += team)
      own = sum_of(own, call.of_parts[p]);
    all = sum_of(all, own);
  }
  const RowTotals sums = block_sum_of(all, scratch);
  if (threadIdx.x != 0)
    return;
  lr_step_metrics* const metrics = call.metrics;
  metrics->grad_norm = sqrt(sums.squares);
  metrics->nonfinite += static_cast<int64_t>(sums.nonfinite);
}

// What a chain is asked for besides the figures that its call has views of.
struct StepNeeds {
  bool every_figure;  // of counted tokens, beside their log-probs
  bool every_token;   // those of weight 0 after the tail weight, too
  int64_t chosen;     // sequences, the first ones, with a gradient of their own for each token
};

template <class Watch, class Layer>
void launch_step_backward(const op::Step& step, const StepNeeds& needs, const BackwardRows& rows,
                          const Layer& layer, RowTotals* totals, const Machine& machine) {
  const StepSequences& sequences = layer.sequences;
  const StepUpstream<Watch> upstream{
      sequences.shape.mask,  step.logits.columns,         needs.chosen,    step.length,
      sequences.sequence_of, sequences.weights,           sequences.norms, sequences.of,
      layer.total_gradient,  layer.chosen_token_gradient, totals};
  launch_backward(rows, upstream, false, machine);
}

// Layer is StepPairs or StepExamples, with the kernel that takes it; plan(workspace, layer) fills
// in what is its own.
template <class Layer, class Plan>
lr_status run_step(Execution* execution, const op::Step* step, const StepNeeds& needs,
                   std::initializer_list<const op::TensorView*> outputs, void (*kernel)(Layer),
                   Plan&& plan) {
  return run(execution, [&] {
    const Machine machine(*execution);
    const int64_t sequences = step->sequences, rows = step->rows();
    const bool metrics = step->metrics != nullptr, everything = metrics || needs.every_figure,
               has_backward = step->wants_gradient && rows > 0;
    const bool wants_figures = everything || needs.every_token,
               drops_rows = step->sequence.tail_weight == 0 && !wants_figures;

    Workspace workspace(*execution);
    const auto take = [&]<class T>(bool wanted, int64_t count) {
      return wanted ? workspace.take<T>(count) : nullptr;
    };
    Layer layer{};
    layer.metrics = step->metrics;
    int64_t* const offsets = take_offsets(workspace, step->cu_seqlens, sequences);
    const math::SequenceSpans spans{sequences, step->length, offsets};
    const bool packed = step->cu_seqlens.present;
    const Sequences shape{
        step->sequence, {step->mask, step->labels}, cut_sequences(spans, rows, kPartTokens)};
    const bool has_parts = !shape.cut.is_whole();
    math::RowNorm* const norms = workspace.take<math::RowNorm>(rows);
    math::TokenFigures* const figures =
        take.template operator()<math::TokenFigures>(wants_figures, rows);
    const int64_t parts = shape.cut.parts;
    layer.sequences = {shape,
                       take.template operator()<double>(shape.has_tails(), rows),
                       take.template operator()<int64_t>(shape.has_tails() && has_parts, parts),
                       norms,
                       figures,
                       step->reference_logps,
                       step->reference_token_logps,
                       take.template operator()<math::SequenceFigures>(has_parts, parts),
                       workspace.take<math::SequenceFigures>(sequences),
                       step->logps,
                       step->counts,
                       take.template operator()<int64_t>(packed && has_backward, rows),
                       execution->bad_values};
    plan(workspace, &layer);

    const ForwardRows forward = forward_rows_of(step->logits, rows, step->transform, step->labels,
                                                metrics, execution->bad_values, machine);
    Partial* const partials = take_partials(forward, workspace);
    const BackwardRows backward =
        backward_rows_of(step->logits, step->gradient, rows, forward.transform, machine);
    const int64_t totals_each = backward.parts_per_row();
    StepNorm norm{cut_for_norm(spans, rows, totals_each),
                  totals_each,
                  nullptr,
                  nullptr,
                  nullptr,
                  step->metrics};
    RowTotals* const totals =
        take.template operator()<RowTotals>(has_backward && metrics, rows * totals_each);
    if (has_backward && metrics) {
      norm.totals = totals;
      norm.of_parts = workspace.take<RowTotals>(norm.cut.parts);
      norm.arrivals = workspace.take<uint32_t>(1);
    }
    layer.cleared = norm.arrivals;
    if (!workspace.ready())
      return;

    for (const op::TensorView* output : {&step->losses_out, &step->logps, &step->counts})
      poison(*output);
    for (const op::TensorView* output : outputs)
      poison(*output);
    if (has_backward && step->gradient.base != step->logits.base)
      poison(step->gradient, rows);
    launch_copy(step->cu_seqlens, sequences, rows, offsets, execution->bad_values, machine.stream);
    const StepSequences& tokens = layer.sequences;
    if (rows > 0) {
      if (shape.has_tails())
        launch_weights(tokens, machine.stream);
      launch_forward(forward,
                     FigureStore{shape.mask, drops_rows ? tokens.weights : nullptr, norms, figures},
                     everything ? Wanted::everything : Wanted::logp, partials, machine);
    }
    launch(step_tokens, grid_of(parts), kListThreads, 0, machine.stream, tokens);
    launch(kernel, 1, kListThreads, 0, machine.stream, layer);
    if (!has_backward)
      return;
    if (metrics) {
      launch_step_backward<Totals>(*step, needs, backward, layer, totals, machine);
      launch(step_norm, grid_of(norm.cut.parts), kListThreads, 0, machine.stream, norm);
    } else {
      launch_step_backward<Unwatched>(*step, needs, backward, layer, nullptr, machine);
    }
  });
}

}  // namespace

lr_status preference_step(Execution* execution, const op::PreferenceStep* step) {
  const bool sft = std::any_of(step->losses, step->losses + step->loss_count, [](const auto& l) {
    return math::loss_info(l.options.loss)->kind == LR_LOSS_AUXILIARY;
  });
  return run_step(execution, step, {step->wpo, sft, step->pairs}, {}, step_pairs,
                  [&](Workspace& workspace, StepPairs* pairs) {
                    pairs->pairs = step->pairs;
                    pairs->wpo = step->wpo;
                    pairs->losses = step->losses_out;
                    plan_pairs(*step, workspace, pairs);
                  });
}

lr_status unpaired_step(Execution* execution, const op::UnpairedStep* step) {
  return run_step(execution, step, {false, false, 0}, {&step->rewards, &step->kl}, step_examples,
                  [&](Workspace& workspace, StepExamples* examples) {
                    plan_examples(*step, workspace, examples);
                  });
}

}  // namespace logratio::device
