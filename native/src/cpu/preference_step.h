// preference_step on the CPU: logits to loss, gradient and metrics with one forward read and one
// backward pass over the rows.
#pragma once

#include "op/preference_step.h"

namespace logratio::cpu {

void preference_step(const op::PreferenceStep& call);

}  // namespace logratio::cpu
