// Pair losses: reference values, finite differences of every gradient, extremes, and what the
// options do.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "support/mixture_values.h"
#include "support/tensor.h"

namespace logratio::test {
namespace {

// One call over pairs whose log-ratio difference is rho, all outputs in double.
struct Result {
  std::vector<double> loss, chosen_rewards, rejected_rewards, policy_chosen, policy_rejected,
      reference_chosen, reference_rejected;
  double beta = NAN, beta_kl = NAN, beta_mix = NAN, tau = NAN;
};

struct Pairs {
  std::vector<double> policy_chosen, policy_rejected, reference_chosen, reference_rejected;
};

Result run(const lr_loss_options& options, const Pairs& pairs, std::vector<double> upstream) {
  const auto count = static_cast<int64_t>(pairs.policy_chosen.size());
  const auto column = [count](const std::vector<double>& values) {
    return Tensor(D::f64, {count}, values);
  };
  Tensor pc = column(pairs.policy_chosen), pr = column(pairs.policy_rejected),
         rc = column(pairs.reference_chosen), rr = column(pairs.reference_rejected);
  Tensor g = column(upstream), loss = column({}), cw = column({}), rw = column({}),
         gpc = column({}), gpr = column({}), grc = column({}), grr = column({});
  Tensor beta(D::f64, {1}), beta_kl(D::f64, {1}), beta_mix(D::f64, {1}), tau(D::f64, {1});
  auto args = make_args<lr_pair_loss_args>();
  args.loss_options = &options;
  args.policy_chosen = pc;
  args.policy_rejected = pr;
  args.reference_chosen = rc;
  args.reference_rejected = rr;
  args.grad_loss = g;
  args.loss = loss;
  args.chosen_rewards = cw;
  args.rejected_rewards = rw;
  args.grad_policy_chosen = gpc;
  args.grad_policy_rejected = gpr;
  args.grad_reference_chosen = grc;
  args.grad_reference_rejected = grr;
  const bool dlrml = options.loss == loss_options("dlrml").loss,
             discopop = options.loss == loss_options("discopop").loss;
  if (dlrml) {
    args.grad_beta_kl = beta_kl;
    args.grad_beta_mix = beta_mix;
  }
  if (discopop)
    args.grad_beta = beta;
  if (dlrml || discopop)
    args.grad_tau = tau;
  EXPECT_EQ(call(lr_pair_loss, args), LR_OK) << lr_last_error();
  return {loss.values(), cw.values(), rw.values(),    gpc.values(),    gpr.values(), grc.values(),
          grr.values(),  beta.get(0), beta_kl.get(0), beta_mix.get(0), tau.get(0)};
}

Result at(const lr_loss_options& options, double rho) {
  return run(options, {{rho}, {0}, {0}, {0}}, {1});
}

lr_loss_options dlrml(double beta_kl, double beta_mix, double tau) {
  lr_loss_options options = loss_options("dlrml");
  options.beta_kl = beta_kl;
  options.beta_mix = beta_mix;
  options.tau = tau;
  return options;
}

lr_loss_options discopop(double beta, double tau) {
  lr_loss_options options = loss_options("discopop");
  options.beta = beta;
  options.tau = tau;
  return options;
}

void expect_close(double actual, double expected, double relative, double absolute,
                  const std::string& what) {
  ASSERT_FALSE(std::isnan(actual)) << what;
  EXPECT_LE(std::fabs(actual - expected), relative * std::fabs(expected) + absolute)
      << what << ": " << actual << ", expected " << expected;
}

TEST(Mixture, ReferenceValues) {
  for (const MixtureTable& table : mixture_tables()) {
    const lr_loss_options options = dlrml(table.beta_kl, table.beta_mix, table.tau);
    for (const MixtureValue& row : table.values) {
      const Result r = at(options, row.rho);
      const std::string what = std::string(table.name) + " at rho " + std::to_string(row.rho);
      // exp() of an argument of several hundred turns one rounding of the argument into as many
      // roundings of the value.
      const double relative =
          2e-15 + 4e-16 * (std::fabs(row.rho) * (table.beta_mix / table.tau + table.beta_kl));
      expect_close(r.loss[0], row.loss, relative, 0, what + " loss");
      expect_close(r.policy_chosen[0], row.d_rho, relative, 1e-15 * table.beta_mix / table.tau,
                   what + " d_rho");
      expect_close(r.beta_kl, row.d_beta_kl, relative, 0, what + " d_beta_kl");
      expect_close(r.beta_mix, row.d_beta_mix, relative + 1e-13, 1e-307, what + " d_beta_mix");
      expect_close(r.tau, row.d_tau, relative + 1e-13, 1e-305, what + " d_tau");
    }
  }
}

TEST(Mixture, DiscopopIsDlrmlWithOneBeta) {
  for (const MixtureTable& table : mixture_tables()) {
    if (table.beta_kl != table.beta_mix)
      continue;
    for (const MixtureValue& row : table.values) {
      const Result r = at(discopop(table.beta_kl, table.tau), row.rho);
      const std::string what = std::string(table.name) + " at rho " + std::to_string(row.rho);
      const double relative =
          2e-15 + 4e-16 * std::fabs(row.rho) * table.beta_kl * (1 + 1 / table.tau);
      expect_close(r.loss[0], row.loss, relative, 0, what);
      expect_close(r.policy_chosen[0], row.d_rho, relative, 1e-15 / table.tau, what);
      expect_close(r.beta, row.d_beta_kl + row.d_beta_mix, 1e-13,
                   1e-14 * (std::fabs(row.d_beta_kl) + std::fabs(row.d_beta_mix)), what);
      expect_close(r.tau, row.d_tau, relative + 1e-13, 1e-305, what);
    }
  }
}

TEST(Mixture, StationaryPoints) {
  for (const MixtureShape& shape : mixture_shapes()) {
    const lr_loss_options options = dlrml(shape.beta_kl, shape.beta_mix, .05);
    EXPECT_NEAR(at(options, 0).policy_chosen[0], shape.slope_at_zero, 1e-14);
    if (shape.loss_min == 0)
      continue;
    EXPECT_NEAR(at(options, shape.rho_min).policy_chosen[0], 0, 1e-13);
    EXPECT_NEAR(at(options, shape.rho_max).policy_chosen[0], 0, 1e-13);
    EXPECT_NEAR(at(options, shape.rho_min).loss[0], shape.loss_min, 1e-14);
    EXPECT_NEAR(at(options, shape.rho_max).loss[0], shape.loss_max, 1e-14);
  }
}

TEST(Mixture, BatchMeanOfDiscopop) {
  const std::vector<double> zeros(4, 0.0);
  const Result r =
      run(discopop(.05, .05), {{-4, -.5, .5, 10}, zeros, zeros, zeros}, {.25, .25, .25, .25});
  const double loss[] = {0.80575178255453471, 0.82638345677636798, 0.86409224191654277,
                         0.60652464659806244};
  const double gradient[] = {-0.0051549157460655395, 0.0099984734673705975, 0.0073883493430976523,
                             -0.0075800000902915478};
  for (int k = 0; k < 4; ++k) {
    EXPECT_NEAR(r.loss[k], loss[k], 2e-16 * 4);
    EXPECT_NEAR(r.policy_chosen[k], gradient[k], 1e-16);
    EXPECT_EQ(r.policy_rejected[k], -r.policy_chosen[k]);
    EXPECT_EQ(r.reference_chosen[k], -r.policy_chosen[k]);
    EXPECT_EQ(r.reference_rejected[k], r.policy_chosen[k]);
  }
}

// Every rho gives numbers: no NaN, no infinity unless the maths overflows double.
TEST(Mixture, WholeRangeOfRho) {
  for (const double beta_kl : {.01, .05, .5, 2.5}) {
    for (const double beta_mix : {.05, .2, 2.5}) {
      for (const double tau : {.01, .05}) {
        if (beta_mix <= tau * beta_kl)
          continue;  // grows exponentially, as it should
        const lr_loss_options options = dlrml(beta_kl, beta_mix, tau);
        for (double rho = -5000; rho <= 5000; rho += 12.5) {
          const Result r = at(options, rho);
          for (double value : {r.loss[0], r.policy_chosen[0], r.beta_kl, r.beta_mix, r.tau}) {
            ASSERT_TRUE(std::isfinite(value))
                << beta_kl << " " << beta_mix << " " << tau << " " << rho;
          }
          ASSERT_GE(r.loss[0], 0);
          if (rho < -1000) {
            EXPECT_NEAR(r.policy_chosen[0] / -beta_kl, 1, 1.1 * std::exp(beta_kl * rho) + 1e-12)
                << rho;
          }
        }
      }
    }
  }
}

TEST(Mixture, Infinities) {
  struct Case {
    double beta_kl, beta_mix, tau;
    double loss, d_rho, d_beta_kl, d_beta_mix;  // at -inf
  };
  const double inf = INFINITY;
  // Gate steeper than the scale; equal to it (the exponential branch tends to 1); flatter, none and
  // reversed (it grows).
  for (const Case& c :
       {Case{.05, .20, .05, inf, -.05, inf, 0}, Case{.05, .05, 1, inf, -.05, inf, -inf},
        Case{.5, .01, .05, inf, -inf, inf, -inf}, Case{.05, 0, .05, inf, -inf, inf, -inf},
        Case{.05, -.01, 1, inf, -inf, inf, -inf}, Case{.05, -.2, .05, inf, -inf, inf, 0}}) {
    const lr_loss_options options = dlrml(c.beta_kl, c.beta_mix, c.tau);
    const std::string what =
        "beta_mix " + std::to_string(c.beta_mix) + ", tau " + std::to_string(c.tau);
    const Result low = at(options, -inf);
    EXPECT_EQ(low.loss[0], c.loss) << what;
    EXPECT_EQ(low.policy_chosen[0], c.d_rho) << what;
    EXPECT_EQ(low.policy_rejected[0], -c.d_rho) << what;
    EXPECT_EQ(low.beta_kl, c.d_beta_kl) << what;
    EXPECT_EQ(low.beta_mix, c.d_beta_mix) << what;
    EXPECT_FALSE(std::isnan(low.tau)) << what;
    const Result high = at(options, inf);
    for (double value :
         {high.loss[0], high.policy_chosen[0], high.beta_kl, high.beta_mix, high.tau})
      EXPECT_EQ(value, 0) << what;
  }
  const Result undefined = run(dlrml(.05, .2, .05), {{inf}, {inf}, {0}, {0}}, {1});
  EXPECT_TRUE(std::isnan(undefined.loss[0]));
  EXPECT_TRUE(std::isnan(undefined.policy_chosen[0]));
}

// The exponential branch overflows double long before rho is infinite.
TEST(Mixture, OverflowIsInfiniteAndNeverNaN) {
  for (const lr_loss_options& options :
       {dlrml(.5, .01, .05), dlrml(.5, -.2, .05), dlrml(.5, 0, .05)}) {
    for (double rho : {-2400.0, -3000.0, -5000.0}) {
      const Result r = at(options, rho);
      EXPECT_EQ(r.loss[0], INFINITY) << rho;
      EXPECT_EQ(r.policy_chosen[0], -INFINITY) << rho;
      EXPECT_EQ(r.beta_kl, INFINITY) << rho;
      EXPECT_FALSE(std::isnan(r.beta_mix)) << rho;
      EXPECT_FALSE(std::isnan(r.tau)) << rho;
    }
  }
}

TEST(Sigmoid, ValuesAndInfinities) {
  lr_loss_options options = loss_options("sigmoid");
  EXPECT_NEAR(at(options, .5).loss[0], 0.66845964801328629, 1e-15);
  EXPECT_NEAR(at(options, .5).policy_chosen[0], -0.048750260351578966, 1e-16);
  EXPECT_NEAR(at(options, .25).loss[0], 0.68072530352552487, 1e-15);
  EXPECT_EQ(at(options, -INFINITY).loss[0], INFINITY);
  EXPECT_EQ(at(options, -INFINITY).policy_chosen[0], -.1);
  EXPECT_EQ(at(options, INFINITY).loss[0], 0);
  EXPECT_EQ(at(options, INFINITY).policy_chosen[0], 0);
  options.label_smoothing = .25;
  EXPECT_NEAR(at(options, 3).loss[0],
              .75 * std::log1p(std::exp(-.3)) + .25 * std::log1p(std::exp(.3)), 1e-15);
  EXPECT_EQ(at(options, INFINITY).loss[0], INFINITY);
  EXPECT_DOUBLE_EQ(at(options, INFINITY).policy_chosen[0], .025);
}

// ---- Gradients by central differences, for every loss, divergence and variant ----

std::vector<std::pair<std::string, lr_loss_options>> all_configurations() {
  std::vector<std::pair<std::string, lr_loss_options>> all;
  for (const char* name : {"dlrml", "discopop", "sigmoid"}) {
    for (int divergence = LR_REVERSE_KL; divergence <= LR_ALPHA; ++divergence) {
      lr_loss_options options = loss_options(name);
      options.f_divergence = divergence;
      options.f_alpha = .7;
      const std::string label = std::string(name) + " divergence " + std::to_string(divergence);
      all.emplace_back(label, options);
      if (options.loss == loss_options("sigmoid").loss) {
        options.label_smoothing = .2;
        all.emplace_back(label + " smoothed", options);
      } else if (options.loss == loss_options("discopop").loss) {
        options.tau = .3;
        all.emplace_back(label + " tau .3", options);
        options.variant = LR_VARIANT_OLD;
        all.emplace_back(label + " old", options);
      } else {
        options.guard = LR_GUARD_CLAMP;
        all.emplace_back(label + " clamp, above", options);
        options.beta_mix = .001;
        all.emplace_back(label + " clamp, below", options);
        options.guard = LR_GUARD_WARN;
        all.emplace_back(label + " warn, below", options);
      }
    }
  }
  return all;
}

double weighted_loss(const lr_loss_options& options, const Pairs& pairs,
                     const std::vector<double>& weights) {
  const Result r = run(options, pairs, weights);
  double sum = 0;
  for (size_t k = 0; k < weights.size(); ++k)
    sum += weights[k] * r.loss[k];
  return sum;
}

TEST(PairGradients, AgreeWithCentralDifferences) {
  const Pairs pairs{{-4.1, -1.2, -2.0, -9.3},
                    {-3.9, -2.0, -1.1, -4.2},
                    {-4.0, -1.5, -2.5, -7.9},
                    {-4.6, -1.3, -1.2, -5.0}};
  const std::vector<double> weights{.3, -1.1, .8, .5};
  const double h = 1e-5;
  for (const auto& [label, options] : all_configurations()) {
    const Result r = run(options, pairs, weights);
    const auto difference = [&](const std::function<void(lr_loss_options&, Pairs&, double)>& move) {
      lr_loss_options up = options, down = options;
      Pairs more = pairs, less = pairs;
      move(up, more, h);
      move(down, less, -h);
      return (weighted_loss(up, more, weights) - weighted_loss(down, less, weights)) / (2 * h);
    };
    const auto check = [&, &label = label](double actual, double expected, const char* what) {
      EXPECT_NEAR(actual, expected, 2e-8 * (1 + std::fabs(expected))) << label << " " << what;
    };
    for (size_t k = 0; k < 4; ++k) {
      check(r.policy_chosen[k],
            difference([k](lr_loss_options&, Pairs& p, double d) { p.policy_chosen[k] += d; }),
            "policy_chosen");
      check(r.policy_rejected[k],
            difference([k](lr_loss_options&, Pairs& p, double d) { p.policy_rejected[k] += d; }),
            "policy_rejected");
      check(r.reference_chosen[k],
            difference([k](lr_loss_options&, Pairs& p, double d) { p.reference_chosen[k] += d; }),
            "reference_chosen");
      check(r.reference_rejected[k],
            difference([k](lr_loss_options&, Pairs& p, double d) { p.reference_rejected[k] += d; }),
            "reference_rejected");
    }
    const auto parameter = [&](double lr_loss_options::*member, double actual, const char* what) {
      const double step = 1e-5 * std::fabs(options.*member);
      lr_loss_options up = options, down = options;
      up.*member += step;
      down.*member -= step;
      const double expected =
          (weighted_loss(up, pairs, weights) - weighted_loss(down, pairs, weights)) / (2 * step);
      EXPECT_NEAR(actual, expected, 1e-7 * (1 + std::fabs(expected))) << label << " " << what;
    };
    if (options.loss == loss_options("dlrml").loss) {
      parameter(&lr_loss_options::beta_kl, r.beta_kl, "beta_kl");
      parameter(&lr_loss_options::beta_mix, r.beta_mix, "beta_mix");
      parameter(&lr_loss_options::tau, r.tau, "tau");
    } else if (options.loss == loss_options("discopop").loss) {
      parameter(&lr_loss_options::beta, r.beta, "beta");
      parameter(&lr_loss_options::tau, r.tau, "tau");
    }
  }
}

TEST(PairLoss, GuardClampActsAsTheProduct) {
  lr_loss_options low = dlrml(.4, .01, .05);
  low.guard = LR_GUARD_CLAMP;
  const lr_loss_options product = dlrml(.4, .4 * .05, .05);
  for (double rho : {-300.0, -2.0, 0.0, 3.0}) {
    const Result clamped = at(low, rho), explicit_product = at(product, rho);
    EXPECT_NEAR(clamped.loss[0], explicit_product.loss[0], 1e-13 * explicit_product.loss[0]);
    EXPECT_EQ(clamped.beta_mix, 0);
    EXPECT_NEAR(clamped.beta_kl, explicit_product.beta_kl + .05 * explicit_product.beta_mix,
                1e-11 * (1 + std::fabs(clamped.beta_kl)));
    EXPECT_NEAR(clamped.tau, explicit_product.tau + .4 * explicit_product.beta_mix,
                1e-9 * (1 + std::fabs(explicit_product.tau)));
  }
  low.beta_mix = .4 * .05;  // not below: its own gradient again
  EXPECT_NE(at(low, 1).beta_mix, 0);
}

TEST(PairLoss, OldVariantGatesWithTheDifference) {
  lr_loss_options old = discopop(.1, .7);
  old.variant = LR_VARIANT_OLD;
  for (double rho : {-30.0, -1.0, .5, 20.0}) {
    const Result r = at(old, rho);
    const double gate = 1 / (1 + std::exp(-rho)), z = .1 * rho;
    EXPECT_NEAR(r.loss[0], (1 - gate) * std::log1p(std::exp(-z)) + gate * std::exp(-z),
                1e-14 * (1 + r.loss[0]));
    EXPECT_EQ(r.tau, 0);
  }
}

TEST(PairLoss, RewardsAndDefaultUpstream) {
  Tensor pc(D::f32, {3}, {-1, -2, -3}), pr(D::f32, {3}, {-4, -3, -2}), loss(D::f32, {3}),
      cw(D::f32, {3}), rw(D::f32, {3}), g(D::f64, {3}), tau(D::f64, {1});
  for (const char* name : {"dlrml", "discopop", "lrml", "sigmoid"}) {
    const lr_loss_options options = loss_options(name);
    const double beta = std::string(name) == "dlrml" ? options.beta_kl : options.beta;
    auto args = make_args<lr_pair_loss_args>();
    args.loss_options = &options;
    args.policy_chosen = pc;
    args.policy_rejected = pr;
    args.loss = loss;
    args.chosen_rewards = cw;
    args.rejected_rewards = rw;
    args.grad_policy_chosen = g;
    ASSERT_EQ(call(lr_pair_loss, args), LR_OK) << lr_last_error();
    for (int k = 0; k < 3; ++k) {
      EXPECT_EQ(cw.get(k), static_cast<float>(beta * pc.get(k)));
      EXPECT_EQ(rw.get(k), static_cast<float>(beta * pr.get(k)));
      EXPECT_NEAR(g.get(k), at(options, pc.get(k) - pr.get(k)).policy_chosen[0] / 3, 1e-17);
    }
  }
}

TEST(PairLoss, UpstreamZeroStaysZero) {
  const Result r = run(dlrml(.5, .01, .05), {{-5000, 1}, {0, 0}, {0, 0}, {0, 0}}, {0, 1});
  EXPECT_EQ(r.loss[0], INFINITY);
  EXPECT_EQ(r.policy_chosen[0], 0);
  EXPECT_TRUE(std::isfinite(r.beta_kl));
}

TEST(PairLoss, EmptyBatch) {
  const Result r = run(loss_options("dlrml"), {}, {});
  EXPECT_TRUE(r.loss.empty());
  EXPECT_EQ(r.beta_kl, 0);
  EXPECT_EQ(r.beta_mix, 0);
  EXPECT_EQ(r.tau, 0);
}

// A pair's outputs do not depend on the batch around it, whatever the dtype and the strides.
TEST(PairLoss, BatchOfOneAndOfMany) {
  const int64_t count = 200;
  const lr_loss_options options = loss_options("dlrml");
  Tensor matrix(D::f32, {count, 4}, normal_values(4 * count, 30, 1));
  Tensor out(D::f32, {count, 3}), single(D::f32, {1, 3});
  Tensor pc = matrix.select(1, 0), pr = matrix.select(1, 1), rc = matrix.select(1, 2),
         rr = matrix.select(1, 3);
  Tensor ones = Tensor(D::bf16, {count}).fill(1), one = Tensor(D::bf16, {1}).fill(1);
  Tensor loss = out.select(1, 0), gc = out.select(1, 1), cw = out.select(1, 2);
  auto args = make_args<lr_pair_loss_args>();
  args.loss_options = &options;
  args.policy_chosen = pc;
  args.policy_rejected = pr;
  args.reference_chosen = rc;
  args.reference_rejected = rr;
  args.grad_loss = ones;
  args.loss = loss;
  args.grad_policy_chosen = gc;
  args.chosen_rewards = cw;
  ASSERT_EQ(call(lr_pair_loss, args), LR_OK) << lr_last_error();
  for (int64_t k = 0; k < count; ++k) {
    Tensor pc1 = pc.slice(0, k, k + 1), pr1 = pr.slice(0, k, k + 1), rc1 = rc.slice(0, k, k + 1),
           rr1 = rr.slice(0, k, k + 1);
    Tensor loss1 = single.select(1, 0), gc1 = single.select(1, 1), cw1 = single.select(1, 2);
    args.policy_chosen = pc1;
    args.policy_rejected = pr1;
    args.reference_chosen = rc1;
    args.reference_rejected = rr1;
    args.grad_loss = one;
    args.loss = loss1;
    args.grad_policy_chosen = gc1;
    args.chosen_rewards = cw1;
    ASSERT_EQ(call(lr_pair_loss, args), LR_OK) << lr_last_error();
    ASSERT_EQ(single.bits(), out.slice(0, k, k + 1).bits()) << k;
  }
}

}  // namespace
}  // namespace logratio::test
