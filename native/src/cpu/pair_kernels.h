// What an instruction set provides for losses: formulas over a block of pairs. Compiled once per
// instruction set from pair_kernels.cpp.
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
};

struct PairValues {
  PairColumn value, second_value;
  PairColumn policy_chosen, policy_rejected, reference_chosen,
      reference_rejected;  // gradients: derivatives times upstream
  PairColumn mean[2],
      variance;  // of a loss of the whole batch: derivatives of the values by the statistics
  math::ParameterGradient<double>
      parameters;  // of a loss that has such gradients: each call adds its pairs
};

struct ExampleBlock {
  PairColumn ratio, chosen;  // chosen: 1 or 0
};

struct ExampleValues {
  PairColumn value, ratio;
};

struct PairKernels {
  void (*evaluate)(const lr_loss_options& options, const math::Statistics& statistics,
                   int64_t count, const PairBlock& in, PairValues* out);
  void (*features)(const lr_loss_options& options, int64_t count, const PairBlock& in,
                   PairColumn* first, PairColumn* second);
  // Adds to the four gradients of `out` what the statistics carry back; `d` holds the derivatives
  // of the whole by the statistics.
  void (*pull_back)(const lr_loss_options& options, const math::Statistics& statistics,
                    const math::Statistics& d, int64_t count, const PairBlock& in, PairValues* out);
  void (*evaluate_examples)(const lr_loss_options& options, double kl, int64_t count,
                            const ExampleBlock& in, ExampleValues* out);
  // Between the blocks above and float32 in memory without gaps.
  void (*widen)(const float* from, int64_t count, double* to);
  void (*narrow)(const double* from, int64_t count, float* to);
};

extern const PairKernels kPairKernelsBaseline;
extern const PairKernels kPairKernelsAvx2;
extern const PairKernels kPairKernelsAvx512;
extern const PairKernels kPairKernelsAvx512Bf16;

}  // namespace logratio::cpu
