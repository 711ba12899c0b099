// scoring_rule on the CPU: vocabulary rows and labels to losses, and to gradients of the rows.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/token_rows.h"
#include "math/scoring_rule.h"

namespace logratio::cpu {

// labels: one a row, -1 where the row is ignored: its value and gradient are 0, and it is not read.
// upstream: of each value; NULL where no gradient is wanted. gradient may be the same memory as
// logits. Columns from options.vocabulary on take no part.
std::vector<double> scoring_rule(const LogitRows& logits, const math::RuleOptions& options,
                                 const std::vector<int64_t>& labels, const double* upstream,
                                 const LogitRows* gradient);

}  // namespace logratio::cpu
