// divergence on the CPU: pairs of vocabulary rows to their values and to gradients of both sides.
#pragma once

#include "op/divergence.h"

namespace logratio::cpu {

void divergence(const op::Divergence& call);

}  // namespace logratio::cpu
