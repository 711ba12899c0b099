#include "abi/values.h"

#include <cmath>
#include <vector>

#include "abi/errors.h"
#include "abi/options.h"
#include "cpu/elements.h"

namespace logratio::abi {

std::string element_text(const Operand& operand, int64_t number) {
  const DLTensor& tensor = *operand.tensor();
  std::string index;
  for (int d = tensor.ndim - 1; d >= 0; --d) {
    const int64_t size = d == 0 ? number + 1 : tensor.shape[d];
    index = std::to_string(number % size) + (index.empty() ? "" : ", " + index);
    number /= size;
  }
  return std::string(operand.name) + "[" + index + "]";
}

void check_labels(const Operand& operand, const op::Labels& labels, int64_t vocabulary) {
  check_labels(operand, labels, op::Columns{}, vocabulary);
}

void check_labels(const Operand& operand, const op::Labels& labels, const op::Columns& columns,
                  int64_t vocabulary) {
  const std::vector<int64_t> values = cpu::read_columns<int64_t>(labels.values, columns);
  // The row that has had a label last, where there are several in a row.
  std::vector<int64_t> rows(static_cast<size_t>(columns.count > 1 ? vocabulary : 0), -1);
  for (size_t k = 0; k < values.size(); ++k) {
    const int64_t label = values[k];
    if (label == labels.ignore_index)
      continue;
    const auto what = [&] {
      return element_text(operand, static_cast<int64_t>(k)) + " is " + std::to_string(label);
    };
    if (label < 0 || label >= vocabulary) {
      invalid(what() + ", expected a number in [0," + std::to_string(vocabulary) +
              ") or the ignore_index " + std::to_string(labels.ignore_index));
    }
    if (rows.empty())
      continue;
    const int64_t row = static_cast<int64_t>(k) / columns.count;
    if (rows[static_cast<size_t>(label)] == row)
      invalid(what() + " once more, expected no label twice in a row");
    rows[static_cast<size_t>(label)] = row;
  }
}

void check_weights(const Operand& operand, const op::TensorView& weights) {
  if (!weights || weights.type == op::ElementType::flag)
    return;
  std::vector<double> values(static_cast<size_t>(weights.size()));
  cpu::read(weights, 0, weights.size(), values.data());
  for (size_t k = 0; k < values.size(); ++k) {
    if (!(values[k] >= 0 && std::isfinite(values[k]))) {
      check_number(element_text(operand, static_cast<int64_t>(k)).c_str(), values[k], false,
                   "a finite number >= 0");
    }
  }
}

}  // namespace logratio::abi
