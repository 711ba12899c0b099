#include "abi/values.h"

#include <cmath>
#include <vector>

#include "abi/errors.h"
#include "abi/operands.h"
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

void check_labels(const Operand& operand, const op::Labels& labels, int64_t vocabulary) {
  const op::TensorView& view = labels.values;
  std::vector<int64_t> values(static_cast<size_t>(view.size()));
  cpu::read(view, 0, view.size(), values.data());
  for (size_t k = 0; k < values.size(); ++k) {
    if (values[k] != labels.ignore_index && (values[k] < 0 || values[k] >= vocabulary)) {
      invalid(element_text(operand, static_cast<int64_t>(k)) + " is " + std::to_string(values[k]) +
              ", expected a number in [0," + std::to_string(vocabulary) + ") or the ignore_index " +
              std::to_string(labels.ignore_index));
    }
  }
}

void check_has_sequences(const Operand& operand, int64_t tokens) {
  if (operand.tensor() != nullptr && operand.tensor()->shape[0] == 1 && tokens > 0)
    mismatch(operand, "a sequence for the " + std::to_string(tokens) + " tokens");
}

void check_cu_seqlens(const Operand& operand, const op::TensorView& cu_seqlens, int64_t tokens) {
  if (!cu_seqlens)
    return;
  std::vector<int64_t> values(static_cast<size_t>(cu_seqlens.size()));
  cpu::read(cu_seqlens, 0, cu_seqlens.size(), values.data());
  const auto refuse = [&](size_t k, const std::string& expected) {
    invalid(element_text(operand, static_cast<int64_t>(k)) + " is " + std::to_string(values[k]) +
            ", expected " + expected);
  };
  if (values.front() != 0)
    refuse(0, "0");
  for (size_t k = 1; k < values.size(); ++k) {
    if (values[k] < values[k - 1])
      refuse(k, "at least " + std::to_string(values[k - 1]) + ", which is before it");
  }
  if (values.back() != tokens)
    refuse(values.size() - 1, std::to_string(tokens) + ", the number of tokens");
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
