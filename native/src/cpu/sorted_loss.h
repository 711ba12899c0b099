// Losses of a batch's sorted values (aot, aot_unpaired) on the CPU.
#pragma once

#include <cstdint>

#include "cpu/pair_loss.h"

namespace logratio::cpu {

// tensors: those of pair_loss; loss and grad_loss by rank, everything else by pair.
void sorted_loss(const lr_loss_options& options, int64_t pairs, const op::PairTensors& tensors);

}  // namespace logratio::cpu
