// Rows are read once forward, and read and written once backward. Those that are not listed get
// zeros, without being read.
#include "cpu/logit_source.h"

#include "cpu/isa.h"

namespace logratio::cpu {

GradientTotals LogitSource::run(const RowList& list, bool everything, math::RowFigures* figures,
                                RowUser& user) {
  Scratch scratch;
  kernels().token_forward(
      {logits_, transform_, everything, list.size(), list.rows.data(), list.labels.data(), figures},
      scratch);
  user.take(0, list.size());
  GradientTotals totals{0, 0};
  if (gradient_ == nullptr)
    return totals;
  std::vector<math::RowUpstream> listed(list.rows.size()),
      upstream(static_cast<size_t>(count_), {-1, {}, 0, 0, 0});
  user.hand_back(0, list.size(), listed.data());
  for (size_t k = 0; k < listed.size(); ++k)
    upstream[list.rows[k]] = listed[k];
  kernels().token_backward(
      {logits_, *gradient_, transform_, count_, upstream.data(), wants_totals_ ? &totals : nullptr},
      scratch);
  return totals;
}

}  // namespace logratio::cpu
