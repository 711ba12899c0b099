#include "cpu/preference_step.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/parameters.h"
#include "abi/values.h"
#include "cpu/elements.h"
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
  check_choice("wpo", a.wpo, 3);
  std::vector<op::WeightedLoss> losses;
  for (int64_t k = 0; k < std::max<int64_t>(1, a.loss_count); ++k) {
    const lr_loss_options* const options = a.loss_options == nullptr ? nullptr : a.loss_options + k;
    const math::LossInfo& info = check_loss_options(options);
    const double weight = a.loss_weights == nullptr ? 1 : a.loss_weights[k];
    if (info.kind == LR_LOSS_UNPAIRED)
      invalid(std::string("loss is ") + info.name + ", expected a loss of pairs or sft");
    check_number("loss_weights", weight, std::isfinite(weight), "a finite number");
    if (a.wpo != LR_WPO_OFF && info.sorting != math::Sorting::none) {
      invalid(std::string("wpo is ") + (a.wpo == LR_WPO_ON ? "on" : "capped") +
              ", expected it off as the losses of " + info.name + " belong to ranks, not to pairs");
    }
    losses.push_back({*options, weight});
  }
  return losses;
}

// A count takes the place of the batch's own.
void check_token_count(double count, const std::vector<op::WeightedLoss>& losses) {
  if (count == 0)
    return;
  check_number("token_count", count, count > 0 && std::isfinite(count), "a finite number > 0");
  const bool used = std::any_of(losses.begin(), losses.end(), [](const op::WeightedLoss& loss) {
    return info_of(loss).kind == LR_LOSS_AUXILIARY || loss.options.nll == LR_NLL_TOKEN;
  });
  if (!used) {
    check_number("token_count", count, false,
                 "it absent as no loss is sft or has the option nll token");
  }
}

void check_presence(const lr_preference_step_args& a, const std::vector<op::WeightedLoss>& losses) {
  if (a.reference_logps != nullptr && a.reference_token_logps != nullptr)
    invalid("reference_logps and reference_token_logps are both given, expected one of them");
  for (const op::WeightedLoss& loss : losses) {
    if (a.pair_weights != nullptr && info_of(loss).sorting != math::Sorting::none) {
      invalid(std::string("pair_weights is given, expected it absent as the losses of ") +
              info_of(loss).name + " belong to ranks, not to pairs");
    }
  }
  const bool has_nll = std::any_of(losses.begin(), losses.end(), [](const op::WeightedLoss& loss) {
    return info_of(loss).has_nll();
  });
  if (a.nll_mask != nullptr && !has_nll) {
    invalid(std::string("nll_mask is given, expected it absent as loss ") +
            info_of(losses.front()).name + " has no negative log-likelihood");
  }
}

// The beta of the first loss that has one.
double reward_beta(const std::vector<op::WeightedLoss>& losses, bool has_reference) {
  for (const op::WeightedLoss& loss : losses) {
    if (info_of(loss).reward_beta != nullptr)
      return loss.options.*info_of(loss).reward_beta;
  }
  return has_reference ? .1 : 0;
}

// Labels are looked at where their token counts, or a negative log-likelihood covers it.
void check_counted_labels(const Operand& operand, const op::PreferenceStep& call,
                          int64_t vocabulary) {
  if (!call.mask)
    return check_labels(operand, call.labels, vocabulary);
  std::vector<double> weights = cpu::read_mask(call.mask, call.rows());
  if (call.nll_mask) {
    const std::vector<double> more = cpu::read_mask(call.nll_mask, cpu::chosen_rows(call));
    std::transform(more.begin(), more.end(), weights.begin(), weights.begin(),
                   [](double one, double other) { return one > 0 ? one : other; });
  }
  check_labels(operand, call.labels, vocabulary, weights.data());
}

void check_reduction(const lr_sequence_options& options,
                     const std::vector<op::WeightedLoss>& losses) {
  for (const op::WeightedLoss& loss : losses) {
    const bool divides =
        info_of(loss).divides_by_length && loss.options.normalise != LR_NORMALISE_OFF;
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
  const bool each = a.reference_logps != nullptr || a.pair_weights != nullptr ||
                    a.losses != nullptr || a.logps != nullptr || a.counts != nullptr ||
                    a.chosen_rewards != nullptr || a.rejected_rewards != nullptr ||
                    call->parameters.has_each();
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
    op::ParameterTensors& parameters = call.parameters;
    const Operand list[] = {
        in("logits", a.logits, kLogits, kRows, call.logits, kRequired),
        in("cu_seqlens", a.cu_seqlens, kInts, shape<"2P+1">, call.cu_seqlens, kPacked),
        in("labels", a.labels, kInts, kEachRow, call.labels.values, kRequired),
        in("mask", a.mask, kMasks, kEachRow, call.mask),
        in("reference_logps", a.reference_logps, kFloats, shape<"2P">, call.reference_logps),
        in("reference_token_logps", a.reference_token_logps, kFloats, kEachRow,
           call.reference_token_logps),
        in("pair_weights", a.pair_weights, kFloats, shape<"P">, call.pair_weights),
        in("grad_loss", a.grad_loss, kFloats, shape<"1">, call.grad_loss),
        in("nll_mask", a.nll_mask, kMasks, kEachRow, call.nll_mask),
        parameter("beta", a.beta, parameters, math::kScale, &lr_loss_options::beta),
        parameter("beta_kl", a.beta_kl, parameters, math::kScale, &lr_loss_options::beta_kl),
        parameter("beta_mix", a.beta_mix, parameters, math::kMix, &lr_loss_options::beta_mix),
        parameter("tau", a.tau, parameters, math::kTemperature, &lr_loss_options::tau),
        out("losses", a.losses, kFloats, shape<"P">, call.losses_out),
        out("logps", a.logps, kFloats, shape<"2P">, call.logps),
        out("counts", a.counts, kFloats, shape<"2P">, call.counts),
        out("chosen_rewards", a.chosen_rewards, kFloats, shape<"P">, call.chosen_rewards),
        out("rejected_rewards", a.rejected_rewards, kFloats, shape<"P">, call.rejected_rewards),
        gradient("grad_logits", a.grad_logits, a.logits, kRows, call.gradient),
        parameter_gradient("grad_beta", a.grad_beta, parameters, math::kScale,
                           &lr_loss_options::beta),
        parameter_gradient("grad_beta_kl", a.grad_beta_kl, parameters, math::kScale,
                           &lr_loss_options::beta_kl),
        parameter_gradient("grad_beta_mix", a.grad_beta_mix, parameters, math::kMix,
                           &lr_loss_options::beta_mix),
        parameter_gradient("grad_tau", a.grad_tau, parameters, math::kTemperature,
                           &lr_loss_options::tau),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    std::vector<op::WeightedLoss> losses = check_losses(a);
    call.losses = losses.data();
    call.loss_count = static_cast<int>(losses.size());
    call.wpo = a.wpo;
    call.token_count = a.token_count;
    call.reward_beta =
        reward_beta(losses, a.reference_logps != nullptr || a.reference_token_logps != nullptr);
    call.sequence = a.sequence_options;
    call.transform = check_token_options(a.token_options);
    call.labels.ignore_index = a.token_options.ignore_index;
    call.metrics = a.metrics;
    call.wants_gradient = a.grad_logits != nullptr;
    check_sequence_options(a.sequence_options);
    check_reduction(a.sequence_options, losses);
    check_token_count(a.token_count, losses);
    operands.check_presence();
    check_presence(a, losses);
    check_one_loss(list, losses.size());
    check_parameters(list, info_of(losses.front()));
    operands.check_tensors();
    call.pairs = operands.size('P');
    call.length = call.cu_seqlens ? math::kPacked : call.pairs == 0 ? 0 : operands.size('T');
    check_has_sequences(operands[a.cu_seqlens], call.rows());
    for (const op::WeightedLoss& loss : losses)
      check_pairs(operands[a.logits], call.pairs, info_of(loss));
    check_parameter_shapes(list);
    const int64_t vocab = check_vocab(a.token_options.vocab, operands.size('V'));
    operands.check_apart();
    limit_columns(&call.logits, vocab);
    if (call.rows() == 0 && !call.cu_seqlens)
      shrink(a, &call);
    call.sequences = 2 * call.pairs;
    if (placement.on_device()) {
      check_for_device(losses, a.metrics);
      return placement.run(&device::Table::preference_step, call);
    }
    check_cu_seqlens(operands[a.cu_seqlens], call.cu_seqlens, call.rows());
    check_counted_labels(operands[a.labels], call, vocab);
    check_weights(operands[a.mask], call.mask);
    check_weights(operands[a.pair_weights], call.pair_weights);
    check_weights(operands[a.nll_mask], call.nll_mask, cpu::chosen_rows(call));
    read_parameters(list, &losses.front().options);
    call.reward_beta = reward_beta(losses, call.has_reference());
    cpu::preference_step(call);
  });
}
