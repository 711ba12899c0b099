#include "cpu/preference_step.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/options.h"
#include "abi/overlap.h"
#include "abi/tensors.h"
#include "abi/values.h"
#include "math/losses.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

const math::LossInfo& info_of(const op::WeightedLoss& loss) {
  return *math::loss_info(loss.options.loss);
}

// The losses of the list, each of which can be part of a step, with their weights.
std::vector<op::WeightedLoss> check_losses(const lr_preference_step_args& a) {
  if (a.loss_count < 0)
    invalid("loss_count is " + std::to_string(a.loss_count) + ", expected at least 0");
  if (a.wpo != 0 && a.wpo != 1)
    invalid("wpo is " + std::to_string(a.wpo) + ", expected 0 or 1");
  std::vector<op::WeightedLoss> losses;
  for (int64_t k = 0; k < std::max<int64_t>(1, a.loss_count); ++k) {
    const lr_loss_options* const options = a.loss_options == nullptr ? nullptr : a.loss_options + k;
    const math::LossInfo& info = check_loss_options(options);
    const double weight = a.loss_weights == nullptr ? 1 : a.loss_weights[k];
    if (info.kind == LR_LOSS_UNPAIRED)
      invalid(std::string("loss is ") + info.name + ", expected a loss of pairs or sft");
    if (!std::isfinite(weight))
      invalid("loss_weights has " + std::to_string(weight) + " for the loss " + info.name +
              ", expected a finite number");
    if (a.wpo == 1 && info.sorting != math::Sorting::none) {
      invalid(std::string("wpo is 1, expected 0: the loss ") + info.name +
              " sorts the batch, and its values belong to no pair");
    }
    losses.push_back({*options, weight});
  }
  const bool referenced =
      std::any_of(losses.begin(), losses.end(), [](const op::WeightedLoss& loss) {
        return info_of(loss).paired() && info_of(loss).kind != LR_LOSS_REFERENCE_FREE;
      });
  if (!referenced && (a.reference_logps != nullptr || a.reference_token_logps != nullptr)) {
    invalid(
        std::string(a.reference_logps != nullptr ? "reference_logps" : "reference_token_logps") +
        " is given, and the loss " + info_of(losses.front()).name + " has no reference");
  }
  return losses;
}

// A batch without a token may have 2^61 pairs, or 2^62 tokens in each of none. Its pairs are all
// alike, and where nothing tells them apart or is wanted of each, two of them have the means of
// all; a variance takes no fewer.
void shrink(const lr_preference_step_args& a, op::PreferenceStep* input) {
  if (input->pairs == 0)
    input->tokens = 0;
  const bool each = a.reference_logps != nullptr || a.losses != nullptr || a.logps != nullptr ||
                    a.counts != nullptr;
  if (!each)
    input->pairs = std::min<int64_t>(input->pairs, 2);
}

void check_for_device(const std::vector<op::WeightedLoss>& losses, const lr_step_metrics* metrics) {
  if (losses.size() > op::kMaxStepLosses) {
    invalid("loss_count is " + std::to_string(losses.size()) + ", expected at most " +
            std::to_string(op::kMaxStepLosses) + " on a device");
  }
  if (reinterpret_cast<uintptr_t>(metrics) % alignof(lr_step_metrics) != 0)
    invalid("metrics is not aligned to 8 bytes");
}

}  // namespace

lr_status lr_preference_step(const lr_preference_step_args* args) {
  return operation("lr_preference_step_args", args, [](const lr_preference_step_args& a) {
    constexpr const char* kLogitsName = "logits";
    constexpr const char* kRowsOfLogits = "the rows of logits";
    constexpr const char* kPairsOfLogits = "the pairs of logits";
    constexpr const char* kSequencesOfLogits = "the sequences of logits";

    const Placement placement({{kLogitsName, a.logits},
                               {"labels", a.labels},
                               {"mask", a.mask},
                               {"reference_logps", a.reference_logps},
                               {"reference_token_logps", a.reference_token_logps},
                               {"losses", a.losses},
                               {"logps", a.logps},
                               {"counts", a.counts},
                               {"grad_logits", a.grad_logits}},
                              a.cuda);
    const std::vector<op::WeightedLoss> losses = check_losses(a);
    op::PreferenceStep input{};
    input.losses = losses.data();
    input.loss_count = static_cast<int>(losses.size());
    input.wpo = a.wpo == 1;
    input.sequence = a.sequence_options;
    const RowsArgument logits = logit_rows({kLogitsName, a.logits}, 3, "[2P,T,V]");
    const Shape& token_shape = logits.row_shape;
    const int64_t sequences = token_shape.size[0];
    if (sequences % 2 != 0) {
      invalid("logits has shape [" + std::to_string(sequences) + "," +
              std::to_string(token_shape.size[1]) + "," + std::to_string(logits.columns) +
              "], expected [2P,T,V] with an even first dimension (chosen, then rejected)");
    }
    input.pairs = sequences / 2;
    input.tokens = token_shape.size[1];
    input.logits = logits.rows;
    const Shape sequence_shape = shape_of(sequences), pair_shape = shape_of(input.pairs);
    const op::TensorView labels = view_of({"labels", a.labels}, kInts, token_shape, kRowsOfLogits);
    const op::TensorView mask = optional_view({"mask", a.mask}, kMasks, token_shape, kRowsOfLogits);
    if (a.reference_logps != nullptr && a.reference_token_logps != nullptr) {
      invalid("reference_logps and reference_token_logps are both given, expected at most one");
    }
    input.reference_logps = optional_view({"reference_logps", a.reference_logps}, kFloats,
                                          sequence_shape, kSequencesOfLogits);
    input.reference_token_logps = optional_view({"reference_token_logps", a.reference_token_logps},
                                                kFloats, token_shape, kRowsOfLogits);
    input.losses_out = optional_view({"losses", a.losses}, kFloats, pair_shape, kPairsOfLogits);
    input.logps = optional_view({"logps", a.logps}, kFloats, sequence_shape, kSequencesOfLogits);
    input.counts = optional_view({"counts", a.counts}, kFloats, sequence_shape, kSequencesOfLogits);
    input.metrics = a.metrics;
    input.transform = check_token_options(a.token_options);
    check_sequence_options(a.sequence_options);
    for (const op::WeightedLoss& loss : losses) {
      const math::LossInfo& info = info_of(loss);
      check_pairs(info, input.pairs);
      const bool divides = info.divides_by_length && loss.options.normalise == LR_NORMALISE_ON;
      if (divides && a.sequence_options.reduction == LR_MEAN) {
        invalid(std::string("reduction is LR_MEAN, expected LR_SUM: the loss ") + info.name +
                " divides by the length itself");
      }
    }

    MemoryMap memory;
    memory.add_input(kLogitsName, logits.rows, logits.count);
    memory.add_input("labels", labels);
    memory.add_input("mask", mask);
    memory.add_input("reference_logps", input.reference_logps);
    memory.add_input("reference_token_logps", input.reference_token_logps);
    memory.add_output("losses", input.losses_out);
    memory.add_output("logps", input.logps);
    memory.add_output("counts", input.counts);
    RowsArgument gradient;
    if (a.grad_logits != nullptr) {
      gradient = gradient_rows({"grad_logits", a.grad_logits}, {kLogitsName, a.logits}, logits);
      memory.add_output("grad_logits", gradient.rows, gradient.count, kLogitsName);
      input.wants_gradient = true;
      input.gradient = gradient.rows;
    }
    input.labels = {labels, a.token_options.ignore_index};
    input.mask = mask;
    memory.check();
    if (logits.count == 0)
      shrink(a, &input);

    if (placement.on_device()) {
      check_for_device(losses, a.metrics);
      return placement.run(&device::Table::preference_step, input);
    }
    check_labels("labels", input.labels, logits.columns);
    check_mask("mask", mask);
    cpu::preference_step(input);
  });
}
