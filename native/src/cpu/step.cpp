// The rows of the vocabulary are read once forward, and read and written once backward; everything
// between is a few doubles per token. Rows that do not count are skipped forward and get zeros
// backward, without being read.
#include "cpu/step.h"

#include <cmath>
#include <numeric>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/sequence_logps.h"
#include "math/sequence.h"

namespace logratio::cpu {
namespace {

using math::RowFigures;

// A row that was read, and what was found in it.
struct CountedRows {
  std::vector<int64_t> rows, labels;
  std::vector<RowFigures> figures;
};

class Step {
 public:
  Step(const op::Step& call, StepNeeds needs, StepLayer& layer)
      : call_(call),
        needs_(needs),
        layer_(layer),
        spans_(read_spans(call.sequences, call.length, call.cu_seqlens, &offsets_)),
        labels_(read_labels(call.labels)),
        mask_(read_mask(call.mask, call.rows())) {
    for (size_t row = 0; row < mask_.size(); ++row) {
      if (labels_[row] < 0)
        mask_[row] = 0;
    }
    weights_ = mask_;
    apply_tail_weight(call.sequence, spans_, weights_.data());
  }

  void run() {
    read_rows();
    sum_sequences();
    layer_.evaluate(sequences_);
    GradientTotals totals{0, 0};
    if (call_.wants_gradient)
      write_gradient(&totals);
    if (call_.losses_out)
      write(call_.losses_out, 0, call_.losses_out.size(), layer_.losses().loss.data());
    const std::vector<math::SequenceFigures>& figures = sequences_.figures;
    if (call_.logps)
      write_each(call_.logps, call_.sequences, [&](int64_t b) { return figures[b].logp; });
    if (call_.counts)
      write_each(call_.counts, call_.sequences, [&](int64_t b) { return figures[b].count; });
    if (call_.metrics != nullptr)
      *call_.metrics = metrics(totals);
  }

 private:
  // The loss alone needs the tokens whose weight the tail left above 0; all else is about every
  // token that the mask counts.
  void read_rows() {
    const bool every_token = call_.metrics != nullptr || needs_.every_token;
    const std::vector<double>& weights = every_token ? mask_ : weights_;
    for (size_t row = 0; row < weights.size(); ++row) {
      if (!math::counts(weights[row]) && !layer_.covers(static_cast<int64_t>(row)))
        continue;
      counted_.rows.push_back(static_cast<int64_t>(row));
      counted_.labels.push_back(labels_[row]);
    }
    counted_.figures.resize(counted_.rows.size());
    Scratch scratch;
    kernels().token_forward(
        {call_.logits, call_.transform, call_.metrics != nullptr || needs_.every_figure,
         static_cast<int64_t>(counted_.rows.size()), counted_.rows.data(), counted_.labels.data(),
         counted_.figures.data()},
        scratch);
  }

  // That of a row which comes after those of the sequence.
  int64_t sequence_of(int64_t row, int64_t sequence) const {
    while (row >= spans_.end(sequence))
      ++sequence;
    return sequence;
  }

  void sum_sequences() {
    std::vector<math::SequenceFigures>& sequences = sequences_.figures;
    sequences.resize(static_cast<size_t>(call_.sequences));
    sequences_.full_counts.resize(sequences.size());
    std::vector<double> token_logps(mask_.size());
    int64_t sequence = 0;
    for (size_t k = 0; k < counted_.rows.size(); ++k) {
      const int64_t row = counted_.rows[k];
      const RowFigures& figures = counted_.figures[k];
      token_logps[row] = figures.norm.logp;
      sequence = sequence_of(row, sequence);
      if (layer_.covers(row))
        layer_.see(sequence, row, figures.norm.logp);
      if (!math::counts(mask_[row]))
        continue;
      const bool right = figures.of[math::kArgmax] == static_cast<double>(counted_.labels[k]);
      sequences[sequence].add(math::token_figures(figures, right));
    }
    const std::vector<double> reference = read_all(call_.reference_logps, call_.sequences, 0),
                              reference_tokens =
                                  read_all(call_.reference_token_logps,
                                           call_.reference_token_logps ? call_.rows() : 0, 0);
    for (int64_t b = 0; b < call_.sequences; ++b) {
      const int64_t first = spans_.begin(b);
      const auto reduced = [&](const std::vector<double>& logps) {
        return reduce_sequence(call_.sequence, spans_.size(b), weights_.data() + first,
                               logps.empty() ? nullptr : logps.data() + first);
      };
      const SequenceSum sum = reduced(token_logps);
      sequences[b].logp = sum.logp;
      sequences[b].count = sum.count;
      sequences[b].divisor = sum.divisor;
      sequences[b].reference =
          call_.reference_token_logps ? reduced(reference_tokens).logp : reference[b];
      sequences_.full_counts[b] =
          std::accumulate(mask_.begin() + first, mask_.begin() + spans_.end(b), 0.0);
      sequences_.sums.add(sequences[b], layer_.is_chosen(b));
    }
  }

  void write_gradient(GradientTotals* totals) const {
    const StepLosses& losses = layer_.losses();
    std::vector<math::RowUpstream> upstream(mask_.size(), {-1, {}, 0, 0, 0});
    int64_t sequence = 0;
    for (size_t k = 0; k < counted_.rows.size(); ++k) {
      const int64_t row = counted_.rows[k];
      sequence = sequence_of(row, sequence);
      const bool is_chosen = layer_.is_chosen(sequence);
      upstream[row] = {
          counted_.labels[k], counted_.figures[k].norm, 0,
          math::token_gradient(losses.gradient[sequence], weights_[row],
                               sequences_.figures[sequence].divisor,
                               is_chosen ? layer_.own_gradient(sequence, row) : 0, is_chosen),
          0};
    }
    Scratch scratch;
    kernels().token_backward({call_.logits, call_.gradient, call_.transform, call_.rows(),
                              upstream.data(), call_.metrics != nullptr ? totals : nullptr},
                             scratch);
  }

  lr_step_metrics metrics(const GradientTotals& totals) const {
    lr_step_metrics metrics = layer_.metrics(sequences_.sums);
    metrics.grad_norm = std::sqrt(totals.squares);
    metrics.nonfinite += totals.nonfinite;
    return metrics;
  }

  const op::Step& call_;
  const StepNeeds needs_;
  StepLayer& layer_;
  std::vector<int64_t> offsets_;
  const math::SequenceSpans spans_;
  std::vector<int64_t> labels_;
  std::vector<double> mask_;     // 0 where the label is ignored
  std::vector<double> weights_;  // of tokens in their sums, after the tail weight
  CountedRows counted_;
  StepSequences sequences_{};
};

}  // namespace

void run_step(const op::Step& call, StepNeeds needs, StepLayer& layer) {
  Step(call, needs, layer).run();
}

}  // namespace logratio::cpu
