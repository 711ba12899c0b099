// preference_step as a side runs it.
#pragma once

#include "logratio.h"
#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::op {

inline constexpr int kMaxStepLosses = 16;  // on a device: they travel as arguments of a kernel

struct WeightedLoss {
  lr_loss_options options;  // of a paired loss, or of sft
  double weight;
};

struct PreferenceStep {
  const WeightedLoss* losses;
  int loss_count;
  bool wpo;  // each pair's losses, sft's aside, are multiplied by its detached WPO weight
  lr_sequence_options sequence;
  int64_t pairs;
  int64_t tokens;
  LogitRows logits;  // [2 pairs, tokens] rows
  RowTransform transform;
  Labels labels;               // [2 pairs, tokens]
  TensorView mask;             // the same shape; may be absent
  TensorView reference_logps;  // at most one of the two references is present
  TensorView reference_token_logps;
  TensorView losses_out;  // [pairs]
  TensorView logps;       // [2 pairs]
  TensorView counts;      // [2 pairs]
  bool wants_gradient;
  LogitRows gradient;        // may be the logits; columns that these lack become 0
  lr_step_metrics* metrics;  // null: not wanted; on a device it lies in its memory

  int64_t rows() const { return 2 * pairs * tokens; }
};

}  // namespace logratio::op
