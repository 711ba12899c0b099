// preference_step as a side runs it.
#pragma once

#include "math/loss.h"
#include "op/pair_loss.h"
#include "op/step.h"

namespace logratio::op {

inline constexpr int kMaxStepLosses = 16;  // on a device: they travel as arguments of a kernel

struct WeightedLoss {
  lr_loss_options options;  // of a paired loss, or of sft
  double weight;
};

// Its sequences are 2 * pairs: the chosen answers, then the rejected ones.
struct PreferenceStep : Step {
  const WeightedLoss* losses;
  int loss_count;
  int32_t
      wpo;  // lr_wpo: each pair's losses, sft's aside, are multiplied by its detached WPO weight
  double reward_beta;  // of the first loss that has one; 0: there are no rewards
  int64_t pairs;
  TensorView pair_weights;    // [pairs]
  TensorView grad_loss;       // [1]
  TensorView nll_mask;        // as mask; of the chosen half alone
  double token_count;         // divides a mean over the batch's chosen tokens; 0: their own number
  TensorView chosen_rewards;  // [pairs]
  TensorView rejected_rewards;  // [pairs]
  ParameterTensors
      parameters;  // of the one loss, if any is there; gradients are of this step's loss

  // Whether the step itself adds the negative log-likelihood that is part of a loss of pairs.
  bool adds_nll_of(const lr_loss_options& loss, const math::LossInfo& info) const {
    return info.paired() && info.has_nll() &&
           (nll_mask.present ||
            (loss.nll == LR_NLL_TOKEN && (pair_weights.present || token_count > 0)));
  }
};

}  // namespace logratio::op
