// Rows and their upstream are the caller's; a row needs no other.
#include "cpu/linear/token_logprobs.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "cpu/elements.h"
#include "cpu/linear/head_source.h"
#include "cpu/token_logprobs.h"

namespace logratio::cpu {
namespace {

class Upstream : public RowUser {
 public:
  Upstream(const op::LinearTokenLogprobs& call, const RowList& list,
           const std::vector<math::RowFigures>& figures)
      : list_(list),
        figures_(figures),
        grad_logp_(read_all(call.grad_logp, call.rows(), 0)),
        grad_entropy_(read_all(call.grad_entropy, call.rows(), 0)),
        grad_lse_(read_all(call.grad_lse, call.rows(), 0)) {}

  void take(int64_t, int64_t) override {}

  void hand_back(int64_t first, int64_t last, math::RowUpstream* upstream) override {
    for (int64_t k = first; k < last; ++k) {
      const int64_t row = list_.rows[k];
      const math::RowFigures& figures = figures_[k];
      upstream[k - first] = {list_.labels[k], figures.norm,       figures.of[math::kEntropy],
                             grad_logp_[row], grad_entropy_[row], grad_lse_[row]};
    }
  }

 private:
  const RowList& list_;
  const std::vector<math::RowFigures>& figures_;
  const std::vector<double> grad_logp_, grad_entropy_, grad_lse_;
};

}  // namespace

void linear_token_logprobs(const op::LinearTokenLogprobs& call) {
  const std::vector<int64_t> labels = read_labels(call.labels);
  op::TokenLogprobs outputs{};
  outputs.labels = call.labels;
  std::copy(std::begin(call.outputs), std::end(call.outputs), std::begin(outputs.outputs));
  // An ignored row has a known logp, and all its other figures are computed.
  const bool every_row = outputs.wants_everything() || call.outputs[math::kLse];
  RowList list;
  for (int64_t row = 0; row < call.rows(); ++row) {
    if (!every_row && labels[row] < 0)
      continue;
    list.rows.push_back(row);
    list.labels.push_back(labels[row]);
  }
  list.complete.resize(list.rows.size());
  std::iota(list.complete.begin(), list.complete.end(), 1);
  std::vector<math::RowFigures> figures(list.rows.size());
  Upstream upstream(call, list, figures);
  HeadSource source(call.head, call.transform, call.rows(), !call.grad_entropy, false);
  source.run(list, outputs.wants_everything() || call.grad_entropy, figures.data(), upstream);
  std::vector<math::RowFigures> of_rows(labels.size());
  for (size_t k = 0; k < figures.size(); ++k)
    of_rows[list.rows[k]] = figures[k];
  write_row_figures(outputs, of_rows, 0);
}

}  // namespace logratio::cpu
