// The fused linear operations on a device against the unfused ones on the CPU: what a device does
// otherwise, blocks of rows that are kept or multiplied again, rows that are not packed out, and
// what device memory alone may hold.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "support.h"
#include "support/tokens.h"

namespace logratio::test {
namespace {

constexpr int64_t kBlockRows = 16;  // of the emulator's products

// Relative to the largest number: float32 sums of products of these sizes.
constexpr double kShare = 2e-5;

struct Head {
  Tensor hidden, weight, bias;

  Head(D type, const std::vector<int64_t>& tokens, int64_t size, int64_t columns, uint32_t seed = 1)
      : hidden(type, with(tokens, size)),
        weight(type, {columns, size}, normal_values(columns * size, .5, seed + 1)),
        bias(D::f32, {columns}, normal_values(columns, 1, seed + 2)) {
    const std::vector<double> values = normal_values(hidden.size(), 1, seed);
    for (int64_t k = 0; k < hidden.size(); ++k)
      hidden.set(k, values[static_cast<size_t>(k)]);
  }
  static std::vector<int64_t> with(std::vector<int64_t> shape, int64_t size) {
    shape.push_back(size);
    return shape;
  }
  int64_t size() const { return weight.shape()[1]; }
  int64_t columns() const { return weight.shape()[0]; }
  int64_t rows() const { return hidden.size() / size(); }

  // Rounded to float32, of sums in double.
  Tensor logits() const {
    std::vector<int64_t> shape = hidden.shape();
    shape.back() = columns();
    Tensor logits(D::f32, shape);
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

struct Gradients {
  std::vector<double> hidden, weight, bias;

  // A head's gradients, from that of its logits.
  Gradients(const Head& head, const Tensor& of_logits)
      : hidden(static_cast<size_t>(head.hidden.size())),
        weight(static_cast<size_t>(head.weight.size())),
        bias(static_cast<size_t>(head.columns())) {
    const int64_t size = head.size();
    for (int64_t r = 0; r < head.rows(); ++r) {
      for (int64_t v = 0; v < head.columns(); ++v) {
        const double g = of_logits.get(r * head.columns() + v);
        bias[static_cast<size_t>(v)] += g;
        for (int64_t k = 0; g != 0 && k < size; ++k) {
          hidden[static_cast<size_t>(r * size + k)] += g * head.weight.get(v * size + k);
          weight[static_cast<size_t>(v * size + k)] += g * head.hidden.get(r * size + k);
        }
      }
    }
  }
};

void expect_near(const Tensor& actual, const std::vector<double>& expected, double share,
                 const std::string& what) {
  double largest = 0;
  for (double value : expected)
    largest = std::fmax(largest, std::fabs(value));
  ASSERT_EQ(actual.size(), static_cast<int64_t>(expected.size())) << what;
  for (int64_t k = 0; k < actual.size(); ++k)
    ASSERT_NEAR(actual.get(k), expected[static_cast<size_t>(k)], share * largest) << what << k;
}

// What a head's gradients are written to.
struct Written {
  Tensor hidden, weight, bias;
  lr_linear_plan plan{};

  explicit Written(const Head& head, D type = D::f32)
      : hidden(type, head.hidden.shape()),
        weight(type, head.weight.shape()),
        bias(D::f32, head.bias.shape()) {}

  template <class Args>
  void ask(Args& args, bool frozen) {
    args.grad_hidden = hidden;
    args.linear_options.frozen = frozen ? LR_FROZEN_WEIGHT : LR_FROZEN_NONE;
    if (!frozen) {
      args.grad_weight = weight;
      args.grad_bias = bias;
    }
    args.plan = &plan;
  }
  std::string bits() const { return hidden.bits() + weight.bits() + bias.bits(); }
};

std::string bits_of(const lr_step_metrics& metrics) {
  return {reinterpret_cast<const char*>(&metrics), sizeof metrics};
}

// ---- preference steps ----

struct Pairs {
  Head head;
  Tensor labels, mask, reference, pair_weights, nll_mask, grad_loss, cu_seqlens;
  std::vector<lr_loss_options> losses{loss_options("sigmoid")};
  lr_token_options token = default_token_options();
  lr_sequence_options sequence = default_sequence_options();
  int32_t wpo = LR_WPO_OFF;
  bool weighted = false, nll_masked = false, metrics = true, packed = false;
  uint64_t budget = 0;
  Head* reference_head = nullptr;

  Pairs(D type, int64_t pairs, int64_t tokens, int64_t size, int64_t columns, bool packed = false)
      : head(type,
             packed ? std::vector<int64_t>{2 * pairs * tokens}
                    : std::vector<int64_t>{2 * pairs, tokens},
             size, columns),
        labels(D::i64, shape_of(), random_labels(2 * pairs * tokens, columns, 4)),
        mask(D::f32, shape_of()),
        reference(D::f64, shape_of(), normal_values(2 * pairs * tokens, 1, 5)),
        pair_weights(D::f32, {pairs}),
        nll_mask(D::f32, shape_of()),
        grad_loss(D::f64, {1}, {1.5}),
        cu_seqlens(D::i64, {2 * pairs + 1}),
        packed(packed) {
    for (int64_t k = 0; k < mask.size(); ++k) {
      mask.set(k, (k * 7 + k / 3) % 5 == 0 ? 0 : .5 + static_cast<double>(k % 3) / 2);
      nll_mask.set(k, k >= pairs * tokens || k % 4 == 1 ? 0 : 1 + static_cast<double>(k % 3));
      reference.set(k, reference.get(k) - 3);
    }
    for (int64_t k = 0; k < pairs; ++k)
      pair_weights.set(k, k % 4 == 2 ? 0 : .5 + static_cast<double>(k));
    for (int64_t k = 0; k <= 2 * pairs; ++k)  // of lengths that differ
      cu_seqlens.set(k, static_cast<double>(k == 2 * pairs ? k * tokens : k * tokens - k % 2));
  }
  std::vector<int64_t> shape_of() const {
    std::vector<int64_t> shape = head.hidden.shape();
    shape.pop_back();
    return shape;
  }
  int64_t pairs() const { return pair_weights.size(); }

  template <class Args>
  void fill(Args& args) {
    args.loss_options = losses.data();
    args.loss_count = static_cast<int64_t>(losses.size());
    args.token_options = token;
    args.sequence_options = sequence;
    args.labels = labels;
    args.mask = mask;
    args.grad_loss = grad_loss;
    args.wpo = wpo;
    if (weighted)
      args.pair_weights = pair_weights;
    if (nll_masked)
      args.nll_mask = nll_mask;
    if (packed)
      args.cu_seqlens = cu_seqlens;
  }
};

struct StepResult {
  Tensor losses, logps;
  Written written;
  lr_step_metrics metrics{};
  int64_t bad = 0;

  std::string bits() const {
    return losses.bits() + logps.bits() + written.bits() + bits_of(metrics);
  }
};

StepResult run(Pairs& in, bool frozen, D type = D::f32) {
  StepResult r{Tensor(D::f64, {in.pairs()}), Tensor(D::f64, {2 * in.pairs()}),
               Written(in.head, type)};
  auto args = make_args<lr_linear_preference_step_args>();
  in.fill(args);
  args.hidden = in.head.hidden;
  args.weight = in.head.weight;
  args.bias = in.head.bias;
  args.linear_options.budget_bytes = in.budget;
  if (in.reference_head != nullptr) {
    args.reference_hidden = in.reference_head->hidden;
    args.reference_weight = in.reference_head->weight;
    args.reference_bias = in.reference_head->bias;
  } else {
    args.reference_token_logps = in.reference;
  }
  args.losses = r.losses;
  args.logps = r.logps;
  if (in.metrics)
    args.metrics = &r.metrics;
  r.written.ask(args, frozen);
  EXPECT_EQ(call(lr_linear_preference_step, args, &r.bad), LR_OK) << lr_last_error();
  return r;
}

void expect_unfused(Pairs& in, const std::string& what) {
  Tensor logits = in.head.logits(), losses(D::f64, {in.pairs()}), logps(D::f64, {2 * in.pairs()}),
         gradient(D::f32, logits.shape());
  lr_step_metrics metrics{};
  {
    const OnCpu on_cpu;
    auto args = make_args<lr_preference_step_args>();
    in.fill(args);
    args.logits = logits;
    args.reference_token_logps = in.reference;
    args.losses = losses;
    args.logps = logps;
    args.metrics = &metrics;
    args.grad_logits = gradient;
    ASSERT_EQ(call(lr_preference_step, args), LR_OK) << what << ": " << lr_last_error();
  }
  const Gradients expected(in.head, gradient);
  for (const bool frozen : {false, true}) {
    const std::string of = what + (frozen ? ", frozen " : " ");
    const StepResult r = run(in, frozen);
    expect_near(r.losses, losses.values(), kShare, of + "losses ");
    expect_near(r.logps, logps.values(), kShare, of + "logps ");
    expect_near(r.written.hidden, expected.hidden, kShare, of + "grad_hidden ");
    if (in.metrics) {
      EXPECT_NEAR(r.metrics.grad_norm, metrics.grad_norm, kShare * metrics.grad_norm) << of;
      EXPECT_EQ(r.metrics.nonfinite, metrics.nonfinite) << of;
      EXPECT_NEAR(r.metrics.entropy, metrics.entropy, kShare * metrics.entropy) << of;
      EXPECT_EQ(r.metrics.token_accuracy, metrics.token_accuracy) << of;
    }
    if (frozen)
      continue;
    expect_near(r.written.weight, expected.weight, kShare, of + "grad_weight ");
    expect_near(r.written.bias, expected.bias, kShare, of + "grad_bias ");
  }
}

TEST(DeviceLinear, EveryKindOfStep) {
  const auto expect = [](const std::string& what, auto&& change) {
    Pairs in(D::f32, 3, 9, 5, 41);
    change(in);
    expect_unfused(in, what);
  };
  expect("plain", [](Pairs&) {});
  expect("without metrics", [](Pairs& in) { in.metrics = false; });
  expect("a mean", [](Pairs& in) { in.sequence.reduction = LR_MEAN; });
  for (const double tail : {.5, 0.})
    expect("a tail of " + std::to_string(tail), [&](Pairs& in) { in.sequence.tail_weight = tail; });
  expect("a tail of 0 without metrics", [](Pairs& in) {
    in.sequence.tail_weight = 0;
    in.metrics = false;
  });
  expect("a list with sft", [](Pairs& in) {
    in.losses = {loss_options("dlrml"), loss_options("sft")};
    in.weighted = true;
  });
  expect("a mask of its own", [](Pairs& in) {
    in.losses = {loss_options("sigmoid"), loss_options("sft")};
    in.nll_masked = in.weighted = true;
  });
  expect("wpo", [](Pairs& in) { in.wpo = LR_WPO_ON; });
  expect("capped", [](Pairs& in) {
    in.token.softcap = 3;
    in.token.temperature = .7;
  });
}

TEST(DeviceLinear, PackedSequences) {
  Pairs in(D::f32, 3, 9, 5, 41, true);
  expect_unfused(in, "packed");
}

// Long sequences in parts, rows of a block to a warp and to a block of threads.
TEST(DeviceLinear, LongSequencesAndRows) {
  Pairs in(D::f32, 1, 530, 3, 19);
  expect_unfused(in, "long sequences");
  Pairs wide(D::f32, 1, 9, 3, 1100);
  expect_unfused(wide, "long rows");
}

TEST(DeviceLinear, ReferenceHeadIsItsTokenLogps) {
  Pairs in(D::f32, 2, 9, 5, 41);
  Head other(D::f32, {4, 9}, 5, 41, 30);
  {
    const OnCpu on_cpu;
    const TokenFigures figures = forward(other.logits(), in.labels);
    for (int64_t k = 0; k < in.reference.size(); ++k)
      in.reference.set(k, figures.logp.get(k));
  }
  const StepResult given = run(in, false);
  in.reference_head = &other;
  const StepResult made = run(in, false);
  expect_near(made.losses, given.losses.values(), kShare, "losses ");
  expect_near(made.written.hidden, given.written.hidden.values(), kShare, "grad_hidden ");
  EXPECT_NEAR(made.metrics.rewards_margin, given.metrics.rewards_margin,
              kShare * std::fabs(given.metrics.rewards_margin));
  EXPECT_EQ(made.written.plan.operations, 8);
}

// There are 54 rows in 4 blocks: the last one and as many others as fit are kept.
TEST(DeviceLinear, BudgetChoosesWhatIsKeptAndChangesNoBit) {
  const int64_t columns = 41, stride = 48, block = kBlockRows * stride * 4;
  for (const D type : {D::f32, D::bf16}) {
    Pairs in(type, 3, 9, 5, columns);
    std::string first;
    const std::pair<int64_t, int64_t> budgets[] = {
        {columns * 4, 6}, {block, 6}, {2 * block, 22}, {3 * block, 38}, {4 * block, 54}, {0, 54}};
    for (const auto& [budget, kept] : budgets) {
      in.budget = static_cast<uint64_t>(budget);
      const StepResult r = run(in, false);
      EXPECT_EQ(r.written.plan.method, LR_LINEAR_SWEEP);
      EXPECT_EQ(r.written.plan.kept_rows, kept) << budget;
      EXPECT_EQ(r.written.plan.recomputed_rows, 54 - kept) << budget;
      EXPECT_DOUBLE_EQ(r.written.plan.operations, 8 - 2. * static_cast<double>(kept) / 54);
      EXPECT_STREQ(r.written.plan.gemm, "Logratio");
      first = first.empty() ? r.bits() : first;
      EXPECT_EQ(r.bits(), first) << budget;
    }
    const StepResult frozen = run(in, true);
    EXPECT_EQ(frozen.written.plan.method, LR_LINEAR_ONLINE);
    EXPECT_EQ(frozen.written.plan.operations, 4);
  }
}

TEST(DeviceLinear, NoOrderOfThreadsChangesABit) {
  for (const bool frozen : {false, true}) {
    Pairs in(D::bf16, 2, 9, 5, 300);
    in.budget = 300 * 4;
    std::string first;
    for (const uint64_t seed : {1, 2, 3, 5}) {
      set_emulator_seed(seed);
      const std::string bits = run(in, frozen).bits();
      first = first.empty() ? bits : first;
      ASSERT_EQ(bits, first) << "seed " << seed;
    }
  }
}

// Hidden states of padding may hold anything, and a bias may leave a column out.
TEST(DeviceLinear, RowsThatDoNotCountAreNotRead) {
  for (const bool frozen : {false, true}) {
    Pairs clean(D::f32, 2, 9, 5, 41), dirty = clean;
    dirty.head.hidden = clean.head.hidden.clone();
    for (Pairs* in : {&clean, &dirty}) {
      in->head.bias.set(7, -INFINITY);
      for (int64_t k = 0; k < in->labels.size(); ++k)
        in->labels.set(k, in->labels.get(k) == 7 ? 8 : in->labels.get(k));
    }
    for (int64_t r = 0; r < dirty.mask.size(); ++r) {
      for (int64_t k = 0; dirty.mask.get(r) == 0 && k < 5; ++k)
        dirty.head.hidden.set(r * 5 + k, NAN);
    }
    const StepResult expected = run(clean, frozen), r = run(dirty, frozen);
    EXPECT_EQ(r.bits(), expected.bits());
    for (int64_t k = 0; k < r.written.hidden.size(); ++k) {
      EXPECT_TRUE(std::isfinite(r.written.hidden.get(k)));
      if (dirty.mask.get(k / 5) == 0) {
        EXPECT_EQ(r.written.hidden.get(k), 0);
      }
    }
    for (int64_t k = 0; !frozen && k < r.written.weight.size(); ++k)
      EXPECT_TRUE(std::isfinite(r.written.weight.get(k))) << k;
  }
}

TEST(DeviceLinear, BadLabelsAreCountedOnce) {
  for (const bool frozen : {false, true}) {
    Pairs in(D::f32, 3, 9, 5, 41);
    in.budget = 41 * 4;
    Head other(D::f32, {6, 9}, 5, 41, 30);
    in.reference_head = &other;
    in.mask.fill(1);
    in.labels.set(3, 41);
    in.labels.set(40, -3);
    const StepResult r = run(in, frozen);
    EXPECT_EQ(r.bad, 2);
    EXPECT_TRUE(std::isnan(r.logps.get(0)));
    EXPECT_FALSE(std::isnan(r.logps.get(1)));
    for (int64_t k = 0; k < 5; ++k)
      EXPECT_EQ(r.written.hidden.get(3 * 5 + k), 0);
  }
}

TEST(DeviceLinear, NarrowGradientsAreRoundedOnce) {
  for (const D type : {D::bf16, D::f16}) {
    for (const bool frozen : {false, true}) {
      Pairs in(type, 3, 9, 5, 41);
      const StepResult wide = run(in, frozen), narrow = run(in, frozen, type);
      for (int64_t k = 0; !frozen && k < wide.written.weight.size(); ++k) {
        Tensor rounded(type, {1}, {wide.written.weight.get(k)});
        EXPECT_EQ(rounded.get(0), narrow.written.weight.get(k)) << k;
      }
      for (int64_t k = 0; !frozen && k < wide.written.hidden.size(); ++k) {
        Tensor rounded(type, {1}, {wide.written.hidden.get(k)});
        EXPECT_EQ(rounded.get(0), narrow.written.hidden.get(k)) << k;
      }
      // Half a unit in the last place of the logits' gradient, and of the result.
      expect_near(narrow.written.hidden, wide.written.hidden.values(), 0x1p-8, "grad_hidden ");
    }
  }
}

// ---- unpaired_step ----

TEST(DeviceLinear, UnpairedSteps) {
  Head head(D::f32, {5, 9}, 5, 41);
  Tensor labels(D::i64, {5, 9}, random_labels(45, 41, 4)), chosen(D::u8, {5}, {1, 0, 1, 1, 0}),
      reference(D::f64, {5}, {-30, -31, -32, -33, -34}),
      logits = head.logits(), gradient(D::f32, logits.shape()), losses(D::f64, {5}),
      expected_losses(D::f64, {5});
  for (int64_t k = 0; k < 45; k += 4)
    labels.set(k, -100);
  for (const char* name : {"kto", "bco"}) {
    const lr_loss_options options = loss_options(name);
    const auto fill = [&](auto& args) {
      args.loss_options = &options;
      args.token_options = default_token_options();
      args.sequence_options = default_sequence_options();
      args.labels = labels;
      args.chosen = chosen;
      args.reference_logps = reference;
    };
    lr_step_metrics expected_metrics{}, metrics{};
    {
      const OnCpu on_cpu;
      auto args = make_args<lr_unpaired_step_args>();
      fill(args);
      args.logits = logits;
      args.losses = expected_losses;
      args.grad_logits = gradient;
      args.metrics = &expected_metrics;
      ASSERT_EQ(call(lr_unpaired_step, args), LR_OK) << lr_last_error();
    }
    const Gradients expected(head, gradient);
    for (const bool frozen : {false, true}) {
      Written written(head);
      auto args = make_args<lr_linear_unpaired_step_args>();
      fill(args);
      args.hidden = head.hidden;
      args.weight = head.weight;
      args.bias = head.bias;
      args.losses = losses;
      args.metrics = &metrics;
      written.ask(args, frozen);
      ASSERT_EQ(call(lr_linear_unpaired_step, args), LR_OK) << lr_last_error();
      expect_near(losses, expected_losses.values(), kShare, "losses ");
      expect_near(written.hidden, expected.hidden, kShare, "grad_hidden ");
      EXPECT_NEAR(metrics.grad_norm, expected_metrics.grad_norm,
                  kShare * expected_metrics.grad_norm);
      if (!frozen) {
        expect_near(written.weight, expected.weight, kShare, "grad_weight ");
        expect_near(written.bias, expected.bias, kShare, "grad_bias ");
      }
    }
  }
}

// ---- token_logprobs ----

struct Tokens {
  Head head;
  Tensor labels, grad_logp, grad_entropy;
  int32_t accumulate = 0;
  int64_t vocab = 0;

  Tokens(D type, int64_t rows, int64_t size, int64_t columns)
      : head(type, {rows}, size, columns),
        labels(D::i64, {rows}, random_labels(rows, columns - 7, 4)),
        grad_logp(D::f32, {rows}, normal_values(rows, 1, 5)),
        grad_entropy(D::f32, {rows}, normal_values(rows, 1, 6)) {}
};

// With `whole`, entropies are wanted and have a gradient.
lr_status run(Tokens& in, Written& written, Tensor& logp, bool whole, Tensor* entropy = nullptr,
              int64_t* bad = nullptr) {
  auto args = make_args<lr_linear_token_logprobs_args>();
  args.token_options = default_token_options();
  args.token_options.vocab = in.vocab;
  args.hidden = in.head.hidden;
  args.weight = in.head.weight;
  args.bias = in.head.bias;
  args.labels = in.labels;
  args.grad_logp = in.grad_logp;
  if (whole)
    args.grad_entropy = in.grad_entropy;
  if (entropy != nullptr)
    args.entropy = *entropy;
  args.logp = logp;
  written.ask(args, false);
  args.linear_options.accumulate = in.accumulate;
  return call(lr_linear_token_logprobs, args, bad);
}

// Entropies need not be wanted, nor as exact as their gradient needs them.
TEST(DeviceLinear, GradientOfEntropiesThatAreNotWanted) {
  Tokens in(D::f32, 35, 5, 41);
  Tensor logp(D::f64, {35}), entropy(D::bf16, {35});
  Written without(in.head), with(in.head);
  ASSERT_EQ(run(in, without, logp, true), LR_OK) << lr_last_error();
  ASSERT_EQ(run(in, with, logp, true, &entropy), LR_OK) << lr_last_error();
  EXPECT_EQ(without.bits(), with.bits());
  const OnCpu on_cpu;
  const TokenFigures figures = forward(in.head.logits(), in.labels);
  expect_near(entropy, figures.entropy.values(), 0x1p-8, "entropy ");
}

// Rows of the weight beyond the vocabulary are 0, or left alone.
TEST(DeviceLinear, GradientsAreWrittenOrAddedTo) {
  for (const D type : {D::f32, D::bf16}) {
    Tokens in(D::bf16, 35, 5, 41);
    in.vocab = 34;
    Tensor logp(D::f64, {35});
    Written plain(in.head, type), added(in.head, type);
    plain.weight.fill(NAN);
    plain.bias.fill(NAN);
    ASSERT_EQ(run(in, plain, logp, false), LR_OK) << lr_last_error();
    for (int64_t k = 34 * 5; k < 41 * 5; ++k)
      EXPECT_EQ(plain.weight.get(k), 0);
    for (int64_t k = 34; k < 41; ++k)
      EXPECT_EQ(plain.bias.get(k), 0);
    added.weight.fill(2);
    added.bias.fill(3);
    in.accumulate = 1;
    ASSERT_EQ(run(in, added, logp, false), LR_OK) << lr_last_error();
    std::vector<double> weight = plain.weight.values(), bias = plain.bias.values();
    for (double& value : weight)
      value += 2;
    for (double& value : bias)
      value += 3;
    expect_near(added.weight, weight, type == D::f32 ? 1e-6 : 0x1p-8, "grad_weight ");
    expect_near(added.bias, bias, 1e-6, "grad_bias ");
  }
}

TEST(DeviceLinear, StridedTensors) {
  Tokens in(D::bf16, 35, 5, 41), strided = in;
  Tensor wide_hidden(D::bf16, {35, 11}), wide_weight(D::bf16, {41, 7});
  wide_hidden.fill(NAN);
  wide_weight.fill(NAN);
  strided.head.hidden = wide_hidden.slice(1, 3, 8);
  strided.head.weight = wide_weight.slice(1, 1, 6);
  for (int64_t k = 0; k < in.head.hidden.size(); ++k)
    strided.head.hidden.set(k, in.head.hidden.get(k));
  for (int64_t k = 0; k < in.head.weight.size(); ++k)
    strided.head.weight.set(k, in.head.weight.get(k));
  Tensor logp(D::f64, {35}), logp_strided(D::f64, {35}), wide_gradient(D::f32, {41, 9}),
      wide_hidden_gradient(D::f32, {35, 8});
  Written plain(in.head), into(strided.head);
  into.weight = wide_gradient.slice(1, 2, 7);
  into.hidden = wide_hidden_gradient.slice(1, 1, 6);
  ASSERT_EQ(run(in, plain, logp, true), LR_OK) << lr_last_error();
  ASSERT_EQ(run(strided, into, logp_strided, true), LR_OK) << lr_last_error();
  EXPECT_EQ(into.bits(), plain.bits());
  EXPECT_EQ(logp_strided.bits(), logp.bits());
}

TEST(DeviceLinear, RowsOfTheWeightLieApart) {
  Tokens in(D::f32, 3, 5, 41);
  Tensor memory(D::f32, {205}), logp(D::f64, {3});
  DLTensor overlapping = *static_cast<const DLTensor*>(memory);
  int64_t shape[] = {41, 5}, strides[] = {3, 1};
  overlapping.ndim = 2;
  overlapping.shape = shape;
  overlapping.strides = strides;
  auto args = make_args<lr_linear_token_logprobs_args>();
  args.token_options = default_token_options();
  args.hidden = in.head.hidden;
  args.weight = &overlapping;
  args.labels = in.labels;
  args.logp = logp;
  EXPECT_EQ(call(lr_linear_token_logprobs, args), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(), "weight has rows 3 elements apart, expected at least 5");
}

TEST(DeviceLinear, NoRows) {
  Tokens in(D::bf16, 0, 5, 41);
  Tensor logp(D::f64, {0});
  for (const D type : {D::f32, D::bf16}) {
    Written written(in.head, type);
    written.weight.fill(NAN);
    written.bias.fill(NAN);
    ASSERT_EQ(run(in, written, logp, false), LR_OK) << lr_last_error();
    for (int64_t k = 0; k < written.weight.size(); ++k)
      EXPECT_EQ(written.weight.get(k), 0);
    for (int64_t k = 0; k < written.bias.size(); ++k)
      EXPECT_EQ(written.bias.get(k), 0);
  }
}

TEST(DeviceLinear, BadLabelsOfTokens) {
  Tokens in(D::f32, 35, 5, 41);
  in.labels.set(2, 41);
  in.labels.set(20, -7);
  in.labels.set(30, -100);
  Tensor logp(D::f64, {35});
  Written written(in.head);
  int64_t bad = 0;
  ASSERT_EQ(run(in, written, logp, true, nullptr, &bad), LR_OK) << lr_last_error();
  EXPECT_EQ(bad, 2);
  EXPECT_TRUE(std::isnan(logp.get(2)) && std::isnan(logp.get(20)));
  EXPECT_EQ(logp.get(30), 0);
  for (const int64_t row : {2, 20, 30}) {
    for (int64_t k = 0; k < 5; ++k)
      EXPECT_EQ(written.hidden.get(row * 5 + k), 0);
  }
}

// ---- The call itself ----

TEST(DeviceLinear, QueryTellsThePlan) {
  Tokens in(D::bf16, 35, 5, 41);
  Written written(in.head, D::bf16);
  Tensor logp(D::f64, {35});
  lr_cuda cuda{};
  cuda.size = sizeof cuda;
  auto args = make_args<lr_linear_token_logprobs_args>();
  args.token_options = default_token_options();
  args.hidden = in.head.hidden;
  args.weight = in.head.weight;
  args.labels = in.labels;
  args.grad_logp = in.grad_logp;
  args.logp = logp;
  args.grad_hidden = written.hidden;
  args.grad_weight = written.weight;
  args.plan = &written.plan;
  args.cuda = &cuda;
  ASSERT_EQ(lr_linear_token_logprobs(&args), LR_OK) << lr_last_error();
  const lr_linear_plan queried = written.plan;
  EXPECT_EQ(queried.method, LR_LINEAR_SWEEP);
  EXPECT_EQ(queried.rows, 35);
  EXPECT_EQ(queried.block_rows, kBlockRows);
  EXPECT_EQ(queried.block_columns, 41);
  EXPECT_EQ(queried.operations, 6);
  EXPECT_EQ(queried.kept_bytes, static_cast<uint64_t>(kBlockRows * 48 * 4));
  EXPECT_EQ(queried.accumulator_bytes, 41u * 5 * 4);
  EXPECT_EQ(queried.kept_bytes + queried.accumulator_bytes + queried.scratch_bytes,
            cuda.workspace_bytes);
  const WorkspaceMemory workspace(cuda.workspace_bytes);
  cuda.workspace = workspace.get();
  ASSERT_EQ(lr_linear_token_logprobs(&args), LR_OK) << lr_last_error();
  EXPECT_EQ(std::memcmp(&queried, &written.plan, sizeof queried), 0);
}

TEST(DeviceLinear, TellsWhatMakesTheProducts) {
  lr_gemm_info info{};
  EXPECT_EQ(lr_device_gemm(kDLExtDev, 0, nullptr), LR_INVALID_ARGUMENT);
  EXPECT_EQ(lr_device_gemm(kDLExtDev, 0, &info), LR_INVALID_ARGUMENT);
  info.size = sizeof info;
  EXPECT_EQ(lr_device_gemm(kDLCPU, 0, &info), LR_INVALID_ARGUMENT);
  EXPECT_EQ(lr_device_gemm(kDLExtDev, 1, &info), LR_UNAVAILABLE);
  ASSERT_EQ(lr_device_gemm(kDLExtDev, 0, &info), LR_OK) << lr_last_error();
  EXPECT_EQ(info.size, sizeof info);
  EXPECT_STREQ(info.library, "Logratio");
  EXPECT_STREQ(info.path, "");
  EXPECT_EQ(info.bfloat16, 1);
}

}  // namespace
}  // namespace logratio::test
