// token_logprobs on the CPU: vocabulary rows to figures per token, and upstream gradients per token
// to gradients of the rows.
#pragma once

#include "op/token_logprobs.h"

namespace logratio::cpu {

void token_logprobs(const op::TokenLogprobs& call);
void token_logprobs_backward(const op::TokenLogprobsBackward& call);

}  // namespace logratio::cpu
