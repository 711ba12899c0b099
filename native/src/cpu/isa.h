// Which instruction set the CPU kernels run on.
#pragma once

#include "cpu/kernels/kernels.h"

namespace logratio::cpu {

// The kernels in use. Called where instruction_set_error() has told of no error.
const Kernels& kernels();

const char* instruction_set_name();   // nullptr if there is an error
const char* instruction_set_error();  // nullptr if there is none

}  // namespace logratio::cpu
