#include "cpu/sequence_logps.h"

#include <algorithm>

#include "cpu/elements.h"
#include "math/sequence.h"

namespace logratio::cpu {
namespace {

using math::counts;

// The tokens of a sequence, their weights in place.
struct Weights {
  double* of;
  int64_t size;

  bool counts_at(int64_t t) const { return t < size && counts(of[t]); }
};

// Shared: the first tokens of each answer, as many as the shorter one has.
void scale_tail_by_position(const lr_sequence_options& options, const Weights& chosen,
                            const Weights& rejected) {
  const auto counted = [](const Weights& answer) {
    return std::count_if(answer.of, answer.of + answer.size,
                         [](double weight) { return counts(weight); });
  };
  const int64_t shorter = std::min(counted(chosen), counted(rejected));
  const int64_t shared = math::shared_tokens(options, shorter);
  for (const Weights& answer : {chosen, rejected}) {
    int64_t position = 0;
    for (int64_t t = 0; t < answer.size; ++t) {
      if (counts(answer.of[t]))
        answer.of[t] = math::tail_weighted(options, answer.of[t], ++position, shared);
    }
  }
}

// Shared: the columns where both answers have a token.
void scale_tail_by_column(const lr_sequence_options& options, const Weights& chosen,
                          const Weights& rejected) {
  const int64_t columns = std::max(chosen.size, rejected.size);
  int64_t both = 0;
  for (int64_t t = 0; t < columns; ++t)
    both += chosen.counts_at(t) && rejected.counts_at(t) ? 1 : 0;
  const int64_t shared = math::shared_tokens(options, both);
  int64_t position = 0;
  for (int64_t t = 0; t < columns; ++t) {
    const int64_t place = chosen.counts_at(t) && rejected.counts_at(t) ? ++position : 0;
    for (const Weights& answer : {chosen, rejected}) {
      if (t < answer.size)
        answer.of[t] = math::tail_weighted(options, answer.of[t], place, shared);
    }
  }
}

}  // namespace

math::SequenceSpans read_spans(int64_t sequences, int64_t length, const op::TensorView& cu_seqlens,
                               std::vector<int64_t>* offsets) {
  if (!cu_seqlens)
    return {sequences, length, nullptr};
  offsets->resize(static_cast<size_t>(sequences) + 1);
  read(cu_seqlens, 0, sequences + 1, offsets->data());
  return {sequences, math::kPacked, offsets->data()};
}

void apply_tail_weight(const lr_sequence_options& options, const math::SequenceSpans& sequences,
                       double* weights) {
  if (options.tail_weight == 1)
    return;
  const auto scale =
      options.align == LR_ALIGN_ABSOLUTE ? scale_tail_by_column : scale_tail_by_position;
  const auto of = [&](int64_t sequence) {
    return Weights{weights + sequences.begin(sequence), sequences.size(sequence)};
  };
  for (int64_t pair = 0; pair < sequences.count / 2; ++pair)
    scale(options, of(pair), of(sequences.partner(pair)));
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
  std::vector<int64_t> offsets;
  const math::SequenceSpans spans =
      read_spans(call.sequences, call.length, call.cu_seqlens, &offsets);
  std::vector<double> weights = read_mask(call.mask, call.mask.size());
  apply_tail_weight(options, spans, weights.data());
  std::vector<double> row;
  for (int64_t sequence = 0; sequence < spans.count; ++sequence) {
    const int64_t first = spans.begin(sequence), tokens = spans.size(sequence);
    const double* row_weights = weights.data() + first;
    row.resize(static_cast<size_t>(tokens));
    if (call.token_logps)
      read(call.token_logps, first, tokens, row.data());
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
    write(call.grad_token_logps, first, tokens, row.data());
  }
}

}  // namespace logratio::cpu
