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

// Packed sequences, if they are, number at least one where there are tokens.
void check_has_sequences(const Operand& operand, int64_t tokens);

// 0, then rising to the number of tokens; nothing where sequences are not packed.
void check_cu_seqlens(const Operand& operand, const op::TensorView& cu_seqlens, int64_t tokens);

// Each weight, of which there may be none, is finite and at least 0.
void check_weights(const Operand& operand, const op::TensorView& weights);

}  // namespace logratio::abi
