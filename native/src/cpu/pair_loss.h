// Losses of pairs and of single examples on the CPU, in double: log-probs to losses, rewards and
// every gradient.
#pragma once

#include <cstdint>

#include "cpu/grid.h"
#include "logratio.h"

namespace logratio::cpu {

// Absent inputs: references 0, counts 1, grad_loss one over the number of losses. Absent outputs
// are not wanted.
struct PairTensors {
  Grid policy_chosen;
  Grid policy_rejected;
  Grid reference_chosen;
  Grid reference_rejected;
  Grid chosen_counts;
  Grid rejected_counts;
  bool logps_are_means = false;  // over the counted tokens; else sums
  Grid grad_loss;                // as loss
  Grid loss;                     // [P], or [2P] of a loss with two values a pair
  Grid chosen_rewards;
  Grid rejected_rewards;
  Grid grad_policy_chosen;
  Grid grad_policy_rejected;
  Grid grad_reference_chosen;
  Grid grad_reference_rejected;
  Grid grad_beta;
  Grid grad_beta_kl;
  Grid grad_beta_mix;
  Grid grad_tau;
};

void pair_loss(const lr_loss_options& options, int64_t pairs, const PairTensors& tensors);

// The same without the sorting of losses that sort: their formulas on ranks in place of pairs.
void evaluate_pairs(const lr_loss_options& options, int64_t pairs, const PairTensors& tensors);

struct ExampleTensors {
  Grid policy_logps;
  Grid reference_logps;
  Grid chosen;
  Grid kl_policy_logps;  // both or none
  Grid kl_reference_logps;
  Grid grad_loss;
  Grid loss;
  Grid rewards;
  Grid kl;
  Grid grad_policy_logps;
  Grid grad_reference_logps;
};

void unpaired_loss(const lr_loss_options& options, int64_t examples, const ExampleTensors& tensors);

}  // namespace logratio::cpu
