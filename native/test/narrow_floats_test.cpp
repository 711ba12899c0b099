// bfloat16 and float16: every value, every midpoint between neighbours, and the doubles next to
// each.
#include "math/narrow_floats.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace logratio::math {
namespace {

// The value of a pattern by the definition of the format: sign * significand * 2^exponent.
double by_definition(uint16_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1);
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1)
    return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0)
    return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

template <class Format>
void check_format(int exponent_bits, int mantissa_bits) {
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const auto bits = static_cast<uint16_t>(pattern);
    const double value = by_definition(bits, exponent_bits, mantissa_bits);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(Format::widen(bits))) << pattern;
      ASSERT_TRUE(std::isnan(Format::widen(Format::narrow(Format::widen(bits))))) << pattern;
      continue;
    }
    ASSERT_EQ(Format::widen(bits), value) << pattern;
    ASSERT_EQ(std::signbit(Format::widen(bits)), std::signbit(value)) << pattern;
    ASSERT_EQ(Format::narrow(value), bits) << pattern;
    if (std::isinf(value))
      continue;
    // Towards larger magnitude: the next pattern, infinity being where the next power of two would
    // be.
    const auto next = static_cast<uint16_t>(pattern + 1);
    double above = by_definition(next, exponent_bits, mantissa_bits);
    if (std::isinf(above))
      above = std::copysign(std::ldexp(1, 1 << (exponent_bits - 1)), above);
    const double middle = value + (above - value) / 2;
    const uint16_t even = pattern % 2 == 0 ? bits : next;
    ASSERT_EQ(Format::narrow(middle), even) << pattern;
    ASSERT_EQ(Format::narrow(std::nextafter(middle, value)), bits) << pattern;
    ASSERT_EQ(Format::narrow(std::nextafter(middle, above)), next) << pattern;
    ASSERT_EQ(Format::narrow(std::nextafter(value, above)), bits) << pattern;
    ASSERT_EQ(Format::narrow(std::nextafter(above, value)), next) << pattern;
  }
}

TEST(NarrowFloats, BfloatRoundsToNearestEvenEverywhere) { check_format<Bfloat16>(8, 7); }
TEST(NarrowFloats, HalfRoundsToNearestEvenEverywhere) { check_format<Float16>(5, 10); }

TEST(NarrowFloats, DoubleIsRoundedOnceNotThroughFloat) {
  // 1 + 2^-8 is the midpoint of two bfloat16; float32 drops the 2^-40 that decides.
  const double above_middle = 1 + std::ldexp(1, -8) + std::ldexp(1, -40);
  EXPECT_EQ(Bfloat16::widen(Bfloat16::narrow(above_middle)), 1 + std::ldexp(1, -7));
  EXPECT_EQ(Bfloat16::widen(Bfloat16::narrow(1 + std::ldexp(1, -8))), 1.0);
}

TEST(NarrowFloats, ExtremesOfDouble) {
  EXPECT_EQ(Bfloat16::narrow(std::numeric_limits<double>::max()), 0x7F80);
  EXPECT_EQ(Bfloat16::narrow(-std::numeric_limits<double>::max()), 0xFF80);
  EXPECT_EQ(Float16::narrow(std::numeric_limits<double>::denorm_min()), 0);
  EXPECT_EQ(Float16::narrow(-std::numeric_limits<double>::denorm_min()), 0x8000);
  EXPECT_TRUE(
      std::isnan(Bfloat16::widen(Bfloat16::narrow(-std::numeric_limits<double>::signaling_NaN()))));
}

}  // namespace
}  // namespace logratio::math
