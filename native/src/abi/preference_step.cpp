#include "cpu/preference_step.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/values.h"
#include "math/losses.h"
#include "math/sequence_spans.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kRows = shape<"2P,T,V", "N,V">;
constexpr const Shapes& kEachRow = shape<"2P,T", "N">;

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
    check_number("loss_weights", weight, std::isfinite(weight), "a finite number");
    if (a.wpo == 1 && info.sorting != math::Sorting::none) {
      invalid(std::string("wpo is on, expected it off as the losses of ") + info.name +
              " belong to ranks, not to pairs");
    }
    losses.push_back({*options, weight});
  }
  return losses;
}

// At most one reference, and none where no loss has one.
void check_references(const lr_preference_step_args& a,
                      const std::vector<op::WeightedLoss>& losses) {
  const bool referenced =
      std::any_of(losses.begin(), losses.end(), [](const op::WeightedLoss& loss) {
        return info_of(loss).paired() && info_of(loss).kind != LR_LOSS_REFERENCE_FREE;
      });
  if (!referenced && (a.reference_logps != nullptr || a.reference_token_logps != nullptr)) {
    invalid(
        std::string(a.reference_logps != nullptr ? "reference_logps" : "reference_token_logps") +
        " is given, expected it absent as loss " + info_of(losses.front()).name +
        " has no reference");
  }
  if (a.reference_logps != nullptr && a.reference_token_logps != nullptr)
    invalid("reference_logps and reference_token_logps are both given, expected one of them");
}

void check_reduction(const lr_sequence_options& options,
                     const std::vector<op::WeightedLoss>& losses) {
  for (const op::WeightedLoss& loss : losses) {
    const bool divides =
        info_of(loss).divides_by_length && loss.options.normalise == LR_NORMALISE_ON;
    if (divides && options.reduction == LR_MEAN) {
      invalid(std::string("reduction is mean, expected sum as loss ") + info_of(loss).name +
              " divides by length itself");
    }
  }
}

// A padded batch without a token may have 2^61 pairs, or 2^62 tokens in each of none. Its pairs are
// all alike, and where nothing tells them apart or is wanted of each, two of them have the means of
// all; a variance takes no fewer.
void shrink(const lr_preference_step_args& a, op::PreferenceStep* call) {
  const bool each = a.reference_logps != nullptr || a.losses != nullptr || a.logps != nullptr ||
                    a.counts != nullptr;
  if (!each)
    call->pairs = std::min<int64_t>(call->pairs, 2);
}

void check_for_device(const std::vector<op::WeightedLoss>& losses, const lr_step_metrics* metrics) {
  if (losses.size() > op::kMaxStepLosses) {
    invalid("loss_count is " + std::to_string(losses.size()) + ", expected at most " +
            std::to_string(op::kMaxStepLosses) + " on a device");
  }
  check_device_metrics(metrics);
}

}  // namespace

lr_status lr_preference_step(const lr_preference_step_args* args) {
  return operation("lr_preference_step_args", args, [](const lr_preference_step_args& a) {
    op::PreferenceStep call{};
    const Operand list[] = {
        in("logits", a.logits, kLogits, kRows, call.logits, kRequired),
        in("cu_seqlens", a.cu_seqlens, kInts, shape<"2P+1">, call.cu_seqlens, kPacked),
        in("labels", a.labels, kInts, kEachRow, call.labels.values, kRequired),
        in("mask", a.mask, kMasks, kEachRow, call.mask),
        in("reference_logps", a.reference_logps, kFloats, shape<"2P">, call.reference_logps),
        in("reference_token_logps", a.reference_token_logps, kFloats, kEachRow,
           call.reference_token_logps),
        out("losses", a.losses, kFloats, shape<"P">, call.losses_out),
        out("logps", a.logps, kFloats, shape<"2P">, call.logps),
        out("counts", a.counts, kFloats, shape<"2P">, call.counts),
        gradient("grad_logits", a.grad_logits, a.logits, kRows, call.gradient),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    const std::vector<op::WeightedLoss> losses = check_losses(a);
    call.losses = losses.data();
    call.loss_count = static_cast<int>(losses.size());
    call.wpo = a.wpo == 1;
    call.sequence = a.sequence_options;
    call.transform = check_token_options(a.token_options);
    call.labels.ignore_index = a.token_options.ignore_index;
    call.metrics = a.metrics;
    call.wants_gradient = a.grad_logits != nullptr;
    check_sequence_options(a.sequence_options);
    check_reduction(a.sequence_options, losses);
    operands.check_presence();
    check_references(a, losses);
    operands.check_tensors();
    call.pairs = operands.size('P');
    call.length = call.cu_seqlens ? math::kPacked : call.pairs == 0 ? 0 : operands.size('T');
    check_has_sequences(operands[a.cu_seqlens], call.rows());
    for (const op::WeightedLoss& loss : losses)
      check_pairs(operands[a.logits], call.pairs, info_of(loss));
    operands.check_apart();
    if (call.rows() == 0 && !call.cu_seqlens)
      shrink(a, &call);
    call.sequences = 2 * call.pairs;
    if (placement.on_device()) {
      check_for_device(losses, a.metrics);
      return placement.run(&device::Table::preference_step, call);
    }
    check_cu_seqlens(operands[a.cu_seqlens], call.cu_seqlens, call.rows());
    check_labels(operands[a.labels], call.labels, operands.size('V'));
    check_weights(operands[a.mask], call.mask);
    cpu::preference_step(call);
  });
}
