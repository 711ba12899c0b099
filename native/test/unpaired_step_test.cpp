// unpaired_step against the chain of the separate operations, finite differences, and metrics from
// their definitions.
#include <cmath>

#include "support/tokens.h"

namespace logratio::test {
namespace {

struct Step {
  lr_loss_options loss;
  lr_token_options token_options = default_token_options();
  lr_sequence_options sequence_options = default_sequence_options();
  bool of_tokens = true;  // the reference's log-probs
  bool mask_given = true, weights_given = true;
  double grad_loss = 1.5;
  Tensor logits, labels, mask, chosen, reference_logps, reference_token_logps, kl_policy,
      kl_reference, weights;

  Step(const char* name, D type, int64_t examples, int64_t tokens, int64_t columns)
      : loss(loss_options(name)),
        logits(type, {examples, tokens, columns}, normal_values(examples * tokens * columns, 2, 7)),
        labels(D::i64, {examples, tokens}, random_labels(examples * tokens, columns, 8)),
        mask(D::f32, {examples, tokens}),
        chosen(D::boolean, {examples}),
        reference_logps(D::f32, {examples}, normal_values(examples, 4, 9)),
        reference_token_logps(D::f32, {examples, tokens}, normal_values(examples * tokens, 1, 10)),
        kl_policy(D::f32, {3}, {1, 2, 3}),
        kl_reference(D::f32, {3}, {1.5, 0, 2}),
        weights(D::f32, {examples}) {
    for (int64_t k = 0; k < mask.size(); ++k) {
      mask.set(k, (k * 7 + k / 3) % 5 != 0 ? .5 + static_cast<double>(k % 3) / 2 : 0);
      if (k % 9 == 4)
        labels.set(k, -100);
      if (k % 11 == 0)
        logits.set(k * columns + static_cast<int64_t>(std::fmax(labels.get(k), 0)), 9);
    }
    for (int64_t k = 0; k < examples; ++k) {
      chosen.set(k, k % 3 != 1 ? 1 : 0);
      weights.set(k, static_cast<double>(k % 4) / 2);
    }
  }
  bool is_kto() const { return loss.loss == loss_options("kto").loss; }
};

struct StepResult {
  Tensor losses, logps, counts, rewards, kl, gradient;
  lr_step_metrics metrics;
  int64_t bad = 0;
  std::string bits() const {
    return losses.bits() + logps.bits() + counts.bits() + rewards.bits() + kl.bits() +
           gradient.bits();
  }
};

StepResult run(Step& s, bool in_place = false, bool with_metrics = true) {
  const int64_t examples = s.logits.shape()[0];
  Tensor logits = in_place ? s.logits.clone() : s.logits;
  StepResult r{Tensor(D::f64, {examples}),
               Tensor(D::f64, {examples}),
               Tensor(D::f64, {examples}),
               Tensor(D::f64, {examples}),
               Tensor(D::f64, {1}),
               in_place ? logits : Tensor(s.logits.type(), s.logits.shape()),
               {}};
  if (!in_place)
    r.gradient.fill(NAN);
  Tensor grad_loss(D::f64, {1}, {s.grad_loss});
  auto args = make_args<lr_unpaired_step_args>();
  args.loss_options = &s.loss;
  args.token_options = s.token_options;
  args.sequence_options = s.sequence_options;
  args.logits = logits;
  args.labels = s.labels;
  if (s.mask_given)
    args.mask = s.mask;
  args.chosen = s.chosen;
  if (s.of_tokens) {
    args.reference_token_logps = s.reference_token_logps;
  } else {
    args.reference_logps = s.reference_logps;
  }
  if (s.is_kto()) {
    args.kl_policy_logps = s.kl_policy;
    args.kl_reference_logps = s.kl_reference;
  }
  if (s.weights_given)
    args.weights = s.weights;
  if (s.grad_loss != 1)
    args.grad_loss = grad_loss;
  args.losses = r.losses;
  args.logps = r.logps;
  args.counts = r.counts;
  args.rewards = r.rewards;
  args.kl = r.kl;
  args.grad_logits = r.gradient;
  if (with_metrics)
    args.metrics = &r.metrics;
  EXPECT_EQ(call(lr_unpaired_step, args, &r.bad), LR_OK) << lr_last_error();
  return r;
}

// The same by token_logprobs, sequence_logps, unpaired_loss and backward, and the metrics by their
// definitions.
void expect_chain(Step& s, const std::string& what) {
  const StepResult step = run(s);
  const int64_t examples = s.logits.shape()[0], tokens = s.logits.shape()[1],
                columns = s.logits.shape()[2];
  TokenFigures figures = forward(s.logits, s.labels, s.token_options);
  Tensor mask(D::f32, {examples, tokens});
  for (int64_t k = 0; k < mask.size(); ++k) {
    const bool ignored = s.labels.get(k) == static_cast<double>(s.token_options.ignore_index);
    mask.set(k, ignored ? 0 : s.mask_given ? s.mask.get(k) : 1);
  }
  Tensor policy(D::f64, {examples}), reference(D::f64, {examples}), counts(D::f64, {examples}),
      unused(D::f64, {examples}), up(D::f64, {examples}), grad_logps(D::f64, {examples}),
      losses(D::f64, {examples}), rewards(D::f64, {examples}), kl(D::f64, {1}),
      grad_tokens(D::f64, {examples, tokens}), no_entropy(D::f64, {examples, tokens});
  const auto reduce = [&](Tensor token_logps, Tensor logps, Tensor sums, bool backward) {
    auto args = make_args<lr_sequence_logps_args>();
    args.token_logps = token_logps;
    args.mask = mask;
    args.options = s.sequence_options;
    args.logps = logps;
    args.counts = sums;
    if (backward) {
      args.grad_logps = grad_logps;
      args.grad_token_logps = grad_tokens;
    }
    ASSERT_EQ(call(lr_sequence_logps, args), LR_OK) << lr_last_error();
  };
  reduce(figures.logp, policy, counts, false);
  if (s.of_tokens) {
    reduce(s.reference_token_logps, reference, unused, false);
  } else {
    reference = s.reference_logps;
  }
  const auto weight = [&](int64_t k) { return s.weights_given ? s.weights.get(k) : 1; };
  for (int64_t k = 0; k < examples; ++k)
    up.set(k, s.grad_loss * weight(k) / static_cast<double>(examples));
  auto args = make_args<lr_unpaired_loss_args>();
  args.loss_options = &s.loss;
  args.policy_logps = policy;
  args.reference_logps = reference;
  args.chosen = s.chosen;
  if (s.is_kto()) {
    args.kl_policy_logps = s.kl_policy;
    args.kl_reference_logps = s.kl_reference;
  }
  args.grad_loss = up;
  args.loss = losses;
  args.rewards = rewards;
  args.kl = kl;
  args.grad_policy_logps = grad_logps;
  ASSERT_EQ(call(lr_unpaired_loss, args), LR_OK) << lr_last_error();
  reduce(figures.logp, unused, unused.clone(), true);
  Tensor gradient(s.logits.type(), s.logits.shape());
  backward(s.logits, s.labels, figures, grad_tokens, no_entropy, gradient, s.token_options);

  lr_step_metrics expected{};
  double sides[2] = {0, 0};
  EXPECT_EQ(step.kl.get(0), kl.get(0)) << what;
  for (int64_t k = 0; k < examples; ++k) {
    EXPECT_NEAR(step.logps.get(k), policy.get(k), 1e-12 * (1 + std::fabs(policy.get(k)))) << what;
    EXPECT_NEAR(step.counts.get(k), counts.get(k), 1e-13) << what;
    EXPECT_NEAR(step.losses.get(k), weight(k) * losses.get(k), 1e-12) << what;
    EXPECT_NEAR(step.rewards.get(k), rewards.get(k), 1e-12) << what;
    expected.loss += weight(k) * losses.get(k) / static_cast<double>(examples);
    const bool is_chosen = s.chosen.get(k) != 0;
    (is_chosen ? expected.rewards_chosen : expected.rewards_rejected) += rewards.get(k);
    sides[is_chosen ? 0 : 1] += 1;
  }
  const auto over = [](double sum, double count) { return count > 0 ? sum / count : 0; };
  expected.rewards_chosen = over(expected.rewards_chosen, sides[0]);
  expected.rewards_rejected = over(expected.rewards_rejected, sides[1]);
  double counted[2] = {0, 0}, squares = 0, largest = 0;
  for (int64_t k = 0; k < mask.size(); ++k) {
    const std::vector<double> exact = oracle_backward(
        row_of(s.logits, k), static_cast<int64_t>(s.labels.get(k)), s.token_options.temperature,
        s.token_options.softcap, grad_tokens.get(k), 0);
    for (double value : exact) {
      squares += value * value;
      largest = std::fmax(largest, std::fabs(value));
    }
    if (mask.get(k) == 0)
      continue;
    double mean_raw = 0;
    for (double value : row_of(s.logits, k))
      mean_raw += value / static_cast<double>(columns);
    const bool is_chosen = s.chosen.get(k / tokens) != 0;
    counted[is_chosen ? 0 : 1] += 1;
    expected.entropy += figures.entropy.get(k);
    (is_chosen ? expected.logits_chosen : expected.logits_rejected) += mean_raw;
    if (is_chosen)
      expected.token_accuracy += figures.argmax.get(k) == s.labels.get(k) ? 1 : 0;
  }
  EXPECT_NEAR(step.metrics.loss, expected.loss, 1e-12) << what;
  EXPECT_NEAR(step.metrics.rewards_chosen, expected.rewards_chosen, 1e-12) << what;
  EXPECT_NEAR(step.metrics.rewards_rejected, expected.rewards_rejected, 1e-12) << what;
  EXPECT_EQ(step.metrics.rewards_margin,
            step.metrics.rewards_chosen - step.metrics.rewards_rejected)
      << what;
  EXPECT_EQ(step.metrics.rewards_accuracy, 0) << what;
  EXPECT_NEAR(step.metrics.entropy, over(expected.entropy, counted[0] + counted[1]), 1e-5) << what;
  EXPECT_NEAR(step.metrics.token_accuracy, over(expected.token_accuracy, counted[0]), 1e-12)
      << what;
  EXPECT_NEAR(step.metrics.logits_chosen, over(expected.logits_chosen, counted[0]), 1e-5) << what;
  EXPECT_NEAR(step.metrics.logits_rejected, over(expected.logits_rejected, counted[1]), 1e-5)
      << what;
  EXPECT_NEAR(step.metrics.grad_norm, std::sqrt(squares), 1e-5 * std::sqrt(squares)) << what;
  EXPECT_EQ(step.metrics.nonfinite, 0) << what;
  const double ulp = s.logits.type() == D::f32 ? 2e-5 : std::ldexp(1, -7);
  for (int64_t k = 0; k < gradient.size(); ++k) {
    ASSERT_NEAR(step.gradient.get(k), gradient.get(k),
                ulp * std::fabs(gradient.get(k)) + 1e-6 * largest)
        << what << " element " << k;
    if (mask.get(k / columns) == 0) {
      ASSERT_EQ(step.gradient.get(k), 0) << what;
    }
  }
}

constexpr const char* kLosses[] = {"kto", "apo_zero_unpaired", "bco"};

TEST(UnpairedStep, IsTheChainOfItsParts) {
  for (D type : {D::f32, D::bf16}) {
    for (const char* loss : kLosses) {
      for (int32_t reduction : {LR_SUM, LR_MEAN}) {
        for (bool of_tokens : {true, false}) {
          Step s(loss, type, 5, 9, 133);
          s.sequence_options.reduction = reduction;
          s.of_tokens = of_tokens;
          s.token_options = {-100, .9, 25};
          expect_chain(s, loss);
          s.mask_given = s.weights_given = false;
          s.grad_loss = 1;
          expect_chain(s, std::string(loss) + " without what is optional");
        }
      }
    }
  }
}

// A sequence of several parts, on a device.
TEST(UnpairedStep, LongSequences) {
  for (int32_t reduction : {LR_SUM, LR_MEAN}) {
    Step s("bco", D::f32, 3, 1100, 5);
    s.sequence_options.reduction = reduction;
    s.loss.beta = .001;
    expect_chain(s, "long");
  }
}

TEST(UnpairedStep, ManyExamples) {
  Step s("kto", D::f32, 301, 2, 37);
  expect_chain(s, "301 examples");
}

TEST(UnpairedStep, GradientIsTheDerivativeOfTheLoss) {
  for (const char* loss : kLosses) {
    Step s(loss, D::f32, 3, 2, 17);
    s.grad_loss = 1;
    s.weights.fill(2);
    const StepResult r = run(s);
    const double h = std::ldexp(1, -7);
    for (int64_t k = 0; k < s.logits.size(); ++k) {
      const double x = s.logits.get(k);
      s.logits.set(k, x + h);
      const double up = run(s).metrics.loss;
      const double x_up = s.logits.get(k);
      s.logits.set(k, x - h);
      const double down = run(s).metrics.loss;
      const double x_down = s.logits.get(k);
      s.logits.set(k, x);
      ASSERT_NEAR(r.gradient.get(k), (up - down) / (x_up - x_down),
                  2e-4 * (r.metrics.grad_norm + 1e-3))
          << loss << " " << k;
    }
  }
}

TEST(UnpairedStep, RowsThatDoNotCountAreNotRead) {
  Step s("bco", D::f32, 4, 5, 40);
  const StepResult clean = run(s);
  for (int64_t k = 0; k < s.mask.size(); ++k) {
    if (s.mask.get(k) != 0 && s.labels.get(k) >= 0)
      continue;
    for (int64_t c = 0; c < 40; ++c)
      s.logits.set(k * 40 + c, NAN);
    s.reference_token_logps.set(k, NAN);
  }
  const StepResult poisoned = run(s, true);
  EXPECT_EQ(poisoned.bits(), clean.bits());
  EXPECT_EQ(poisoned.metrics.nonfinite, 0);
}

TEST(UnpairedStep, InPlaceSameBitsAndMetricsOptional) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    Step s("kto", type, 3, 6, 5003);
    const StepResult r = run(s), in_place = run(s, true), without = run(s, true, false);
    EXPECT_EQ(in_place.bits(), r.bits());
    EXPECT_EQ(in_place.metrics.grad_norm, r.metrics.grad_norm);
    for (int64_t k = 0; k < 3; ++k)
      EXPECT_NEAR(without.losses.get(k), r.losses.get(k), 1e-6);
  }
}

TEST(UnpairedStep, ThreadsNeverChangeABit) {
  Step s("kto", D::bf16, 5, 4, 40003);
  const int32_t before = lr_threads();
  ASSERT_EQ(lr_set_threads(1), LR_OK);
  const StepResult one = run(s);
  ASSERT_EQ(lr_set_threads(2), LR_OK);
  const StepResult two = run(s);
  ASSERT_EQ(lr_set_threads(before), LR_OK);
  EXPECT_EQ(one.bits(), two.bits());
  EXPECT_EQ(std::memcmp(&one.metrics, &two.metrics, sizeof one.metrics), 0);
}

TEST(UnpairedStep, NothingCountsAndEmptyShapes) {
  Step nothing("bco", D::f32, 3, 4, 33);
  nothing.mask.fill(0);
  nothing.weights_given = false;
  const StepResult r = run(nothing);
  EXPECT_NEAR(r.metrics.loss, std::log(2), 1e-15);
  for (double value : {r.metrics.rewards_chosen, r.metrics.entropy, r.metrics.token_accuracy,
                       r.metrics.logits_chosen, r.metrics.logits_rejected, r.metrics.grad_norm})
    EXPECT_EQ(value, 0);
  for (double value : r.gradient.values())
    ASSERT_EQ(value, 0);

  for (int64_t tokens : {4, 0}) {
    Step none("kto", D::f32, 0, tokens, 33);
    const StepResult empty = run(none);
    EXPECT_EQ(empty.metrics.loss, 0);
    EXPECT_EQ(empty.metrics.rewards_margin, 0);
    EXPECT_NEAR(empty.kl.get(0), (-.5 + 2 + 1) / 3, 1e-15);
  }
  Step no_tokens("apo_zero_unpaired", D::bf16, 2, 0, 33);
  no_tokens.weights_given = false;
  EXPECT_NEAR(run(no_tokens).metrics.loss, .5, 1e-15);
}

TEST(UnpairedStep, ABadRowHarmsItsExample) {
  Step s("bco", D::f32, 3, 2, 21);
  s.mask.fill(1);
  s.labels.fill(2);
  s.weights.fill(1);
  s.logits.set(2 * 21 + 5, NAN);  // a token of the second example
  const StepResult r = run(s);
  EXPECT_TRUE(std::isnan(r.losses.get(1)));
  EXPECT_TRUE(std::isfinite(r.losses.get(0)) && std::isfinite(r.losses.get(2)));
  int64_t nonfinite = 0;
  for (double value : r.gradient.values())
    nonfinite += std::isfinite(value) ? 0 : 1;
  EXPECT_EQ(nonfinite, 2 * 21);
  EXPECT_EQ(r.metrics.nonfinite, nonfinite + 1);
}

TEST(UnpairedStep, BadWeights) {
  Step s("bco", D::f32, 3, 2, 21);
  s.weights.set(1, -1);
  s.weights.set(2, NAN);
  if (on_emulator()) {  // which counts them, and takes 0
    const StepResult bad = run(s);
    EXPECT_EQ(bad.bad, 2);
    s.weights.set(1, 0);
    s.weights.set(2, 0);
    EXPECT_EQ(run(s).bits(), bad.bits());
    return;
  }
  auto args = make_args<lr_unpaired_step_args>();
  args.loss_options = &s.loss;
  args.token_options = s.token_options;
  args.sequence_options = s.sequence_options;
  args.logits = s.logits;
  args.labels = s.labels;
  args.chosen = s.chosen;
  args.reference_logps = s.reference_logps;
  args.weights = s.weights;
  EXPECT_EQ(call(lr_unpaired_step, args), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(), "weights[1] is -1.0, expected a finite number >= 0");
}

TEST(UnpairedStep, Refusals) {
  Step s("kto", D::f32, 3, 2, 5);
  lr_step_metrics metrics[2];
  auto right = make_args<lr_unpaired_step_args>();
  right.loss_options = &s.loss;
  right.token_options = s.token_options;
  right.sequence_options = s.sequence_options;
  right.logits = s.logits;
  right.labels = s.labels;
  right.chosen = s.chosen;
  right.reference_logps = s.reference_logps;
  right.metrics = metrics;
  ASSERT_EQ(call(lr_unpaired_step, right), LR_OK) << lr_last_error();
  const auto expect = [&](const lr_unpaired_step_args& args, const std::string& text) {
    EXPECT_EQ(call(lr_unpaired_step, args), LR_INVALID_ARGUMENT);
    EXPECT_EQ(last_error(), text);
  };
  auto args = right;
  args.reference_logps = nullptr;
  expect(args, "reference_logps or reference_token_logps is missing, expected one of them");
  args = right;
  args.reference_token_logps = s.reference_token_logps;
  expect(args, "reference_logps and reference_token_logps are both given, expected one of them");
  args = right;
  args.sequence_options.tail_weight = .5;
  expect(args, "tail_weight is 0.5, expected 1 as examples are not paired");
  args = right;
  const lr_loss_options paired = loss_options("sigmoid"), bco = loss_options("bco");
  args.loss_options = &paired;
  expect(args, "loss is sigmoid, expected kto, apo_zero_unpaired or bco");
  args.loss_options = &bco;
  args.kl_policy_logps = s.kl_policy;
  args.kl_reference_logps = s.kl_reference;
  expect(args, "kl_policy_logps is given, expected it only with the loss kto, not bco");
  if (on_emulator()) {
    args = right;
    args.metrics = reinterpret_cast<lr_step_metrics*>(reinterpret_cast<char*>(metrics) + 4);
    expect(args, "metrics is not aligned to 8 bytes");
  }
}

}  // namespace
}  // namespace logratio::test
