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
  std::string index;
  for (int d = tensor.ndim - 1; d >= 0; --d) {
    const int64_t size = d == 0 ? number + 1 : tensor.shape[d];
    index = std::to_string(number % size) + (index.empty() ? "" : ", " + index);
    number /= size;
  }
  return std::string(operand.name) + "[" + index + "]";
}

namespace {

// Element k of the labels is the ignore_index or in [0, vocabulary).
void check_label(const Operand& operand, int64_t k, int64_t label, int64_t ignore_index,
                 int64_t vocabulary) {
  if (label != ignore_index && (label < 0 || label >= vocabulary)) {
    invalid(element_text(operand, k) + " is " + std::to_string(label) +
            ", expected a number in [0," + std::to_string(vocabulary) + ") or the ignore_index " +
            std::to_string(ignore_index));
  }
}

}  // namespace

void check_labels(const Operand& operand, const op::Labels& labels, int64_t vocabulary,
                  const double* weights) {
  const op::TensorView& view = labels.values;
  std::vector<int64_t> values(static_cast<size_t>(view.size()));
  cpu::read(view, 0, view.size(), values.data());
  for (size_t k = 0; k < values.size(); ++k) {
    if (weights == nullptr || weights[k] > 0)
      check_label(operand, static_cast<int64_t>(k), values[k], labels.ignore_index, vocabulary);
  }
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
    check_label(operand, static_cast<int64_t>(k), label, labels.ignore_index, vocabulary);
    if (rows.empty())
      continue;
    const int64_t row = static_cast<int64_t>(k) / columns.count;
    if (rows[static_cast<size_t>(label)] == row) {
      invalid(element_text(operand, static_cast<int64_t>(k)) + " is " + std::to_string(label) +
              " once more, expected no label twice in a row");
    }
    rows[static_cast<size_t>(label)] = row;
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
