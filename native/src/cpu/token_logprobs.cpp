#include "cpu/token_logprobs.h"

namespace logratio::cpu {

void token_logprobs(const LogitRows& logits, const RowTransform& transform,
                    const std::vector<int64_t>& labels, const TokenOutputs& outputs) {
  const auto count = static_cast<int64_t>(labels.size());
  const RowWants wants{outputs.lse2.present, outputs.entropy.present, outputs.argmax.present,
                       outputs.mean_logit.present};
  std::vector<RowStats> stats(labels.size());
  forward_rows(logits, transform, wants, nullptr, labels.data(), count, stats.data());

  const auto store = [&](const Grid& grid, auto RowStats::*field) {
    if (grid)
      write_each(grid, count, [&](int64_t row) { return stats[row].*field; });
  };
  store(outputs.logp, &RowStats::logp);
  store(outputs.lse, &RowStats::lse);
  store(outputs.lse2, &RowStats::lse2);
  store(outputs.entropy, &RowStats::entropy);
  store(outputs.argmax, &RowStats::argmax);
  store(outputs.mean_logit, &RowStats::mean_z);
}

void token_logprobs_backward(const LogitRows& logits, const LogitRows& gradient,
                             const RowTransform& transform, const std::vector<int64_t>& labels,
                             const TokenUpstream& upstream) {
  const auto count = static_cast<int64_t>(labels.size());
  std::vector<RowGrad> grads(labels.size());
  std::vector<double> column(labels.size());
  const auto load = [&](const Grid& grid, double RowGrad::*field) {
    if (!grid)
      return;
    read(grid, 0, count, column.data());
    for (int64_t row = 0; row < count; ++row)
      grads[row].*field = column[row];
  };
  load(upstream.lse, &RowGrad::lse);
  const double epsilon = epsilon_of(upstream.lse.type);
  load(upstream.entropy, &RowGrad::entropy);
  load(upstream.grad_logp, &RowGrad::grad_logp);
  load(upstream.grad_entropy, &RowGrad::grad_entropy);
  for (int64_t row = 0; row < count; ++row) {
    RowGrad& grad = grads[row];
    grad.lse_epsilon = epsilon;
    grad.label = grad.grad_logp == 0 && grad.grad_entropy == 0
                     ? -1
                     : labels[row];  // without an upstream gradient the row is not read
  }
  backward_rows(logits, gradient, transform, grads.data(), count, nullptr);
}

}  // namespace logratio::cpu
