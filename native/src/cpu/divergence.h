// divergence on the CPU: pairs of vocabulary rows to their values and to gradients of both sides.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/token_rows.h"
#include "math/divergence.h"

namespace logratio::cpu {

struct RowPair {
  int64_t p, q;
  double upstream;  // of the value; 0: the pair's gradients are 0
};

struct DivergenceSides {
  LogitRows p;
  LogitRows q;
  int64_t p_count, q_count;
  bool q_is_weights;  // float32, >= 0, not all 0 in a row; else logits of p's type
};

struct DivergenceGradients {
  const LogitRows* p;  // NULL: not wanted. They may be the logits themselves
  const LogitRows* q;
};

// No row stands in two pairs on one side. Rows of the gradients that are in no pair become 0.
std::vector<double> divergence(const DivergenceSides& sides, const std::vector<RowPair>& pairs,
                               const math::DivergenceOptions& options,
                               const DivergenceGradients& gradients);

}  // namespace logratio::cpu
