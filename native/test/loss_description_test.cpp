// lr_loss_describe: what it says of every loss, and that the library does as it says.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "support/tensor.h"

namespace logratio::test {
namespace {

lr_loss_info describe(int32_t number) {
  lr_loss_info info{};
  info.size = sizeof info;
  EXPECT_EQ(lr_loss_describe(number, &info), LR_OK) << lr_last_error();
  return info;
}

std::string text_of(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string text_of(const lr_option_info& option) {
  std::string text = std::string(" ") + option.name;
  if (option.value_count > 0) {
    for (int32_t k = 0; k < option.value_count; ++k)
      text += (k == 0 ? "=" : "|") + std::string(option.values[k]);
    return text;
  }
  return text + "=" + text_of(option.default_value) + (option.lower_included ? "[" : "(") +
         text_of(option.lower) + "," + text_of(option.upper) + (option.upper_included ? "]" : ")") +
         (option.has_gradient ? "'" : "");
}

std::string text_of(const lr_loss_info& info) {
  constexpr const char* kKinds[] = {"margin", "log-ratios", "reference-free", "unpaired",
                                    "auxiliary"};
  std::string text = info.name;
  for (int32_t k = 0; k < info.alias_count; ++k)
    text += std::string("/") + info.aliases[k];
  text += std::string(" ") + kKinds[info.kind] + ":";
  for (int32_t k = 0; k < info.option_count; ++k)
    text += text_of(info.options[k]);
  if (info.losses_per_pair != 1)
    text += " x" + std::to_string(info.losses_per_pair);
  if (info.smallest_batch != 1)
    text += " >=" + std::to_string(info.smallest_batch);
  text += info.of_ranks ? " ranks" : "";
  text += info.divides_by_length ? " length" : "";
  text += info.has_rewards ? "" : " unrewarded";
  text += info.takes_learned_parameters ? " learned" : "";
  text += info.uses_kl ? " kl" : "";
  return text;
}

// One of each kind, and each trait; LossDescribeTest holds every loss to its Java record.
TEST(LossDescription, OfEachKind) {
  const std::string score = " f_alpha=0.5(-inf,inf)",
                    divergence = " f_divergence=reverse_kl|forward_kl|js|alpha";
  const std::vector<std::string> expected = {
      "dlrml margin: beta_kl=0.05(0,inf)' beta_mix=0.2(-inf,inf)' tau=0.05(0,inf)'" + score +
          " guard=none|warn|clamp" + divergence + " learned",
      "sigmoid/dpo margin: beta=0.1(0,inf) label_smoothing=0[0,0.5)" + score + divergence +
          " learned",
      "aot log-ratios: beta=0.1(0,inf) label_smoothing=0[0,0.5) ranks learned",
      "kto_pair log-ratios: beta=0.1(0,inf) detach=off|on x2 learned",
      "dbaql log-ratios: beta=0.05(0,inf) tau=0.05(0,inf) variant=repo|old|paper >=2 learned",
      "orpo reference-free: beta=0.1(0,inf) nll=pair|token length learned",
      "kto unpaired: beta=0.1(0,inf) desirable_weight=1[0,inf) undesirable_weight=1[0,inf) kl",
      "sft auxiliary: length unrewarded",
  };
  std::set<std::string> actual;
  for (int32_t number = 1; number <= lr_loss_count(); ++number)
    actual.insert(text_of(describe(number)));
  for (const std::string& loss : expected)
    EXPECT_TRUE(actual.contains(loss)) << loss;
}

TEST(LossDescription, NamesAndAliasesAreTheLoss) {
  for (int32_t number = 1; number <= lr_loss_count(); ++number) {
    const lr_loss_info info = describe(number);
    EXPECT_EQ(loss_options(info.name).loss, number);
    for (int32_t k = 0; k < info.alias_count; ++k)
      EXPECT_EQ(loss_options(info.aliases[k]).loss, number) << info.aliases[k];
  }
}

// The field of an option, by its name.
double* number_field(lr_loss_options* options, const std::string& name) {
  if (name == "beta")
    return &options->beta;
  if (name == "beta_kl")
    return &options->beta_kl;
  if (name == "beta_mix")
    return &options->beta_mix;
  if (name == "tau")
    return &options->tau;
  if (name == "label_smoothing")
    return &options->label_smoothing;
  if (name == "f_alpha")
    return &options->f_alpha;
  if (name == "gamma")
    return &options->gamma;
  if (name == "alpha")
    return &options->alpha;
  if (name == "delta")
    return &options->delta;
  if (name == "desirable_weight")
    return &options->desirable_weight;
  if (name == "undesirable_weight")
    return &options->undesirable_weight;
  return nullptr;
}

int32_t* choice_field(lr_loss_options* options, const std::string& name) {
  if (name == "f_divergence")
    return &options->f_divergence;
  if (name == "guard")
    return &options->guard;
  if (name == "variant")
    return &options->variant;
  if (name == "normalise")
    return &options->normalise;
  if (name == "detach")
    return &options->detach;
  if (name == "nll")
    return &options->nll;
  return nullptr;
}

// Whether the library takes options, by a call without pairs.
bool takes(const lr_loss_info& info, const lr_loss_options& options) {
  Tensor chosen(D::f64, {0}), rejected(D::f64, {0}), marks(D::boolean, {0});
  if (info.kind == LR_LOSS_UNPAIRED) {
    auto args = make_args<lr_unpaired_loss_args>();
    args.loss_options = &options;
    args.policy_logps = chosen;
    args.reference_logps = rejected;
    args.chosen = marks;
    return call(lr_unpaired_loss, args) == LR_OK;
  }
  auto args = make_args<lr_pair_loss_args>();
  args.loss_options = &options;
  args.policy_chosen = chosen;
  args.policy_rejected = rejected;
  return call(lr_pair_loss, args) == LR_OK;
}

TEST(LossDescription, OptionsTakeWhatItSays) {
  for (int32_t number = 1; number <= lr_loss_count(); ++number) {
    const lr_loss_info info = describe(number);
    const lr_loss_options defaults = loss_options(info.name);
    for (int32_t k = 0; k < info.option_count; ++k) {
      const lr_option_info& option = info.options[k];
      const std::string what = std::string(info.name) + "." + option.name;
      lr_loss_options options = defaults;
      if (option.value_count > 0) {
        int32_t* const field = choice_field(&options, option.name);
        ASSERT_NE(field, nullptr) << what;
        for (*field = -1; *field <= option.value_count; ++*field)
          EXPECT_EQ(takes(info, options), *field >= 0 && *field < option.value_count)
              << what << " " << *field;
        continue;
      }
      double* const field = number_field(&options, option.name);
      ASSERT_NE(field, nullptr) << what;
      EXPECT_EQ(*field, option.default_value) << what;
      const auto expect = [&](double value, bool taken) {
        *field = value;
        EXPECT_EQ(takes(info, options), taken) << what << " " << value;
      };
      expect(option.default_value, true);
      expect(option.lower, option.lower_included == 1);
      expect(std::nextafter(option.lower, INFINITY), true);
      expect(std::nextafter(option.lower, -INFINITY), false);
      expect(option.upper, option.upper_included == 1);
      expect(std::nextafter(option.upper, -INFINITY), true);
      expect(std::nextafter(option.upper, INFINITY), false);
      expect(NAN, false);
    }
  }
}

// Every other option is NaN: the description leaves none out.
TEST(LossDescription, NoFurtherOptions) {
  constexpr const char* kNumbers[] = {"beta",
                                      "beta_kl",
                                      "beta_mix",
                                      "tau",
                                      "gamma",
                                      "alpha",
                                      "delta",
                                      "label_smoothing",
                                      "f_alpha",
                                      "desirable_weight",
                                      "undesirable_weight"};
  for (int32_t number = 1; number <= lr_loss_count(); ++number) {
    const lr_loss_info info = describe(number);
    lr_loss_options options = loss_options(info.name);
    for (const std::string name : kNumbers) {
      bool described = false;
      for (int32_t k = 0; k < info.option_count; ++k)
        described |= info.options[k].name == name;
      EXPECT_EQ(std::isnan(*number_field(&options, name)), !described) << info.name << "." << name;
    }
  }
}

TEST(LossDescription, Refusals) {
  lr_loss_info info{};
  EXPECT_EQ(lr_loss_describe(1, &info), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(),
               "size of lr_loss_info is 0, expected at least 72: set it to sizeof(lr_loss_info)");
  info.size = sizeof info;
  for (int32_t number : {0, -1, lr_loss_count() + 1}) {
    EXPECT_EQ(lr_loss_describe(number, &info), LR_INVALID_ARGUMENT);
    EXPECT_EQ(lr_last_error(), "number is " + std::to_string(number) + ", expected 1 to 30");
    EXPECT_EQ(info.name, nullptr);
  }
  EXPECT_EQ(lr_loss_describe(1, nullptr), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(), "info is NULL, and it is required");
}

}  // namespace
}  // namespace logratio::test
