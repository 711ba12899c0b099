// Checks of the columns that rows keep.
#pragma once

#include <cstdint>

#include "abi/operand.h"
#include "op/token_logprobs.h"

namespace logratio::abi {

// There is a label per row, and kept_offsets has one element more than there are rows, of
// sequences, too.
void check_kept_shape(const Operand& offsets, const Operand& logits, const Operand& labels,
                      const op::KeptColumns& kept, int64_t rows);

// Offsets rise from 0 to the number of ids, and a row's ids rise within [0, vocabulary).
void check_kept(const Operand& offsets, const Operand& ids, const op::KeptColumns& kept,
                int64_t vocabulary);

}  // namespace logratio::abi
