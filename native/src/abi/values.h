// Checks of what stands in the tensors of CPU memory.
#pragma once

#include <cstdint>

#include "op/tensor_view.h"

namespace logratio::abi {

// Each label is the ignore_index or in [0, vocabulary).
void check_labels(const char* name, const op::Labels& labels, int64_t vocabulary);

// Each weight of a mask, which may be absent, is finite and at least 0.
void check_mask(const char* name, const op::TensorView& mask);

}  // namespace logratio::abi
