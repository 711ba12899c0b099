#include "abi/values.h"

#include <cmath>
#include <string>
#include <vector>

#include "abi/errors.h"
#include "abi/options.h"
#include "cpu/elements.h"

namespace logratio::abi {
namespace {

std::string element(const char* name, const op::TensorView& view, size_t index, bool matrix) {
  const auto at = static_cast<int64_t>(index);
  if (!matrix)
    return std::string(name) + "[" + std::to_string(at) + "]";
  return std::string(name) + "[" + std::to_string(at / view.inner) + ", " +
         std::to_string(at % view.inner) + "]";
}

}  // namespace

void check_labels(const char* name, const op::Labels& labels, int64_t vocabulary) {
  const op::TensorView& view = labels.values;
  std::vector<int64_t> values(static_cast<size_t>(view.size()));
  cpu::read(view, 0, view.size(), values.data());
  for (size_t k = 0; k < values.size(); ++k) {
    if (values[k] != labels.ignore_index && (values[k] < 0 || values[k] >= vocabulary)) {
      invalid(element(name, view, k, view.outer != 1) + " is " + std::to_string(values[k]) +
              ", expected a number in [0," + std::to_string(vocabulary) + ") or the ignore_index " +
              std::to_string(labels.ignore_index));
    }
  }
}

void check_mask(const char* name, const op::TensorView& mask) {
  if (!mask || mask.type == op::ElementType::flag)
    return;
  std::vector<double> values(static_cast<size_t>(mask.size()));
  cpu::read(mask, 0, mask.size(), values.data());
  for (size_t k = 0; k < values.size(); ++k) {
    if (!(values[k] >= 0 && std::isfinite(values[k]))) {
      check_number(element(name, mask, k, true).c_str(), values[k], false, "a finite number >= 0");
    }
  }
}

}  // namespace logratio::abi
