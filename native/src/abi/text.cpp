#include "abi/text.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace logratio::abi {
namespace {

constexpr int kMostDigits = 17;  // of a double
constexpr int kMostSizes = 8;    // that a message names

// The significant digits of a finite number, and the power of ten of the first.
struct Decimal {
  std::string digits;
  int exponent;
};

Decimal shortest(double magnitude) {
  char text[32];
  for (int places = 0; places < kMostDigits; ++places) {
    std::snprintf(text, sizeof text, "%.*e", places, magnitude);
    if (std::strtod(text, nullptr) == magnitude)
      break;
  }
  // The decimal separator is the locale's, and no digit in any.
  Decimal decimal{{}, 0};
  const char* at = text;
  for (; *at != 'e'; ++at) {
    if (*at >= '0' && *at <= '9')
      decimal.digits += *at;
  }
  decimal.exponent = std::atoi(at + 1);
  return decimal;
}

std::string numbered(const char* kind, DLDataType type) { return kind + std::to_string(type.bits); }

std::string name_of(DLDataType type) {
  switch (type.code) {
    case kDLFloat:
      return numbered("F", type);
    case kDLBfloat:
      return numbered("BF", type);
    case kDLInt:
      return numbered("I", type);
    case kDLUInt:
      return numbered("U", type);
    case kDLBool:
      return type.bits == 8 ? "BOOL" : numbered("BOOL", type);
    default:
      return "type code " + std::to_string(type.code) + " of " + std::to_string(type.bits) +
             " bits";
  }
}

std::string shape_text(const DLTensor& tensor) {
  if (tensor.ndim < 0 || (tensor.ndim > 0 && tensor.shape == nullptr))
    return "of rank " + std::to_string(tensor.ndim) + " without a shape";
  std::string text = "[";
  for (int d = 0; d < tensor.ndim && d < kMostSizes; ++d)
    text += (d > 0 ? ", " : "") + std::to_string(tensor.shape[d]);
  return text + (tensor.ndim > kMostSizes ? ", ...]" : "]");
}

}  // namespace

std::string text_of(double value) {
  if (std::isnan(value))
    return "NaN";
  const std::string sign = std::signbit(value) ? "-" : "";
  const double magnitude = std::fabs(value);
  if (std::isinf(value))
    return sign + "Infinity";
  if (magnitude == 0)
    return sign + "0.0";
  const auto [digits, exponent] = shortest(magnitude);
  const auto count = static_cast<int>(digits.size());
  if (exponent < -3 || exponent >= 7) {
    return sign + digits[0] + "." + (count > 1 ? digits.substr(1) : "0") + "E" +
           std::to_string(exponent);
  }
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<size_t>(exponent + 1);
  if (count <= exponent + 1)
    return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string device_text(int32_t type, int32_t id) {
  switch (type) {
    case kDLCPU:
      return "host memory";
    case kDLCUDA:
      return "CUDA " + std::to_string(id);
    case kDLExtDev:
      return "emulated device " + std::to_string(id);
    default:
      return "a device of DLPack type " + std::to_string(type);
  }
}

std::string text_of(DLDataType type) {
  return name_of(type) + (type.lanes == 1 ? "" : "x" + std::to_string(type.lanes));
}

std::string text_of(const DLTensor& tensor) {
  const int32_t device = type_of(tensor.device);
  return text_of(tensor.dtype) + " " + shape_text(tensor) +
         (device == kDLCPU ? "" : " on " + device_text(device, tensor.device.device_id));
}

int32_t type_of(const DLDevice& device) {
  int32_t type;
  std::memcpy(&type, &device.device_type, sizeof type);
  return type == kDLCUDAHost ? int32_t{kDLCPU} : type;
}

}  // namespace logratio::abi
