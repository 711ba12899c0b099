// token_logprobs and its backward where rows keep some of their columns.
#pragma once

#include "op/device_table.h"

namespace logratio::device {

void kept_forward(Execution& execution, const op::TokenLogprobs& forward);
void kept_backward(Execution& execution, const op::TokenLogprobsBackward& backward);

}  // namespace logratio::device
