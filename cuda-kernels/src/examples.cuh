// Losses of single examples by the threads of a grid, in double, from the formulas of src/math:
// what unpaired_loss and the step share.
#pragma once

#include "block.cuh"
#include "elements.cuh"
#include "math/losses.h"

namespace logratio::device {

// Every block takes the mean of the log-ratios given for kl itself, so that blocks need not meet.
// Without them kl is 0.
__device__ inline double mean_log_ratio(const op::TensorView& policy,
                                        const op::TensorView& reference, BlockScratch* scratch) {
  if (!policy.present)
    return 0;
  const int64_t count = policy.outer * policy.inner;
  double sum[1] = {0};
  for (int64_t k = threadIdx.x; k < count; k += kListThreads)
    sum[0] += read_double(policy, k) - read_double(reference, k);
  block_sum(sum, scratch);
  return count > 0 ? math::positive_part(sum[0] / static_cast<double>(count)) : 0;
}

// Calls body(example, its log-ratio, its value and slope) for examples first, first + step, ...
template <class Ratio, class Body>
__device__ inline void for_examples(const lr_loss_options& options, const op::TensorView& chosen,
                                    double kl, int64_t first, int64_t step, int64_t count,
                                    Ratio&& ratio_of, Body&& body) {
  math::visit_unpaired(options, [&](const auto& loss) {
    for (int64_t k = first; k < count; k += step) {
      const double ratio = ratio_of(k);
      const math::ExampleOutput<double> out = loss.evaluate(ratio, read_double(chosen, k) > 0, kl);
      body(k, ratio, out);
    }
  });
}

}  // namespace logratio::device
