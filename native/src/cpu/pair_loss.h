// Pair losses on the CPU, in double: log-probs of pairs to losses, rewards and every gradient.
#pragma once

#include <cstdint>

#include "cpu/grid.h"
#include "logratio.h"
#include "math/loss.h"

namespace logratio::cpu {

// Columns of a block of pairs. Null inputs: references 0, counts 1, grad_loss uniform_grad. Null outputs are not wanted.
struct PairColumns {
  const double* policy_chosen;
  const double* policy_rejected;
  const double* reference_chosen;
  const double* reference_rejected;
  const double* chosen_counts;
  const double* rejected_counts;
  const double* grad_loss;
  double uniform_grad;
  double* loss;
  double* chosen_rewards;
  double* rejected_rewards;
  double* grad_policy_chosen;
  double* grad_policy_rejected;
  double* grad_reference_chosen;
  double* grad_reference_rejected;
};

// Evaluates `count` pairs and adds their parameter gradients, in order, to parameters (which may be null).
void evaluate_pairs(const lr_loss_options& options, int64_t count, const PairColumns& columns, math::ParameterGradient* parameters);

struct PairTensors {
  Grid policy_chosen;
  Grid policy_rejected;
  Grid reference_chosen;
  Grid reference_rejected;
  Grid chosen_counts;
  Grid rejected_counts;
  Grid grad_loss;
  Grid loss;
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

}  // namespace logratio::cpu
