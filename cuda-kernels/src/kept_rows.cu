// token_logprobs and its backward where rows keep some of their columns.
#include "kept_rows.h"

#include "kept_backward.cuh"
#include "kept_forward.cuh"

namespace logratio::device {

void kept_forward(Execution& execution, const op::TokenLogprobs& forward) {
  const Machine machine(execution);
  const int64_t count = forward.rows();
  Workspace workspace(execution);
  KeptSet* const sets = workspace.take<KeptSet>(count);
  if (!workspace.ready())
    return;
  for (const op::TensorView& output : forward.outputs)
    poison(output);
  auto* const outside = static_cast<int64_t*>(forward.outside.data);
  if (forward.outside)
    fill(outside, 0, sizeof *outside, machine.stream);
  if (count == 0)
    return;
  launch_sets({forward.kept, forward.labels, count, forward.logits.columns,
               forward.outside ? outside : nullptr, execution.bad_values},
              sets, machine);
  KeptForward rows{forward.logits,
                   forward.kept.ids,
                   count,
                   0,
                   sets,
                   make_transform(forward.transform),
                   forward.outputs[math::kArgmax].present,
                   {},
                   nullptr};
  std::copy_n(forward.outputs, math::kTokenOutputs, rows.of);
  launch_kept_forward(rows, machine);
}

void kept_backward(Execution& execution, const op::TokenLogprobsBackward& backward) {
  const Machine machine(execution);
  const int64_t count = backward.rows();
  const op::LogitRows& logits = backward.logits;
  Workspace workspace(execution);
  KeptSet* const sets = workspace.take<KeptSet>(count);
  math::RowNorm* const norms = workspace.take<math::RowNorm>(count);
  if (!workspace.ready() || count == 0)
    return;
  const Transform transform = make_transform(backward.transform);
  const KeptUpstream source{{backward.grad_logp, backward.grad_entropy, backward.grad_lse,
                             backward.lse, backward.entropy},
                            op::epsilon_of(backward.lse.type),
                            sets,
                            norms};
  const KeptBackward rows{logits,
                          backward.gradient,
                          backward.kept.ids,
                          count,
                          0,
                          0,
                          sets,
                          transform,
                          backward.grad_entropy.present};
  if (backward.gradient.base != logits.base)
    poison(backward.gradient, count);
  launch_sets(
      {backward.kept, backward.labels, count, logits.columns, nullptr, execution.bad_values}, sets,
      machine);
  launch_kept_norms(rows, source, norms, machine);
  launch_kept_forward({logits, backward.kept.ids, count, 0, sets, transform, false, {}, norms},
                      machine);
  launch_kept_gradient(rows, source, machine);
}

}  // namespace logratio::device
