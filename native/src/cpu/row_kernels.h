// What an instruction set provides for divergences and scoring rules.
#pragma once

#include <cstdint>

#include "cpu/divergence_kernels.h"
#include "cpu/rule_kernels.h"
#include "cpu/token_rows.h"

namespace logratio::cpu {

constexpr int64_t kTile = 2048;  // columns that a row's float32 sums go over
static_assert(kSegment % kTile == 0);

struct RowKernels {
  const DivergenceKernels* divergence;
  const RuleKernels* rule;
};

extern const RowKernels kRowKernelsBaseline;
extern const RowKernels kRowKernelsAvx2;
extern const RowKernels kRowKernelsAvx512;
extern const RowKernels kRowKernelsAvx512Bf16;

}  // namespace logratio::cpu
