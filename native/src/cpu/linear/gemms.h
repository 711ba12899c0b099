// Where the products come from: each source opens one kind of library.
#pragma once

#include "cpu/linear/gemm.h"

namespace logratio::cpu {

const Gemm& own_gemm();

}  // namespace logratio::cpu
