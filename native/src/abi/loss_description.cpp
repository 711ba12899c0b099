// lr_loss_describe: what math/losses.h says of every loss, in the words of C. Everything that it
// hands out is constant data of the library.
#include <array>
#include <cstring>
#include <string>

#include "abi/errors.h"
#include "math/losses.h"

using namespace logratio;
using math::ChoiceOption;
using math::LossInfo;
using math::NumberOption;

namespace {

constexpr size_t kMostOptions = 6;

constexpr size_t option_count(const LossInfo& loss) {
  return loss.numbers.size() + loss.choices.size();
}

constexpr lr_option_info describe(const NumberOption& option, const LossInfo& loss) {
  return {.name = option.name,
          .default_value = option.fallback,
          .lower = option.range.lower,
          .upper = option.range.upper,
          .lower_included = option.range.lower_included,
          .upper_included = option.range.upper_included,
          .has_gradient = loss.differentiates_options && option.parameter != math::kNoParameter,
          .value_count = 0,
          .values = nullptr};
}

constexpr lr_option_info describe(const ChoiceOption& option) {
  const auto count = static_cast<int32_t>(option.values.size());
  return {.name = option.name,
          .default_value = 0,
          .lower = 0,
          .upper = static_cast<double>(count - 1),
          .lower_included = 1,
          .upper_included = 1,
          .has_gradient = 0,
          .value_count = count,
          .values = option.values.data()};
}

using Options = std::array<lr_option_info, kMostOptions>;

constexpr std::array<Options, math::kLossCount> kOptions = [] {
  std::array<Options, math::kLossCount> all{};
  for (int32_t number = 1; number <= math::kLossCount; ++number) {
    const LossInfo& loss = *math::loss_info(number);
    size_t k = 0;  // a loss with more than kMostOptions does not compile
    for (const NumberOption& option : loss.numbers)
      all[number - 1][k++] = describe(option, loss);
    for (const ChoiceOption& option : loss.choices)
      all[number - 1][k++] = describe(option);
  }
  return all;
}();

}  // namespace

int32_t lr_loss_count(void) { return math::kLossCount; }

lr_status lr_loss_describe(int32_t number, lr_loss_info* info) {
  return abi::guarded({}, [&] {
    const LossInfo* const loss = math::loss_info(number);
    if (loss == nullptr) {
      abi::invalid("number is " + std::to_string(number) + ", expected 1 to " +
                   std::to_string(math::kLossCount));
    }
    if (info == nullptr)
      abi::invalid("info is NULL, and it is required");
    abi::check_struct("lr_loss_info", info, abi::Published<lr_loss_info>::size,
                      sizeof(lr_loss_info));
    const lr_loss_info known{.size = info->size,
                             .name = loss->name,
                             .aliases = loss->aliases.data(),
                             .options = kOptions[number - 1].data(),
                             .alias_count = static_cast<int32_t>(loss->aliases.size()),
                             .option_count = static_cast<int32_t>(option_count(*loss)),
                             .kind = loss->kind,
                             .losses_per_pair = loss->two_values ? 2 : 1,
                             .smallest_batch = loss->variance ? 2 : 1,
                             .of_ranks = loss->sorting != math::Sorting::none,
                             .divides_by_length = loss->divides_by_length,
                             .has_rewards = loss->reward_beta != nullptr,
                             .takes_learned_parameters = loss->paired(),
                             .uses_kl = loss->uses_kl};
    std::memcpy(info, &known, info->size < sizeof known ? info->size : sizeof known);
  });
}
