#include "cpu/token_logprobs.h"

#include <vector>

#include "cpu/elements.h"
#include "cpu/labels.h"
#include "cpu/token_rows.h"

namespace logratio::cpu {

void token_logprobs(const op::TokenLogprobs& call) {
  const std::vector<int64_t> labels = read_labels(call.labels);
  const auto count = call.rows();
  const auto& outputs = call.outputs;
  const RowWants wants{outputs[math::kLse2].present, outputs[math::kEntropy].present,
                       outputs[math::kArgmax].present, outputs[math::kMeanLogit].present};
  std::vector<RowStats> stats(labels.size());
  forward_rows(call.logits, call.transform, wants, nullptr, labels.data(), count, stats.data());

  const auto store = [&](math::TokenOutput output, auto RowStats::*field) {
    if (outputs[output])
      write_each(outputs[output], count, [&](int64_t row) { return stats[row].*field; });
  };
  store(math::kLogp, &RowStats::logp);
  store(math::kLse, &RowStats::lse);
  store(math::kLse2, &RowStats::lse2);
  store(math::kEntropy, &RowStats::entropy);
  store(math::kArgmax, &RowStats::argmax);
  store(math::kMeanLogit, &RowStats::mean_z);
}

void token_logprobs_backward(const op::TokenLogprobsBackward& call) {
  const std::vector<int64_t> labels = read_labels(call.labels);
  const auto count = call.rows();
  std::vector<RowGrad> grads(labels.size());
  std::vector<double> column(labels.size());
  const auto load = [&](const TensorView& view, double RowGrad::*field) {
    if (!view)
      return;
    read(view, 0, count, column.data());
    for (int64_t row = 0; row < count; ++row)
      grads[row].*field = column[row];
  };
  load(call.lse, &RowGrad::lse);
  const double epsilon = op::epsilon_of(call.lse.type);
  load(call.entropy, &RowGrad::entropy);
  load(call.grad_logp, &RowGrad::grad_logp);
  load(call.grad_entropy, &RowGrad::grad_entropy);
  for (int64_t row = 0; row < count; ++row) {
    RowGrad& grad = grads[row];
    grad.lse_epsilon = epsilon;
    grad.label = grad.grad_logp == 0 && grad.grad_entropy == 0
                     ? -1
                     : labels[row];  // without an upstream gradient the row is not read
  }
  backward_rows(call.logits, call.gradient, call.transform, grads.data(), count, nullptr);
}

}  // namespace logratio::cpu
