// token_logprobs and its backward as a side runs them.
#pragma once

#include "math/token_row.h"
#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::op {

struct TokenLogprobs {
  LogitRows logits;
  RowTransform transform;
  Labels labels;
  TensorView
      outputs[math::kTokenOutputs];  // as many elements as there are labels; absent: not wanted

  int64_t rows() const { return labels.values.size(); }
  // Beyond logp and lse, which cost the least.
  bool wants_everything() const {
    return outputs[math::kLse2].present || outputs[math::kEntropy].present ||
           outputs[math::kMeanLogit].present || outputs[math::kArgmax].present;
  }
};

struct TokenLogprobsBackward {
  LogitRows logits;
  LogitRows gradient;  // may be the logits; columns that these lack are padding, and become 0
  RowTransform transform;
  Labels labels;
  TensorView lse;
  TensorView entropy;    // present with grad_entropy
  TensorView grad_logp;  // at least one of the three gradients is present
  TensorView grad_entropy;
  TensorView grad_lse;

  int64_t rows() const { return labels.values.size(); }
};

}  // namespace logratio::op
