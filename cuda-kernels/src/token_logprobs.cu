// token_logprobs and its backward: the forward and the backward of vocabulary rows with one tensor
// per figure and per upstream gradient around them. Beside the rows, which token_forward.cuh and
// token_backward.cuh tell of, some tens of bytes per row are read and written, by a lane each.
//
// A small launch before the backward looks whether the caller's lse has the digits for it, and sums
// a row again where not.
#include "operations.h"
#include "runtime.h"
#include "token_backward.cuh"
#include "token_forward.cuh"

namespace logratio::device {
namespace {

// ---- Forward ----

struct OutputTensors {
  op::TensorView of[math::kTokenOutputs];

  __device__ bool reads(int64_t) const { return true; }

  // A lane writes each.
  template <bool kEverything>
  __device__ void take(int64_t r, int64_t label, const math::RowFigures& row,
                       int64_t argmax) const {
    constexpr int kCount = kEverything ? math::kArgmax : math::kLse + 1;
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    double value = label == kIgnored ? 0 : label == kBadLabel ? math::kNaN : row.norm.logp;
#pragma unroll
    for (int k = math::kLogp + 1; k < kCount; ++k)
      value = lane == k ? row.of[k] : value;
    if (lane < kCount)
      write(of[lane], r, value);
    if (kEverything && lane == math::kArgmax)
      write(of[lane], r, argmax);
  }
};

// ---- Backward ----

struct UpstreamTensors {
  using Watch = Unwatched;
  static constexpr bool kHasEntropy = true;
  enum Tensor { kGradLogp, kGradEntropy, kLse, kEntropy, kTensors };

  op::TensorView of[kTensors];
  op::Labels labels;
  int64_t columns;
  double lse_epsilon;          // spacing next to 1 of the type that lse was rounded to
  const math::RowNorm* norms;  // by row, of those that have a gradient

  __device__ double value(int tensor, int64_t r) const {
    return of[tensor].present ? read_double(of[tensor], r) : 0;
  }
  // Neither a label out of range nor one that is ignored, and something upstream.
  __device__ bool has_gradient(int64_t r, int64_t label) const {
    return label >= 0 && (value(kGradLogp, r) != 0 || value(kGradEntropy, r) != 0);
  }
  // A lane reads each tensor, all at once.
  __device__ __forceinline__ math::RowUpstream upstream(int64_t r) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const double mine = lane < kTensors ? value(lane, r) : 0;
    const auto get = [&](Tensor tensor) { return __shfl_sync(kAllLanes, mine, tensor); };
    math::RowUpstream up{
        read_label(labels, r, columns), {}, get(kEntropy), get(kGradLogp), get(kGradEntropy)};
    if (!up.is_zero())
      up.norm = norms[r];
    return up;
  }
  template <int kThreads>
  __device__ void watched(int64_t, const Unwatched&) const {}
};

// A caller's lse serves as long as it holds enough digits. Else the row is summed again. A launch
// of its own: in place, a row of several pieces must have been read before the first of them is
// written. By a team of threads a row.
template <class T, class Cap, int kThreads>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    find_norms(const LR_PARAMETER ForwardRows rows, const LR_PARAMETER UpstreamTensors upstream,
               math::RowNorm* norms) {
  LR_SHARED(Scratch, scratch, 1);
  constexpr int kTeams = kBlockThreads / kThreads;
  const int thread = static_cast<int>(threadIdx.x) % kThreads;
  const double temperature = rows.transform.temperature;
  int turn = 0;
  for (int64_t r = int64_t{blockIdx.x} * kTeams + threadIdx.x / kThreads; r < rows.count;
       r += int64_t{gridDim.x} * kTeams) {
    const int64_t label = read_label(rows.labels, r, rows.logits.columns);
    if (thread == 0 && label == kBadLabel && rows.bad_values != nullptr)
      count_up(rows.bad_values);
    if (!upstream.has_gradient(r, label))
      continue;
    const typename T::Element* row = row_address<T>(rows.logits, r);
    const double lse = upstream.value(UpstreamTensors::kLse, r), pivot = lse * temperature;
    const float x = T::widen(row[label]);
    math::RowNorm norm{pivot, 0,
                       (static_cast<double>(Cap::value(x, rows.transform)) - pivot) / temperature};
    if (!math::lse_serves(lse, upstream.lse_epsilon, norm.logp)) {
      const Partial part = sum_row<T, Cap, false, kThreads>(rows, row, scratch, &turn);
      if (thread < kWarp)
        norm = finish<T, Cap>(rows, row, part, x).norm;
    }
    if (thread == 0)
      norms[r] = norm;
  }
}

void launch_norms(const ForwardRows& rows, const UpstreamTensors& upstream, math::RowNorm* norms,
                  const Machine& machine) {
  const auto start = [&](auto kernel, int64_t blocks) {
    launch(kernel, machine.blocks(blocks), kBlockThreads, 0, machine.stream, rows, upstream, norms);
  };
  with_type(rows.logits.type, [&]<class T>(T) {
    const bool caps = rows.transform.softcap != 0;
    if (is_warp_row(rows.logits)) {
      start(caps ? find_norms<T, Softcap, kWarp> : find_norms<T, NoSoftcap, kWarp>,
            blocks_of_warps(rows.count));
    } else {
      start(caps ? find_norms<T, Softcap, kBlockThreads> : find_norms<T, NoSoftcap, kBlockThreads>,
            rows.count);
    }
  });
}

}  // namespace

lr_status token_logprobs(Execution* execution, const op::TokenLogprobs* forward) {
  return run(execution, [&] {
    const ForwardRows rows{forward->logits,
                           forward->rows(),
                           cut(forward->logits.columns),
                           make_transform(forward->transform),
                           forward->labels,
                           forward->outputs[math::kArgmax].present,
                           execution->bad_values,
                           nullptr};
    OutputTensors outputs;
    std::copy_n(forward->outputs, math::kTokenOutputs, outputs.of);
    Workspace workspace(*execution);
    const Machine machine(*execution);
    Partial* const partials = machine.shares_out(rows.count, rows.segments)
                                  ? workspace.take<Partial>(rows.count * rows.segments.count)
                                  : nullptr;
    if (!workspace.ready() || rows.count == 0)
      return;
    for (const op::TensorView& output : outputs.of)
      poison(output);
    launch_forward(rows, outputs, forward->wants_everything(), partials, machine);
  });
}

lr_status token_logprobs_backward(Execution* execution, const op::TokenLogprobsBackward* backward) {
  return run(execution, [&] {
    Workspace workspace(*execution);
    const int64_t count = backward->rows();
    math::RowNorm* const norms = workspace.take<math::RowNorm>(count);
    if (!workspace.ready() || count == 0)
      return;
    const Machine machine(*execution);
    const op::LogitRows& logits = backward->logits;
    const Transform transform = make_transform(backward->transform);
    const UpstreamTensors upstream{
        {backward->grad_logp, backward->grad_entropy, backward->lse, backward->entropy},
        backward->labels,
        logits.columns,
        op::epsilon_of(backward->lse.type),
        norms};
    if (backward->gradient.base != logits.base)
      poison(backward->gradient, count);
    launch_norms({logits, count, cut(logits.columns), transform, backward->labels, false,
                  execution->bad_values, nullptr},
                 upstream, norms, machine);
    launch_backward(BackwardRows{logits, backward->gradient, count,
                                 cut_backward(count, logits, machine), transform},
                    upstream, backward->grad_entropy.present, machine);
  });
}

}  // namespace logratio::device
