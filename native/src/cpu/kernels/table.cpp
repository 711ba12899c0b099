// The table of one instruction set: LR_ISA_NAMESPACE, LR_ISA_TABLE and LR_ISA_NAME say which.
#include "cpu/kernels/kernels.h"

namespace logratio::cpu {

namespace LR_ISA_NAMESPACE {
#define LR_KERNEL(result, name, parameters) result name parameters;
#include "cpu/kernels/list.h"
#undef LR_KERNEL
}  // namespace LR_ISA_NAMESPACE

extern const Kernels LR_ISA_TABLE = {
    .name = LR_ISA_NAME,
#define LR_KERNEL(result, name, parameters) .name = LR_ISA_NAMESPACE::name,
#include "cpu/kernels/list.h"
#undef LR_KERNEL
};

}  // namespace logratio::cpu
