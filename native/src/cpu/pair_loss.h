// Losses of pairs and of single examples on the CPU, in double: log-probs to losses, rewards and
// every gradient.
#pragma once

#include "op/pair_loss.h"

namespace logratio::cpu {

void pair_loss(const lr_loss_options& options, int64_t pairs, const op::PairTensors& tensors);

// The same without the sorting of losses that sort: their formulas on ranks in place of pairs.
void evaluate_pairs(const lr_loss_options& options, int64_t pairs, const op::PairTensors& tensors);

void unpaired_loss(const op::UnpairedLoss& call);

}  // namespace logratio::cpu
