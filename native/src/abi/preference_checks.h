// Checks of the arguments that preference_step and linear_preference_step have in common.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/values.h"
#include "cpu/elements.h"
#include "cpu/preference_step.h"
#include "math/losses.h"

namespace logratio::abi {

inline const math::LossInfo& info_of(const op::WeightedLoss& loss) {
  return *math::loss_info(loss.options.loss);
}

// The losses of the list, each of which can be part of a step, with their weights.
template <class Args>
std::vector<op::WeightedLoss> check_losses(const Args& a) {
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
inline void check_token_count(double count, const std::vector<op::WeightedLoss>& losses) {
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

template <class Args>
void check_presence(const Args& a, const std::vector<op::WeightedLoss>& losses) {
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
inline double reward_beta(const std::vector<op::WeightedLoss>& losses, bool has_reference) {
  for (const op::WeightedLoss& loss : losses) {
    if (info_of(loss).reward_beta != nullptr)
      return loss.options.*info_of(loss).reward_beta;
  }
  return has_reference ? .1 : 0;
}

// Labels are looked at where their token counts, or a negative log-likelihood covers it.
inline void check_counted_labels(const Operand& operand, const op::PreferenceStep& call,
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

inline void check_reduction(const lr_sequence_options& options,
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

inline void check_for_device(const std::vector<op::WeightedLoss>& losses,
                             const lr_step_metrics* metrics) {
  if (losses.size() > op::kMaxStepLosses) {
    invalid("loss_count is " + std::to_string(losses.size()) + ", expected at most " +
            std::to_string(op::kMaxStepLosses) + " on a device");
  }
  check_device_metrics(metrics);
}

}  // namespace logratio::abi
