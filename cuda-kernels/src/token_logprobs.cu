// token_logprobs and its backward: the forward and the backward of vocabulary rows with one tensor
// per figure and per upstream gradient around them. Beside the rows, which token_forward.cuh and
// token_backward.cuh tell of, some tens of bytes per row are read and written, by a lane each.
//
// A small launch before the backward looks whether the caller's lse has the digits for it; where
// not, the forward sums the row again. With several labels per row the same kernels have those of
// several_labels.cuh around them. linear_token_logprobs runs both on each block of rows that
// linear_head.h makes: what the backward takes of a row the forward has left in the workspace.
#include "kept_rows.h"
#include "linear_head.h"
#include "operations.h"
#include "runtime.h"
#include "several_labels.cuh"
#include "token_backward.cuh"
#include "token_forward.cuh"

namespace logratio::device {
namespace {

// ---- Forward ----

struct OutputTensors {
  static constexpr bool takes(Wanted) { return true; }

  op::TensorView of[math::kTokenOutputs];
  math::RowNorm* norms;  // with several labels per row, for whose log-probs they are; else null

  __device__ bool reads(int64_t) const { return true; }
  __device__ bool has_label(int64_t, bool) const { return true; }

  template <Wanted kWanted>
  __device__ void take(int64_t r, int64_t label, const math::RowFigures& row,
                       int64_t argmax) const {
    if (norms != nullptr)
      norms[r] = row.norm;
    write(of[math::kLogp], r,
          label == kIgnored    ? 0
          : label == kBadLabel ? math::kNaN
                               : row.norm.logp);
    write(of[math::kLse], r, row.of[math::kLse]);
    if constexpr (kWanted != Wanted::logp)
      write(of[math::kEntropy], r, row.of[math::kEntropy]);
    if constexpr (kWanted == Wanted::everything) {
      write(of[math::kLse2], r, row.of[math::kLse2]);
      write(of[math::kMeanLogit], r, row.of[math::kMeanLogit]);
      write(of[math::kArgmax], r, argmax);
    }
  }
};

Wanted wanted_of(const op::TensorView* outputs) {
  const bool most = outputs[math::kLse2].present || outputs[math::kMeanLogit].present ||
                    outputs[math::kArgmax].present;
  return most                              ? Wanted::everything
         : outputs[math::kEntropy].present ? Wanted::entropy
                                           : Wanted::logp;
}

// ---- Backward ----

struct UpstreamTensors {
  using Watch = Unwatched;
  static constexpr bool kHasEntropy = true;
  enum Tensor { kGradLogp, kGradEntropy, kGradLse, kLse, kEntropy, kTensors };

  op::TensorView of[kTensors];
  op::Labels labels;
  int64_t columns;
  double lse_epsilon;             // spacing next to 1 of the type that lse was rounded to
  const math::RowNorm* norms;     // by row, of those that have a gradient
  const math::RowUpstream* made;  // with several labels per row, what there is; else null

  __device__ double value(int tensor, int64_t r) const {
    return of[tensor].present ? read_double(of[tensor], r) : 0;
  }
  // Neither a label out of range nor one that is ignored, and something upstream.
  __device__ bool has_gradient(int64_t r, int64_t label) const {
    return label >= 0 &&
           (value(kGradLogp, r) != 0 || value(kGradEntropy, r) != 0 || value(kGradLse, r) != 0);
  }
  __device__ __forceinline__ math::RowUpstream upstream(int64_t r) const {
    if (made != nullptr)
      return made[r];
    math::RowUpstream up{read_label(labels, r, columns),
                         {},
                         value(kEntropy, r),
                         value(kGradLogp, r),
                         value(kGradEntropy, r),
                         value(kGradLse, r)};
    if (!up.is_zero())
      up.norm = norms[r];
    return up;
  }
  __device__ void watched(int64_t, const Unwatched&) const {}
};

// A caller's lse serves as long as it holds enough digits; elsewhere the log-sum becomes NaN here,
// and the row is summed again. A launch of its own: in place, a row must have been read before any
// of it is written. A thread per row.
template <class T, class Cap>
__global__ void __launch_bounds__(kBlockThreads)
    take_norms(const LR_PARAMETER ForwardRows rows, const LR_PARAMETER UpstreamTensors upstream,
               math::RowNorm* norms) {
  const double temperature = rows.transform.temperature;
  for (int64_t r = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; r < rows.count;
       r += int64_t{gridDim.x} * kBlockThreads) {
    const int64_t label = read_label(rows.labels, r, rows.logits.columns);
    math::RowNorm norm{};
    if (upstream.has_gradient(r, label)) {
      const double lse = upstream.value(UpstreamTensors::kLse, r), pivot = lse * temperature;
      const float x = T::widen(row_address<T>(rows.logits, r)[label]);
      norm = {pivot, 0, (static_cast<double>(Cap::value(x, rows.transform)) - pivot) / temperature};
      if (!math::lse_serves(lse, upstream.lse_epsilon, norm.logp))
        norm.log_sum = math::kNaN;
    }
    norms[r] = norm;
  }
}

// The rows whose norm is still missing.
struct MissingNorms {
  static constexpr bool takes(Wanted wanted) { return wanted == Wanted::logp; }

  math::RowNorm* norms;

  __device__ bool reads(int64_t r) const { return math::is_nan(norms[r].log_sum); }
  __device__ bool has_label(int64_t, bool) const { return true; }
  template <Wanted kWanted>
  __device__ void take(int64_t r, int64_t, const math::RowFigures& row, int64_t) const {
    norms[r] = row.norm;
  }
};

void launch_norms(const ForwardRows& rows, const UpstreamTensors& upstream, math::RowNorm* norms,
                  Partial* partials, const Machine& machine) {
  with_type(rows.logits.type, [&]<class T>(T) {
    launch(rows.transform.softcap != 0 ? take_norms<T, Softcap> : take_norms<T, NoSoftcap>,
           machine.blocks((rows.count + kBlockThreads - 1) / kBlockThreads), kBlockThreads, 0,
           machine.stream, rows, upstream, norms);
  });
  launch_forward(rows, MissingNorms{norms}, Wanted::logp, partials, machine);
}

// ---- Rows that a head makes ----

// Which rows are read, and which have a gradient: not 0 in their place.
__global__ void __launch_bounds__(kBlockThreads)
    mark_rows(const LR_PARAMETER UpstreamTensors upstream, int64_t count, bool all, double* reads,
              double* differentiated) {
  for (int64_t r = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; r < count;
       r += int64_t{gridDim.x} * kBlockThreads) {
    const int64_t label = read_label(upstream.labels, r, upstream.columns);
    reads[r] = all || label != kIgnored ? 1 : 0;
    if (differentiated != nullptr)
      differentiated[r] = upstream.has_gradient(r, label) ? 1 : 0;
  }
}

__global__ void __launch_bounds__(kBlockThreads)
    write_numbers(const double* numbers, int64_t count, const LR_PARAMETER op::TensorView output) {
  for (int64_t r = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; r < count;
       r += int64_t{gridDim.x} * kBlockThreads)
    write(output, r, numbers[r]);
}

// ---- Several labels per row ----

LabelRows label_rows_of(const ForwardRows& rows, const op::Labels& labels,
                        const op::Columns& columns, int64_t* bad_values) {
  return {rows.logits, rows.count, rows.transform, labels, columns, bad_values};
}

lr_status token_logprobs_of_several(Execution* execution, const op::TokenLogprobs* forward) {
  return run(execution, [&] {
    const Machine machine(*execution);
    // Bad labels are counted where all of a row's are read.
    const ForwardRows rows =
        forward_rows_of(forward->logits, forward->rows(), forward->transform, forward->labels,
                        forward->outputs[math::kArgmax].present, nullptr, machine);
    OutputTensors outputs;
    std::copy_n(forward->outputs, math::kTokenOutputs, outputs.of);
    outputs.of[math::kLogp] = {};
    Workspace workspace(*execution);
    outputs.norms = workspace.take<math::RowNorm>(rows.count);
    double* const tails = forward->tail.present ? workspace.take<double>(rows.count) : nullptr;
    Partial* const partials = take_partials(rows, workspace);
    if (!workspace.ready() || rows.count == 0)
      return;
    for (const op::TensorView& output : outputs.of)
      poison(output);
    poison(forward->tail);
    launch_forward(rows, outputs, wanted_of(forward->outputs), partials, machine);
    launch_label_figures(
        label_rows_of(rows, forward->labels, forward->label_columns, execution->bad_values),
        {outputs.norms,
         forward->outputs[math::kLogp],
         forward->logp_columns,
         forward->tail,
         tails,
         {},
         0},
        machine);
  });
}

lr_status token_logprobs_backward_of_several(Execution* execution,
                                             const op::TokenLogprobsBackward* backward) {
  return run(execution, [&] {
    const Machine machine(*execution);
    const int64_t count = backward->rows(), per_row = backward->label_columns.count;
    const op::LogitRows& logits = backward->logits;
    const ForwardRows again = forward_rows_of(logits, count, backward->transform, backward->labels,
                                              false, nullptr, machine);
    Workspace workspace(*execution);
    math::RowNorm* const norms = workspace.take<math::RowNorm>(count);
    double* const of_labels = workspace.take<double>(count * per_row);
    double* const tails = backward->grad_tail.present ? workspace.take<double>(count) : nullptr;
    math::RowUpstream* const rest = workspace.take<math::RowUpstream>(count);
    Partial* const partials = take_partials(again, workspace);
    if (!workspace.ready() || count == 0)
      return;
    if (backward->gradient.base != logits.base)
      poison(backward->gradient, count);
    const LabelRows rows =
        label_rows_of(again, backward->labels, backward->label_columns, execution->bad_values);
    const LabelUpstream upstream{backward->grad_logp,
                                 backward->grad_logp_columns,
                                 backward->entropy,
                                 backward->grad_entropy,
                                 backward->grad_lse,
                                 backward->grad_tail,
                                 backward->lse,
                                 op::epsilon_of(backward->lse.type),
                                 norms,
                                 of_labels,
                                 tails,
                                 rest,
                                 of_labels};
    launch_label_norms(rows, upstream, machine);
    launch_forward(again, MissingNorms{norms}, Wanted::logp, partials, machine);
    launch_label_figures(rows,
                         {norms,
                          {true, op::ElementType::f64, of_labels, 1, count, 0, per_row},
                          {per_row, 1},
                          {},
                          tails,
                          backward->tail,
                          backward->tail.present ? op::epsilon_of(backward->tail.type) : 0},
                         machine);
    launch_differentiate_labels(rows, upstream, machine);
    UpstreamTensors of_rows{};
    of_rows.labels = backward->labels;
    of_rows.columns = logits.columns;
    of_rows.made = rest;
    launch_backward(backward_rows_of(logits, backward->gradient, count, again.transform, machine),
                    of_rows, backward->grad_entropy.present, machine);
    launch_write_labels(rows, backward->gradient, of_labels, machine);
  });
}

}  // namespace

lr_status token_logprobs(Execution* execution, const op::TokenLogprobs* forward) {
  if (forward->has_several_labels())
    return token_logprobs_of_several(execution, forward);
  return run(execution, [&] {
    if (forward->kept)
      return kept_forward(*execution, *forward);
    const Machine machine(*execution);
    const ForwardRows rows =
        forward_rows_of(forward->logits, forward->rows(), forward->transform, forward->labels,
                        forward->outputs[math::kArgmax].present, execution->bad_values, machine);
    OutputTensors outputs;
    std::copy_n(forward->outputs, math::kTokenOutputs, outputs.of);
    outputs.norms = nullptr;
    Workspace workspace(*execution);
    Partial* const partials = take_partials(rows, workspace);
    if (!workspace.ready() || rows.count == 0)
      return;
    for (const op::TensorView& output : outputs.of)
      poison(output);
    launch_forward(rows, outputs, wanted_of(forward->outputs), partials, machine);
  });
}

lr_status token_logprobs_backward(Execution* execution, const op::TokenLogprobsBackward* backward) {
  if (backward->has_several_labels())
    return token_logprobs_backward_of_several(execution, backward);
  return run(execution, [&] {
    if (backward->kept)
      return kept_backward(*execution, *backward);
    const Machine machine(*execution);
    const int64_t count = backward->rows();
    const op::LogitRows& logits = backward->logits;
    const ForwardRows again = forward_rows_of(logits, count, backward->transform, backward->labels,
                                              false, execution->bad_values, machine);
    Workspace workspace(*execution);
    math::RowNorm* const norms = workspace.take<math::RowNorm>(count);
    Partial* const partials = take_partials(again, workspace);
    if (!workspace.ready() || count == 0)
      return;
    const UpstreamTensors upstream{{backward->grad_logp, backward->grad_entropy, backward->grad_lse,
                                    backward->lse, backward->entropy},
                                   backward->labels,
                                   logits.columns,
                                   op::epsilon_of(backward->lse.type),
                                   norms,
                                   nullptr};
    if (backward->gradient.base != logits.base)
      poison(backward->gradient, count);
    launch_norms(again, upstream, norms, partials, machine);
    launch_backward(backward_rows_of(logits, backward->gradient, count, again.transform, machine),
                    upstream, backward->grad_entropy.present, machine);
  });
}

lr_status linear_token_logprobs(Execution* execution, const op::LinearTokenLogprobs* call) {
  return run(execution, [&] {
    const Machine machine(*execution);
    const int64_t count = call->rows();
    const bool has_gradient = call->head.wants_gradient();
    Workspace workspace(*execution);
    LinearHead head(*execution, call->head, count,
                    has_gradient ? UpstreamComes::known : UpstreamComes::never, workspace);
    const auto forward_of = [&](const RowBlock& block) {
      return forward_rows_of(block.logits, block.count, call->transform, call->labels,
                             call->outputs[math::kArgmax].present, execution->bad_values, machine,
                             block.begin);
    };
    OutputTensors outputs;
    std::copy_n(call->outputs, math::kTokenOutputs, outputs.of);
    outputs.norms = has_gradient ? workspace.take<math::RowNorm>(count) : nullptr;
    const bool by_entropy = has_gradient && call->grad_entropy.present;
    double* const entropies = by_entropy ? workspace.take<double>(count) : nullptr;
    if (by_entropy)
      outputs.of[math::kEntropy] = {true, op::ElementType::f64, entropies, 1, count, 0, 1};
    Partial* const partials =
        take_partials(forward_of(head.first_block()), forward_of(head.last_block()), workspace);
    head.tell_plan({}, workspace.bytes());
    if (!workspace.ready())
      return;

    for (const op::TensorView& output : call->outputs)
      poison(output);
    head.start();
    const UpstreamTensors upstream{
        {call->grad_logp, call->grad_entropy, call->grad_lse, {}, outputs.of[math::kEntropy]},
        call->labels,
        call->head.vocab,
        0,
        outputs.norms,
        nullptr};
    const dim3 row_grid = machine.blocks((count + kBlockThreads - 1) / kBlockThreads);
    const bool reads_all = std::any_of(call->outputs + 1, call->outputs + math::kTokenOutputs,
                                       [](const op::TensorView& output) { return output.present; });
    launch(mark_rows, row_grid, kBlockThreads, 0, machine.stream, upstream, count, reads_all,
           head.reads(), head.upstream());
    head.forward(
        [&](const RowBlock& block) {
          launch_forward(forward_of(block), outputs, wanted_of(outputs.of), partials, machine);
        },
        [&](const RowBlock& block, const double*) {
          launch_backward(backward_rows_of(block.logits, block.gradient, block.count,
                                           make_transform(call->transform), machine, block.begin),
                          upstream, call->grad_entropy.present, machine);
        });
    if (has_gradient)
      head.backward(nullptr);
    if (by_entropy && call->outputs[math::kEntropy].present)
      launch(write_numbers, row_grid, kBlockThreads, 0, machine.stream, entropies, count,
             call->outputs[math::kEntropy]);
  });
}

}  // namespace logratio::device
