// token_logprobs and its backward.
//
// Forward fuses log-sum-exp(z), log-sum-exp(2z), entropy, mean, argmax and the label's log-prob
// into one read of the logits: 2 (BF16, F16) or 4 (F32) bytes per element, nothing of that size
// written. Each thread has four 128-bit loads under way, takes their maximum, rescales its sums
// once and adds the exponentials. Rows up to 4 KiB belong to a warp, which needs no barrier; longer
// ones to a block, and three or more blocks are on a multiprocessor at once, so that one's
// reductions hide behind the others' loads. Long rows are cut into segments by their length alone;
// where rows are few their segments go to blocks of their own, and a second launch merges the
// partials, in the same order and to the same bits.
//
// Backward reads the logits and writes the gradient, once each: 4 or 8 bytes per element. What a
// row's elements share is computed once, in double, by one warp. A small launch before it looks
// whether the caller's lse has the digits for that, and sums a row again where not.
#include "operations.h"
#include "row_backward.cuh"
#include "row_forward.cuh"
#include "row_launch.cuh"
#include "runtime.h"

namespace logratio::device {
namespace {

// ---- Forward ----

using math::kArgmax;
using math::kEntropy;
using math::kLogp;
using math::kLse;
using math::kLse2;
using math::kMeanLogit;

struct ForwardCall {
  op::LogitRows logits;
  int64_t rows;
  Segments segments;
  Transform transform;
  op::Labels labels;
  op::TensorView outputs[math::kTokenOutputs];  // a lane each writes them
  int64_t* bad_values;

  __device__ bool wants_argmax() const { return outputs[kArgmax].present; }
};

struct LabelLogit {
  int64_t label;
  float x;
};

// Read before the row, so that the two loads, one after the other, hide behind it.
template <class T>
__device__ __forceinline__ LabelLogit read_label_logit(const ForwardCall& call,
                                                       const typename T::Element* row, int64_t r) {
  const int64_t label = read_label(call.labels, r, call.logits.columns);
  return {label, label >= 0 ? T::widen(row[label]) : 0};
}

// Called by the lanes of a warp that all know the row's sums.
template <class T, class Cap, bool kEverything>
__device__ inline void write_row(const ForwardCall& call, int64_t r, const LabelLogit& label,
                                 Partial part) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  sum_far_others<T, Cap>(row_address<T>(call.logits, r), call.logits.columns, call.transform,
                         &part);
  const RowFigures row = finish_row<Cap, kEverything>(part, label.x, call.transform);
  if (lane == 0 && label.label == kBadLabel && call.bad_values != nullptr)
    count_up(call.bad_values);
  if (lane == kArgmax) {
    write(call.outputs[kArgmax], r, row.argmax);
  } else if (lane < kArgmax) {
    double value = label.label == kIgnored ? 0 : label.label == kBadLabel ? nan("") : row.norm.logp;
    if (lane == kLse)
      value = row.lse;
    if (lane == kLse2)
      value = row.lse2;
    if (lane == kEntropy)
      value = row.entropy;
    if (lane == kMeanLogit)
      value = row.mean_z;
    write(call.outputs[lane], r, value);
  }
}

template <class T, class Cap, bool kEverything>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    forward_warps(const ForwardCall call) {
  for (int64_t r = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / kWarp; r < call.rows;
       r += int64_t{gridDim.x} * kRowsPerBlock) {
    const typename T::Element* row = row_address<T>(call.logits, r);
    const LabelLogit label = read_label_logit<T>(call, row, r);
    const Partial part = sum_segment<T, Cap, kEverything, kWarp>(
        row, 0, call.logits.columns, call.wants_argmax(), call.transform, nullptr);
    write_row<T, Cap, kEverything>(call, r, label, part);
  }
}

template <class T, class Cap, bool kEverything>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    forward_blocks(const ForwardCall call) {
  LR_SHARED(Scratch, scratch, 1);
  LR_SHARED(Partial, partials, kMaxSegments);
  const bool first_warp = threadIdx.x < kWarp;
  for (int64_t r = blockIdx.x; r < call.rows; r += gridDim.x) {
    const typename T::Element* row = row_address<T>(call.logits, r);
    LabelLogit label{};
    if (first_warp)
      label = read_label_logit<T>(call, row, r);
    const Partial part = sum_row<T, Cap, kEverything, kBlockThreads>(
        row, call.logits.columns, call.segments, call.wants_argmax(), call.transform, scratch,
        partials);
    if (first_warp)
      write_row<T, Cap, kEverything>(call, r, label, part);
  }
}

// A block a segment: there are few.
template <class T, class Cap, bool kEverything>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    forward_segments(const ForwardCall call, Partial* partials) {
  LR_SHARED(Scratch, scratch, 1);
  const int64_t r = blockIdx.x, s = blockIdx.y;
  const int64_t begin = s * call.segments.columns,
                end = std::min(begin + call.segments.columns, call.logits.columns);
  const Partial part = sum_segment<T, Cap, kEverything, kBlockThreads>(
      row_address<T>(call.logits, r), begin, end, call.wants_argmax(), call.transform, scratch);
  if (threadIdx.x == 0)
    partials[r * call.segments.count + s] = part;
}

template <class T, class Cap, bool kEverything>
__global__ void __launch_bounds__(kWarp)
    forward_merge(const ForwardCall call, const Partial* partials) {
  const int64_t r = blockIdx.x;
  const LabelLogit label = read_label_logit<T>(call, row_address<T>(call.logits, r), r);
  const bool has_segment = threadIdx.x < call.segments.count;
  const Partial part = merge_segments<kEverything>(
      has_segment ? partials[r * call.segments.count + threadIdx.x] : empty_partial(),
      call.transform);
  write_row<T, Cap, kEverything>(call, r, label, part);
}

template <class T, class Cap, bool kEverything>
void launch_forward(const ForwardCall& call, Partial* partials, const Machine& machine) {
  if (partials != nullptr) {
    const auto rows = static_cast<unsigned>(call.rows),
               segments = static_cast<unsigned>(call.segments.count);
    launch(forward_segments<T, Cap, kEverything>, dim3(rows, segments), kBlockThreads, 0,
           machine.stream, call, partials);
    launch(forward_merge<T, Cap, kEverything>, rows, kWarp, 0, machine.stream, call, partials);
  } else if (is_warp_row(call.logits)) {
    launch(forward_warps<T, Cap, kEverything>, machine.blocks(blocks_of_warps(call.rows)),
           kBlockThreads, 0, machine.stream, call);
  } else {
    launch(forward_blocks<T, Cap, kEverything>, machine.blocks(call.rows), kBlockThreads, 0,
           machine.stream, call);
  }
}

// ---- Backward ----

// Read by a lane each, at once.
enum Upstream { kGradLogp, kGradEntropy, kUpstreamLse, kUpstreamEntropy, kUpstreams };

// The error that a probability may take from the rounding of a caller's lse.
constexpr double kEnough = 0x1p-16;

struct BackwardCall {
  op::LogitRows logits;
  op::LogitRows gradient;
  int64_t rows;
  int64_t pieces;  // of a row, each a block's
  int64_t piece_vectors;
  Transform transform;
  op::Labels labels;
  op::TensorView upstream[kUpstreams];
  double lse_epsilon;  // spacing next to 1 of the type that lse was rounded to
  RowNorm* norms;      // by row, of those that have a gradient
  int64_t* bad_values;

  // Neither a label out of range nor one that is ignored, and something upstream.
  __device__ bool has_gradient(int64_t r, int64_t label) const {
    return label >= 0 && (value(kGradLogp, r) != 0 || value(kGradEntropy, r) != 0);
  }
  __device__ double value(Upstream which, int64_t r) const {
    return upstream[which].present ? read_double(upstream[which], r) : 0;
  }
};

// A caller's lse serves as long as it holds enough digits of the row's log-sum and of the label's
// log-prob. Else the row is summed again. A launch of its own: in place, a row of several pieces
// must have been read before the first of them is written. By a team of threads a row.
template <class T, class Cap, int kThreads>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    find_norms(const BackwardCall call, const Segments segments) {
  LR_SHARED(Scratch, scratch, 1);
  LR_SHARED(Partial, partials, kMaxSegments);
  constexpr int kTeams = kBlockThreads / kThreads;
  const int thread = static_cast<int>(threadIdx.x) % kThreads;
  for (int64_t r = int64_t{blockIdx.x} * kTeams + threadIdx.x / kThreads; r < call.rows;
       r += int64_t{gridDim.x} * kTeams) {
    const int64_t label = read_label(call.labels, r, call.logits.columns);
    if (thread == 0 && label == kBadLabel && call.bad_values != nullptr)
      count_up(call.bad_values);
    if (!call.has_gradient(r, label))
      continue;
    const typename T::Element* row = row_address<T>(call.logits, r);
    const double lse = call.value(kUpstreamLse, r), pivot = lse * call.transform.temperature,
                 unit = fabs(lse) * call.lse_epsilon;
    const float x = T::widen(row[label]);
    const double logp =
        (static_cast<double>(Cap::value(x, call.transform)) - pivot) / call.transform.temperature;
    if (!(unit > kEnough || -logp * kEnough < unit)) {
      if (thread == 0)
        call.norms[r] = {pivot, 0, logp};
      continue;
    }
    Partial part = sum_row<T, Cap, false, kThreads>(row, call.logits.columns, segments, false,
                                                    call.transform, scratch, partials);
    if (thread >= kWarp)
      continue;
    sum_far_others<T, Cap>(row, call.logits.columns, call.transform, &part);
    if (thread == 0)
      call.norms[r] = finish_row<Cap, false>(part, x, call.transform).norm;
  }
}

struct BackwardRow {
  bool zero;
  int64_t label;
  RowGradient gradient;
};

// By a warp, whose lanes all get the result.
template <class T, class Cap>
__device__ inline BackwardRow prepare_row(const BackwardCall& call, const typename T::Element* row,
                                          int64_t r) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t label = read_label(call.labels, r, call.logits.columns);
  const double mine =
      lane < kUpstreams && call.upstream[lane].present ? read_double(call.upstream[lane], r) : 0;
  RowUpstream up{label,
                 {},
                 __shfl_sync(kAllLanes, mine, kUpstreamEntropy),
                 __shfl_sync(kAllLanes, mine, kGradLogp),
                 __shfl_sync(kAllLanes, mine, kGradEntropy)};
  if (label < 0 || (up.grad_logp == 0 && up.grad_entropy == 0))
    return {true, label, {}};
  up.norm = call.norms[r];
  return {false, label, prepare_gradient<Cap>(up, T::widen(row[label]), call.transform)};
}

template <class T, class Cap, bool kEntropy>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    backward_warps(const BackwardCall call) {
  for (int64_t r = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / kWarp; r < call.rows;
       r += int64_t{gridDim.x} * kRowsPerBlock) {
    const typename T::Element* logits = row_address<T>(call.logits, r);
    // No barrier: in place, the lane that overwrites the label's logit is the only one that uses
    // what it read there.
    const BackwardRow row = prepare_row<T, Cap>(call, logits, r);
    write_gradient<T, Cap, kEntropy, kWarp>(logits, row_address<T>(call.gradient, r),
                                            call.logits.columns, 0, call.piece_vectors, row.zero,
                                            row.label, row.gradient, call.transform);
  }
}

template <class T, class Cap, bool kEntropy>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    backward_blocks(const BackwardCall call) {
  LR_SHARED(BackwardRow, row, 1);
  for (int64_t b = blockIdx.x; b < call.rows * call.pieces; b += gridDim.x) {
    const int64_t r = call.pieces == 1 ? b : b / call.pieces, piece = b - r * call.pieces;
    const typename T::Element* logits = row_address<T>(call.logits, r);
    __syncthreads();  // the row before has been read
    if (threadIdx.x < kWarp) {
      const BackwardRow prepared = prepare_row<T, Cap>(call, logits, r);
      if (threadIdx.x == 0)
        *row = prepared;
    }
    __syncthreads();
    write_gradient<T, Cap, kEntropy, kBlockThreads>(
        logits, row_address<T>(call.gradient, r), call.logits.columns, piece * call.piece_vectors,
        (piece + 1) * call.piece_vectors, row->zero, row->label, row->gradient, call.transform);
  }
}

template <class T, class Cap, bool kEntropy>
void launch_backward(const BackwardCall& call, const Machine& machine) {
  const Segments segments = cut(call.logits.columns);
  if (is_warp_row(call.logits)) {
    launch(find_norms<T, Cap, kWarp>, machine.blocks(blocks_of_warps(call.rows)), kBlockThreads, 0,
           machine.stream, call, segments);
    launch(backward_warps<T, Cap, kEntropy>, machine.blocks(blocks_of_warps(call.rows)),
           kBlockThreads, 0, machine.stream, call);
  } else {
    launch(find_norms<T, Cap, kBlockThreads>, machine.blocks(call.rows), kBlockThreads, 0,
           machine.stream, call, segments);
    launch(backward_blocks<T, Cap, kEntropy>, machine.blocks(call.rows * call.pieces),
           kBlockThreads, 0, machine.stream, call);
  }
}

}  // namespace

lr_status token_logprobs(Execution* execution, const op::TokenLogprobs* forward) {
  return run(execution, [&] {
    ForwardCall call{forward->logits,
                     forward->rows(),
                     cut(forward->logits.columns),
                     make_transform(forward->transform),
                     forward->labels,
                     {},
                     execution->bad_values};
    std::copy_n(forward->outputs, math::kTokenOutputs, call.outputs);
    Workspace workspace(*execution);
    const Machine machine(*execution);
    const bool shared_out = machine.shares_out(call.rows, call.segments);
    Partial* partials = workspace.take<Partial>(shared_out ? call.rows * call.segments.count : 0);
    if (!workspace.ready() || call.rows == 0)
      return;
    for (const op::TensorView& output : call.outputs)
      poison(output);
    const bool everything = forward->wants_everything();
    with_type(call.logits.type, [&]<class T>(T) {
      const auto start = call.transform.softcap != 0 ? launch_forward<T, Softcap, true>
                         : everything                ? launch_forward<T, NoSoftcap, true>
                                                     : launch_forward<T, NoSoftcap, false>;
      start(call, shared_out ? partials : nullptr, machine);
    });
  });
}

lr_status token_logprobs_backward(Execution* execution, const op::TokenLogprobsBackward* backward) {
  return run(execution, [&] {
    Workspace workspace(*execution);
    const int64_t rows = backward->labels.values.size();
    RowNorm* const norms = workspace.take<RowNorm>(rows);
    if (!workspace.ready() || rows == 0)
      return;
    const Machine machine(*execution);
    const Pieces pieces = cut_backward(rows, backward->logits, machine);
    const BackwardCall call{
        backward->logits,
        backward->gradient,
        rows,
        pieces.count,
        pieces.vectors,
        make_transform(backward->transform),
        backward->labels,
        {backward->grad_logp, backward->grad_entropy, backward->lse, backward->entropy},
        op::epsilon_of(backward->lse.type),
        norms,
        execution->bad_values};
    if (backward->gradient.base != backward->logits.base)
      poison(backward->gradient, rows);
    with_type(call.logits.type, [&]<class T>(T) {
      const auto start = call.transform.softcap != 0      ? launch_backward<T, Softcap, true>
                         : backward->grad_entropy.present ? launch_backward<T, NoSoftcap, true>
                                                          : launch_backward<T, NoSoftcap, false>;
      start(call, machine);
    });
  });
}

}  // namespace logratio::device
