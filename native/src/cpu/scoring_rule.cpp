#include "cpu/scoring_rule.h"

#include <numeric>
#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"

namespace logratio::cpu {

void scoring_rule(const op::ScoringRule& call) {
  const std::vector<int64_t> labels = read_labels(call.labels);
  int64_t counted = 0;
  for (const int64_t label : labels)
    counted += label >= 0;
  std::vector<double> upstream(labels.size(),
                               counted == 0 ? 0.0 : 1.0 / static_cast<double>(counted));
  if (call.grad_loss)
    read(call.grad_loss, 0, call.rows(), upstream.data());
  std::vector<double> values(labels.size());
  Scratch scratch;
  kernels().scoring_rule({call.options, call.logits, call.rows(), labels.data(), values.data(),
                          call.wants_gradient ? &call.gradient : nullptr, upstream.data()},
                         scratch);
  if (call.values)
    write(call.values, 0, call.rows(), values.data());
  if (call.loss) {
    const double sum = std::accumulate(values.begin(), values.end(), 0.0);
    const double mean = counted == 0 ? 0 : sum / static_cast<double>(counted);
    write(call.loss, 0, 1, &mean);
  }
}

}  // namespace logratio::cpu
