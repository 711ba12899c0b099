// What simd/exp.h says of itself: its error, its range, and what becomes of -inf and NaN.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "exp_probe.h"
#include "logratio.h"

namespace logratio::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLog2E = 1.44269504f;

const ExpProbe& probe() {
  for (const ExpProbe* one :
       {&kExpProbeBaseline, &kExpProbeAvx2, &kExpProbeAvx512, &kExpProbeAvx512Bf16}) {
    if (std::strcmp(one->name, lr_cpu_instruction_set()) == 0)
      return *one;
  }
  throw std::logic_error("no probe for this instruction set");
}

std::vector<float> run(ExpFunction function, float scale, float pivot, float amplitude,
                       std::vector<float> x) {
  const size_t count = x.size();
  x.resize((count + 15) / 16 * 16, -kInfinity);
  std::vector<float> y(x.size());
  function(scale, pivot, amplitude, x.data(), static_cast<int64_t>(x.size()), y.data());
  y.resize(count);
  return y;
}

void check_error(ExpFunction function, double error) {
  for (const float scale : {kLog2E, kLog2E / .7f, kLog2E / 3}) {
    for (const float pivot : {0.0f, 1.0f, -7.0f, 300.0f, -5000.0f}) {
      for (const float amplitude : {1.0f, -3e-5f}) {
        std::vector<float> x;
        for (double t = -124; t < 12; t += 1.0 / 1021)
          x.push_back(static_cast<float>((pivot + t) / scale));
        const std::vector<float> y = run(function, scale, pivot, amplitude, x);
        for (size_t k = 0; k < x.size(); ++k) {
          const double t = static_cast<double>(x[k]) * scale - pivot;
          const double exact = amplitude * std::exp2(t);
          if (std::fabs(exact) < 2e-38)
            continue;
          const double allowed = error + std::fabs(t) * probe().error_per_exponent;
          ASSERT_NEAR(y[k] / exact, 1, allowed)
              << "t " << t << " scale " << scale << " pivot " << pivot;
        }
      }
    }
  }
}

TEST(Exp, ErrorIsWhatTheHeaderSays) {
  check_error(probe().exp, probe().error);
  check_error(probe().fine, probe().fine_error);
}

TEST(Exp, ThePivotIsExactlyTheAmplitude) {
  for (const float amplitude : {1.0f, 0.1f, -3e-5f}) {
    for (const float scale : {kLog2E, kLog2E / .7f})
      EXPECT_EQ(run(probe().exp, scale, 0, amplitude, {0})[0], amplitude);
  }
}

TEST(Exp, NothingIsExactlyNothing) {
  for (const float pivot : {0.0f, 40.0f, -3000.0f}) {
    const float lowest = (pivot - 127) / kLog2E;
    const std::vector<float> y =
        run(probe().exp, kLog2E, pivot, 1,
            {-kInfinity, -std::numeric_limits<float>::max(), lowest - 1, lowest - 100});
    for (const float value : y)
      EXPECT_EQ(value, 0);
  }
}

TEST(Exp, NaNStays) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(run(probe().exp, kLog2E, 3, 1, {nan})[0]));
  EXPECT_TRUE(std::isnan(run(probe().limited, kLog2E, 3, 1, {nan})[0]));
}

TEST(Exp, LimitedIsInfiniteAboveTheRange) {
  for (const float pivot : {0.0f, 40.0f, -3000.0f}) {
    const float highest = (pivot + 128.1f) / kLog2E;
    for (const float value :
         run(probe().limited, kLog2E, pivot, 1,
             {highest, highest + 1000, std::numeric_limits<float>::max(), kInfinity}))
      EXPECT_EQ(value, kInfinity);
    const float finite = (pivot + 126) / kLog2E;
    const double exact = std::exp2(static_cast<double>(finite) * kLog2E - pivot);
    EXPECT_NEAR(run(probe().limited, kLog2E, pivot, 1, {finite})[0] / exact, 1, 2e-5);
  }
}

}  // namespace
}  // namespace logratio::test
