// token_logprobs and its backward with several labels per row, or with a tail.
#pragma once

#include "op/token_logprobs.h"

namespace logratio::cpu {

void token_logprobs_of_several(const op::TokenLogprobs& call);
void token_logprobs_backward_of_several(const op::TokenLogprobsBackward& call);

}  // namespace logratio::cpu
