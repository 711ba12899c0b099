// What an instruction set provides. The sources of this folder are compiled once per set, into a
// namespace of its own each; list.h names the kernels.
#pragma once

#include <cstdint>

#include "cpu/kernels/pair_block.h"
#include "cpu/linear/gemm_shape.h"
#include "cpu/scratch.h"
#include "math/divergence.h"
#include "math/scoring_rule.h"
#include "math/token_row.h"
#include "op/logit_rows.h"

namespace logratio::cpu {

// K labels per row, of which `logps` and `tails` receive what is asked of them.
struct ForwardLabels {
  int64_t per_row;
  const int64_t* labels;     // [count, K]; < 0: none, logp is 0
  const int64_t* ascending;  // those of each row that are columns in their order, then kNoColumn;
                             // null where no tail is wanted
  double* logps;             // [count, K]
  double* tails;             // [count]; null: not wanted

  static constexpr int64_t kNoColumn = INT64_MAX;
};

struct TokenForward {
  op::LogitRows logits;
  op::RowTransform transform;
  bool everything;  // false: only logp, lse and what the backward takes
  int64_t count;
  const int64_t* rows;    // null: 0..count-1
  const int64_t* labels;  // of these rows; < 0: none, logp is 0. Unused with several per row
  math::RowFigures* figures;
  const ForwardLabels* several = nullptr;
  math::RowPart* parts = nullptr;  // of rows that are parts of longer ones, in place of the figures
};

struct GradientTotals {
  double squares;     // of the gradient before it is rounded to its type
  int64_t nonfinite;  // values of the stored gradient that are inf or NaN

  [[gnu::always_inline]] inline void add(const GradientTotals& other) {
    squares += other.squares;
    nonfinite += other.nonfinite;
  }
};

// The gradients of the columns that K labels per row name, which replace those of the rows' own
// loops.
struct BackwardLabels {
  int64_t per_row;
  const int64_t* labels;  // [count, K]; < 0: none
  const double* values;   // [count, K]
};

// Gradient rows 0..count-1 from logits rows 0..count-1; the two may be the same memory. Columns
// that the gradient has beyond those of the logits become 0.
struct TokenBackward {
  op::LogitRows logits;
  op::LogitRows gradient;
  op::RowTransform transform;
  int64_t count;
  const math::RowUpstream* upstream;  // rows whose upstream is zero get 0 and are not read
  GradientTotals* totals;             // of all rows; null: not wanted, as with several labels
  const BackwardLabels* several = nullptr;
  int64_t first_column = 0;  // of rows that are parts of longer ones: which column is their first
  GradientTotals* row_totals = nullptr;  // of each row; null: not wanted
};

// Rows p and q of the two sides, which meet.
struct DivergenceRows {
  int64_t p, q;
  double upstream;  // of the value; 0: the gradients of both rows are 0
};

struct Divergence {
  math::DivergenceOptions options;
  op::LogitRows p, q;
  bool q_is_weights;  // float32, >= 0, not all 0 in a row; else logits of p's type
  int64_t count;
  const DivergenceRows* rows;  // none twice on a side
  double* values;
  const op::LogitRows* grad_p;  // null: not wanted. They may be the logits
  const op::LogitRows* grad_q;
  // Several models' logits, each of q_count rows, one model after the other: the value is the sum
  // of theirs times their weights. 0: q's logits are those of one
  int64_t models;
  const double* model_weights;
  int64_t q_count;
};

// q is known in some columns alone.
struct DivergenceTopk {
  math::DivergenceOptions options;  // kl_pq, kl_qp or js
  op::LogitRows p;
  int64_t known;  // columns in each row of q
  int64_t count;
  const DivergenceRows* rows;
  const int64_t* ids;      // [rows of q, known]: the columns, ascending in a row
  const double* log_q;     // [rows of q, known]
  const double* log_left;  // [rows of q]: of the mass that the known columns leave
  double* values;
  const op::LogitRows* grad_p;  // null: not wanted. It may be the logits
};

struct ScoringRule {
  math::RuleOptions options;
  op::LogitRows logits;
  int64_t count;
  const int64_t* labels;  // < 0: the row's value and gradient are 0
  double* values;
  const op::LogitRows* gradient;  // null: not wanted. It may be the logits
  const double* upstream;         // of the values; with the gradient
};

struct Kernels {
  const char* name;
#define LR_KERNEL(result, name, parameters) result(*name) parameters;
#include "cpu/kernels/list.h"
#undef LR_KERNEL
};

// The instruction sets, the preferred one last.
#define LR_INSTRUCTION_SETS(SET) SET(Baseline) SET(Avx2) SET(Avx512) SET(Avx512Bf16)

#define LR_SET(name) extern const Kernels kKernels##name;
LR_INSTRUCTION_SETS(LR_SET)
#undef LR_SET

}  // namespace logratio::cpu
