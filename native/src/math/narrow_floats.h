// bfloat16 and float16 as bit patterns. Narrowing rounds a double once, to nearest even; NaN stays
// NaN, overflow is infinity.
#pragma once

#include <bit>
#include <cstdint>

#include "math/host_device.h"

namespace logratio::math {

template <int ExponentBits, int MantissaBits>
struct NarrowFloat {
  static constexpr int kBias = (1 << (ExponentBits - 1)) - 1;
  static constexpr uint16_t kInfinity = uint16_t(((1 << ExponentBits) - 1) << MantissaBits);
  static constexpr uint16_t kSign = uint16_t(1u << (ExponentBits + MantissaBits));

  LR_HD static double widen(uint16_t bits) {
    const uint64_t sign = uint64_t(bits & kSign) << (63 - ExponentBits - MantissaBits);
    const uint32_t magnitude = bits & uint16_t(~kSign);
    if (magnitude >= kInfinity) {
      const uint64_t payload = uint64_t(magnitude - kInfinity) << (52 - MantissaBits);
      return std::bit_cast<double>(sign | 0x7FF0000000000000 | payload);
    }
    if (magnitude <
        (1u << MantissaBits)) {  // subnormal: an integer times a power of two, exact in double
      const double value =
          magnitude * std::bit_cast<double>(uint64_t(1023 + 1 - kBias - MantissaBits) << 52);
      return std::bit_cast<double>(sign | std::bit_cast<uint64_t>(value));
    }
    return std::bit_cast<double>(
        sign | ((uint64_t(magnitude) << (52 - MantissaBits)) + (uint64_t(1023 - kBias) << 52)));
  }

  LR_HD static uint16_t narrow(double value) {
    const uint64_t bits = std::bit_cast<uint64_t>(value);
    const uint16_t sign = (bits >> 63) != 0 ? kSign : uint16_t(0);
    const uint64_t magnitude = bits & 0x7FFFFFFFFFFFFFFF;
    if (magnitude > 0x7FF0000000000000)
      return uint16_t(sign | kInfinity | (1u << (MantissaBits - 1)));
    const int exponent = int(magnitude >> 52) - 1023;
    if (exponent > kBias)
      return uint16_t(sign | kInfinity);
    if (exponent < -kBias - MantissaBits)
      return sign;  // below half of the smallest subnormal
    // The significand in units of the target's last place; below the normal range that place stops
    // moving.
    const uint64_t significand = (magnitude & 0x000FFFFFFFFFFFFF) | 0x0010000000000000;
    const bool subnormal = exponent < 1 - kBias;
    const int shift = 52 - MantissaBits + (subnormal ? 1 - kBias - exponent : 0);
    uint64_t rounded = significand >> shift;
    const uint64_t rest = significand & ((uint64_t(1) << shift) - 1);
    const uint64_t half = uint64_t(1) << (shift - 1);
    rounded += rest > half || (rest == half && (rounded & 1)) ? 1 : 0;
    // The implicit bit adds one to the exponent field, and a carry out of the mantissa another: up
    // to infinity.
    const uint64_t field = subnormal ? 0 : uint64_t(exponent + kBias - 1) << MantissaBits;
    return uint16_t(sign | uint16_t(field + rounded));
  }
};

using Bfloat16 = NarrowFloat<8, 7>;
using Float16 = NarrowFloat<5, 10>;

}  // namespace logratio::math
