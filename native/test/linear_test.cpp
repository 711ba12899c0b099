// The fused linear operations against the unfused ones on the same logits, and what they promise of
// their bits: the same whatever the budget, the batch around a row and the threads.
#include <gtest/gtest.h>

#include <cmath>

#include "support/loss_catalogue.h"
#include "support/tokens.h"

namespace logratio::test {
namespace {

struct Batch {
  Tensor hidden, weight, bias, labels, mask, reference, grad_loss;
  lr_token_options token_options = default_token_options();
  lr_sequence_options sequence_options = default_sequence_options();

  Batch(D type, int64_t pairs, int64_t tokens, int64_t size, int64_t columns)
      : hidden(type, {2 * pairs, tokens, size}, normal_values(2 * pairs * tokens * size, 1, 1)),
        weight(type, {columns, size}, normal_values(columns * size, .4, 2)),
        bias(D::f32, {columns}, normal_values(columns, 1, 3)),
        labels(D::i64, {2 * pairs, tokens}, random_labels(2 * pairs * tokens, columns, 4)),
        mask(D::boolean, {2 * pairs, tokens}),
        reference(D::f64, {2 * pairs}, normal_values(2 * pairs, 3, 5)),
        grad_loss(D::f64, {1}, {1.5}) {
    for (int64_t k = 0; k < mask.size(); ++k)
      mask.set(k, (k * 7 + k / 3) % 5 != 0 ? 1 : 0);
    for (int64_t k = 0; k < reference.size(); ++k)
      reference.set(k, reference.get(k) - 3 * static_cast<double>(tokens));
  }
  int64_t rows() const { return labels.size(); }
  int64_t size() const { return weight.shape()[1]; }
  int64_t columns() const { return weight.shape()[0]; }

  // Rounded to float32 after a sum in double.
  Tensor logits() const {
    Tensor logits(D::f32, {labels.shape()[0], labels.shape()[1], columns()});
    for (int64_t r = 0; r < rows(); ++r) {
      for (int64_t v = 0; v < columns(); ++v) {
        double sum = bias.get(v);
        for (int64_t k = 0; k < size(); ++k)
          sum += hidden.get(r * size() + k) * weight.get(v * size() + k);
        logits.set(r * columns() + v, sum);
      }
    }
    return logits;
  }
};

struct Wanted {
  bool hidden = true, weight = true;
  int32_t frozen = LR_FROZEN_NONE;
  uint64_t budget = 0;
  D gradient = D::f32;
};

struct Result {
  Tensor losses, logps, grad_hidden, grad_weight, grad_bias;
  lr_step_metrics metrics{};
  lr_linear_plan plan{};

  std::string bits() const {
    return losses.bits() + logps.bits() + grad_hidden.bits() + grad_weight.bits() +
           grad_bias.bits();
  }
};

Result run(Batch& b, const lr_loss_options& loss, bool reference_free, Wanted wanted = {}) {
  const int64_t sequences = b.labels.shape()[0];
  Result r{Tensor(D::f64, {sequences / 2}), Tensor(D::f64, {sequences}),
           Tensor(wanted.gradient, b.hidden.shape()), Tensor(wanted.gradient, b.weight.shape()),
           Tensor(D::f32, b.bias.shape())};
  auto args = make_args<lr_linear_preference_step_args>();
  args.loss_options = &loss;
  args.token_options = b.token_options;
  args.sequence_options = b.sequence_options;
  args.linear_options = {wanted.budget, wanted.frozen, 0};
  args.hidden = b.hidden;
  args.weight = b.weight;
  args.bias = b.bias;
  args.labels = b.labels;
  args.mask = b.mask;
  if (!reference_free)
    args.reference_logps = b.reference;
  args.grad_loss = b.grad_loss;
  args.losses = r.losses;
  args.logps = r.logps;
  if (wanted.hidden) {
    r.grad_hidden.fill(NAN);
    args.grad_hidden = r.grad_hidden;
  }
  if (wanted.weight) {
    r.grad_weight.fill(NAN);
    r.grad_bias.fill(NAN);
    args.grad_weight = r.grad_weight;
    args.grad_bias = r.grad_bias;
  }
  args.metrics = &r.metrics;
  args.plan = &r.plan;
  EXPECT_EQ(call(lr_linear_preference_step, args), LR_OK) << lr_last_error();
  return r;
}

// The largest value, and what of it float32 sums of products may miss.
void expect_near(const Tensor& actual, const std::vector<double>& expected, double share,
                 const std::string& what) {
  double largest = 0;
  for (double value : expected)
    largest = std::fmax(largest, std::fabs(value));
  ASSERT_EQ(actual.size(), static_cast<int64_t>(expected.size())) << what;
  for (int64_t k = 0; k < actual.size(); ++k)
    ASSERT_NEAR(actual.get(k), expected[static_cast<size_t>(k)], share * largest) << what << k;
}

struct Expected {
  Tensor losses, logps;
  std::vector<double> grad_hidden, grad_weight, grad_bias;
  lr_step_metrics metrics{};
};

// What preference_step on the logits gives, and products in double.
Expected unfused(Batch& b, const lr_loss_options& loss, bool reference_free) {
  const OnCpu on_cpu;
  const int64_t sequences = b.labels.shape()[0], size = b.size(), columns = b.columns();
  Expected e{Tensor(D::f64, {sequences / 2}), Tensor(D::f64, {sequences}), {}, {}, {}};
  Tensor logits = b.logits();
  auto args = make_args<lr_preference_step_args>();
  args.loss_options = &loss;
  args.token_options = b.token_options;
  args.sequence_options = b.sequence_options;
  args.logits = logits;
  args.labels = b.labels;
  args.mask = b.mask;
  if (!reference_free)
    args.reference_logps = b.reference;
  args.grad_loss = b.grad_loss;
  args.losses = e.losses;
  args.logps = e.logps;
  args.grad_logits = logits;
  args.metrics = &e.metrics;
  EXPECT_EQ(call(lr_preference_step, args), LR_OK) << lr_last_error();
  e.grad_hidden.resize(static_cast<size_t>(b.hidden.size()));
  e.grad_weight.resize(static_cast<size_t>(b.weight.size()));
  e.grad_bias.resize(static_cast<size_t>(columns));
  for (int64_t r = 0; r < b.rows(); ++r) {
    for (int64_t v = 0; v < columns; ++v) {
      const double g = logits.get(r * columns + v);
      e.grad_bias[static_cast<size_t>(v)] += g;
      for (int64_t k = 0; g != 0 && k < size; ++k) {
        e.grad_hidden[static_cast<size_t>(r * size + k)] += g * b.weight.get(v * size + k);
        e.grad_weight[static_cast<size_t>(v * size + k)] += g * b.hidden.get(r * size + k);
      }
    }
  }
  return e;
}

void expect_unfused(Batch& b, const lr_loss_options& loss, bool reference_free, double share,
                    const std::string& what) {
  const Expected e = unfused(b, loss, reference_free);
  const Result all = run(b, loss, reference_free);
  expect_near(all.losses, e.losses.values(), 2e-5, what + " losses ");
  expect_near(all.logps, e.logps.values(), 2e-5, what + " logps ");
  expect_near(all.grad_hidden, e.grad_hidden, share, what + " grad_hidden ");
  expect_near(all.grad_weight, e.grad_weight, share, what + " grad_weight ");
  expect_near(all.grad_bias, e.grad_bias, share, what + " grad_bias ");
  EXPECT_NEAR(all.metrics.grad_norm, e.metrics.grad_norm, share * e.metrics.grad_norm) << what;
  EXPECT_NEAR(all.metrics.entropy, e.metrics.entropy, 2e-5 * e.metrics.entropy) << what;
  EXPECT_EQ(all.metrics.token_accuracy, e.metrics.token_accuracy) << what;
  const Result frozen = run(b, loss, reference_free, {true, false, LR_FROZEN_WEIGHT, 0, D::f32});
  expect_near(frozen.grad_hidden, e.grad_hidden, share, what + " frozen weight ");
  EXPECT_NEAR(frozen.metrics.grad_norm, e.metrics.grad_norm, share * e.metrics.grad_norm) << what;
}

TEST(Linear, EveryLoss) {
  for (const Configuration& c : catalogue()) {
    Batch b(D::f32, 3, 5, 7, 37);
    expect_unfused(b, c.options, c.reference_free, 2e-5, c.label);
  }
  Batch b(D::f32, 3, 5, 7, 37);
  expect_unfused(b, loss_options("sft"), true, 2e-5, "sft");
}

TEST(Linear, EverySizeTypeAndTransform) {
  const lr_loss_options loss = loss_options("sigmoid");
  for (const D type : {D::f32, D::bf16, D::f16}) {
    for (const auto& [pairs, tokens, size, columns] :
         {std::array<int64_t, 4>{1, 1, 1, 1}, {1, 3, 1, 2}, {2, 9, 37, 611}, {2, 70, 16, 513}}) {
      if (on_emulator() && columns > 600)
        continue;
      // Where products are of bfloat16, or on a device of float16, so is the logits' gradient: half
      // a unit of 8 or of 11 bits.
      const double share = type == D::bf16                   ? 0x1p-8
                           : type == D::f16 && on_emulator() ? 0x1p-10
                                                             : 2e-5;
      Batch b(type, pairs, tokens, size, columns);
      const std::string what = std::to_string(size) + " x " + std::to_string(columns) + " of " +
                               std::to_string(static_cast<int>(type));
      expect_unfused(b, loss, false, share, what);
      b.token_options.softcap = 3;
      b.token_options.temperature = .7;
      expect_unfused(b, loss, false, share, what + " capped");
      if (columns < 10)
        continue;
      b.token_options.vocab = columns - 7;
      for (int64_t k = 0; k < b.labels.size(); ++k)
        b.labels.set(k, std::fmin(b.labels.get(k), static_cast<double>(columns - 8)));
      expect_unfused(b, loss, false, share, what + " of fewer columns");
    }
  }
}

// Results depend on nothing but the row: not on what is kept, and not on the threads.
TEST(Linear, BudgetAndThreadsLeaveTheBits) {
  const int32_t threads = lr_threads();
  for (const char* name : {"sigmoid", "kto_pair"}) {
    Batch b(D::f32, 5, on_emulator() ? 9 : 120, 12, 600);
    const lr_loss_options loss = loss_options(name);
    const Result first = run(b, loss, false);
    for (const uint64_t budget : {uint64_t{600 * 4}, uint64_t{1} << 21, uint64_t{1} << 23}) {
      for (const int32_t count : {1, 2, 5}) {
        ASSERT_EQ(lr_set_threads(count), LR_OK);
        const Result other = run(b, loss, false, {true, true, LR_FROZEN_NONE, budget, D::f32});
        EXPECT_EQ(first.bits(), other.bits()) << name << budget << " with " << count;
        EXPECT_EQ(other.plan.kept_rows + other.plan.recomputed_rows, other.plan.rows);
      }
    }
  }
  ASSERT_EQ(lr_set_threads(threads), LR_OK);
}

struct Rows {
  TokenFigures figures;
  Tensor grad_hidden, grad_weight;
};

Rows run_rows(Tensor hidden, Tensor weight, Tensor labels, bool frozen, bool of_entropy,
              bool accumulate = false, D gradient = D::f32) {
  const int64_t rows = labels.size();
  Rows r{TokenFigures(labels.shape()), Tensor(gradient, hidden.shape()),
         Tensor(gradient, weight.shape())};
  Tensor grad_logp(D::f32, {rows}, normal_values(rows, 1, 20)),
      grad_entropy(D::f32, {rows}, normal_values(rows, 1, 21)),
      grad_lse(D::f32, {rows}, normal_values(rows, 1, 22));
  auto args = make_args<lr_linear_token_logprobs_args>();
  args.token_options = default_token_options();
  args.linear_options = {0, frozen ? LR_FROZEN_WEIGHT : LR_FROZEN_NONE, accumulate ? 1 : 0};
  args.hidden = hidden;
  args.weight = weight;
  args.labels = labels;
  args.grad_logp = grad_logp;
  args.grad_lse = grad_lse;
  if (of_entropy)
    args.grad_entropy = grad_entropy;
  args.logp = r.figures.logp;
  args.lse = r.figures.lse;
  args.lse2 = r.figures.lse2;
  args.entropy = r.figures.entropy;
  args.argmax = r.figures.argmax;
  args.mean_logit = r.figures.mean_logit;
  args.grad_hidden = r.grad_hidden;
  if (!frozen) {
    r.grad_weight.fill(accumulate ? .5 : NAN);
    args.grad_weight = r.grad_weight;
  }
  EXPECT_EQ(call(lr_linear_token_logprobs, args), LR_OK) << lr_last_error();
  return r;
}

std::vector<double> product(const Tensor& a, const Tensor& b, bool of_rows) {
  const int64_t rows = a.shape()[0], columns = a.shape()[1], size = b.shape()[1];
  std::vector<double> c(static_cast<size_t>((of_rows ? rows : columns) * size));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t v = 0; v < columns; ++v) {
      for (int64_t k = 0; k < size; ++k) {
        c[static_cast<size_t>((of_rows ? r : v) * size + k)] +=
            a.get(r * columns + v) * b.get((of_rows ? v : r) * size + k);
      }
    }
  }
  return c;
}

TEST(Linear, TokenLogprobs) {
  const int64_t rows = 33, size = 11, columns = 70;
  Tensor hidden(D::f32, {rows, size}, normal_values(rows * size, 1, 1)),
      weight(D::f32, {columns, size}, normal_values(columns * size, 1, 2)),
      labels(D::i64, {rows}, random_labels(rows, columns, 3)), logits(D::f32, {rows, columns});
  labels.set(4, -100);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t v = 0; v < columns; ++v) {
      double sum = 0;
      for (int64_t k = 0; k < size; ++k)
        sum += hidden.get(r * size + k) * weight.get(v * size + k);
      logits.set(r * columns + v, sum);
    }
  }
  TokenFigures expected = [&] {
    const OnCpu here;
    return forward(logits, labels);
  }();
  for (const bool of_entropy : {false, true}) {
    Tensor gradient(D::f32, logits.shape());
    {
      const OnCpu here;
      Tensor grad_logp(D::f32, {rows}, normal_values(rows, 1, 20)),
          grad_entropy(D::f32, {rows}, normal_values(rows, 1, 21)),
          grad_lse(D::f32, {rows}, normal_values(rows, 1, 22));
      auto args = make_args<lr_token_logprobs_backward_args>();
      args.options = default_token_options();
      args.logits = logits;
      args.labels = labels;
      args.lse = expected.lse;
      args.entropy = expected.entropy;
      args.grad_logp = grad_logp;
      if (of_entropy)
        args.grad_entropy = grad_entropy;
      args.grad_lse = grad_lse;
      args.grad_logits = gradient;
      ASSERT_EQ(call(lr_token_logprobs_backward, args), LR_OK) << lr_last_error();
    }
    for (const bool frozen : {false, true}) {
      const Rows r = run_rows(hidden, weight, labels, frozen, of_entropy);
      expect_near(r.figures.logp, expected.logp.values(), 1e-6, "logp ");
      expect_near(r.figures.lse, expected.lse.values(), 1e-6, "lse ");
      expect_near(r.figures.lse2, expected.lse2.values(), 1e-6, "lse2 ");
      expect_near(r.figures.entropy, expected.entropy.values(), 5e-6, "entropy ");
      expect_near(r.figures.mean_logit, expected.mean_logit.values(), 5e-6, "mean_logit ");
      EXPECT_EQ(r.figures.argmax.bits(), expected.argmax.bits());
      expect_near(r.grad_hidden, product(gradient, weight, true), 5e-6, "grad_hidden ");
      if (frozen)
        continue;
      const std::vector<double> of_weight = product(gradient, hidden, false);
      expect_near(r.grad_weight, of_weight, 5e-6, "grad_weight ");
      std::vector<double> added = of_weight;
      for (double& value : added)
        value += .5;
      expect_near(run_rows(hidden, weight, labels, false, of_entropy, true).grad_weight, added,
                  5e-6, "accumulated ");
    }
  }
}

// A row alone, at the end of a batch, and with others between its like.
TEST(Linear, ABatchLeavesTheBitsOfARow) {
  const int64_t rows = on_emulator() ? 20 : 300, size = 13, columns = 530;
  Tensor hidden(D::f32, {rows, size}, normal_values(rows * size, 1, 1)),
      weight(D::f32, {columns, size}, normal_values(columns * size, 1, 2)),
      labels(D::i64, {rows}, random_labels(rows, columns, 3));
  for (const bool frozen : {false, true}) {
    const Rows all = run_rows(hidden, weight, labels, frozen, false);
    for (const int64_t row : {int64_t{0}, int64_t{7}, rows - 1}) {
      Tensor one(D::f32, {1, size}), label(D::i64, {1}, {labels.get(row)});
      for (int64_t k = 0; k < size; ++k)
        one.set(k, hidden.get(row * size + k));
      const Rows alone = run_rows(one, weight, label, frozen, false);
      EXPECT_EQ(alone.figures.lse.get(0), all.figures.lse.get(row)) << row;
      EXPECT_EQ(alone.figures.logp.get(0), all.figures.logp.get(row)) << row;
      EXPECT_EQ(alone.figures.entropy.get(0), all.figures.entropy.get(row)) << row;
      if (row > 0)  // whose upstream is the first one's
        continue;
      for (int64_t k = 0; k < size; ++k)
        EXPECT_EQ(alone.grad_hidden.get(k), all.grad_hidden.get(k)) << row;
    }
  }
}

TEST(Linear, NonFiniteRowsStayAlone) {
  const int64_t rows = 6, size = 4, columns = 20;
  Tensor hidden(D::f32, {rows, size}, normal_values(rows * size, 1, 1)),
      weight(D::f32, {columns, size}, normal_values(columns * size, 1, 2)),
      labels(D::i64, {rows}, random_labels(rows, columns, 3));
  hidden.set(2 * size + 1, NAN);
  hidden.set(4 * size, INFINITY);
  for (const bool frozen : {false, true}) {
    const Rows r = run_rows(hidden, weight, labels, frozen, false);
    for (int64_t row = 0; row < rows; ++row) {
      const bool bad = row == 2 || row == 4;
      EXPECT_EQ(std::isnan(r.figures.lse.get(row)), bad) << row;
      for (int64_t k = 0; k < size; ++k)
        EXPECT_EQ(std::isnan(r.grad_hidden.get(row * size + k)), bad) << row;
    }
  }
}

TEST(Linear, NarrowGradientsAreRoundedOnce) {
  const int64_t rows = 300, size = 5, columns = 40;
  if (on_emulator())
    GTEST_SKIP() << "its blocks are another size";
  Tensor hidden(D::bf16, {rows, size}, normal_values(rows * size, 1, 1)),
      weight(D::bf16, {columns, size}, normal_values(columns * size, 1, 2)),
      labels(D::i64, {rows}, random_labels(rows, columns, 3));
  const Rows wide = run_rows(hidden, weight, labels, false, false),
             narrow = run_rows(hidden, weight, labels, false, false, false, D::bf16);
  for (int64_t k = 0; k < size * columns; ++k) {
    Tensor rounded(D::bf16, {1}, {wide.grad_weight.get(k)});
    EXPECT_EQ(rounded.get(0), narrow.grad_weight.get(k)) << k;
  }
  for (int64_t k = 0; k < size * rows; ++k) {
    Tensor rounded(D::bf16, {1}, {wide.grad_hidden.get(k)});
    EXPECT_EQ(rounded.get(0), narrow.grad_hidden.get(k)) << k;
  }
}

TEST(Linear, RefusesWhatDoesNotGoTogether) {
  Batch b(D::f32, 1, 3, 4, 10);
  const lr_loss_options loss = loss_options("sigmoid");
  const auto refused = [&](auto&& change) {
    Tensor gradient(D::f32, b.hidden.shape());
    auto args = make_args<lr_linear_preference_step_args>();
    args.loss_options = &loss;
    args.token_options = b.token_options;
    args.sequence_options = b.sequence_options;
    args.hidden = b.hidden;
    args.weight = b.weight;
    args.labels = b.labels;
    args.reference_logps = b.reference;
    change(args);
    EXPECT_EQ(call(lr_linear_preference_step, args), LR_INVALID_ARGUMENT);
    return last_error();
  };
  using Args = lr_linear_preference_step_args;
  Tensor wide(D::f32, {10, 5}), half(D::bf16, {10, 4}), of_hidden(D::f32, {2, 3, 4}),
      of_weight(D::f32, {10, 4}), short_bias(D::f32, {9});
  EXPECT_EQ(refused([&](Args& a) { a.weight = wide; }),
            "weight is F32 [10, 5], expected shape [10, 4], as hidden is F32 [2, 3, 4]");
  EXPECT_EQ(refused([&](Args& a) { a.weight = half; }),
            "weight is BF16 [10, 4], expected F32 as hidden");
  EXPECT_EQ(refused([&](Args& a) { a.bias = short_bias; }),
            "bias is F32 [9], expected shape [10], as weight is F32 [10, 4]");
  EXPECT_EQ(refused([&](Args& a) { a.linear_options.budget_bytes = 39; }),
            "budget_bytes is 39, expected at least 40, the logits of a row");
  EXPECT_EQ(refused([&](Args& a) {
              a.linear_options.frozen = LR_FROZEN_WEIGHT;
              a.grad_weight = of_weight;
            }),
            "grad_weight is there, expected it absent as frozen is weight");
  EXPECT_EQ(refused([&](Args& a) {
              a.linear_options.frozen = LR_FROZEN_HIDDEN;
              a.grad_hidden = of_hidden;
            }),
            "grad_hidden is there, expected it absent as frozen is hidden");
  EXPECT_EQ(refused([&](Args& a) { a.grad_weight = a.weight; }),
            "grad_weight F32 [10, 4] overlaps weight F32 [10, 4], expected memory of its own");
  EXPECT_EQ(refused([&](Args& a) { a.grad_hidden = half; }),
            "grad_hidden is BF16 [10, 4], expected shape [2, 3, 4], as hidden is F32 [2, 3, 4]");
  EXPECT_EQ(refused([&](Args& a) { a.reference_hidden = of_hidden; }),
            "reference_weight is missing, expected float [V,H], as reference_hidden is given");
}

}  // namespace
}  // namespace logratio::test
