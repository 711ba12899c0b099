// Every loss of the catalogue: published values, central differences of all gradients, extremes,
// and what a loss refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/loss_catalogue.h"
#include "support/tensor.h"

namespace logratio::test {
namespace {

struct Batch {
  std::vector<double>
      columns[4];  // policy chosen, policy rejected, reference chosen, reference rejected
  std::vector<double> counts[2];
  std::vector<double> upstream;  // one for each value
};

struct Result {
  std::vector<double> loss;
  std::vector<double> gradient[4];
};

Result run(const Configuration& c, const Batch& batch) {
  const auto pairs = static_cast<int64_t>(batch.columns[0].size());
  const int64_t values = c.two_values ? 2 * pairs : pairs;
  std::vector<Tensor> in, out;
  for (const auto& column : batch.columns)
    in.emplace_back(D::f64, std::vector<int64_t>{pairs}, column);
  for (const auto& column : batch.counts)
    in.emplace_back(D::f64, std::vector<int64_t>{pairs}, column);
  for (int k = 0; k < 4; ++k)
    out.emplace_back(D::f64, std::vector<int64_t>{pairs});
  Tensor loss(D::f64, {values}), upstream(D::f64, {values}, batch.upstream);
  auto args = make_args<lr_pair_loss_args>();
  args.loss_options = &c.options;
  args.policy_chosen = in[0];
  args.policy_rejected = in[1];
  args.chosen_counts = in[4];
  args.rejected_counts = in[5];
  args.grad_policy_chosen = out[0];
  args.grad_policy_rejected = out[1];
  if (!c.reference_free) {
    args.reference_chosen = in[2];
    args.reference_rejected = in[3];
    args.grad_reference_chosen = out[2];
    args.grad_reference_rejected = out[3];
  }
  args.grad_loss = upstream;
  args.loss = loss;
  EXPECT_EQ(call(lr_pair_loss, args), LR_OK) << c.label << ": " << lr_last_error();
  Result result{loss.values(), {}};
  for (int k = 0; k < 4; ++k) {
    result.gradient[k] = c.reference_free && k > 1
                             ? std::vector<double>(static_cast<size_t>(pairs), 0.0)
                             : out[static_cast<size_t>(k)].values();
  }
  return result;
}

double weighted_loss(const Configuration& c, const Batch& batch) {
  const Result r = run(c, batch);
  double sum = 0;
  for (size_t k = 0; k < r.loss.size(); ++k)
    sum += batch.upstream[k] * r.loss[k];
  return sum;
}

TEST(LossCatalogue, GradientsAgreeWithCentralDifferences) {
  const Batch pairs{{{-4.1, -1.3, -2.0, -9.3, -3.3},
                     {-3.9, -2.0, -1.1, -4.2, -7.7},
                     {-4.4, -1.5, -2.55, -7.9, -3.0},
                     {-4.6, -1.25, -1.2, -5.0, -6.1}},
                    {{3, 2, 4, 7, 5}, {2, 5, 3, 4, 6}},
                    {.3, -1.1, .8, .5, .9, .2, .4, -.6, 1.3, .7}};
  const double h = 1e-5;
  for (const Configuration& c : catalogue()) {
    Batch batch = pairs;
    batch.upstream.resize(c.two_values ? 10 : 5);
    const Result r = run(c, batch);
    const bool detached =
        c.options.loss == loss_options("kto_pair").loss && c.options.detach == LR_DETACH_ON;
    if (detached)
      continue;  // not the gradient of its value; see KtoPairDetached
    for (int column = 0; column < (c.reference_free ? 2 : 4); ++column) {
      for (size_t k = 0; k < 5; ++k) {
        Batch more = batch, less = batch;
        more.columns[column][k] += h;
        less.columns[column][k] -= h;
        const double expected = (weighted_loss(c, more) - weighted_loss(c, less)) / (2 * h);
        EXPECT_NEAR(r.gradient[column][k], expected, 3e-8 * (1 + std::fabs(expected)))
            << c.label << " column " << column << " pair " << k;
      }
    }
  }
}

// The published batch: rho = (-4, -.5, .5, 10), beta and tau .05, gradients of the mean by rho.
struct Published {
  const char* name;
  int variant;
  double loss[4];
  double gradient[4];
};

TEST(LossCatalogue, PublishedBatch) {
  const Published table[] = {
      {"dbaql",
       LR_VARIANT_REPO,
       {0.81041847152031509, 0.70713251696537055, 0.67935473918759276, 0.45346347999593707},
       {-0.0077128896564214955, -0.0070408888603924028, -0.0068480000284963261,
        -0.0050635616769676730}},
      {"aql",
       LR_VARIANT_REPO,
       {0.80254024851002357, 0.79139228883408530, 0.82762901662764536, 0.49999805358902237},
       {-0.0058593688449807067, 0.0076730079886257166, 0.0090481000652123637,
        -0.012512035899666627}},
      {"aql",
       LR_VARIANT_OLD,
       {0.97654387705033896, 0.86135988304996236, 0.82785096999621324, 0.49005927428229311},
       {-0.0081322199613419385, -0.0083407826656602426, -0.0084172855168198159,
        -0.0094409072396167077}},
      {"aqfl",
       LR_VARIANT_REPO,
       {0.93274263239254747, 0.83880264046732151, 0.81058952490997467, 0.48259757857365594},
       {-0.0055405311687714286, -0.0047104709672771510, -0.0050540170364233138,
        -0.0087334505210891917}},
      {"aqfl",
       LR_VARIANT_PAPER,
       {0.83911407789973539, 0.75002910807787834, 0.72520549332300844, 0.48224973615236662},
       {-0.00068503374324243583, 0.0019500145285480651, 0.0010191627590925521,
        -0.015336045946574643}},
      {"padll",
       LR_VARIANT_REPO,
       {0.35916249122171633, 0.31757638658648619, 0.61265277317297238, 0.42666928576209601},
       {-0.0030928162348826882, -0.0028476544190597462, -0.0055546911618805076,
        -0.0042473325239791361}},
      {"cell",
       LR_VARIANT_REPO,
       {1.0097708137708808, 0.86552021202497685, 0.82801760777692877, 0.54030382194637005},
       {-0.011070229721704048, -0.0095722799688996205, -0.0091816264845551390,
        -0.0061504458031923679}},
      {"pfl",
       LR_VARIANT_REPO,
       {2.4, 0.35286265176276243, 1.95, 0.23703849209005334},
       {-0.025, -0.0031640604656219402, -0.025, -0.0023596291799884090}},
      {"pfl",
       LR_VARIANT_PAPER,
       {10, 0.48703849209005334, 1, 2.2699449608432323e-5},
       {-0.5, -0.077807416400231821, -0.5, -5.6747335878042993e-6}},
  };
  const std::vector<double> rho{-4, -.5, .5, 10}, zeros(4, 0.0);
  for (const Published& row : table) {
    Configuration c{row.name, loss_options(row.name)};
    c.options.variant = row.variant;
    Batch batch{{rho, zeros, zeros, zeros}, {{1, 1, 1, 1}, {1, 1, 1, 1}}, {.25, .25, .25, .25}};
    if (c.label == "pfl") {  // the policy ranks the second and the fourth pair rightly
      batch.columns[0] = {-1, 1, -1, 1};
      for (int k = 0; k < 4; ++k)
        batch.columns[2][k] = batch.columns[0][k] - rho[k];
    }
    const Result r = run(c, batch);
    for (int k = 0; k < 4; ++k) {
      EXPECT_NEAR(r.loss[k], row.loss[k], 3e-15 * (1 + row.loss[k]))
          << row.name << " " << row.variant << " pair " << k;
      EXPECT_NEAR(r.gradient[0][k], row.gradient[k], 1e-16 + 3e-15 * std::fabs(row.gradient[k]))
          << row.name << " " << row.variant << " pair " << k;
      EXPECT_EQ(r.gradient[3][k], r.gradient[0][k]);
    }
  }
}

TEST(LossCatalogue, KtoPairDetached) {
  Configuration live{"kto_pair", loss_options("kto_pair")}, detached = live;
  live.two_values = detached.two_values = true;
  detached.options.detach = LR_DETACH_ON;
  const Batch batch{
      {{-1, -2}, {-3, -1.5}, {-1.5, -2.2}, {-3.5, -1.6}}, {{1, 1}, {1, 1}}, {.25, .25, .25, .25}};
  const Result a = run(live, batch), b = run(detached, batch);
  EXPECT_EQ(a.loss, b.loss);
  // Means of the log-ratios: .35 of the chosen, .3 of the rejected.
  const auto slope = [](double x) {
    return std::exp(-x) / ((1 + std::exp(-x)) * (1 + std::exp(-x)));
  };
  EXPECT_NEAR(b.gradient[0][0], -.25 * .1 * slope(.1 * (.5 - .3)), 1e-16);
  EXPECT_NEAR(b.gradient[1][1], .25 * .1 * slope(.1 * (.1 - .35)), 1e-16);
  EXPECT_NE(a.gradient[0][0], b.gradient[0][0]);
}

TEST(LossCatalogue, AotGoesBackThroughTheSort) {
  const Configuration c{"aot", loss_options("aot")};
  // lw-ll = (3, 1, 2), rw-rl = (0, 5, 5): the ranks hold pairs (1, 2, 0) and (0, 1, 2).
  const Batch batch{
      {{3, 1, 2}, {0, 0, 0}, {0, 5, 5}, {0, 0, 0}}, {{1, 1, 1}, {1, 1, 1}}, {1, 1, 1}};
  const Result r = run(c, batch);
  const double d[] = {1 - 0, 2 - 5, 3 - 5};
  double slope[3];
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_NEAR(r.loss[rank], std::log1p(std::exp(-.1 * d[rank])), 1e-15);
    slope[rank] = -.1 / (1 + std::exp(.1 * d[rank]));
  }
  const int first_pair[] = {1, 2, 0}, second_pair[] = {0, 1, 2};
  for (int rank = 0; rank < 3; ++rank) {
    EXPECT_NEAR(r.gradient[0][first_pair[rank]], slope[rank], 1e-16);
    EXPECT_NEAR(r.gradient[1][first_pair[rank]], -slope[rank], 1e-16);
    EXPECT_NEAR(r.gradient[2][second_pair[rank]], -slope[rank], 1e-16);
    EXPECT_NEAR(r.gradient[3][second_pair[rank]], slope[rank], 1e-16);
  }
}

// More pairs than a block holds: the same numbers as pair by pair, for losses that look at no other
// pair.
TEST(LossCatalogue, BlocksDoNotMatter) {
  const int64_t n = 131;
  Batch batch;
  for (int64_t k = 0; k < n; ++k) {
    const double x = static_cast<double>(k);
    for (int column = 0; column < 4; ++column)
      batch.columns[column].push_back(-20 - 9 * std::sin(x * (column + 1.3)));
    batch.counts[0].push_back(static_cast<double>(1 + k % 7));
    batch.counts[1].push_back(static_cast<double>(1 + k % 5));
    batch.upstream.push_back(.01 * static_cast<double>(k % 11 - 4));
  }
  for (const char* name :
       {"dlrml", "sigmoid_norm", "exo_pair", "apo_down", "pfl", "simpo", "alphapo"}) {
    Configuration c{name, loss_options(name)};
    c.reference_free = std::string(name) == "simpo" || std::string(name) == "alphapo";
    const Result all = run(c, batch);
    for (int64_t k : {0L, 1L, 63L, 64L, 65L, 127L, 128L, 130L}) {
      Batch one;
      for (int column = 0; column < 4; ++column)
        one.columns[column] = {batch.columns[column][k]};
      one.counts[0] = {batch.counts[0][k]};
      one.counts[1] = {batch.counts[1][k]};
      one.upstream = {batch.upstream[k]};
      const Result single = run(c, one);
      EXPECT_EQ(single.loss[0], all.loss[k]) << name << " pair " << k;
      for (int column = 0; column < 4; ++column)
        EXPECT_EQ(single.gradient[column][0], all.gradient[column][k]) << name << " pair " << k;
    }
  }
}

TEST(LossCatalogue, ExtremesGiveNumbers) {
  for (const Configuration& c : catalogue()) {
    for (double rho : {-5000.0, -800.0, -40.0, 0.0, 40.0, 800.0, 5000.0}) {
      for (bool chosen : {true, false}) {
        // Log-probs are at most 0: the pair's difference is rho, by the chosen or by the rejected
        // answer.
        Batch batch{{{-6000 + (chosen ? rho : 0), -5000},
                     {-6000 - (chosen ? 0 : rho), -5001},
                     {-6000, -5000},
                     {-6000, -5000}},
                    {{50, 40}, {60, 40}},
                    {.5, .5, .5, .5}};
        batch.upstream.resize(c.two_values ? 4 : 2);
        const Result r = run(c, batch);
        for (double value : r.loss)
          EXPECT_FALSE(std::isnan(value)) << c.label << " at " << rho;
        for (const auto& column : r.gradient) {
          for (double value : column)
            EXPECT_FALSE(std::isnan(value)) << c.label << " at " << rho;
        }
      }
    }
  }
}

TEST(LossCatalogue, OrpoWhereTheChosenIsCertain) {
  Configuration c{"orpo", loss_options("orpo"), true};
  const Result r = run(c, {{{0}, {-2}, {0}, {0}}, {{4}, {2}}, {1}});
  EXPECT_EQ(r.loss[0], 0);
  const double pl = std::exp(-1.0);
  EXPECT_NEAR(r.gradient[0][0], -.25 - .1 * pl / (1 - pl) / 4, 1e-15);
  EXPECT_EQ(r.gradient[1][0], 0);
  // log(1 - p) near p = 1 keeps its digits.
  const Result near_one = run(c, {{{-4e-12}, {-2}, {0}, {0}}, {{4}, {2}}, {1}});
  const double odds = -1e-12 + 1 - (std::log(-std::expm1(-1e-12)) - std::log1p(-pl));
  EXPECT_NEAR(near_one.loss[0], 1e-12 + .1 * std::log1p(std::exp(-odds)), 1e-24);
}

// Rounding puts a log-prob above 0 now and then; it is the limit at 0 that counts.
TEST(LossCatalogue, OrpoAtTheLimits) {
  const Configuration c{"orpo", loss_options("orpo"), true};
  const double pw = std::exp(-1.0);
  for (double zero : {0.0, -0.0, 1e-17, 2e-7}) {
    const Result r = run(c, {{{-4, zero, zero}, {zero, zero, -2}, {0, 0, 0}, {0, 0, 0}},
                             {{4, 4, 4}, {2, 2, 2}},
                             {1, 1, 1}});
    EXPECT_EQ(r.loss[0], INFINITY) << zero;
    EXPECT_NEAR(r.gradient[0][0], -.25 - .1 / (1 - pw) / 4, 1e-15) << zero;
    EXPECT_EQ(r.gradient[1][0], INFINITY) << zero;
    EXPECT_NEAR(r.loss[1], .1 * std::log(2), 1e-16) << zero;
    EXPECT_EQ(r.gradient[0][1], -.25) << zero;
    EXPECT_EQ(r.gradient[1][1], 0) << zero;
    EXPECT_EQ(r.loss[2], 0) << zero;
    EXPECT_NEAR(r.gradient[0][2], -.25 - .1 * pw / (1 - pw) / 4, 1e-15) << zero;
    EXPECT_EQ(r.gradient[1][2], 0) << zero;
  }
}

// A NaN of one pair, in a log-prob or upstream, is no matter of the others.
TEST(LossCatalogue, PairsWithoutStatisticsStandAlone) {
  for (const char* name : {"cpo", "orpo", "sigmoid", "pfl"}) {
    const Configuration c{name, loss_options(name),
                          std::string(name) == "cpo" || std::string(name) == "orpo"};
    const Batch good{{{-3, -2, -1}, {-4, -1, -2}, {-3, -3, -3}, {-2, -2, -2}},
                     {{1, 1, 1}, {1, 1, 1}},
                     {1, 2, 3}};
    Batch bad = good;
    bad.columns[0][1] = bad.upstream[1] = NAN;
    const Result expected = run(c, good), actual = run(c, bad);
    for (size_t k : {0u, 2u}) {
      EXPECT_EQ(actual.loss[k], expected.loss[k]) << name;
      for (int column = 0; column < 4; ++column)
        EXPECT_EQ(actual.gradient[column][k], expected.gradient[column][k]) << name;
    }
    EXPECT_TRUE(std::isnan(actual.loss[1])) << name;
  }
}

TEST(LossCatalogue, OrpoWhereTheChosenIsImpossible) {
  const Configuration c{"orpo", loss_options("orpo"), true};
  const double pl = std::exp(-2.0);
  for (double chosen : {-700.0, -800.0, -1e6, -HUGE_VAL}) {
    const Result r = run(c, {{{chosen, -3}, {-2, -4}, {0, 0}, {0, 0}}, {{1, 1}, {1, 1}}, {1, 1}});
    EXPECT_NEAR(r.gradient[0][0], -1 - .1, 1e-15) << chosen;
    EXPECT_NEAR(r.gradient[1][0], .1 / (1 - pl), 1e-15) << chosen;
    // The other pair is as it is alone.
    const Result other = run(c, {{{-3}, {-4}, {0}, {0}}, {{1}, {1}}, {1}});
    EXPECT_EQ(r.loss[1], other.loss[0]) << chosen;
    EXPECT_EQ(r.gradient[0][1], other.gradient[0][0]) << chosen;
    EXPECT_EQ(r.gradient[1][1], other.gradient[1][0]) << chosen;
  }
}

TEST(LossCatalogue, EmptyBatch) {
  for (const Configuration& c : catalogue()) {
    const Result r = run(c, {});
    EXPECT_TRUE(r.loss.empty());
  }
}

TEST(LossCatalogue, Refusals) {
  Tensor one(D::f64, {1}, {-1}), other(D::f64, {1}, {-1}), more(D::f64, {1}, {-1}),
      rest(D::f64, {1}, {-1}), out(D::f64, {1});
  auto args = make_args<lr_pair_loss_args>();
  args.policy_chosen = one;
  args.policy_rejected = other;
  args.reference_chosen = more;
  args.reference_rejected = rest;
  args.loss = out;
  const auto refuse = [&args](const lr_loss_options& options, const char* text) {
    args.loss_options = &options;
    EXPECT_EQ(call(lr_pair_loss, args), LR_INVALID_ARGUMENT) << text;
    EXPECT_EQ(last_error(), text);
  };
  refuse(loss_options("dbaql"),
         "policy_chosen is F64 [1], expected at least 2 pairs, or none, as loss dbaql takes their "
         "variance");
  refuse(loss_options("aqfl"),
         "policy_chosen is F64 [1], expected at least 2 pairs, or none, as loss aqfl takes their "
         "variance");
  refuse(loss_options("simpo"),
         "reference_chosen is given, expected it absent as loss simpo has no reference");
  refuse(loss_options("kto"), "loss is kto, expected a loss of pairs");
  refuse(loss_options("sft"), "loss is sft, expected a loss of pairs");
  refuse(loss_options("kto_pair"),
         "loss is F64 [1], expected shape [2], as policy_chosen is F64 [1]");
  lr_loss_options options = loss_options("exo_pair");
  options.label_smoothing = 0;
  refuse(options, "label_smoothing is 0.0, expected a number in (0,0.5)");
  options = loss_options("robust");
  options.label_smoothing = .5;
  refuse(options, "label_smoothing is 0.5, expected a number in [0,0.5)");
  options = loss_options("hinge");
  options.label_smoothing = .1;
  refuse(options,
         "label_smoothing is 0.1, and the loss hinge has no such option: leave it as lr_loss_init "
         "sets it");
  options = loss_options("discopop");
  options.variant = LR_VARIANT_PAPER;
  refuse(options, "variant is 2, expected 0 to 1");
  args.beta_mix = out;
  refuse(loss_options("sigmoid"),
         "beta_mix is given as a tensor, expected a loss with the option beta_mix, not sigmoid");
}

TEST(UnpairedLoss, Values) {
  const std::vector<double> policy{-3, -2, -4.5}, reference{-3.5, -1, -4};
  Tensor p(D::f64, {3}, policy), r(D::f64, {3}, reference), chosen(D::boolean, {3}, {1, 0, 0}),
      klp(D::f64, {2}, {-1, -2}), klr(D::f64, {2}, {-1.4, -2.2});
  Tensor loss(D::f64, {3}), rewards(D::f64, {3}), kl(D::f64, {1}), gp(D::f64, {3}), gr(D::f64, {3});
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  for (const char* name : {"kto", "apo_zero_unpaired", "bco"}) {
    lr_loss_options options = loss_options(name);
    const bool kto = std::string(name) == "kto", bco = std::string(name) == "bco";
    if (kto)
      options.desirable_weight = 1.5;
    if (kto || bco)
      options.undesirable_weight = .7;
    if (bco)
      options.delta = .2;
    auto args = make_args<lr_unpaired_loss_args>();
    args.loss_options = &options;
    args.policy_logps = p;
    args.reference_logps = r;
    args.chosen = chosen;
    if (kto) {
      args.kl_policy_logps = klp;
      args.kl_reference_logps = klr;
    }
    args.loss = loss;
    args.rewards = rewards;
    args.kl = kl;
    args.grad_policy_logps = gp;
    args.grad_reference_logps = gr;
    ASSERT_EQ(call(lr_unpaired_loss, args), LR_OK) << lr_last_error();
    EXPECT_NEAR(kl.get(0), kto ? .3 : 0, 1e-16);
    for (int k = 0; k < 3; ++k) {
      const auto value = [&](double d) {
        const bool good = k == 0;
        if (kto)
          return good ? 1.5 * (1 - sigmoid(.1 * (d - .3))) : .7 * (1 - sigmoid(.1 * (.3 - d)));
        if (bco)
          return good ? -std::log(sigmoid(.1 * d - .2)) : -.7 * std::log(sigmoid(.2 - .1 * d));
        return good ? 1 - sigmoid(.1 * d) : sigmoid(.1 * d);
      };
      const double d = policy[k] - reference[k], h = 1e-5;
      EXPECT_NEAR(loss.get(k), value(d), 1e-15) << name;
      EXPECT_NEAR(rewards.get(k), .1 * d, 1e-16) << name;
      EXPECT_NEAR(gp.get(k), (value(d + h) - value(d - h)) / (2 * h) / 3, 1e-11) << name;
      EXPECT_EQ(gr.get(k), -gp.get(k)) << name;
    }
    args.grad_loss = p;  // also read as the policy's log-probs
    ASSERT_EQ(call(lr_unpaired_loss, args), LR_OK) << lr_last_error();
    if (!kto) {
      args.kl_policy_logps = klp;
      EXPECT_EQ(call(lr_unpaired_loss, args), LR_INVALID_ARGUMENT);
      EXPECT_STREQ(
          lr_last_error(),
          "kl_reference_logps is missing, expected float [C], as kl_policy_logps is given");
      args.kl_reference_logps = klr;
      EXPECT_EQ(call(lr_unpaired_loss, args), LR_INVALID_ARGUMENT);
      EXPECT_EQ(last_error(), "kl_policy_logps is given, expected it only with the loss kto, not " +
                                  std::string(name));
    }
  }
  const lr_loss_options paired = loss_options("sigmoid");
  auto args = make_args<lr_unpaired_loss_args>();
  args.loss_options = &paired;
  args.policy_logps = p;
  EXPECT_EQ(call(lr_unpaired_loss, args), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(), "loss is sigmoid, expected kto, apo_zero_unpaired or bco");
}

}  // namespace
}  // namespace logratio::test
