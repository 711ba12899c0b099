// preference_step with several weighted losses, sft and WPO's weights: against the definitions,
// written out in double, and central differences of their total through the logits.
#include <algorithm>
#include <cmath>

#include "support/tokens.h"

namespace logratio::test {
namespace {

struct Listed {
  const char* name;
  double weight;
};

struct Batch {
  int64_t pairs, tokens, columns;
  std::vector<double> logits;
  std::vector<int64_t> labels;
  std::vector<bool> counts;
  std::vector<double> reference;  // of each sequence

  Batch(int64_t p, int64_t t, int64_t v)
      : pairs(p),
        tokens(t),
        columns(v),
        logits(normal_values(2 * p * t * v, 1.5, 11)),
        reference(normal_values(2 * p, 2, 12)) {
    for (double& logit : logits)
      logit = static_cast<float>(logit);
    const std::vector<double> drawn = random_labels(2 * p * t, v, 13);
    for (int64_t k = 0; k < 2 * p * t; ++k) {
      labels.push_back(k % 7 == 3 ? -100 : static_cast<int64_t>(drawn[static_cast<size_t>(k)]));
      counts.push_back(k % 7 != 3 && k % 5 != 1);
    }
    for (double& value : reference)
      value -= 4;
  }
};

// Sums over the counted tokens of one answer.
struct Answer {
  double logp = 0, tokens = 0, weighed = 0;
};

std::vector<Answer> answers_of(const Batch& b) {
  std::vector<Answer> answers(static_cast<size_t>(2 * b.pairs));
  for (size_t k = 0; k < b.labels.size(); ++k) {
    if (!b.counts[k])
      continue;
    const std::vector<double> row(b.logits.begin() + static_cast<int64_t>(k) * b.columns,
                                  b.logits.begin() + static_cast<int64_t>(k + 1) * b.columns);
    const OracleRow figures = oracle_forward(row, b.labels[k], 1, 0);
    Answer& answer = answers[k / static_cast<size_t>(b.tokens)];
    answer.logp += figures.logp;
    answer.tokens += 1;
    double squares = 0;  // sum of p^2
    for (double x : row)
      squares += std::exp(2 * (x - figures.lse));
    answer.weighed += figures.logp - std::log(squares);
  }
  return answers;
}

std::vector<double> wpo_of(const Batch& b, bool wpo) {
  std::vector<double> weights(static_cast<size_t>(b.pairs), 1.0);
  const std::vector<Answer> answers = answers_of(b);
  for (int64_t k = 0; wpo && k < b.pairs; ++k) {
    for (const Answer& answer : {answers[k], answers[b.pairs + k]}) {
      if (answer.tokens > 0)
        weights[k] *= std::exp(answer.weighed / answer.tokens);
    }
  }
  return weights;
}

double softplus(double x) { return std::log1p(std::exp(x)); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// The total of the list for each pair. WPO's weights are given, since they have no gradient.
std::vector<double> losses_of(const Batch& b, const std::vector<Listed>& list,
                              const std::vector<double>& wpo) {
  const std::vector<Answer> answers = answers_of(b);
  const auto n = static_cast<size_t>(b.pairs);
  std::vector<double> dw, dl, model, reference, total(n, 0.0);
  double nll = 0, chosen_tokens = 0;
  for (size_t k = 0; k < n; ++k) {
    dw.push_back(answers[k].logp - b.reference[k]);
    dl.push_back(answers[n + k].logp - b.reference[n + k]);
    model.push_back(answers[k].logp - answers[n + k].logp);
    reference.push_back(b.reference[k] - b.reference[n + k]);
    nll -= answers[k].logp;
    chosen_tokens += answers[k].tokens;
  }
  const auto mean_above_0 = [n](const std::vector<double>& values) {
    double sum = 0;
    for (double value : values)
      sum += value;
    return std::max(sum / static_cast<double>(n), 0.0);
  };
  std::sort(model.begin(), model.end());
  std::sort(reference.begin(), reference.end());
  for (const Listed& loss : list) {
    const std::string name = loss.name;
    for (size_t k = 0; k < n; ++k) {
      const double lw = answers[k].logp, ll = answers[n + k].logp,
                   nw = std::max(answers[k].tokens, 1.0), nl = std::max(answers[n + k].tokens, 1.0);
      double value = 0;
      if (name == "sigmoid")
        value = softplus(-.1 * (dw[k] - dl[k]));
      if (name == "ipo")
        value = std::pow(dw[k] / nw - dl[k] / nl - 5, 2);
      if (name == "simpo")
        value = softplus(-(2 * (lw / nw - ll / nl) - .5));
      if (name == "aot")
        value = softplus(-.1 * (model[k] - reference[k]));
      if (name == "kto_pair")
        value = (1 - sigmoid(.1 * (dw[k] - mean_above_0(dl))) + 1 -
                 sigmoid(.1 * (mean_above_0(dw) - dl[k]))) /
                2;
      if (name == "sft")
        value = chosen_tokens > 0 ? nll / chosen_tokens : 0;
      total[k] += loss.weight * (name == "sft" ? 1 : wpo[k]) * value;
    }
  }
  return total;
}

double mean_loss(const Batch& b, const std::vector<Listed>& list, const std::vector<double>& wpo) {
  double sum = 0;
  for (double loss : losses_of(b, list, wpo))
    sum += loss / static_cast<double>(b.pairs);
  return sum;
}

struct Outcome {
  std::vector<double> losses, gradient;
  lr_step_metrics metrics{};
};

Outcome run(const Batch& b, const std::vector<Listed>& list, bool wpo) {
  const int64_t sequences = 2 * b.pairs;
  Tensor logits(D::f32, {sequences, b.tokens, b.columns}, b.logits),
      labels(D::i32, {sequences, b.tokens}), mask(D::u8, {sequences, b.tokens});
  for (size_t k = 0; k < b.labels.size(); ++k) {
    labels.set(static_cast<int64_t>(k), static_cast<double>(b.labels[k]));
    mask.set(static_cast<int64_t>(k), k % 5 != 1 ? 1 : 0);
  }
  Tensor reference(D::f64, {sequences}, b.reference), losses(D::f64, {b.pairs}),
      gradient(D::f32, logits.shape());
  std::vector<lr_loss_options> options;
  std::vector<double> weights;
  for (const Listed& loss : list) {
    options.push_back(loss_options(loss.name));
    weights.push_back(loss.weight);
  }
  Outcome outcome;
  auto args = make_args<lr_preference_step_args>();
  args.loss_options = options.data();
  args.loss_weights = weights.data();
  args.loss_count = static_cast<int64_t>(list.size());
  args.wpo = wpo ? 1 : 0;
  args.token_options = default_token_options();
  args.sequence_options = default_sequence_options();
  args.logits = logits;
  args.labels = labels;
  args.mask = mask;
  if (list.size() > 1 || std::string(list[0].name) != "sft")
    args.reference_logps = reference;
  args.losses = losses;
  args.grad_logits = gradient;
  args.metrics = &outcome.metrics;
  EXPECT_EQ(call(lr_preference_step, args), LR_OK) << lr_last_error();
  outcome.losses = losses.values();
  outcome.gradient = gradient.values();
  return outcome;
}

struct Case {
  std::vector<Listed> list;
  bool wpo;
};

class PreferenceStepList : public testing::TestWithParam<Case> {};

TEST_P(PreferenceStepList, ValuesAndGradient) {
  const auto& [list, wpo] = GetParam();
  Batch batch(3, 4, 11);
  const std::vector<double> weights = wpo_of(batch, wpo),
                            expected = losses_of(batch, list, weights);
  const Outcome outcome = run(batch, list, wpo);
  for (size_t k = 0; k < expected.size(); ++k)
    EXPECT_NEAR(outcome.losses[k], expected[k], 3e-6 * (1 + std::fabs(expected[k])))
        << "pair " << k;
  EXPECT_NEAR(outcome.metrics.loss, mean_loss(batch, list, weights),
              3e-6 * (1 + std::fabs(outcome.metrics.loss)));
  double squares = 0;
  std::vector<double> slopes;
  for (double& logit : batch.logits) {
    const double x = logit, h = 1e-5;
    logit = x + h;
    const double up = mean_loss(batch, list, weights);
    logit = x - h;
    slopes.push_back((up - mean_loss(batch, list, weights)) / (2 * h));
    logit = x;
    squares += slopes.back() * slopes.back();
  }
  ASSERT_GT(squares, 0);
  EXPECT_NEAR(outcome.metrics.grad_norm, std::sqrt(squares), 1e-5 * std::sqrt(squares));
  for (size_t k = 0; k < slopes.size(); ++k)
    ASSERT_NEAR(outcome.gradient[k], slopes[k], 1e-5 * std::sqrt(squares)) << "logit " << k;
}

INSTANTIATE_TEST_SUITE_P(
    Lists, PreferenceStepList,
    testing::Values(Case{{{"sft", 1}}, false},                                               //
                    Case{{{"sigmoid", 1}, {"sft", .25}}, false},                             //
                    Case{{{"sigmoid", 1}}, true},                                            //
                    Case{{{"kto_pair", .7}, {"sigmoid", -.5}}, true},                        //
                    Case{{{"sft", .3}, {"simpo", .8}, {"ipo", .01}, {"sigmoid", 2}}, true},  //
                    Case{{{"aot", 1.5}, {"kto_pair", 1}, {"sft", .1}, {"simpo", .2}, {"sft", 1}},
                         false}));

// Metrics of pairs are those of the first loss that has rewards, and of the reference even where
// that loss does not look at it.
TEST(PreferenceStepListMetrics, RewardsOfTheFirstPairedLoss) {
  const Batch batch(3, 4, 11);
  const std::vector<Answer> answers = answers_of(batch);
  double chosen = 0, rejected = 0, right = 0;
  for (int k = 0; k < 3; ++k) {
    const double dw = answers[k].logp - batch.reference[k],
                 dl = answers[3 + k].logp - batch.reference[3 + k];
    chosen += 2 * dw / 3;
    rejected += 2 * dl / 3;
    right += dw > dl ? 1.0 / 3 : 0;
  }
  const lr_step_metrics metrics =
      run(batch, {{"sft", 1}, {"simpo", .5}, {"sigmoid", 1}}, false).metrics;
  EXPECT_NEAR(metrics.rewards_chosen, chosen, 1e-5);
  EXPECT_NEAR(metrics.rewards_rejected, rejected, 1e-5);
  EXPECT_NEAR(metrics.rewards_margin, chosen - rejected, 1e-5);
  EXPECT_NEAR(metrics.rewards_accuracy, right, 1e-12);
}

}  // namespace
}  // namespace logratio::test
