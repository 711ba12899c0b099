// scoring_rule on a device beside the CPU's: the same numbers for every type, size and stride, the
// same bits for every schedule and place, and what device memory alone may hold.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "rows.h"

namespace logratio::test {
namespace {

struct Scores {
  Tensor values, loss, gradient;
  int64_t bad = 0;
  std::string bits() const { return values.bits() + loss.bits() + gradient.bits(); }
};

Scores score(Tensor logits, Tensor labels, const lr_rule_options& options, bool strided = false,
             bool in_place = false) {
  Scores result{Tensor(D::f64, labels.shape()), Tensor(D::f64, {1}),
                in_place ? logits : like(logits, strided)};
  auto args = make_args<lr_scoring_rule_args>();
  args.logits = logits;
  args.labels = labels;
  args.options = options;
  args.values = result.values;
  args.loss = result.loss;
  args.grad_logits = result.gradient;
  EXPECT_EQ(call(lr_scoring_rule, args, &result.bad), LR_OK) << lr_last_error();
  return result;
}

const std::vector<lr_rule_options>& rules() {
  static const std::vector<lr_rule_options> all = {
      {LR_RULE_LOG, LR_SELTEN, 0, 0, 2, 0, 0, -100},
      {LR_RULE_LOG, LR_SELTEN, 1, 0, 2, .1, 0, -100},
      {LR_RULE_BRIER, LR_SELTEN, 0, 0, 2, .2, 0, -100},
      {LR_RULE_SPHERICAL, LR_SELTEN, 1, 0, 2, .1, 0, -100},
      {LR_RULE_POWER, LR_JNW, 1, 0, 1.5, .1, 0, -100},
      {LR_RULE_PSEUDO_SPHERICAL, LR_SELTEN, 0, 0, 3, .1, 0, -100}};
  return all;
}

TEST(DeviceScoringRule, AgreesWithTheCpu) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1, 41, 123, 507, 1271, 4099, 50257}) {
      for (const lr_rule_options& rule : rules()) {
        for (bool padded : {false, true}) {
          lr_rule_options options = rule;
          options.vocab = padded ? (columns + 1) / 2 : 0;
          const int64_t vocab = padded ? options.vocab : columns;
          Tensor logits = rows_of(type, 3, columns, 3, 67, columns % 2 == 1),
                 labels(D::i64, {3}, random_labels(3, vocab, 68));
          labels.set(1, -100);
          for (int64_t k = vocab; k < columns; ++k)
            logits.set(k, NAN);
          const Scores actual = score(logits, labels, options, columns % 3 == 0);
          const OnCpu cpu;
          const Scores expected = score(logits, labels, options);
          const std::string what = "rule " + std::to_string(rule.rule) + " type " +
                                   std::to_string(static_cast<int>(type)) + " columns " +
                                   std::to_string(columns);
          expect_close(actual.values, expected.values, 2e-6, 4e-6, what + " values");
          expect_close(actual.loss, expected.loss, 0, 4e-6, what + " loss");
          expect_close(actual.gradient, expected.gradient, 4e-6, 2e-5 + unit(type),
                       what + " gradient");
          EXPECT_EQ(actual.bad, 0);
        }
      }
    }
  }
}

TEST(DeviceScoringRule, EveryScheduleAndPlaceGivesTheSameBits) {
  for (D type : {D::f32, D::bf16}) {
    for (int64_t columns : {5, 1030, 9001}) {
      for (const lr_rule_options& options : rules()) {
        Tensor logits = rows_of(type, 3, columns, 3, 77, false),
               labels(D::i64, {3}, random_labels(3, columns, 78));
        std::string bits;
        for (uint64_t seed : kSeeds) {
          set_emulator_seed(seed);
          const std::string now = score(logits, labels, options).bits();
          if (bits.empty())
            bits = now;
          ASSERT_EQ(now, bits) << options.rule << " " << columns << " seed " << seed;
        }
        for (int64_t offset : {0, 1, 3}) {
          Tensor moved = Tensor(type, {3, columns + 3}).slice(1, offset, offset + columns);
          for (int64_t k = 0; k < 3 * columns; ++k)
            moved.set(k, logits.get(k));
          ASSERT_EQ(score(moved, labels, options).bits(), bits)
              << options.rule << " " << columns << " offset " << offset;
          ASSERT_EQ(score(moved, labels, options, false, true).bits(), bits)
              << options.rule << " " << columns << " in place, offset " << offset;
        }
      }
    }
  }
  set_emulator_seed(1);
}

TEST(DeviceScoringRule, SeveralBlocksToARowGiveTheBitsOfOne) {
  for (D type : {D::bf16, D::f32}) {
    for (lr_rule_options options : rules()) {
      for (bool certain : {false, true}) {
        const int64_t columns = 65540;
        options.vocab = 65537;
        const auto logits = [&] {
          Tensor made = rows_of(type, 4, columns, 3, 99, false);
          if (certain)
            made.set(2 * columns + 5, 60);  // all of the probability
          return made;
        };
        const Tensor labels(D::i64, {4}, {65536, -100, 5, 65537});
        set_emulator_capability(0);
        const uint64_t before = emulator_clusters();
        const Scores single = score(logits(), labels, options);
        EXPECT_EQ(emulator_clusters(), before);
        EXPECT_EQ(single.bad, 1);
        for (int32_t capability : {80, 90}) {
          set_emulator_capability(capability);
          for (uint64_t seed : {1, 2}) {
            set_emulator_seed(seed);
            const bool in_place = seed == 2;
            const uint64_t until_now = emulator_clusters();
            const Scores several = score(logits(), labels, options, false, in_place);
            EXPECT_GT(emulator_clusters(), until_now);
            ASSERT_EQ(several.bits(), single.bits())
                << options.rule << " capability " << capability << " seed " << seed;
            EXPECT_EQ(several.bad, 1);
          }
        }
      }
    }
  }
  set_emulator_seed(1);
}

TEST(DeviceScoringRule, LongRowsAgreeWithTheCpu) {
  const int64_t columns = 70001;
  for (const lr_rule_options& options : rules()) {
    const Tensor logits = rows_of(D::bf16, 2, columns, 3, 65, false),
                 labels(D::i64, {2}, random_labels(2, columns, 66));
    const Scores actual = score(logits, labels, options);
    const OnCpu cpu;
    const Scores expected = score(logits, labels, options);
    const std::string what = "rule " + std::to_string(options.rule);
    expect_close(actual.values, expected.values, 2e-6, 4e-6, what + " values");
    expect_close(actual.gradient, expected.gradient, 4e-6, 2e-5 + unit(D::bf16), what);
  }
}

TEST(DeviceScoringRule, BadLabelsAreCounted) {
  const int64_t columns = 123;
  Tensor logits = rows_of(D::f32, 4, columns, 2, 87, false), labels(D::i64, {4}, {5, 123, -7, 122});
  for (const lr_rule_options& options : rules()) {
    const Scores actual = score(logits, labels, options);
    EXPECT_EQ(actual.bad, 2);
    for (int64_t r : {1, 2}) {
      EXPECT_TRUE(std::isnan(actual.values.get(r)));
      for (int64_t k = 0; k < columns; ++k)
        ASSERT_EQ(actual.gradient.get(r * columns + k), 0);
    }
    EXPECT_TRUE(std::isnan(actual.loss.get(0)));
    EXPECT_TRUE(std::isfinite(actual.values.get(0)) && std::isfinite(actual.values.get(3)));
  }
}

}  // namespace
}  // namespace logratio::test
