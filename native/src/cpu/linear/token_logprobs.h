// linear_token_logprobs on the CPU.
#pragma once

#include "op/linear.h"

namespace logratio::cpu {

void linear_token_logprobs(const op::LinearTokenLogprobs& call);

}  // namespace logratio::cpu
