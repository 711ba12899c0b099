// Checks of what stands in the tensors of CPU memory.
#pragma once

#include <cstdint>
#include <string>

#include "abi/operand.h"
#include "op/tensor_view.h"

namespace logratio::abi {

// "labels[2, 1]", for an element's number in row-major order.
std::string element_text(const Operand& operand, int64_t number);

// Each label is the ignore_index or in [0, vocabulary).
void check_labels(const Operand& operand, const op::Labels& labels, int64_t vocabulary);

// The same of several labels per row, of which no two are the same column.
void check_labels(const Operand& operand, const op::Labels& labels, const op::Columns& columns,
                  int64_t vocabulary);

// Each weight, of which there may be none, is finite and at least 0.
void check_weights(const Operand& operand, const op::TensorView& weights);

}  // namespace logratio::abi
