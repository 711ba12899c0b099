// The scalar functions against long double, and at the ends of their range.
#include "math/functions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "math/f_divergence.h"
#include "math/steep_gradient.h"

namespace logratio::math {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

FDivergence score_of(int32_t kind, double alpha) {
  lr_loss_options options{};
  options.f_divergence = kind;
  options.f_alpha = alpha;
  return FDivergence(options);
}

TEST(Scalar, AgreesWithLongDouble) {
  for (double x = -60; x <= 60; x += .37) {
    const long double e = std::exp(static_cast<long double>(-x));
    EXPECT_NEAR(sigmoid(x) * static_cast<double>(1 + e), 1, 4e-16) << x;
    const long double softplus_x = x > 0 ? x + std::log1p(std::exp(-static_cast<long double>(x)))
                                         : std::log1p(std::exp(static_cast<long double>(x)));
    EXPECT_NEAR(softplus(x) / static_cast<double>(softplus_x), 1, 5e-16) << x;
    EXPECT_NEAR(Logistic<double>(x).loss / softplus(-x), 1, 5e-16) << x;
  }
}

TEST(Scalar, Log1pAndItsExcessKeepTheirDigits) {
  for (int k = 0; k <= 4000; ++k) {
    const double x = k < 2000 ? std::exp2(-.5 * k) : (k - 2000) / 2000.0;
    // Alternating series for small x in long double, the difference elsewhere.
    const long double log1p = std::log1p(static_cast<long double>(x));
    long double excess = 0;
    if (x < .1) {
      for (int n = 40; n >= 2; --n)
        excess += (n % 2 == 0 ? 1 : -1) * std::pow(static_cast<long double>(x), n) / n;
    } else {
      excess = static_cast<long double>(x) - log1p;
    }
    const Log1p<double> ours(x);
    EXPECT_NEAR(ours.value, static_cast<double>(log1p), 2.5e-16 * static_cast<double>(log1p)) << x;
    EXPECT_NEAR(ours.excess, static_cast<double>(excess), 2e-15 * static_cast<double>(excess)) << x;
  }
  EXPECT_EQ(Log1p<double>(0).value, 0);
  EXPECT_EQ(Log1p<double>(0).excess, 0);
  EXPECT_TRUE(std::isnan(Log1p<double>(NAN).value));
}

TEST(Scalar, Infinities) {
  EXPECT_EQ(sigmoid(kInf), 1);
  EXPECT_EQ(sigmoid(-kInf), 0);
  EXPECT_EQ(softplus(-kInf), 0);
  EXPECT_EQ(softplus(kInf), kInf);
  EXPECT_EQ(Logistic<double>(-kInf).loss, kInf);
  EXPECT_TRUE(std::isnan(sigmoid<double>(NAN)));
  EXPECT_TRUE(std::isnan(softplus<double>(NAN)));
  EXPECT_EQ(vanishing_product(0.0, kInf), 0);
  EXPECT_EQ(vanishing_product(-kInf, 0.0), 0);
  EXPECT_TRUE(std::isnan(vanishing_product<double>(0, NAN)));
  EXPECT_EQ(vanishing_product(2.0, -3.0), -6);
}

TEST(FDivergence, ScoresAndSlopes) {
  for (double x : {-7.5, -.4, 0.0, .3, 5.0}) {
    const double h = 1e-5;
    for (const FDivergence& score :
         {score_of(LR_REVERSE_KL, .5), score_of(LR_FORWARD_KL, .5), score_of(LR_JS, .5),
          score_of(LR_ALPHA, .5), score_of(LR_ALPHA, 2.5), score_of(LR_ALPHA, -1)}) {
      const double slope = (score(x + h).value - score(x - h).value) / (2 * h);
      EXPECT_NEAR(score(x).slope, slope, 1e-8 * (1 + std::fabs(slope))) << x;
    }
    EXPECT_DOUBLE_EQ(score_of(LR_FORWARD_KL, .5)(x).value, -std::expm1(-x));
    EXPECT_DOUBLE_EQ(score_of(LR_ALPHA, .5)(x).value, -2 * std::expm1(-.5 * x));
    EXPECT_NEAR(score_of(LR_JS, .5)(x).value, std::log(2) - std::log(1 + std::exp(-x)), 2e-15);
    EXPECT_EQ(score_of(LR_ALPHA, 1 + 5e-7)(x).value, x);
  }
}

TEST(FDivergence, ScoresAre0At0) {
  for (int32_t kind : {LR_REVERSE_KL, LR_FORWARD_KL, LR_JS, LR_ALPHA})
    EXPECT_EQ(score_of(kind, .5)(0.0).value, 0) << kind;
}

TEST(FDivergence, DifferencesKeepTheirDigits) {
  using Long = long double;
  const auto softplus = [](double x) { return std::log1p(std::exp(static_cast<Long>(x))); };
  for (double chosen : {-79.0, -30.0, -1.0, -1e-9, 0.0, 1e-12, .5, 30.0, 700.0}) {
    for (double rejected : {-79.0, -30.0, -1.0 - 1e-9, 0.0, 1e-9, .5, 31.0, 650.0}) {
      const std::string what = std::to_string(chosen) + " and " + std::to_string(rejected);
      for (double alpha : {0.0, .5, 1 + 2e-6}) {
        const FDivergence score = score_of(alpha == 0 ? LR_FORWARD_KL : LR_ALPHA, alpha);
        const ScoreDifference<double> difference = score(chosen, rejected);
        const double order = alpha - 1, a = order * chosen, b = order * rejected;
        const auto expected = static_cast<double>(std::exp(static_cast<Long>(b)) *
                                                  std::expm1(static_cast<Long>(a) - b) / order);
        EXPECT_NEAR(difference.value, expected, 4e-15 * std::fabs(expected))
            << what << ", alpha " << alpha;
        EXPECT_EQ(difference.chosen_slope, score(chosen).slope) << what;
        EXPECT_EQ(difference.rejected_slope, score(rejected).slope) << what;
      }
      const Long of_chosen = softplus(-chosen), of_rejected = softplus(-rejected);
      EXPECT_NEAR(score_of(LR_JS, .5)(chosen, rejected).value,
                  static_cast<double>(of_rejected - of_chosen),
                  4e-16 * static_cast<double>(of_chosen + of_rejected))
          << what;
    }
  }
}

TEST(FDivergence, DifferencesOfInfinities) {
  for (const FDivergence& score : {score_of(LR_FORWARD_KL, .5), score_of(LR_ALPHA, .5)}) {
    EXPECT_EQ(score(kInf, kInf).value, 0);
    EXPECT_EQ(score(-kInf, -kInf).value, 0);
    EXPECT_EQ(score(-kInf, -200.0).value, 0);  // both beyond the clamp
    EXPECT_EQ(score(kInf, 0.0).value, score(kInf).value);
    EXPECT_TRUE(std::isnan(score(0.0, static_cast<double>(NAN)).value));
  }
}

TEST(FDivergence, ExponentsStopAt80) {
  const FDivergence forward = score_of(LR_FORWARD_KL, .5), alpha = score_of(LR_ALPHA, .5);
  EXPECT_DOUBLE_EQ(forward(-80.0).value, -std::exp(80.0));
  EXPECT_EQ(forward(-80.0).slope, std::exp(80.0));
  EXPECT_DOUBLE_EQ(forward(-81.0).value, -std::exp(80.0));
  EXPECT_EQ(forward(-81.0).slope, 0);
  EXPECT_DOUBLE_EQ(forward(-kInf).value, -std::exp(80.0));
  EXPECT_DOUBLE_EQ(alpha(-170.0).value, std::exp(80.0) / -.5);
  EXPECT_EQ(alpha(-170.0).slope, 0);
  EXPECT_EQ(alpha(kInf).slope, 0);
}

// exp((z - subtrahend) / temperature) * upstream as the loops over a row compute it.
float gradient_at(double z, double lse, double upstream, double temperature) {
  const RowScale scale = row_scale(lse * temperature, 0, upstream, temperature, -1);
  return std::exp(static_cast<float>((z - scale.pivot) / temperature)) *
         static_cast<float>(scale.upstream);
}

TEST(SteepGradient, IsThatOfDoubles) {
  const RowScale plain = row_scale(3, 0, -1e30, .5, -1);
  EXPECT_EQ(plain.pivot, 3);
  EXPECT_EQ(plain.upstream, -1e30);
  EXPECT_FALSE(plain.steep);
  for (double temperature : {.01, 1.0, 100.0}) {
    for (double upstream :
         {2e30, -1e40, 1e217, -1e308, static_cast<double>(kInf), -static_cast<double>(kInf)}) {
      for (double log_p : {0.0, -20.0, -90.0, -450.0, -700.0, -745.0, -950.0, -1e4, -1e38}) {
        const double p = std::exp(log_p);
        const auto expected = static_cast<float>(p == 0 ? 0 : p * upstream);
        const float actual = gradient_at((log_p + 2) * temperature, 2, upstream, temperature);
        if (std::isinf(expected)) {
          EXPECT_EQ(actual, expected) << upstream << " " << log_p;
        } else {
          EXPECT_NEAR(actual, expected, 1e-4 * std::fabs(expected) + 1e-13)
              << upstream << " " << log_p;
        }
      }
      EXPECT_EQ(gradient_at(-kInf, 2, upstream, temperature), 0);
    }
    EXPECT_TRUE(std::isnan(gradient_at(0, 2, NAN, temperature)));
    EXPECT_EQ(gradient_at(-kInf, 2, NAN, temperature), 0);
    EXPECT_TRUE(std::isnan(gradient_at(0, NAN, 1e40, temperature)));
  }
}

// Logits so large that float32's places are some temperatures apart: a column has a gradient where
// its probability is not 0 in double, for a loss that is not finite.
TEST(SteepGradient, IsThatOfDoublesFarFromZero) {
  for (double temperature : {.111, 1.0}) {
    for (double pivot : {-0x1p27, -0x1p28, -0x1p30, -0x1p31, -0x1p32, -0x1p33, -0x1p34, 0x1p32}) {
      const auto top = static_cast<float>(pivot * temperature);
      for (double upstream : {static_cast<double>(kInf), static_cast<double>(NAN)}) {
        const RowScale scale = row_scale(top, 0, upstream, temperature, -1);
        const auto from = static_cast<float>(scale.pivot);
        for (float x = top; (x - top) / temperature > -3000;
             x = std::nextafterf(x, -static_cast<float>(kInf))) {
          const double log_p = (static_cast<double>(x) - top) / temperature;
          if (std::fabs(log_p + 745.14) < 35)  // the last place may be on either side
            continue;
          const float g = std::exp(static_cast<float>((x - from) / temperature)) *
                          static_cast<float>(scale.upstream);
          EXPECT_EQ(std::isfinite(g), std::exp(log_p) == 0)
              << temperature << " " << pivot << " " << upstream << " " << log_p;
        }
      }
    }
  }
}

}  // namespace
}  // namespace logratio::math
