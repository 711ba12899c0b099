// Vocabulary rows on the CPU: the only part of the library that touches V-sized data. Everything
// per row is float64 outside the SIMD loop.
#pragma once

#include <cstdint>

#include "op/logit_rows.h"

namespace logratio::cpu {

// A row is cut into segments of this many columns, whoever computes them; their partials are merged
// in order. So the order of every reduction depends on V alone.
inline constexpr int64_t kSegment = 32768;

using op::ElementType;
using op::LogitRows;
using op::RowTransform;

struct RowWants {  // beyond logp and lse, which always come
  bool lse2;
  bool entropy;
  bool argmax;
  bool mean;
};

struct RowStats {
  double logp;  // z[label] - lse; 0 where there is no label
  double lse;   // log-sum-exp(z)
  double lse2;  // log-sum-exp(2 z)
  // Far from 0, lse has no digits left for the logarithms: lse is pivot / temperature + log_sum,
  // lse2 is 2 pivot / temperature + log_sum2.
  double pivot;
  double log_sum;
  double log_sum2;
  double entropy;   // nats
  double mean_z;    // mean of z over the columns where it is not -inf
  double mean_raw;  // mean of the raw logits over these columns
  int64_t argmax;   // of the raw logits, lowest index on ties, a NaN counting as the largest
};

// What a row's probabilities are, and its label's: p = exp((softcap(x) - pivot) / temperature -
// log_sum).
struct RowNorm {
  double pivot;
  double log_sum;
  double logp;
};

struct RowGrad {           // gradient of one row: grad_logp * d logp + grad_entropy * d entropy
  int64_t label = -1;      // < 0: the row gets 0 and is not read
  RowNorm norm = {};       // given where lse_epsilon is 0
  double lse = 0;          // a caller's
  double lse_epsilon = 0;  // spacing next to 1 of the type that lse was rounded to
  double entropy = 0;      // read only where grad_entropy is not 0
  double grad_logp = 0;
  double grad_entropy = 0;
};

struct GradTotals {
  double sum_squares;  // of the gradient before rounding to its type
  int64_t nonfinite;   // values of the stored gradient that are inf or NaN
};

// stats[k] describes row rows[k] (row k when rows is null) with label labels[k] (< 0: none).
void forward_rows(const LogitRows& logits, const RowTransform& transform, RowWants wants,
                  const int64_t* rows, const int64_t* labels, int64_t count, RowStats* stats);

// Writes gradient rows 0..count-1 from logits rows 0..count-1; the two views may be the same
// memory. Totals only when wanted.
void backward_rows(const LogitRows& logits, const LogitRows& gradient,
                   const RowTransform& transform, const RowGrad* grads, int64_t count,
                   GradTotals* totals);

}  // namespace logratio::cpu
