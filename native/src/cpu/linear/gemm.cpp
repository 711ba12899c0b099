#include "cpu/linear/gemm.h"

#include "cpu/linear/gemms.h"

namespace logratio::cpu {

const Gemm& gemm() { return own_gemm(); }

void offer_gemm(const std::string&) {}

}  // namespace logratio::cpu
