// Blocks of pairs, as the formulas of losses are evaluated over them.
#pragma once

#include <cstdint>

#include "logratio.h"
#include "math/loss.h"

namespace logratio::cpu {

// Pairs are evaluated in blocks of this many, padded with pairs of log-probs 0 that have no
// upstream gradient.
inline constexpr int64_t kPairBlock = 64;
using PairColumn = double[kPairBlock];

struct PairBlock {
  PairColumn policy_chosen, policy_rejected, reference_chosen, reference_rejected, chosen_counts,
      rejected_counts;
  PairColumn upstream, second_upstream;  // by the values; the second where a pair has two
  bool logps_are_means;
  bool has_parameters;  // each pair has parameters and gradients by them of its own; false: all
                        // pairs have those of the options
  PairColumn parameters[math::kParameters];
};

struct PairValues {
  PairColumn value, second_value;
  PairColumn policy_chosen, policy_rejected, reference_chosen,
      reference_rejected;  // gradients: derivatives times upstream
  PairColumn mean[2],
      variance;  // of a loss of the whole batch: derivatives of the values by the statistics
  math::ParameterGradient<double>
      parameters;  // of a loss that differentiates options: each call adds its pairs
  PairColumn by_parameter[math::kParameters];  // gradients where pairs have parameters
};

struct ExampleBlock {
  PairColumn ratio, chosen;  // chosen: 1 or 0
};

struct ExampleValues {
  PairColumn value, ratio;
};

}  // namespace logratio::cpu
