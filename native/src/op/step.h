// What preference_step and unpaired_step have in common, as a side runs them.
#pragma once

#include "logratio.h"
#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::op {

struct Step {
  lr_sequence_options sequence;
  int64_t sequences;
  int64_t length;         // of each sequence, or math::kPacked
  TensorView cu_seqlens;  // [sequences + 1], where they are packed; unchecked in device memory
  LogitRows logits;       // a row of each token
  RowTransform transform;
  Labels labels;               // of each token
  TensorView mask;             // the same shape; may be absent
  TensorView reference_logps;  // at most one of the two references is present
  TensorView reference_token_logps;
  bool has_reference_head = false;  // whose token log-probs the same call makes
  TensorView losses_out;            // of pairs or examples
  TensorView logps;                 // [sequences]
  TensorView counts;                // [sequences]
  bool wants_gradient;
  LogitRows gradient;        // may be the logits; columns that these lack become 0
  lr_step_metrics* metrics;  // null: not wanted; on a device it lies in its memory

  int64_t rows() const { return labels.values.size(); }
  bool has_reference() const {
    return reference_logps.present || reference_token_logps.present || has_reference_head;
  }
};

}  // namespace logratio::op
