// scoring_rule on the CPU: vocabulary rows and labels to losses, and to gradients of the rows.
#pragma once

#include "op/scoring_rule.h"

namespace logratio::cpu {

void scoring_rule(const op::ScoringRule& call);

}  // namespace logratio::cpu
