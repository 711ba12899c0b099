// pair_loss and unpaired_loss as a side runs them.
#pragma once

#include "logratio.h"
#include "math/loss.h"
#include "op/tensor_view.h"

namespace logratio::op {

// Parameters of a loss, and gradients by them.
struct ParameterTensors {
  // [1] or [P] (of losses that sort by rank): take the place of the option that is the parameter.
  // In CPU memory they were checked, and those that were [1] are in the options instead.
  TensorView values[math::kParameters];
  TensorView gradients[math::kParameters];  // [1], summed over the pairs, or [P]

  // Whether pairs have parameters of their own, or gradients that the loss does not sum by itself.
  bool are_by_pair(const math::LossInfo& loss) const {
    bool by_pair = false;
    for (int p = 0; p < math::kParameters; ++p) {
      by_pair |= values[p].present && values[p].size() != 1;
      by_pair |= gradients[p].present && !loss.differentiates_options;
    }
    return by_pair;
  }
  // Whether one is of each pair.
  bool has_each() const {
    bool each = false;
    for (int p = 0; p < math::kParameters; ++p) {
      each |= values[p].present && values[p].size() != 1;
      each |= gradients[p].present && gradients[p].size() != 1;
    }
    return each;
  }
  bool none() const {
    bool none = true;
    for (int p = 0; p < math::kParameters; ++p)
      none &= !values[p].present && !gradients[p].present;
    return none;
  }
};

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
  ParameterTensors parameters;
};

struct PairLoss {
  lr_loss_options options;
  int64_t pairs;
  PairTensors tensors;
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
