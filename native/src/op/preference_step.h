// preference_step as a side runs it.
#pragma once

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
  bool wpo;  // each pair's losses, sft's aside, are multiplied by its detached WPO weight
  int64_t pairs;
};

}  // namespace logratio::op
