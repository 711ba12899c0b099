// preference_step on the CPU: logits to loss, gradient and metrics with one forward read and one
// backward pass over the rows.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/grid.h"
#include "cpu/token_rows.h"
#include "logratio.h"

namespace logratio::cpu {

struct WeightedLoss {
  lr_loss_options options;  // of a paired loss, or of sft
  double weight;
};

struct StepInput {
  int64_t pairs;
  int64_t tokens;
  LogitRows logits;  // [2 pairs, tokens] rows
  RowTransform transform;
  std::vector<int64_t> labels;  // [2 pairs, tokens], -1 where ignored
  std::vector<double> weights;  // of the mask, the same shape; 0 where the label is ignored
  Grid reference_logps;         // at most one of the two references is present
  Grid reference_token_logps;
};

struct StepOutput {
  Grid losses;
  Grid logps;
  Grid counts;
  const LogitRows* grad_logits;  // null: not wanted; it may be the logits' memory
  lr_step_metrics* metrics;      // null: not wanted
};

// wpo: each pair's losses, sft's aside, are multiplied by its detached WPO weight.
void preference_step(const std::vector<WeightedLoss>& losses, bool wpo,
                     const lr_sequence_options& sequence, const StepInput& input,
                     const StepOutput& output);

}  // namespace logratio::cpu
