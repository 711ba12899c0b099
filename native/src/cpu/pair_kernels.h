// What an instruction set provides for losses: formulas over a block of pairs. Compiled once per instruction set from pair_kernels.cpp.
#pragma once

#include <cstdint>

#include "logratio.h"
#include "math/loss.h"

namespace logratio::cpu {

// Pairs are evaluated in blocks of this many, padded with whatever gives no trap.
inline constexpr int64_t kPairBlock = 64;
using PairColumn = double[kPairBlock];

struct PairBlock {
  PairColumn policy_chosen, policy_rejected, reference_chosen, reference_rejected, chosen_counts, rejected_counts;
  bool logps_are_means;
};

// Values, and derivatives of the values; nothing is multiplied with an upstream gradient yet.
struct PairValues {
  PairColumn value, second_value;
  PairColumn policy_chosen, policy_rejected, reference_chosen, reference_rejected;
  PairColumn beta, beta_mix, tau;        // of a loss with parameters that have a gradient
  PairColumn mean[2], variance;          // of a loss of the whole batch: by the statistics
};

struct ExampleBlock {
  PairColumn ratio, chosen;  // chosen: 1 or 0
};

struct ExampleValues {
  PairColumn value, ratio;
};

struct PairKernels {
  // The derivatives by statistics are left out where the loss has none, as are those by parameters.
  void (*evaluate)(const lr_loss_options& options, const math::Statistics& statistics, int64_t count, const PairBlock& in, PairValues* out);
  void (*features)(const lr_loss_options& options, int64_t count, const PairBlock& in, PairColumn* first, PairColumn* second);
  // Adds to the four gradients of `out` what the statistics carry back; `d` holds the derivatives of the whole by the statistics.
  void (*pull_back)(const lr_loss_options& options, const math::Statistics& statistics, const math::Statistics& d, int64_t count, const PairBlock& in,
                    PairValues* out);
  void (*evaluate_examples)(const lr_loss_options& options, double kl, int64_t count, const ExampleBlock& in, ExampleValues* out);
};

extern const PairKernels kPairKernelsBaseline;
extern const PairKernels kPairKernelsAvx2;
extern const PairKernels kPairKernelsAvx512;
extern const PairKernels kPairKernelsAvx512Bf16;

}  // namespace logratio::cpu
