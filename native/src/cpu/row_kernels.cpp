#include "cpu/row_kernels.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
extern const DivergenceKernels kDivergenceKernels;
extern const RuleKernels kRuleKernels;
}  // namespace logratio::cpu::LR_ISA_NAMESPACE

namespace logratio::cpu {
extern const RowKernels LR_ISA_ROW_TABLE = {
    &LR_ISA_NAMESPACE::kDivergenceKernels,
    &LR_ISA_NAMESPACE::kRuleKernels,
};
}  // namespace logratio::cpu
