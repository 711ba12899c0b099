#include "abi/values.h"

#include <cmath>
#include <vector>

#include "abi/errors.h"
#include "abi/options.h"
#include "cpu/elements.h"

namespace logratio::abi {

std::string element_text(const Operand& operand, int64_t number) {
  const DLTensor& tensor = *operand.tensor();
  std::string index = std::to_string(number);
  if (tensor.ndim == 2) {
    const int64_t columns = tensor.shape[1];
    index = std::to_string(number / columns) + ", " + std::to_string(number % columns);
  }
  return std::string(operand.name) + "[" + index + "]";
}

void check_labels(const Operand& operand, const op::Labels& labels, int64_t vocabulary,
                  const double* weights) {
  const op::TensorView& view = labels.values;
  std::vector<int64_t> values(static_cast<size_t>(view.size()));
  cpu::read(view, 0, view.size(), values.data());
  for (size_t k = 0; k < values.size(); ++k) {
    if (weights != nullptr && !(weights[k] > 0))
      continue;
    if (values[k] != labels.ignore_index && (values[k] < 0 || values[k] >= vocabulary)) {
      invalid(element_text(operand, static_cast<int64_t>(k)) + " is " + std::to_string(values[k]) +
              ", expected a number in [0," + std::to_string(vocabulary) + ") or the ignore_index " +
              std::to_string(labels.ignore_index));
    }
  }
}

void check_weights(const Operand& operand, const op::TensorView& weights) {
  check_weights(operand, weights, weights.size());
}

void check_weights(const Operand& operand, const op::TensorView& weights, int64_t count) {
  if (!weights || weights.type == op::ElementType::flag || op::is_int(weights.type))
    return;
  std::vector<double> values(static_cast<size_t>(count));
  cpu::read(weights, 0, count, values.data());
  for (size_t k = 0; k < values.size(); ++k) {
    if (!(values[k] >= 0 && std::isfinite(values[k]))) {
      check_number(element_text(operand, static_cast<int64_t>(k)).c_str(), values[k], false,
                   "a finite number >= 0");
    }
  }
}

}  // namespace logratio::abi
