// Which instruction set the CPU kernels run on.
#pragma once

#include "cpu/pair_kernels.h"
#include "cpu/row_kernels.h"

namespace logratio::cpu {

// The kernels in use, or nullptr with instruction_set_error() saying why.
const RowKernels* row_kernels();
const PairKernels* pair_kernels();

const char* instruction_set_name();   // nullptr if there is an error
const char* instruction_set_error();  // nullptr if there is none

}  // namespace logratio::cpu
