// What an instruction set provides for scoring rules: the loops over one vocabulary row, compiled
// once per instruction set from rule_kernels.cpp. Each call takes one segment, columns [begin, end)
// with begin a multiple of kSegment and end at most kSegment later.
#pragma once

#include <cstdint>

#include "cpu/token_rows.h"
#include "math/scoring_rule.h"

namespace logratio::cpu {

struct RuleSpec {
  ElementType type;
  math::RuleForm form;
  bool differences;  // the sum of the differences from the maximum is wanted
  double alpha;
  float order_scale;  // (alpha - 1) log2(e)
};

using math::RuleGradient;

struct RuleKernels {
  void (*sums)(const RuleSpec& spec, const void* row, int64_t begin, int64_t end,
               math::RuleSums* sums);
  void (*masked)(ElementType type, float maximum, float threshold, const void* row, int64_t begin,
                 int64_t end, math::MaskedSums* sums);
  void (*gradient)(const RuleSpec& spec, const RuleGradient& gradient, const void* row,
                   void* target, int64_t begin, int64_t end);
};

}  // namespace logratio::cpu
