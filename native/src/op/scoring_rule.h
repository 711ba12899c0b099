// scoring_rule as a side runs it.
#pragma once

#include "math/scoring_rule.h"
#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::op {

// The value and gradient of a row that is ignored are 0, and it is not read. Columns from
// options.vocabulary on take no part.
struct ScoringRule {
  math::RuleOptions options;
  LogitRows logits;
  Labels labels;
  TensorView grad_loss;  // absent: one over the number of rows that count
  TensorView values, loss;
  bool wants_gradient;
  LogitRows gradient;  // may be the logits

  int64_t rows() const { return labels.values.size(); }
};

}  // namespace logratio::op
