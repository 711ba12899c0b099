// token_logprobs and its backward as a side runs them.
#pragma once

#include "math/token_row.h"
#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::op {

// The columns that a row's softmax is over: ids [offsets[r], offsets[r + 1]) are row r's, in
// ascending order. Both absent: all columns. In device memory any number may stand there.
struct KeptColumns {
  TensorView offsets;
  TensorView ids;

  explicit operator bool() const { return ids.present; }
};

struct TokenLogprobs {
  LogitRows logits;
  RowTransform transform;
  Labels labels;
  KeptColumns kept;
  TensorView outside;  // how many labels are not among kept columns; i64
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
  LogitRows gradient;  // may be the logits
  RowTransform transform;
  Labels labels;
  KeptColumns kept;
  TensorView lse;
  TensorView entropy;    // present with grad_entropy
  TensorView grad_logp;  // at least one of the two gradients is present
  TensorView grad_entropy;

  int64_t rows() const { return labels.values.size(); }
};

}  // namespace logratio::op
