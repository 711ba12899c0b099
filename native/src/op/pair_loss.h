// pair_loss and unpaired_loss as a side runs them.
#pragma once

#include "logratio.h"
#include "math/loss.h"
#include "op/tensor_view.h"

namespace logratio::op {

// Absent inputs: references 0, counts 1, grad_loss one over the number of losses. Absent outputs
// are not wanted.
struct PairTensors {
  TensorView policy_chosen;
  TensorView policy_rejected;
  TensorView reference_chosen;
  TensorView reference_rejected;
  TensorView chosen_counts;
  TensorView rejected_counts;
  bool logps_are_means = false;  // over the counted tokens; else sums
  TensorView grad_loss;          // as loss
  TensorView loss;               // [P], or [2P] for a loss with two values per pair
  TensorView chosen_rewards;
  TensorView rejected_rewards;
  TensorView grad_policy_chosen;
  TensorView grad_policy_rejected;
  TensorView grad_reference_chosen;
  TensorView grad_reference_rejected;
  TensorView grad_parameters[math::kParameters];
};

struct PairLoss {
  lr_loss_options options;
  int64_t pairs;
  PairTensors tensors;
  // Present ones take the place of math::learned_option: on a device they are read there, in CPU
  // memory they were checked and are in the options.
  TensorView learned[math::kParameters];
};

struct UnpairedLoss {
  lr_loss_options options;
  int64_t examples;
  TensorView policy_logps;
  TensorView reference_logps;
  TensorView chosen;
  TensorView kl_policy_logps;  // both or none
  TensorView kl_reference_logps;
  TensorView grad_loss;
  TensorView loss;
  TensorView rewards;
  TensorView kl;
  TensorView grad_policy_logps;
  TensorView grad_reference_logps;
};

}  // namespace logratio::op
