// unpaired_step on the CPU: the chain of preference_step, over single examples.
#pragma once

#include "op/linear.h"
#include "op/unpaired_step.h"

namespace logratio::cpu {

void unpaired_step(const op::UnpairedStep& call);
// The same on rows that a head makes.
void linear_unpaired_step(const op::LinearUnpairedStep& call);

}  // namespace logratio::cpu
