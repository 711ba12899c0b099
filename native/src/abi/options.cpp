#include "abi/options.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "abi/operands.h"
#include "abi/text.h"
#include "math/losses.h"

using namespace logratio;
using namespace logratio::abi;
using math::ChoiceOption;
using math::LossInfo;
using math::NumberOption;

namespace {

[[noreturn]] void out_of_range(const char* name, double value, const char* expected) {
  invalid(std::string(name) + " is " + text_of(value) + ", expected " + expected);
}

bool positive(double value) { return value > 0 && std::isfinite(value); }

void check_range(const NumberOption& option, double value) {
  if (!option.range.contains(value))
    out_of_range(option.name, value, option.range.expected);
}

const NumberOption* find(const LossInfo& loss, double lr_loss_options::*member) {
  for (const NumberOption& option : loss.numbers) {
    if (option.member == member)
      return &option;
  }
  return nullptr;
}

const ChoiceOption* find(const LossInfo& loss, int32_t lr_loss_options::*member) {
  for (const ChoiceOption& option : loss.choices) {
    if (option.member == member)
      return &option;
  }
  return nullptr;
}

[[noreturn]] void no_such_option(const char* name, const std::string& value, const LossInfo& loss) {
  invalid(std::string(name) + " is " + value + ", and the loss " + loss.name +
          " has no such option: leave it as lr_loss_init sets it");
}

bool any_loss(const LossInfo&) { return true; }

int32_t number_of(const char* name) {
  for (int32_t number = 1; number <= math::kLossCount; ++number) {
    const LossInfo& loss = *math::loss_info(number);
    const auto is_it = [name](const char* own) { return std::strcmp(name, own) == 0; };
    if (is_it(loss.name) || std::any_of(loss.aliases.begin(), loss.aliases.end(), is_it))
      return number;
  }
  invalid("loss is \"" + std::string(name) + "\", expected " + loss_names(any_loss));
}

void check_size(const lr_loss_options& options) {
  if (options.size == sizeof(lr_loss_options))
    return;
  invalid("size of lr_loss_options is " + std::to_string(options.size) + ", expected " +
          std::to_string(sizeof(lr_loss_options)) +
          ": set it to sizeof(lr_loss_options) before lr_loss_init, and compare lr_abi_version()");
}

}  // namespace

lr_status lr_loss_init(const char* name, lr_loss_options* options) {
  return guarded({}, [&] {
    if (name == nullptr)
      invalid("name is NULL, expected " + loss_names(any_loss));
    if (options == nullptr)
      invalid("options is NULL, and it is required");
    check_size(*options);
    const int32_t number = number_of(name);
    lr_loss_options fresh{};
    fresh.size = options->size;
    fresh.loss = number;
    for (const auto member : math::kNumberMembers)
      fresh.*member = std::numeric_limits<double>::quiet_NaN();
    for (const NumberOption& option : math::loss_info(number)->numbers)
      fresh.*(option.member) = option.fallback;
    *options = fresh;
  });
}

namespace logratio::abi {

std::string loss_names(bool (*which)(const LossInfo&)) {
  std::vector<const char*> names;
  for (int32_t number = 1; number <= math::kLossCount; ++number) {
    if (which(*math::loss_info(number)))
      names.push_back(math::loss_info(number)->name);
  }
  std::string text;
  for (size_t k = 0; k < names.size(); ++k) {
    if (k > 0)
      text += k + 1 == names.size() ? " or " : ", ";
    text += names[k];
  }
  return text;
}

const LossInfo& check_loss_options(const lr_loss_options* options) {
  if (options == nullptr)
    invalid("loss_options is NULL, and it is required");
  check_size(*options);
  const LossInfo* loss = math::loss_info(options->loss);
  if (loss == nullptr)
    invalid("loss is number " + std::to_string(options->loss) +
            ", which does not exist: fill loss_options with lr_loss_init");
  for (const NumberOption& option : loss->numbers)
    check_range(option, options->*(option.member));
  // What the loss has is not NaN, then. Options that it lacks are.
  size_t given = 0;
  for (const auto member : math::kNumberMembers)
    given += !std::isnan(options->*member);
  for (size_t k = 0; given > loss->numbers.size() && k < std::size(math::kNumberMembers); ++k) {
    const double value = options->*math::kNumberMembers[k];
    if (!std::isnan(value) && find(*loss, math::kNumberMembers[k]) == nullptr)
      no_such_option(math::kNumberNames[k], text_of(value), *loss);
  }
  for (const ChoiceOption& choice : math::kChoices) {
    const int32_t value = options->*(choice.member);
    if (value == 0)
      continue;
    const ChoiceOption* option = find(*loss, choice.member);
    if (option == nullptr)
      no_such_option(choice.name, std::to_string(value), *loss);
    if (value < 0 || static_cast<size_t>(value) >= option->values.size()) {
      invalid(std::string(choice.name) + " is " + std::to_string(value) + ", expected 0 to " +
              std::to_string(option->values.size() - 1));
    }
  }
  if (options->reserved != 0)
    invalid("reserved of lr_loss_options is " + std::to_string(options->reserved) + ", expected 0");
  return *loss;
}

const LossInfo& check_unpaired_loss(const lr_loss_options* options) {
  const LossInfo& loss = check_loss_options(options);
  if (loss.kind != LR_LOSS_UNPAIRED) {
    invalid(std::string("loss is ") + loss.name + ", expected " +
            loss_names([](const LossInfo& one) { return one.kind == LR_LOSS_UNPAIRED; }));
  }
  return loss;
}

void check_kl(const DLTensor* kl_policy_logps, const LossInfo& loss) {
  if (kl_policy_logps != nullptr && !loss.uses_kl) {
    invalid("kl_policy_logps is given, expected it only with the loss " +
            loss_names([](const LossInfo& one) { return one.uses_kl; }) + ", not " + loss.name);
  }
}

void check_pairs(const Operand& operand, int64_t pairs, const LossInfo& loss) {
  if (loss.variance && pairs == 1) {
    mismatch(operand, std::string("at least 2 pairs, or none, as loss ") + loss.name +
                          " takes their variance");
  }
}

const char* option_name(double lr_loss_options::*option) {
  const auto* const at =
      std::find(std::begin(math::kNumberMembers), std::end(math::kNumberMembers), option);
  return math::kNumberNames[at - std::begin(math::kNumberMembers)];
}

const NumberOption* find_option(const LossInfo& loss, double lr_loss_options::*option) {
  return find(loss, option);
}

void check_choice(const char* name, int32_t value, int32_t count) {
  if (value >= 0 && value < count)
    return;
  invalid(std::string(name) + " is " + std::to_string(value) + ", expected 0" +
          (count > 1 ? " to " + std::to_string(count - 1) : ""));
}

void check_number(const char* name, double value, bool valid, const char* expected) {
  if (!valid)
    out_of_range(name, value, expected);
}

void check_vocab_option(int64_t vocab) {
  if (vocab < 0) {
    invalid("vocab is " + std::to_string(vocab) + ", expected a number >= 1, or 0 for all columns");
  }
}

op::RowTransform check_token_options(const lr_token_options& options) {
  if (!positive(options.temperature))
    out_of_range("temperature", options.temperature, "a finite number > 0");
  if (!(options.softcap >= 0 && std::isfinite(options.softcap)))
    out_of_range("softcap", options.softcap, "a finite number >= 0");
  check_vocab_option(options.vocab);
  return {options.temperature, options.softcap};
}

int64_t check_vocab(int64_t vocab, int64_t columns, const char* logits) {
  if (vocab > columns) {
    invalid("vocab is " + std::to_string(vocab) + ", expected at most the " +
            std::to_string(columns) + " columns of " + logits);
  }
  return vocab == 0 ? columns : vocab;
}

void limit_columns(op::LogitRows* logits, int64_t vocab) {
  logits->columns = std::min(vocab, logits->columns);
}

void check_sequence_options(const lr_sequence_options& options) {
  if (options.reduction != LR_SUM && options.reduction != LR_MEAN) {
    invalid("reduction is " + std::to_string(options.reduction) + ", expected LR_SUM or LR_MEAN");
  }
  if (options.align != LR_ALIGN_COMPLETION && options.align != LR_ALIGN_ABSOLUTE) {
    invalid("align is " + std::to_string(options.align) +
            ", expected LR_ALIGN_COMPLETION or LR_ALIGN_ABSOLUTE");
  }
  if (!(options.tail_weight >= 0 && options.tail_weight <= 1))
    out_of_range("tail_weight", options.tail_weight, "a number in [0,1]");
  if (!(options.keep_fraction > 0 && options.keep_fraction <= 1))
    out_of_range("keep_fraction", options.keep_fraction, "a number in (0,1]");
  if (options.tail_weight == 1 && options.keep_fraction != 1) {
    out_of_range("keep_fraction", options.keep_fraction, "1 unless tail_weight is below 1");
  }
}

}  // namespace logratio::abi
