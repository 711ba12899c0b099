#include "cpu/sequence_logps.h"

#include <algorithm>

#include "cpu/elements.h"
#include "math/sequence.h"

namespace logratio::cpu {
namespace {

using math::counts;

// Shared: the first tokens of each answer, as many as the shorter one has.
void scale_tail_by_position(const lr_sequence_options& options, int64_t tokens, double* chosen,
                            double* rejected) {
  const auto counted = [tokens](const double* row) {
    return std::count_if(row, row + tokens, [](double weight) { return counts(weight); });
  };
  const int64_t shorter = std::min(counted(chosen), counted(rejected));
  const int64_t shared = math::shared_tokens(options, shorter);
  for (double* row : {chosen, rejected}) {
    int64_t position = 0;
    for (int64_t t = 0; t < tokens; ++t) {
      if (counts(row[t]))
        row[t] = math::tail_weighted(options, row[t], ++position, shared);
    }
  }
}

// Shared: the columns where both answers have a token.
void scale_tail_by_column(const lr_sequence_options& options, int64_t tokens, double* chosen,
                          double* rejected) {
  int64_t both = 0;
  for (int64_t t = 0; t < tokens; ++t)
    both += counts(chosen[t]) && counts(rejected[t]) ? 1 : 0;
  const int64_t shared = math::shared_tokens(options, both);
  int64_t position = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t place = counts(chosen[t]) && counts(rejected[t]) ? ++position : 0;
    for (double* row : {chosen, rejected})
      row[t] = math::tail_weighted(options, row[t], place, shared);
  }
}

}  // namespace

void apply_tail_weight(const lr_sequence_options& options, int64_t sequences, int64_t tokens,
                       double* weights) {
  if (options.tail_weight == 1)
    return;
  const auto scale =
      options.align == LR_ALIGN_ABSOLUTE ? scale_tail_by_column : scale_tail_by_position;
  const int64_t pairs = sequences / 2;
  for (int64_t pair = 0; pair < pairs; ++pair)
    scale(options, tokens, weights + pair * tokens, weights + (pairs + pair) * tokens);
}

SequenceSum reduce_sequence(const lr_sequence_options& options, int64_t tokens,
                            const double* weights, const double* token_logps) {
  SequenceSum sum{0, 0, 1};
  for (int64_t t = 0; t < tokens; ++t) {
    if (!counts(weights[t]))
      continue;
    sum.count += weights[t];
    if (token_logps != nullptr)
      sum.logp += weights[t] * token_logps[t];
  }
  sum.divisor = math::divisor_of(options, sum.count);
  sum.logp /= sum.divisor;
  return sum;
}

void sequence_logps(const op::SequenceLogps& call) {
  const lr_sequence_options& options = call.options;
  const int64_t sequences = call.mask.outer, tokens = call.mask.inner;
  std::vector<double> weights = read_mask(call.mask, call.mask.size());
  apply_tail_weight(options, sequences, tokens, weights.data());
  std::vector<double> row(tokens);
  for (int64_t sequence = 0; sequence < sequences; ++sequence) {
    const double* row_weights = weights.data() + sequence * tokens;
    if (call.token_logps)
      read(call.token_logps, sequence * tokens, tokens, row.data());
    const SequenceSum sum =
        reduce_sequence(options, tokens, row_weights, call.token_logps ? row.data() : nullptr);
    if (call.logps)
      write(call.logps, sequence, 1, &sum.logp);
    if (call.counts)
      write(call.counts, sequence, 1, &sum.count);
    if (!call.grad_token_logps)
      continue;
    double upstream;
    read(call.grad_logps, sequence, 1, &upstream);
    for (int64_t t = 0; t < tokens; ++t)
      row[t] = counts(row_weights[t]) ? upstream * row_weights[t] / sum.divisor : 0.0;
    write(call.grad_token_logps, sequence * tokens, tokens, row.data());
  }
}

}  // namespace logratio::cpu
