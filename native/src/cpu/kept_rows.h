// Vocabulary rows of which some columns are kept: these are gathered side by side, and the kernels
// take them as a row of that length. So all columns kept give the bits of the row itself.
#pragma once

#include <cstdint>
#include <vector>

#include "math/token_row.h"
#include "op/token_logprobs.h"

namespace logratio::cpu {

// A row's figures of its kept columns; argmax is a column. Returns how many labels, of those that
// are not below 0, are outside the kept columns.
int64_t kept_forward(const op::TokenLogprobs& call, const std::vector<int64_t>& labels,
                     math::RowFigures* figures);

// The gradient of rows from the upstream of each, the norm of which is still to be found.
void kept_backward(const op::TokenLogprobsBackward& call,
                   const std::vector<math::RowUpstream>& upstream);

}  // namespace logratio::cpu
