#include "cpu/token_logprobs.h"

#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/kept_rows.h"
#include "cpu/row_tasks.h"
#include "cpu/several_labels.h"
#include "math/softcap.h"

namespace logratio::cpu {

using math::RowFigures;
using math::RowNorm;
using math::RowUpstream;

void token_logprobs(const op::TokenLogprobs& call) {
  if (call.has_several_labels())
    return token_logprobs_of_several(call);
  const std::vector<int64_t> labels = read_labels(call.labels);
  std::vector<RowFigures> figures(labels.size());
  if (call.kept) {
    const int64_t outside = kept_forward(call, labels, figures.data());
    if (call.outside)
      write(call.outside, 0, 1, &outside);
  } else {
    Scratch scratch;
    kernels().token_forward({call.logits, call.transform, call.wants_everything(), call.rows(),
                             nullptr, labels.data(), figures.data()},
                            scratch);
  }
  write_row_figures(call, figures, 0);
}

void write_row_figures(const op::TokenLogprobs& call, const std::vector<RowFigures>& figures,
                       int first) {
  for (int output = first; output < math::kTokenOutputs; ++output) {
    const TensorView& view = call.outputs[output];
    const auto figure = [&](int64_t row) { return figures[row].of[output]; };
    if (view && output == math::kArgmax) {
      write_each(view, call.rows(), [&](int64_t row) { return static_cast<int64_t>(figure(row)); });
    } else if (view) {
      write_each(view, call.rows(), figure);
    }
  }
}

namespace {

// Rows whose lse does not serve are summed again, before any of them is overwritten.
void find_norms(const op::TokenLogprobsBackward& call, std::vector<RowUpstream>& upstream) {
  const std::vector<double> lse = read_all(call.lse, call.rows(), 0);
  const double epsilon = op::epsilon_of(call.lse.type);
  std::vector<int64_t> rows, labels;
  for (int64_t r = 0; r < call.rows(); ++r) {
    RowUpstream& up = upstream[r];
    if (up.is_zero())
      continue;
    const double x = load_logit(call.logits.type, row_address(call.logits, r), up.label);
    up.norm = math::norm_of_lse(lse[r], math::softcap_value_at(x, call.transform.softcap),
                                call.transform.temperature);
    if (!math::lse_serves(lse[r], epsilon, up.norm.logp)) {
      rows.push_back(r);
      labels.push_back(up.label);
    }
  }
  if (rows.empty())
    return;
  std::vector<RowFigures> figures(rows.size());
  Scratch scratch;
  kernels().token_forward({call.logits, call.transform, false, static_cast<int64_t>(rows.size()),
                           rows.data(), labels.data(), figures.data()},
                          scratch);
  for (size_t k = 0; k < rows.size(); ++k)
    upstream[rows[k]].norm = figures[k].norm;
}

}  // namespace

void token_logprobs_backward(const op::TokenLogprobsBackward& call) {
  if (call.has_several_labels())
    return token_logprobs_backward_of_several(call);
  const std::vector<int64_t> labels = read_labels(call.labels);
  const std::vector<double> entropy = read_all(call.entropy, call.rows(), 0),
                            grad_logp = read_all(call.grad_logp, call.rows(), 0),
                            grad_entropy = read_all(call.grad_entropy, call.rows(), 0),
                            grad_lse = read_all(call.grad_lse, call.rows(), 0);
  std::vector<RowUpstream> upstream(labels.size());
  for (size_t r = 0; r < labels.size(); ++r)
    upstream[r] = {labels[r], {}, entropy[r], grad_logp[r], grad_entropy[r], grad_lse[r]};
  if (call.kept)
    return kept_backward(call, upstream);
  find_norms(call, upstream);
  Scratch scratch;
  kernels().token_backward(
      {call.logits, call.gradient, call.transform, call.rows(), upstream.data(), nullptr}, scratch);
}

}  // namespace logratio::cpu
