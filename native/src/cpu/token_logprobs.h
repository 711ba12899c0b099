// token_logprobs on the CPU: vocabulary rows to per-token figures, and upstream gradients a token
// to gradients of the rows.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/grid.h"
#include "cpu/token_rows.h"

namespace logratio::cpu {

// Each of as many elements as there are labels; absent ones are not wanted.
struct TokenOutputs {
  Grid logp;
  Grid lse;
  Grid lse2;
  Grid entropy;
  Grid argmax;
  Grid mean_logit;
};

struct TokenUpstream {
  Grid lse;
  Grid entropy;    // present with grad_entropy
  Grid grad_logp;  // at least one of the two gradients is present
  Grid grad_entropy;
};

// labels: one a row, -1 where the row is ignored.
void token_logprobs(const LogitRows& logits, const RowTransform& transform,
                    const std::vector<int64_t>& labels, const TokenOutputs& outputs);

// gradient may be the same memory as logits.
void token_logprobs_backward(const LogitRows& logits, const LogitRows& gradient,
                             const RowTransform& transform, const std::vector<int64_t>& labels,
                             const TokenUpstream& upstream);

}  // namespace logratio::cpu
