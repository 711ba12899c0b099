#include "abi/values.h"

#include <cmath>
#include <string>

#include "abi/errors.h"
#include "abi/options.h"

namespace logratio::abi {
namespace {

std::string element(const char* name, const cpu::Grid& grid, size_t index, bool matrix) {
  const auto at = static_cast<int64_t>(index);
  if (!matrix)
    return std::string(name) + "[" + std::to_string(at) + "]";
  return std::string(name) + "[" + std::to_string(at / grid.inner) + ", " +
         std::to_string(at % grid.inner) + "]";
}

}  // namespace

std::vector<int64_t> read_labels(const char* name, const cpu::Grid& labels, int64_t vocabulary,
                                 int64_t ignore_index) {
  std::vector<int64_t> values(static_cast<size_t>(labels.size()));
  read(labels, 0, labels.size(), values.data());
  for (size_t k = 0; k < values.size(); ++k) {
    if (values[k] == ignore_index) {
      values[k] = -1;
    } else if (values[k] < 0 || values[k] >= vocabulary) {
      invalid(element(name, labels, k, labels.outer != 1) + " is " + std::to_string(values[k]) +
              ", expected a number in [0," + std::to_string(vocabulary) + ") or the ignore_index " +
              std::to_string(ignore_index));
    }
  }
  return values;
}

std::vector<double> read_mask(const char* name, const cpu::Grid& mask) {
  std::vector<double> values(static_cast<size_t>(mask.size()));
  read(mask, 0, mask.size(), values.data());
  if (mask.type == cpu::ElementType::flag)
    return values;
  for (size_t k = 0; k < values.size(); ++k) {
    if (!(values[k] >= 0 && std::isfinite(values[k]))) {
      check_number(element(name, mask, k, true).c_str(), values[k], false, "a finite number >= 0");
    }
  }
  return values;
}

}  // namespace logratio::abi
