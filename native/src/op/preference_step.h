// preference_step as a side runs it.
#pragma once

#include "logratio.h"
#include "math/loss.h"
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
  int32_t
      wpo;  // lr_wpo: each pair's losses, sft's aside, are multiplied by its detached WPO weight
  double reward_beta;  // of the first loss that has one; 0: there are no rewards
  lr_sequence_options sequence;
  int64_t pairs;
  int64_t tokens;
  LogitRows logits;  // [2 pairs, tokens] rows
  RowTransform transform;
  Labels labels;               // [2 pairs, tokens]
  TensorView mask;             // the same shape; may be absent
  TensorView reference_logps;  // at most one of the two references is present
  TensorView reference_token_logps;
  TensorView pair_weights;    // [pairs]
  TensorView grad_loss;       // [1]
  TensorView nll_mask;        // as mask; of the chosen half alone
  double token_count;         // divides a mean over the batch's chosen tokens; 0: their own number
  TensorView losses_out;      // [pairs]
  TensorView logps;           // [2 pairs]
  TensorView counts;          // [2 pairs]
  TensorView chosen_rewards;  // [pairs]
  TensorView rejected_rewards;  // [pairs]
  bool wants_gradient;
  LogitRows gradient;        // may be the logits
  lr_step_metrics* metrics;  // null: not wanted; on a device it lies in its memory

  int64_t rows() const { return 2 * pairs * tokens; }
  bool has_reference() const { return reference_logps.present || reference_token_logps.present; }

  // Whether the step itself adds the negative log-likelihood that is part of a loss of pairs.
  bool adds_nll_of(const lr_loss_options& loss, const math::LossInfo& info) const {
    return info.paired() && info.has_nll() &&
           (nll_mask.present ||
            (loss.nll == LR_NLL_TOKEN && (pair_weights.present || token_count > 0)));
  }
};

}  // namespace logratio::op
