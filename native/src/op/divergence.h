// divergence as a side runs it.
#pragma once

#include "math/divergence.h"
#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::op {

struct Divergence {
  math::DivergenceOptions options;
  bool mean;        // else the sum
  int64_t count;    // of rows that meet
  LogitRows p, q;   // and the gradients: columns as far as the vocabulary goes
  int64_t columns;  // V; the gradients' further ones become 0
  int64_t p_count, q_count;
  bool q_is_weights;  // float32, >= 0, not all 0 in a row; else logits of p's type
  int64_t models;     // whose logits q holds, p's row count each, one after the other; 0: one
  TensorView model_weights;  // [models]: >= 0, not all 0; the value is the mean by them
  // Instead of q: [q_count, known] columns, none twice in a row, and their log-probabilities.
  TensorView topk_ids, topk_logps;
  constexpr int64_t known() const { return topk_ids.inner; }
  TensorView p_rows, q_rows;  // present both, or row k meets row k; no row is named twice on a side
  TensorView row_weights, grad_loss;
  TensorView values, loss;
  bool wants_p, wants_q;
  LogitRows grad_p, grad_q;  // may be the logits. Rows that meet none become 0
};

}  // namespace logratio::op
