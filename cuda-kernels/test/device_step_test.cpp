// preference_step on a device against the CPU, and what device memory alone may hold.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "support.h"
#include "support/tokens.h"

namespace logratio::test {
namespace {

struct Listed {
  const char* name;
  double weight;
};

struct StepCase {
  std::vector<Listed> list{{"dlrml", 1}};
  bool metrics = true, in_place = false, gradient = true, mask_given = true;
  int32_t wpo = LR_WPO_OFF;
  bool weighted = false, scaled = false, nll_masked = false;
  int32_t nll = LR_NLL_PAIR, normalise = LR_NORMALISE_ON;  // of the losses that have them
  double token_count = 0;
  lr_sequence_options sequence = default_sequence_options();
  lr_token_options token = default_token_options();
  int reference = 1;  // 0: none, 1: of tokens, 2: of sequences
  Tensor logits, labels, mask, reference_logps, reference_token_logps, pair_weights, grad_loss,
      nll_mask;

  StepCase(D type, int64_t pairs, int64_t tokens, int64_t columns)
      : logits(type, {2 * pairs, tokens, columns},
               normal_values(2 * pairs * tokens * columns, 2, 7)),
        labels(D::i32, {2 * pairs, tokens}, random_labels(2 * pairs * tokens, columns, 8)),
        mask(D::f32, {2 * pairs, tokens}),
        reference_logps(D::f32, {2 * pairs}, normal_values(2 * pairs, 4, 9)),
        reference_token_logps(D::bf16, {2 * pairs, tokens},
                              normal_values(2 * pairs * tokens, 1, 10)),
        pair_weights(D::f32, {pairs}),
        grad_loss(D::f64, {1}, {-1.5}),
        nll_mask(D::f32, {2 * pairs, tokens}) {
    for (int64_t k = 0; k < pairs; ++k)
      pair_weights.set(k, k % 4 == 2 ? 0 : .5 + static_cast<double>(k));
    for (int64_t k = 0; k < nll_mask.size(); ++k)
      nll_mask.set(k, k >= pairs * tokens ? NAN : k % 4 == 1 ? 0 : 1 + static_cast<double>(k % 3));
    for (int64_t k = 0; k < mask.size(); ++k) {
      mask.set(k, (k * 7 + k / 3) % 5 == 0 || (k / tokens == 1 && tokens > 2)
                      ? 0
                      : .5 + static_cast<double>(k % 3) / 2);
      if (k % 9 == 4)
        labels.set(k, -100);
      if (k % 11 == 0 && columns > 1)
        logits.set(k * columns + static_cast<int64_t>(std::fmax(labels.get(k), 0)), 9);
    }
  }
};

struct Result {
  Tensor losses, logps, counts, gradient, rewards;
  lr_step_metrics metrics;
  int64_t bad;
  std::string bits() const {
    return losses.bits() + logps.bits() + counts.bits() + gradient.bits() + rewards.bits() +
           std::string(reinterpret_cast<const char*>(&metrics), sizeof metrics);
  }
};

Result run(StepCase& s) {
  const int64_t sequences = s.logits.shape()[0];
  Tensor logits = s.in_place ? s.logits.clone() : s.logits;
  Result r{Tensor(D::f64, {sequences / 2}),
           Tensor(D::f64, {sequences}),
           Tensor(D::f64, {sequences}),
           s.in_place ? logits : Tensor(s.logits.type(), s.logits.shape()),
           Tensor(D::f64, {sequences / 2}),
           {},
           0};
  std::vector<lr_loss_options> options;
  std::vector<double> weights;
  for (const Listed& loss : s.list) {
    options.push_back(loss_options(loss.name));
    const std::string name = loss.name;
    if (name == "orpo" || name == "cpo")
      options.back().nll = s.nll;
    if (name == "ipo" || name == "sigmoid_norm")
      options.back().normalise = s.normalise;
    weights.push_back(loss.weight);
  }
  Tensor rejected_rewards(D::f32, {sequences / 2});
  auto args = make_args<lr_preference_step_args>();
  args.loss_options = options.data();
  args.loss_weights = weights.data();
  args.loss_count = static_cast<int64_t>(options.size());
  args.wpo = s.wpo;
  args.token_count = s.token_count;
  if (s.weighted)
    args.pair_weights = s.pair_weights;
  if (s.scaled)
    args.grad_loss = s.grad_loss;
  if (s.nll_masked)
    args.nll_mask = s.nll_mask;
  args.chosen_rewards = r.rewards;
  args.rejected_rewards = rejected_rewards;
  args.token_options = s.token;
  args.sequence_options = s.sequence;
  args.logits = logits;
  args.labels = s.labels;
  if (s.mask_given)
    args.mask = s.mask;
  if (s.reference == 1)
    args.reference_token_logps = s.reference_token_logps;
  if (s.reference == 2)
    args.reference_logps = s.reference_logps;
  args.losses = r.losses;
  args.logps = r.logps;
  args.counts = r.counts;
  if (s.gradient)
    args.grad_logits = r.gradient;
  if (s.metrics)
    args.metrics = &r.metrics;
  EXPECT_EQ(call(lr_preference_step, args, &r.bad), LR_OK) << lr_last_error();
  return r;
}

Result run_on_cpu(StepCase& s) {
  const OnCpu cpu;
  return run(s);
}

void expect_near(double actual, double expected, double tolerance, const std::string& what) {
  if (std::isfinite(expected)) {
    ASSERT_NEAR(actual, expected, tolerance) << what;
  } else if (std::isnan(expected)) {
    ASSERT_TRUE(std::isnan(actual)) << what << ": " << actual;
  } else {
    ASSERT_EQ(actual, expected) << what;
  }
}

void expect_close(double actual, double expected, double tolerance, const std::string& what) {
  expect_near(actual, expected, tolerance * (1 + std::fabs(expected)), what);
}

void expect_that_of_the_cpu(StepCase& s, const std::string& what) {
  const Result expected = run_on_cpu(s), actual = run(s);
  for (int64_t k = 0; k < expected.logps.size(); ++k) {
    expect_close(actual.logps.get(k), expected.logps.get(k), 2e-6, what + ", logps");
    expect_close(actual.counts.get(k), expected.counts.get(k), 1e-13, what + ", counts");
  }
  for (int64_t k = 0; k < expected.losses.size(); ++k)
    expect_close(actual.losses.get(k), expected.losses.get(k), 5e-6, what + ", losses");
  for (int64_t k = 0; k < expected.rewards.size(); ++k)
    expect_close(actual.rewards.get(k), expected.rewards.get(k), 5e-6, what + ", rewards");
  double largest = 0;
  for (double value : expected.gradient.values()) {
    if (std::isfinite(value))
      largest = std::fmax(largest, std::fabs(value));
  }
  const double ulp = s.logits.type() == D::f32    ? 1e-5
                     : s.logits.type() == D::bf16 ? std::ldexp(1, -7)
                                                  : std::ldexp(1, -10);
  const double least = s.logits.type() == D::f16 ? std::ldexp(1, -24) : 0;
  for (int64_t k = 0; k < expected.gradient.size(); ++k) {
    const double value = expected.gradient.get(k);
    expect_near(actual.gradient.get(k), value, ulp * std::fabs(value) + 1e-5 * largest + least,
                what + ", gradient");
    if (testing::Test::HasFatalFailure())
      return;
  }
  const lr_step_metrics &a = actual.metrics, &e = expected.metrics;
  expect_close(a.loss, e.loss, 5e-6, what + ", loss");
  expect_close(a.rewards_chosen, e.rewards_chosen, 5e-6, what + ", rewards_chosen");
  expect_close(a.rewards_rejected, e.rewards_rejected, 5e-6, what + ", rewards_rejected");
  expect_close(a.rewards_margin, e.rewards_margin, 5e-6, what + ", rewards_margin");
  expect_close(a.rewards_accuracy, e.rewards_accuracy, 0, what + ", rewards_accuracy");
  expect_close(a.entropy, e.entropy, 1e-5, what + ", entropy");
  expect_close(a.token_accuracy, e.token_accuracy, 1e-15, what + ", token_accuracy");
  expect_close(a.logits_chosen, e.logits_chosen, 1e-5, what + ", logits_chosen");
  expect_close(a.logits_rejected, e.logits_rejected, 1e-5, what + ", logits_rejected");
  expect_near(a.grad_norm, e.grad_norm, 1e-5 * e.grad_norm, what + ", grad_norm");
  EXPECT_EQ(a.nonfinite, e.nonfinite) << what;
}

TEST(DeviceStep, ListsReferencesMasksAndTails) {
  const std::vector<std::vector<Listed>> lists{
      {{"dlrml", 1}},
      {{"sft", 1}},
      {{"sigmoid", 1}, {"sft", .5}},
      {{"kto_pair", .5}, {"dbaql", 2}, {"sft", -.5}, {"simpo", .1}},
      {{"aot", 1}, {"aot_unpaired", .5}, {"cpo", .25}}};
  for (const auto& list : lists) {
    for (bool wpo : {false, true}) {
      const bool sorts = std::strcmp(list[0].name, "aot") == 0,
                 only_sft = list.size() == 1 && std::strcmp(list[0].name, "sft") == 0;
      if (wpo && sorts)
        continue;
      for (const lr_sequence_options& sequence :
           {lr_sequence_options{LR_SUM, LR_ALIGN_COMPLETION, 1, 1},
            lr_sequence_options{LR_SUM, LR_ALIGN_ABSOLUTE, .3, .6},
            lr_sequence_options{LR_SUM, LR_ALIGN_COMPLETION, 0, 1}}) {
        for (bool metrics : {true, false}) {
          for (int reference : {0, 1, 2}) {
            if (only_sft && reference != 0)
              continue;
            StepCase s(D::f32, 3, 9, 133);
            s.list = list;
            s.wpo = wpo;
            s.sequence = sequence;
            s.metrics = metrics;
            s.in_place = metrics;
            s.reference = reference;
            s.mask_given = reference != 2;
            expect_that_of_the_cpu(s, std::string(list.back().name) + (wpo ? " wpo" : "") +
                                          " tail " + std::to_string(sequence.tail_weight) +
                                          (metrics ? " metrics" : "") + " reference " +
                                          std::to_string(reference));
          }
        }
      }
    }
  }
}

TEST(DeviceStep, TypesAndSizesOfRows) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1, 41, 1271, 5003, 40007}) {
      for (double softcap : {0.0, 20.0}) {
        StepCase s(type, columns > 10000 ? 1 : 2, 3, columns);
        s.list = {{"sigmoid", 1}};
        s.token = {-100, .8, softcap};
        s.in_place = columns % 2 == 1;
        expect_that_of_the_cpu(
            s, std::to_string(columns) + " columns, softcap " + std::to_string(softcap));
      }
    }
  }
}

TEST(DeviceStep, NoOrderOfThreadsChangesABit) {
  for (int64_t columns : {133, 2111, 33000}) {
    StepCase s(D::bf16, 3, 5, columns);
    s.wpo = true;
    s.sequence = {LR_MEAN, LR_ALIGN_COMPLETION, .5, .75};
    s.list = {{"kto_pair", 1}, {"dlrml", 1}};
    std::string first;
    for (uint64_t seed : {1, 2, 3, 5, 8, 13}) {
      set_emulator_seed(seed);
      const std::string bits = run(s).bits();
      if (first.empty())
        first = bits;
      ASSERT_EQ(bits, first) << "seed " << seed << ", " << columns << " columns";
    }
    s.in_place = true;
    EXPECT_EQ(run(s).bits(), first) << "in place";
  }
}

// A pair's numbers do not depend on which other pairs are in the batch.
TEST(DeviceStep, BatchInvariant) {
  for (const auto& [tokens, columns] : {std::pair<int64_t, int64_t>{5, 1271}, {1100, 3}}) {
    StepCase s(D::bf16, 4, tokens, columns);
    s.list = {{"sigmoid", 4}};
    s.sequence = {LR_MEAN, LR_ALIGN_COMPLETION, .5, .75};
    s.reference = 0;
    const Result all = run(s);
    for (int64_t pair = 0; pair < 4; ++pair) {
      const auto rows = [&](const Tensor& tensor) {
        Tensor view = tensor.slice(0, pair, pair + 5, 4);  // the pair's two answers
        return view;
      };
      StepCase one(D::bf16, 1, tokens, columns);
      one.list = {{"sigmoid", 1}};
      one.sequence = s.sequence;
      one.reference = 0;
      one.logits = rows(s.logits);
      one.labels = rows(s.labels);
      one.mask = rows(s.mask);
      const Result single = run(one);
      EXPECT_EQ(single.losses.get(0), all.losses.get(pair) / 4);
      EXPECT_EQ(single.gradient.bits(), rows(all.gradient).bits()) << "pair " << pair;
    }
  }
}

// Sequences of several parts.
TEST(DeviceStep, LongSequences) {
  for (const lr_sequence_options& sequence :
       {lr_sequence_options{LR_SUM, LR_ALIGN_COMPLETION, 1, 1},
        lr_sequence_options{LR_SUM, LR_ALIGN_ABSOLUTE, .3, .6},
        lr_sequence_options{LR_MEAN, LR_ALIGN_COMPLETION, .5, .75},
        lr_sequence_options{LR_MEAN, LR_ALIGN_COMPLETION, 0, 1}}) {
    for (bool metrics : {true, false}) {
      StepCase s(D::f32, 2, 1100, 5);
      s.list = {{"sigmoid", 1}};
      if (sequence.reduction == LR_SUM)
        s.list.push_back({"sft", .5});
      s.wpo = metrics;
      s.metrics = metrics;
      s.sequence = sequence;
      expect_that_of_the_cpu(s, "tail " + std::to_string(sequence.tail_weight));
      std::string first;
      for (uint64_t seed : {1, 2, 3}) {
        set_emulator_seed(seed);
        const std::string bits = run(s).bits();
        first = first.empty() ? bits : first;
        ASSERT_EQ(bits, first) << "seed " << seed;
      }
    }
  }
}

TEST(DeviceStep, RowsThatDropOutAreNotRead) {
  for (bool metrics : {true, false}) {
    StepCase s(D::f32, 2, 7, 60);
    s.mask.fill(1);
    s.labels = Tensor(D::i32, {4, 7}, random_labels(28, 60, 3));
    for (int64_t t = 4; t < 7; ++t)
      s.mask.set(3 * 7 + t, 0);  // the second pair's rejected answer is shorter
    s.sequence = {LR_SUM, LR_ALIGN_COMPLETION, 0, 1};
    s.metrics = metrics;
    const Result clean = run(s);
    for (int64_t t = 4; t < 7; ++t) {
      for (int64_t c = 0; c < 60; ++c) {
        s.logits.set((3 * 7 + t) * 60 + c, NAN);  // masked
        if (!metrics)
          s.logits.set((1 * 7 + t) * 60 + c, NAN);  // past the shared set
      }
      s.reference_token_logps.set(3 * 7 + t, NAN);
    }
    s.in_place = true;
    const Result poisoned = run(s);
    EXPECT_EQ(poisoned.bits(), clean.bits());
    EXPECT_EQ(poisoned.metrics.nonfinite, 0);
  }
}

TEST(DeviceStep, BadLabelsAndWeights) {
  StepCase s(D::f32, 2, 4, 21);
  s.mask.fill(1);
  s.labels = Tensor(D::i32, {4, 4}, random_labels(16, 21, 3));
  s.reference = 0;
  const Result clean = run(s);
  EXPECT_EQ(clean.bad, 0);
  s.labels.set(1, 21);
  s.mask.set(6, NAN);
  s.mask.set(7, -1);
  Result bad = run(s);
  EXPECT_EQ(bad.bad, 3);
  EXPECT_TRUE(std::isnan(bad.losses.get(0)));
  EXPECT_TRUE(std::isnan(bad.logps.get(0)));
  EXPECT_EQ(bad.counts.get(1), 2);
  EXPECT_TRUE(std::isfinite(bad.losses.get(1)));
  for (int64_t c = 0; c < 21; ++c)
    EXPECT_EQ(bad.gradient.get(21 + c), 0) << "the row without a label";
  for (int64_t k = 6 * 21; k < 8 * 21; ++k)
    EXPECT_EQ(bad.gradient.get(k), 0) << "rows of bad weights";
  s.labels.set(6, -7);  // not looked at, as its weight counts as 0
  EXPECT_EQ(run(s).bad, 3);
  s.labels.set(1, 3);
  s.weighted = true;
  s.pair_weights.set(0, -2);
  s.pair_weights.set(1, 1);
  const Result unweighted = run(s);
  EXPECT_EQ(unweighted.bad, 3);
  EXPECT_EQ(unweighted.losses.get(0), 0);
  EXPECT_GT(unweighted.losses.get(1), 0);
  s.list = {{"sft", 1}};
  s.nll_masked = true;
  s.nll_mask.set(2, HUGE_VAL);
  s.nll_mask.set(6, 0);
  EXPECT_EQ(run(s).bad, 4) << "nothing of the rejected half is looked at";
  s.nll_mask.set(6, 1);
  EXPECT_EQ(run(s).bad, 5) << "the label of a token that only the NLL covers";
}

// Weights of pairs, an upstream gradient, and negative log-likelihoods with a say of their own.
TEST(DeviceStep, WeightsAndTermsOfTheirOwn) {
  const std::vector<std::vector<Listed>> lists{{{"sft", 1}},
                                               {{"orpo", 1}},
                                               {{"cpo", .5}, {"sft", -.3}, {"ipo", .1}},
                                               {{"kto_pair", 1}, {"orpo", 2}},
                                               {{"sigmoid_norm", 1}, {"simpo", 1}}};
  for (int64_t tokens : {5, 1100}) {
    for (int number = 0; number < 24; ++number) {
      StepCase s(D::f32, 3, tokens, 13);
      s.list = lists[static_cast<size_t>(number) % lists.size()];
      const bool has_nll = number % 5 != 4;
      s.weighted = number % 2 == 0;
      s.scaled = number % 3 != 0;
      s.nll_masked = has_nll && number % 4 < 2;
      s.nll = number % 4 == 3 ? LR_NLL_PAIR : LR_NLL_TOKEN;
      s.token_count = number % 5 == 0 || number % 5 == 2 ? number % 3 * 40 : 0;
      s.normalise = number % 2 == 0 ? LR_NORMALISE_FULL : LR_NORMALISE_ON;
      s.metrics = number % 6 != 1;
      s.wpo = number % 3;
      s.reference = number % 3;
      s.sequence = {LR_SUM, LR_ALIGN_COMPLETION, number % 4 == 0 ? 1 : number % 4 == 1 ? 0 : .5, 1};
      expect_that_of_the_cpu(s, "case " + std::to_string(number));
    }
  }
}

TEST(DeviceStep, EmptyShapesAndNothingCounted) {
  for (const auto& [pairs, tokens] : {std::pair<int64_t, int64_t>{0, 4}, {2, 0}, {0, 0}}) {
    for (const char* loss : {"dlrml", "aot", "kto_pair", "sft", "orpo"}) {
      StepCase s(D::bf16, pairs, tokens, 33);
      s.list = {{loss, 1}};
      s.reference = 0;
      expect_that_of_the_cpu(s, std::string(loss) + " of " + std::to_string(pairs) + " pairs");
    }
  }
  for (const char* loss : {"dlrml", "aot", "kto_pair", "sft", "orpo"}) {
    for (double tail : {1.0, 0.0}) {
      StepCase s(D::bf16, 2, 3, 33);
      s.list = {{loss, 1}};
      s.mask.fill(0);
      s.reference = 0;
      s.sequence.tail_weight = tail;
      expect_that_of_the_cpu(s, std::string(loss) + ", nothing counted");
    }
  }
}

TEST(DeviceStep, NonFiniteValuesAreCounted) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {21, 5003}) {
      StepCase s(type, 2, 3, columns);
      s.reference = 0;
      s.logits.set(2 * columns + 5, NAN);
      s.logits.set(9 * columns + 1, HUGE_VAL);
      s.mask.fill(1);
      expect_that_of_the_cpu(s, std::to_string(columns));
    }
  }
  StepCase s(D::f16, 1, 2, 41);  // beyond what float16 holds, but not float32
  s.list = {{"hinge", 3e7}};
  s.mask.fill(1);
  s.labels.fill(3);
  s.reference = 0;
  expect_that_of_the_cpu(s, "overflow of the stored type");
  EXPECT_GT(run(s).metrics.nonfinite, 0);
  EXPECT_TRUE(std::isfinite(run(s).metrics.grad_norm));
}

TEST(DeviceStep, ManyPairs) {
  StepCase s(D::f32, 301, 2, 37);
  s.list = {{"aot", 1}, {"dbaql", 1}, {"cpo", 1}};
  s.reference = 2;
  expect_that_of_the_cpu(s, "301 pairs");
}

TEST(DeviceStep, Refusals) {
  StepCase s(D::f32, 1, 2, 5);
  std::vector<lr_loss_options> options(17, loss_options("sigmoid"));
  auto args = make_args<lr_preference_step_args>();
  args.loss_options = options.data();
  args.loss_count = 17;
  args.token_options = s.token;
  args.sequence_options = s.sequence;
  args.logits = s.logits;
  args.labels = s.labels;
  EXPECT_EQ(call(lr_preference_step, args), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(), "loss_count is 17, expected at most 16 on a device");
  args.loss_count = 16;
  EXPECT_EQ(call(lr_preference_step, args), LR_OK) << lr_last_error();
  lr_step_metrics metrics[2];
  args.metrics = reinterpret_cast<lr_step_metrics*>(reinterpret_cast<char*>(metrics) + 4);
  EXPECT_EQ(call(lr_preference_step, args), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(), "metrics is not aligned to 8 bytes");
}

}  // namespace
}  // namespace logratio::test
