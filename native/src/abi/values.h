// Checks of what stands in the tensors of CPU memory.
#pragma once

#include <cstdint>
#include <string>

#include "abi/operand.h"
#include "op/tensor_view.h"

namespace logratio::abi {

// "labels[2, 1]", for an element's number in row-major order.
std::string element_text(const Operand& operand, int64_t number);

// Each label is the ignore_index or in [0, vocabulary); where there are weights, those whose weight
// is above 0.
void check_labels(const Operand& operand, const op::Labels& labels, int64_t vocabulary,
                  const double* weights = nullptr);

// The same of several labels per row, of which no two are the same column.
void check_labels(const Operand& operand, const op::Labels& labels, const op::Columns& columns,
                  int64_t vocabulary);

// Packed sequences, if they are, number at least one where there are tokens.
void check_has_sequences(const Operand& operand, int64_t tokens);

// 0, then rising to the number of tokens; nothing where sequences are not packed.
void check_cu_seqlens(const Operand& operand, const op::TensorView& cu_seqlens, int64_t tokens);

// Each weight, of which there may be none, is finite and at least 0; or each of the first so many.
void check_weights(const Operand& operand, const op::TensorView& weights);
void check_weights(const Operand& operand, const op::TensorView& weights, int64_t count);

}  // namespace logratio::abi
