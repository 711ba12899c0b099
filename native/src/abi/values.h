// Values that are checked before anything is written: labels and mask weights, which lie in host
// memory.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/grid.h"

namespace logratio::abi {

// Labels in [0, vocabulary), or ignore_index, which becomes -1.
std::vector<int64_t> read_labels(const char* name, const cpu::Grid& labels, int64_t vocabulary,
                                 int64_t ignore_index);

// Weights, finite and >= 0; those of a bool or uint8 mask are 0 and 1.
std::vector<double> read_mask(const char* name, const cpu::Grid& mask);

}  // namespace logratio::abi
