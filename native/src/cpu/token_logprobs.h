// token_logprobs on the CPU: vocabulary rows to figures per token, and upstream gradients per token
// to gradients of the rows.
#pragma once

#include <vector>

#include "op/token_logprobs.h"

namespace logratio::cpu {

void token_logprobs(const op::TokenLogprobs& call);
void token_logprobs_backward(const op::TokenLogprobsBackward& call);

// The outputs from number `first` on that are there, a number per row.
void write_row_figures(const op::TokenLogprobs& call, const std::vector<math::RowFigures>& figures,
                       int first);

}  // namespace logratio::cpu
