// Losses and sequences on a device against the CPU: the whole catalogue, every order of threads,
// and what device memory alone may hold.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support.h"
#include "support/loss_catalogue.h"
#include "support/tensor.h"

namespace logratio::test {
namespace {

constexpr uint64_t kSeeds[] = {1, 2, 3, 5, 8, 13};

void expect_same_numbers(const std::vector<double>& actual, const std::vector<double>& expected,
                         double tolerance, const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (size_t k = 0; k < expected.size(); ++k) {
    if (std::isfinite(expected[k])) {
      ASSERT_NEAR(actual[k], expected[k], tolerance * (1 + std::fabs(expected[k])))
          << what << " element " << k;
    } else if (std::isnan(expected[k])) {
      ASSERT_TRUE(std::isnan(actual[k])) << what << " element " << k << ": " << actual[k];
    } else {
      ASSERT_EQ(actual[k], expected[k]) << what << " element " << k;
    }
  }
}

struct Batch {
  std::vector<double> columns[4], counts[2], upstream;
};

Batch batch_of(int64_t pairs) {
  Batch batch;
  for (uint32_t column = 0; column < 4; ++column) {
    batch.columns[column] = normal_values(pairs, 8, 20 + column);
    for (double& value : batch.columns[column])
      value -= 30;
  }
  for (int64_t k = 0; k < pairs; ++k) {
    batch.counts[0].push_back(static_cast<double>(k % 9));
    batch.counts[1].push_back(static_cast<double>(3 + k % 4));
    if (k % 6 == 5) {  // ties, for losses that sort
      for (auto& column : batch.columns)
        column[k] = column[k - 1];
    }
  }
  batch.upstream = normal_values(2 * pairs, 1, 31);
  return batch;
}

enum class Upstream { given, absent };

struct Outputs {
  std::vector<Tensor> tensors;
  std::vector<std::vector<double>> values() const {
    std::vector<std::vector<double>> all;
    for (const Tensor& tensor : tensors)
      all.push_back(tensor.values());
    return all;
  }
  std::string bits() const {
    std::string all;
    for (const Tensor& tensor : tensors)
      all += tensor.bits();
    return all;
  }
};

// Every other element of a longer tensor.
Tensor strided(D type, int64_t count) {
  return Tensor(type, {2 * count + 1}).slice(0, 0, 2 * count, 2);
}

Tensor filled(Tensor tensor, const std::vector<double>& values) {
  for (int64_t k = 0; k < tensor.size(); ++k)
    tensor.set(k, values[static_cast<size_t>(k)]);
  return tensor;
}

Outputs run(const Configuration& c, const Batch& batch, Upstream upstream, D type = D::f64) {
  const auto pairs = static_cast<int64_t>(batch.columns[0].size());
  std::vector<Tensor> in;
  for (const auto& column : batch.columns)
    in.push_back(filled(strided(type, pairs), column));
  Tensor counts[2] = {filled(Tensor(D::i32, {pairs}), batch.counts[0]),
                      filled(Tensor(D::i32, {pairs}), batch.counts[1])};
  Tensor grad_loss = filled(Tensor(D::f64, {c.two_values ? 2 * pairs : pairs}), batch.upstream);
  Outputs out;
  out.tensors.reserve(10);  // the arguments point into it
  out.tensors.push_back(Tensor(type, {c.two_values ? 2 * pairs : pairs}));
  for (int k = 0; k < 6; ++k)
    out.tensors.push_back(k % 2 == 0 ? strided(type, pairs) : Tensor(type, {pairs}));
  auto args = make_args<lr_pair_loss_args>();
  args.loss_options = &c.options;
  args.policy_chosen = in[0];
  args.policy_rejected = in[1];
  args.chosen_counts = counts[0];
  args.rejected_counts = counts[1];
  if (upstream == Upstream::given)
    args.grad_loss = grad_loss;
  args.loss = out.tensors[0];
  args.chosen_rewards = out.tensors[1];
  args.rejected_rewards = out.tensors[2];
  args.grad_policy_chosen = out.tensors[3];
  args.grad_policy_rejected = out.tensors[4];
  if (!c.reference_free) {
    args.reference_chosen = in[2];
    args.reference_rejected = in[3];
    args.grad_reference_chosen = out.tensors[5];
    args.grad_reference_rejected = out.tensors[6];
  }
  const bool dlrml = c.options.loss == loss_options("dlrml").loss,
             discopop = c.options.loss == loss_options("discopop").loss;
  if (dlrml || discopop) {
    for (int k = 0; k < 3; ++k)
      out.tensors.push_back(Tensor(type, {1}));
    args.grad_tau = out.tensors[7];
    (dlrml ? args.grad_beta_kl : args.grad_beta) = out.tensors[8];
    if (dlrml)
      args.grad_beta_mix = out.tensors[9];
  }
  EXPECT_EQ(call(lr_pair_loss, args), LR_OK) << c.label << ": " << lr_last_error();
  return out;
}

std::vector<std::vector<double>> run_on_cpu(const Configuration& c, const Batch& batch,
                                            Upstream upstream) {
  const OnCpu cpu;
  return run(c, batch, upstream).values();
}

TEST(DeviceLosses, CatalogueIsThatOfTheCpu) {
  for (int64_t pairs : {2, 41, 300}) {
    const Batch batch = batch_of(pairs);
    for (const Configuration& c : catalogue()) {
      for (Upstream upstream : {Upstream::given, Upstream::absent}) {
        const auto expected = run_on_cpu(c, batch, upstream),
                   actual = run(c, batch, upstream).values();
        const std::string what = c.label + " of " + std::to_string(pairs);
        for (size_t k = 0; k < expected.size(); ++k)
          expect_same_numbers(actual[k], expected[k], 1e-12, what + " output " + std::to_string(k));
      }
    }
  }
}

TEST(DeviceLosses, NoOrderOfThreadsChangesABit) {
  const Batch batch = batch_of(270);
  for (const Configuration& c : catalogue()) {
    std::string first;
    for (uint64_t seed : kSeeds) {
      set_emulator_seed(seed);
      const std::string bits = run(c, batch, Upstream::given).bits();
      if (first.empty())
        first = bits;
      ASSERT_EQ(bits, first) << c.label << " with seed " << seed;
    }
  }
}

TEST(DeviceLosses, OutputsRoundOnce) {
  const Batch exact = batch_of(41);
  for (D type : {D::f32, D::bf16, D::f16}) {
    Batch batch = exact;
    for (auto& column : batch.columns)
      column = filled(Tensor(type, {41}), column).values();
    for (const char* name : {"dlrml", "aot", "kto_pair", "dbaql"}) {
      const Configuration c{name, loss_options(name), false, std::string(name) == "kto_pair"};
      const Outputs wide = run(c, batch, Upstream::given),
                    narrow = run(c, batch, Upstream::given, type);
      for (size_t k = 0; k < wide.tensors.size(); ++k) {
        const std::vector<double> values = wide.tensors[k].values();
        const auto count = static_cast<int64_t>(values.size());
        EXPECT_EQ(narrow.tensors[k].bits(), filled(Tensor(type, {count}), values).bits())
            << name << " output " << k;
      }
    }
  }
}

TEST(DeviceLosses, ExtremesAreThoseOfTheCpu) {
  for (const Configuration& c : catalogue()) {
    for (double rho : {-5000.0, -800.0, -40.0, 40.0, 800.0, 5000.0, HUGE_VAL, -HUGE_VAL,
                       static_cast<double>(NAN)}) {
      Batch batch{
          {{-6000 + rho, -5000, -2}, {-6000, -5001, -3}, {-6000, -5000, -1}, {-6000, -5000, -1}},
          {{50, 40, 0}, {60, 40, 1}},
          {.5, .5, 0, 1, 1, 1}};
      const auto expected = run_on_cpu(c, batch, Upstream::given),
                 actual = run(c, batch, Upstream::given).values();
      for (size_t k = 0; k < expected.size(); ++k) {
        expect_same_numbers(
            actual[k], expected[k], 1e-11,
            c.label + " at " + std::to_string(rho) + " output " + std::to_string(k));
      }
    }
  }
}

// NaN goes last, equal values in the order of their pairs, and -0 is 0.
TEST(DeviceLosses, SortsAsTheCpuDoes) {
  for (int64_t pairs : {1, 2, 3, 127, 128, 129, 511}) {
    Batch batch = batch_of(pairs);
    for (int64_t k = 0; k < pairs; ++k) {
      for (int column = 0; column < 4; ++column)
        batch.columns[column][k] = static_cast<double>((k * 7 + column) % 5) - 2;
      if (k % 17 == 3)
        batch.columns[k % 4][k] = NAN;
      if (k % 17 == 5)
        batch.columns[0][k] = -HUGE_VAL;
      if (k % 17 == 6)
        batch.columns[0][k] = batch.columns[1][k] = -0.0;
    }
    for (const char* name : {"aot", "aot_unpaired"}) {
      const Configuration c{name, loss_options(name)};
      const auto expected = run_on_cpu(c, batch, Upstream::given),
                 actual = run(c, batch, Upstream::given).values();
      for (size_t k = 0; k < expected.size(); ++k) {
        expect_same_numbers(
            actual[k], expected[k], 1e-12,
            std::string(name) + " of " + std::to_string(pairs) + " output " + std::to_string(k));
      }
    }
  }
}

TEST(DeviceLosses, LearnedParametersAreReadOnTheDevice) {
  const Batch batch = batch_of(41);
  lr_loss_options options = loss_options("dlrml"), replaced = options;
  replaced.beta_kl = .25;
  replaced.beta_mix = -.75;
  replaced.tau = .5;
  const std::vector<double> expected =
      run({"dlrml", replaced}, batch, Upstream::given).tensors[0].values();
  Tensor in[4] = {Tensor(D::f64, {41}, batch.columns[0]), Tensor(D::f64, {41}, batch.columns[1]),
                  Tensor(D::f64, {41}, batch.columns[2]), Tensor(D::f64, {41}, batch.columns[3])};
  Tensor beta_kl(D::bf16, {1}, {.25}), beta_mix(D::f32, {1}, {-.75}), tau(D::f64, {1}, {.5}),
      loss(D::f64, {41}), rewards(D::f64, {41});
  auto args = make_args<lr_pair_loss_args>();
  args.loss_options = &options;
  args.policy_chosen = in[0];
  args.policy_rejected = in[1];
  args.reference_chosen = in[2];
  args.reference_rejected = in[3];
  args.beta_kl = beta_kl;
  args.beta_mix = beta_mix;
  args.tau = tau;
  args.loss = loss;
  args.chosen_rewards = rewards;
  ASSERT_EQ(call(lr_pair_loss, args), LR_OK) << lr_last_error();
  EXPECT_EQ(loss.values(), expected);
  EXPECT_EQ(rewards.get(7), .25 * (batch.columns[0][7] - batch.columns[2][7]));
  // Their values are unchecked here: what is no parameter gives no number, and no error.
  tau.set(0, NAN);
  ASSERT_EQ(call(lr_pair_loss, args), LR_OK) << lr_last_error();
  EXPECT_TRUE(std::isnan(loss.get(0)));
}

TEST(DeviceLosses, UnpairedIsThatOfTheCpu) {
  for (const char* name : {"kto", "apo_zero_unpaired", "bco"}) {
    for (int64_t examples : {0, 1, 41, 700}) {
      const bool kto = std::string(name) == "kto";
      const lr_loss_options options = loss_options(name);
      Tensor policy(D::f32, {examples}, normal_values(examples, 9, 1)),
          reference(D::f64, {examples}, normal_values(examples, 9, 2)), chosen(D::u8, {examples});
      for (int64_t k = 0; k < examples; ++k)
        chosen.set(k, k % 3 == 0 ? 5 : 0);
      if (examples > 4)
        policy.set(3, -HUGE_VAL), policy.set(4, NAN);
      Tensor kl_policy(D::f64, {300}, normal_values(300, 1, 3)),
          kl_reference(D::f64, {300}, normal_values(300, 1, 5)),
          up(D::f64, {examples}, normal_values(examples, 1, 4));
      for (bool given : {true, false}) {
        const auto all = [&] {
          std::vector<Tensor> out;
          for (int k = 0; k < 5; ++k)
            out.push_back(Tensor(D::f64, {k == 4 ? 1 : examples}));
          auto args = make_args<lr_unpaired_loss_args>();
          args.loss_options = &options;
          args.policy_logps = policy;
          args.reference_logps = reference;
          args.chosen = chosen;
          if (kto && given) {
            args.kl_policy_logps = kl_policy;
            args.kl_reference_logps = kl_reference;
          }
          if (given)
            args.grad_loss = up;
          args.loss = out[0];
          args.rewards = out[1];
          args.grad_policy_logps = out[2];
          args.grad_reference_logps = out[3];
          args.kl = out[4];
          EXPECT_EQ(call(lr_unpaired_loss, args), LR_OK) << lr_last_error();
          return Outputs{out};
        };
        const auto expected = [&] {
          const OnCpu cpu;
          return all().values();
        }();
        const Outputs actual = all();
        for (size_t k = 0; k < expected.size(); ++k)
          expect_same_numbers(actual.values()[k], expected[k], 1e-12,
                              std::string(name) + " output " + std::to_string(k));
        for (uint64_t seed : kSeeds) {
          set_emulator_seed(seed);
          EXPECT_EQ(all().bits(), actual.bits()) << name;
        }
      }
    }
  }
}

// ---- Sequences ----

struct Sequences {
  std::vector<double> logps, counts, gradient;
  int64_t bad = 0;
  std::string bits;
};

Sequences reduce(const lr_sequence_options& options, Tensor token_logps, Tensor mask) {
  const int64_t sequences = mask.shape()[0];
  Tensor up(D::f32, {sequences}, normal_values(sequences, 1, 4)), logps(D::f64, {sequences}),
      counts(D::f64, {sequences}), gradient(D::f64, mask.shape());
  auto args = make_args<lr_sequence_logps_args>();
  args.token_logps = token_logps;
  args.mask = mask;
  args.options = options;
  args.grad_logps = up;
  args.logps = logps;
  args.counts = counts;
  args.grad_token_logps = gradient;
  Sequences result;
  EXPECT_EQ(call(lr_sequence_logps, args, &result.bad), LR_OK) << lr_last_error();
  result.logps = logps.values();
  result.counts = counts.values();
  result.gradient = gradient.values();
  result.bits = logps.bits() + counts.bits() + gradient.bits();
  return result;
}

TEST(DeviceSequences, EveryOptionIsThatOfTheCpu) {
  for (int64_t tokens : {1, 31, 507, 1271}) {
    const int64_t sequences = 6;
    const std::vector<double> coin = normal_values(sequences * tokens, 1, 5);
    for (D type : {D::boolean, D::f32}) {
      Tensor mask = Tensor(type, {sequences, 2 * tokens}).slice(1, 0, tokens);
      Tensor token_logps(D::bf16, {sequences, tokens}, normal_values(sequences * tokens, 3, 6));
      for (int64_t k = 0; k < mask.size(); ++k) {
        const double value = coin[static_cast<size_t>(k)];
        const bool counts =
            value > -.5 && k / tokens != 2 && k % tokens < tokens - 20 * (k / tokens);
        mask.set(k, !counts ? 0 : type == D::f32 ? std::fabs(value) : 1);
        if (!counts)
          token_logps.set(k, NAN);
      }
      for (int reduction : {LR_SUM, LR_MEAN}) {
        for (int align : {LR_ALIGN_COMPLETION, LR_ALIGN_ABSOLUTE}) {
          for (const auto& [tail, keep] :
               {std::pair{1.0, 1.0}, {.3, 1.0}, {.3, .6}, {0.0, 1.0}, {0.0, .01}}) {
            const lr_sequence_options options{reduction, align, tail, keep};
            const Sequences expected = [&] {
              const OnCpu cpu;
              return reduce(options, token_logps, mask);
            }();
            std::string first;
            for (uint64_t seed : kSeeds) {
              set_emulator_seed(seed);
              const Sequences actual = reduce(options, token_logps, mask);
              const std::string what = std::to_string(tokens) + " tokens, align " +
                                       std::to_string(align) + " tail " + std::to_string(tail);
              expect_same_numbers(actual.logps, expected.logps, 1e-13, what);
              expect_same_numbers(actual.counts, expected.counts, 1e-13, what);
              expect_same_numbers(actual.gradient, expected.gradient, 1e-13, what);
              EXPECT_EQ(actual.bad, 0);
              if (first.empty())
                first = actual.bits;
              ASSERT_EQ(actual.bits, first) << what;
            }
          }
        }
      }
    }
  }
}

TEST(DeviceSequences, BadWeightsCountAsNothingAndAreCounted) {
  Tensor mask(D::f32, {2, 5}, {1, NAN, .5, -1, 2, HUGE_VAL, 1, 0, 1, 1}),
      clean(D::f32, {2, 5}, {1, 0, .5, 0, 2, 0, 1, 0, 1, 1});
  Tensor token_logps(D::f64, {2, 5}, {-1, -2, -3, -4, -5, -6, -7, -8, -9, -10});
  for (double tail : {1.0, .5}) {
    const lr_sequence_options options{LR_SUM, LR_ALIGN_COMPLETION, tail, 1};
    const Sequences bad = reduce(options, token_logps, mask),
                    good = reduce(options, token_logps, clean);
    EXPECT_EQ(bad.bits, good.bits);
    EXPECT_EQ(bad.bad, 3);
    EXPECT_EQ(good.bad, 0);
  }
}

}  // namespace
}  // namespace logratio::test
