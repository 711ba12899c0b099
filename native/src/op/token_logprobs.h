// token_logprobs and its backward as a side runs them.
#pragma once

#include "math/token_row.h"
#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::op {

inline constexpr int64_t kMaxLabels = 1024;  // of a row

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
  Labels labels;  // the first of each row
  KeptColumns kept;
  TensorView outside;                       // how many labels are not among kept columns; i64
  TensorView outputs[math::kTokenOutputs];  // an element per row; absent: not wanted
  TensorView tail;
  Columns label_columns, logp_columns;  // of several labels per row, which differ

  int64_t rows() const { return labels.values.size(); }
  // Beyond logp and lse, which cost the least.
  bool wants_everything() const {
    return outputs[math::kLse2].present || outputs[math::kEntropy].present ||
           outputs[math::kMeanLogit].present || outputs[math::kArgmax].present;
  }
  bool has_several_labels() const { return label_columns.count > 1 || tail.present; }
};

struct TokenLogprobsBackward {
  LogitRows logits;
  LogitRows gradient;  // may be the logits; columns that these lack are padding, and become 0
  RowTransform transform;
  Labels labels;
  KeptColumns kept;
  TensorView lse;
  TensorView entropy;    // present with grad_entropy
  TensorView grad_logp;  // at least one of the gradients is present
  TensorView grad_entropy;
  TensorView grad_lse;
  TensorView tail;  // present with grad_tail
  TensorView grad_tail;
  Columns label_columns, grad_logp_columns;

  int64_t rows() const { return labels.values.size(); }
  bool has_several_labels() const { return label_columns.count > 1 || grad_tail.present; }
};

}  // namespace logratio::op
