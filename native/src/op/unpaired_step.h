// unpaired_step as a side runs it.
#pragma once

#include "op/step.h"

namespace logratio::op {

// Its sequences are the examples.
struct UnpairedStep : Step {
  lr_loss_options options;  // of an unpaired loss
  TensorView chosen;
  TensorView kl_policy_logps;  // both or none
  TensorView kl_reference_logps;
  TensorView weights;    // absent: 1 each
  TensorView grad_loss;  // absent: 1
  TensorView rewards;
  TensorView kl;
};

}  // namespace logratio::op
