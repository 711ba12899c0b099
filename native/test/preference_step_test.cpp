// preference_step against the chain of the separate operations, finite differences, and metrics
// from their definitions.
#include <cmath>

#include "support/tokens.h"

namespace logratio::test {
namespace {

enum class Reference { none, sequences, tokens };

struct Step {
  lr_loss_options loss = loss_options("dlrml");
  lr_token_options token_options = default_token_options();
  lr_sequence_options sequence_options = default_sequence_options();
  Reference reference = Reference::tokens;
  bool mask_given = true;
  Tensor logits, labels, mask, reference_logps, reference_token_logps;

  Step(D type, int64_t pairs, int64_t tokens, int64_t columns)
      : logits(type, {2 * pairs, tokens, columns},
               normal_values(2 * pairs * tokens * columns, 2, 7)),
        labels(D::i64, {2 * pairs, tokens}, random_labels(2 * pairs * tokens, columns, 8)),
        mask(D::boolean, {2 * pairs, tokens}),
        reference_logps(D::f32, {2 * pairs}, normal_values(2 * pairs, 4, 9)),
        reference_token_logps(D::f32, {2 * pairs, tokens},
                              normal_values(2 * pairs * tokens, 1, 10)) {
    for (int64_t k = 0; k < mask.size(); ++k) {
      mask.set(k, (k * 7 + k / 3) % 5 != 0 ? 1 : 0);
      if (k % 9 == 4)
        labels.set(k, -100);
      if (k % 11 == 0)
        logits.set(k * columns + static_cast<int64_t>(std::fmax(labels.get(k), 0)), 9);
    }
  }
};

struct StepResult {
  Tensor losses, logps, counts, gradient;
  lr_step_metrics metrics;
};

StepResult run(Step& s, bool in_place = false) {
  const int64_t sequences = s.logits.shape()[0];
  StepResult r{Tensor(D::f64, {sequences / 2}),
               Tensor(D::f64, {sequences}),
               Tensor(D::f64, {sequences}),
               in_place ? s.logits : Tensor(s.logits.type(), s.logits.shape()),
               {}};
  if (!in_place)
    r.gradient.fill(NAN);
  auto args = make_args<lr_preference_step_args>();
  args.loss_options = &s.loss;
  args.token_options = s.token_options;
  args.sequence_options = s.sequence_options;
  args.logits = s.logits;
  args.labels = s.labels;
  if (s.mask_given)
    args.mask = s.mask;
  if (s.reference == Reference::sequences)
    args.reference_logps = s.reference_logps;
  if (s.reference == Reference::tokens)
    args.reference_token_logps = s.reference_token_logps;
  args.losses = r.losses;
  args.logps = r.logps;
  args.counts = r.counts;
  args.grad_logits = r.gradient;
  args.metrics = &r.metrics;
  EXPECT_EQ(call(lr_preference_step, args), LR_OK) << lr_last_error();
  return r;
}

// The same by token_logprobs, sequence_logps, pair_loss and backward, and the metrics by their
// definitions.
void expect_chain(Step& s, const StepResult& step, const std::string& what) {
  const int64_t sequences = s.logits.shape()[0], tokens = s.logits.shape()[1],
                columns = s.logits.shape()[2], pairs = sequences / 2;
  TokenFigures figures = forward(s.logits, s.labels, s.token_options);
  Tensor mask(D::boolean, {sequences, tokens});
  for (int64_t k = 0; k < mask.size(); ++k) {
    const bool ignored = s.labels.get(k) == static_cast<double>(s.token_options.ignore_index);
    mask.set(k, (!s.mask_given || s.mask.get(k) > 0) && !ignored ? 1 : 0);
  }
  const auto reduce = [&](Tensor token_logps, Tensor logps, Tensor counts, Tensor up,
                          Tensor gradient, bool backward) {
    auto args = make_args<lr_sequence_logps_args>();
    args.token_logps = token_logps;
    args.mask = mask;
    args.options = s.sequence_options;
    args.logps = logps;
    args.counts = counts;
    if (backward) {
      args.grad_logps = up;
      args.grad_token_logps = gradient;
    }
    ASSERT_EQ(call(lr_sequence_logps, args), LR_OK) << lr_last_error();
  };
  Tensor policy(D::f64, {sequences}), reference(D::f64, {sequences}), counts(D::f64, {sequences}),
      unused(D::f64, {sequences});
  Tensor up(D::f64, {sequences}), grad_tokens(D::f64, {sequences, tokens}),
      no_entropy(D::f64, {sequences, tokens});
  reduce(figures.logp, policy, counts, up, grad_tokens, false);
  if (s.reference == Reference::tokens)
    reduce(s.reference_token_logps, reference, unused, up, grad_tokens, false);
  if (s.reference == Reference::sequences) {
    for (int64_t k = 0; k < sequences; ++k)
      reference.set(k, s.reference_logps.get(k));
  }
  Tensor pc = policy.slice(0, 0, pairs), pr = policy.slice(0, pairs, sequences),
         rc = reference.slice(0, 0, pairs), rr = reference.slice(0, pairs, sequences);
  Tensor losses(D::f64, {pairs}), cw(D::f64, {pairs}), rw(D::f64, {pairs}),
      gc = up.slice(0, 0, pairs), gr = up.slice(0, pairs, sequences);
  auto args = make_args<lr_pair_loss_args>();
  args.loss_options = &s.loss;
  args.policy_chosen = pc;
  args.policy_rejected = pr;
  args.reference_chosen = rc;
  args.reference_rejected = rr;
  args.loss = losses;
  args.chosen_rewards = cw;
  args.rejected_rewards = rw;
  args.grad_policy_chosen = gc;
  args.grad_policy_rejected = gr;
  ASSERT_EQ(call(lr_pair_loss, args), LR_OK) << lr_last_error();
  reduce(figures.logp, policy, counts, up, grad_tokens, true);
  Tensor gradient(s.logits.type(), s.logits.shape());
  backward(s.logits, s.labels, figures, grad_tokens, no_entropy, gradient, s.token_options);

  for (int64_t k = 0; k < sequences; ++k) {
    EXPECT_NEAR(step.logps.get(k), policy.get(k), 1e-12 * (1 + std::fabs(policy.get(k)))) << what;
    EXPECT_NEAR(step.counts.get(k), counts.get(k), 1e-13) << what;
  }
  lr_step_metrics expected{};
  for (int64_t k = 0; k < pairs; ++k) {
    EXPECT_NEAR(step.losses.get(k), losses.get(k), 1e-12) << what;
    const auto p = static_cast<double>(pairs);
    expected.loss += losses.get(k) / p;
    expected.rewards_chosen += cw.get(k) / p;
    expected.rewards_rejected += rw.get(k) / p;
    expected.rewards_margin += (cw.get(k) - rw.get(k)) / p;
    expected.rewards_accuracy += (cw.get(k) > rw.get(k) ? 1 : 0) / p;
  }
  double counted = 0, counted_chosen = 0, squares = 0, largest = 0;
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
    counted += 1;
    expected.entropy += figures.entropy.get(k);
    if (k < pairs * tokens) {
      counted_chosen += 1;
      expected.logits_chosen += mean_raw;
      expected.token_accuracy += figures.argmax.get(k) == s.labels.get(k) ? 1 : 0;
    } else {
      expected.logits_rejected += mean_raw;
    }
  }
  const auto over = [](double sum, double count) { return count > 0 ? sum / count : 0; };
  EXPECT_NEAR(step.metrics.loss, expected.loss, 1e-12) << what;
  EXPECT_NEAR(step.metrics.rewards_chosen, expected.rewards_chosen, 1e-12) << what;
  EXPECT_NEAR(step.metrics.rewards_rejected, expected.rewards_rejected, 1e-12) << what;
  EXPECT_NEAR(step.metrics.rewards_margin, expected.rewards_margin, 1e-12) << what;
  EXPECT_NEAR(step.metrics.rewards_accuracy, expected.rewards_accuracy, 1e-12) << what;
  EXPECT_NEAR(step.metrics.entropy, over(expected.entropy, counted), 1e-5) << what;
  EXPECT_NEAR(step.metrics.token_accuracy, over(expected.token_accuracy, counted_chosen), 1e-12)
      << what;
  EXPECT_NEAR(step.metrics.logits_chosen, over(expected.logits_chosen, counted_chosen), 1e-5)
      << what;
  EXPECT_NEAR(step.metrics.logits_rejected,
              over(expected.logits_rejected, counted - counted_chosen), 1e-5)
      << what;
  EXPECT_NEAR(step.metrics.grad_norm, std::sqrt(squares), 1e-5 * std::sqrt(squares)) << what;
  EXPECT_EQ(step.metrics.nonfinite, 0) << what;
  const double ulp =
      s.logits.type() == D::f32 ? 2e-5 : std::ldexp(1, -7);  // one unit in the last place
  for (int64_t k = 0; k < gradient.size(); ++k) {
    ASSERT_NEAR(step.gradient.get(k), gradient.get(k),
                ulp * std::fabs(gradient.get(k)) + 1e-6 * largest)
        << what << " element " << k;
    if (mask.get(k / columns) == 0) {
      ASSERT_EQ(step.gradient.get(k), 0) << what;
    }
  }
}

TEST(PreferenceStep, IsTheChainOfItsParts) {
  for (D type : {D::f32, D::bf16}) {
    for (const char* loss : {"dlrml", "discopop", "sigmoid"}) {
      for (Reference reference : {Reference::none, Reference::sequences, Reference::tokens}) {
        for (const lr_sequence_options& sequence :
             {lr_sequence_options{LR_SUM, LR_ALIGN_COMPLETION, 1, 1},
              lr_sequence_options{LR_MEAN, LR_ALIGN_COMPLETION, .3, .6},
              lr_sequence_options{LR_SUM, LR_ALIGN_ABSOLUTE, 0, 1}}) {
          Step s(type, 3, 9, 133);
          s.loss = loss_options(loss);
          s.reference = reference;
          s.sequence_options = sequence;
          s.token_options = {-100, .9, 25, 0};
          const std::string what =
              std::string(loss) + " tail " + std::to_string(sequence.tail_weight);
          expect_chain(s, run(s), what);
          s.mask_given = false;
          expect_chain(s, run(s), what + " without a mask");
        }
      }
    }
  }
}

TEST(PreferenceStep, GradientIsTheDerivativeOfTheLoss) {
  Step s(D::f32, 2, 3, 17);
  s.loss.beta_kl = .5;
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
        << k;
  }
}

TEST(PreferenceStep, RowsThatDoNotCountAreNotRead) {
  for (bool with_metrics : {true, false}) {
    Step s(D::f32, 2, 5, 40);
    const StepResult clean = run(s);
    for (int64_t k = 0; k < s.mask.size(); ++k) {
      if (s.mask.get(k) != 0 && s.labels.get(k) >= 0)
        continue;
      for (int64_t c = 0; c < 40; ++c)
        s.logits.set(k * 40 + c, NAN);
      s.reference_token_logps.set(k, NAN);
    }
    const StepResult poisoned = run(s, !with_metrics);  // in place as well
    EXPECT_EQ(poisoned.gradient.bits(), clean.gradient.bits());
    EXPECT_EQ(poisoned.losses.bits(), clean.losses.bits());
    EXPECT_EQ(poisoned.metrics.nonfinite, 0);
  }
}

TEST(PreferenceStep, InPlaceSameBitsAndMetricsOptional) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    Step s(type, 3, 6, 5003);
    s.sequence_options.tail_weight = 0;
    const StepResult r = run(s);
    Tensor gradient(type, s.logits.shape()), losses(D::f64, {3});
    auto args = make_args<lr_preference_step_args>();
    args.loss_options = &s.loss;
    args.token_options = s.token_options;
    args.sequence_options = s.sequence_options;
    args.logits = s.logits;
    args.labels = s.labels;
    args.mask = s.mask;
    args.reference_token_logps = s.reference_token_logps;
    args.losses = losses;
    args.grad_logits = gradient;
    ASSERT_EQ(call(lr_preference_step, args), LR_OK) << lr_last_error();
    for (int k = 0; k < 3; ++k)
      EXPECT_NEAR(losses.get(k), r.losses.get(k), 1e-6);
    const StepResult in_place = run(s, true);
    EXPECT_EQ(in_place.gradient.bits(), r.gradient.bits());
    EXPECT_EQ(in_place.losses.bits(), r.losses.bits());
    EXPECT_EQ(in_place.metrics.grad_norm, r.metrics.grad_norm);
  }
}

// Nothing depends on what is added to every logit, wherever logits are float32s before and after
// it.
TEST(PreferenceStep, LargeOffsetsCancel) {
  for (double offset : {0x1.5p22, 0x1.5p34}) {
    const double unit = std::ldexp(1, std::ilogb(offset) - 23);
    Step s(D::f32, 2, 3, 133);
    for (int64_t k = 0; k < s.logits.size(); ++k)
      s.logits.set(k, std::round(s.logits.get(k) / unit) * unit);
    Step shifted = s;
    shifted.logits = s.logits.clone();
    for (int64_t k = 0; k < s.logits.size(); ++k)
      shifted.logits.set(k, s.logits.get(k) + offset);
    const StepResult near = run(s), far = run(shifted);
    for (int64_t k = 0; k < near.losses.size(); ++k)
      EXPECT_NEAR(far.losses.get(k), near.losses.get(k), 1e-6) << offset;
    const double tolerance = 1e-5 * near.metrics.grad_norm;
    EXPECT_NEAR(far.metrics.grad_norm, near.metrics.grad_norm, tolerance) << offset;
    for (int64_t k = 0; k < near.gradient.size(); ++k)
      ASSERT_NEAR(far.gradient.get(k), near.gradient.get(k), tolerance) << offset;
  }
}

TEST(PreferenceStep, ThreadsNeverChangeABit) {
  Step s(D::bf16, 4, 8, 40003);
  const int32_t before = lr_threads();
  ASSERT_EQ(lr_set_threads(1), LR_OK);
  const StepResult one = run(s);
  ASSERT_EQ(lr_set_threads(2), LR_OK);
  const StepResult two = run(s);
  ASSERT_EQ(lr_set_threads(before), LR_OK);
  EXPECT_EQ(one.gradient.bits(), two.gradient.bits());
  EXPECT_EQ(one.losses.bits(), two.losses.bits());
  EXPECT_EQ(std::memcmp(&one.metrics, &two.metrics, sizeof one.metrics), 0);
}

TEST(PreferenceStep, NothingCountsAndEmptyShapes) {
  Step nothing(D::f32, 2, 4, 33);
  nothing.mask.fill(0);
  const StepResult r = run(nothing);
  EXPECT_NEAR(r.metrics.loss, (1 + std::log(2)) / 2, 1e-15);
  for (double value : {r.metrics.entropy, r.metrics.token_accuracy, r.metrics.logits_chosen,
                       r.metrics.logits_rejected, r.metrics.grad_norm})
    EXPECT_EQ(value, 0);
  for (double value : r.gradient.values())
    ASSERT_EQ(value, 0);

  Step no_pairs(D::f32, 0, 4, 33);
  const StepResult empty = run(no_pairs);
  EXPECT_EQ(empty.metrics.loss, 0);
  EXPECT_EQ(empty.metrics.rewards_accuracy, 0);

  Step no_tokens(D::bf16, 2, 0, 33);
  no_tokens.reference = Reference::none;
  EXPECT_NEAR(run(no_tokens).metrics.loss, (1 + std::log(2)) / 2, 1e-15);
}

TEST(PreferenceStep, CountsNonFiniteValues) {
  Step s(D::f32, 2, 3, 21);
  s.mask.fill(1);
  s.labels.fill(2);
  s.reference = Reference::none;
  s.logits.set(5, NAN);  // a token of the first pair's chosen answer
  const StepResult r = run(s);
  EXPECT_TRUE(std::isnan(r.losses.get(0)));
  EXPECT_TRUE(std::isfinite(r.losses.get(1)));
  int64_t nonfinite = 0;
  for (double value : r.gradient.values())
    nonfinite += std::isfinite(value) ? 0 : 1;
  EXPECT_EQ(nonfinite, 2 * 3 * 21);  // both answers of that pair
  EXPECT_EQ(r.metrics.nonfinite, nonfinite + 1);
}

}  // namespace
}  // namespace logratio::test
