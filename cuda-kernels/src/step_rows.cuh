// The two ends of a step's chain: from a row's figures to the workspace, and from there to the
// row's coefficient in the backward, with the norm of what that writes.
#pragma once

#include "step_tokens.cuh"
#include "token_backward.cuh"
#include "token_forward.cuh"

namespace logratio::device {

// ---- Forward: a token's figures to the workspace ----

struct FigureStore {
  Mask mask;
  const double* weights;  // of tokens, where the mask alone does not decide; of weight 0 are those
                          // that are not read
  math::RowNorm* norms;
  math::TokenFigures* figures;  // null where nobody needs them

  static constexpr bool takes(Wanted wanted) { return wanted != Wanted::entropy; }
  __device__ __forceinline__ bool reads(int64_t r) const {
    return math::counts(weights != nullptr ? weights[r] : mask_weight(mask, r));
  }
  // Tokens that the tail weight leaves nothing of have labels, those beside the mask have none.
  __device__ __forceinline__ bool has_label(int64_t r, bool is_read) const {
    return is_read || (weights != nullptr && math::counts(mask_weight(mask, r)));
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
  const double* row_gradient;  // of each row, in place of the above; or null
  RowTotals* totals;           // of each warp's part of each piece of each row

  __device__ __forceinline__ math::RowUpstream upstream(int64_t r) const {
    math::RowUpstream up{read_label(mask.labels, r, columns), {}, 0, 0, 0};
    if (row_gradient != nullptr) {
      up.grad_logp = row_gradient[r];
    } else {
      const double weight = mask_weight(mask, r);
      if (!math::counts(weight))
        return up;
      const int64_t sequence = sequence_of != nullptr ? sequence_of[r] : r / length;
      up.grad_logp = math::token_gradient(
          sequence_gradient[sequence], weights != nullptr ? weights[r] : weight,
          sequences[sequence].divisor, *chosen_token_gradient, sequence < chosen);
    }
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

// ---- Rows that a head makes: what is known of them beside their logits ----

// 1 for a row that the forward reads, else 0.
__global__ void __launch_bounds__(kListThreads)
    mark_reads(const LR_PARAMETER FigureStore store, int64_t rows, double* reads) {
  for (int64_t r = int64_t{blockIdx.x} * kListThreads + threadIdx.x; r < rows;
       r += int64_t{gridDim.x} * kListThreads)
    reads[r] = store.reads(r) ? 1 : 0;
}

__global__ void __launch_bounds__(kListThreads)
    find_upstream(const LR_PARAMETER StepUpstream<Unwatched> source, int64_t rows,
                  double* upstream) {
  for (int64_t r = int64_t{blockIdx.x} * kListThreads + threadIdx.x; r < rows;
       r += int64_t{gridDim.x} * kListThreads) {
    const math::RowUpstream up = source.upstream(r);
    upstream[r] = up.is_zero() ? 0 : up.grad_logp;
  }
}

// The totals of rows whose gradient was written for an upstream of 1.
__global__ void __launch_bounds__(kListThreads)
    scale_totals(const double* upstream, int64_t rows, int64_t totals_each, int64_t columns,
                 RowTotals* totals) {
  for (int64_t k = int64_t{blockIdx.x} * kListThreads + threadIdx.x; k < rows * totals_each;
       k += int64_t{gridDim.x} * kListThreads) {
    const int64_t r = k / totals_each;
    const double up = upstream[r];
    RowTotals of = totals[k];
    if (!(fabs(up) <= double{Totals::kLargest}))
      of.nonfinite = k == r * totals_each ? static_cast<double>(columns) : 0;
    of.squares *= up * up;
    totals[k] = up == 0 ? RowTotals{} : of;
  }
}

}  // namespace logratio::device
