// unpaired_step on the CPU: the chain of preference_step, over single examples.
#pragma once

#include "op/unpaired_step.h"

namespace logratio::cpu {

void unpaired_step(const op::UnpairedStep& call);

}  // namespace logratio::cpu
