// Rows and what is summed of them: the rows come from a source, and everything between its forward
// and its backward is a few doubles per token. Rows that do not count are not listed.
#include "cpu/step.h"

#include <cmath>
#include <numeric>

#include "cpu/elements.h"
#include "cpu/logit_source.h"
#include "cpu/sequence_logps.h"
#include "math/sequence.h"

namespace logratio::cpu {
namespace {

using math::RowFigures;
using math::SequenceFigures;

class Step : public RowUser {
 public:
  Step(const op::Step& call, StepNeeds needs, StepLayer& layer)
      : call_(call),
        needs_(needs),
        layer_(layer),
        spans_(read_spans(call.sequences, call.length, call.cu_seqlens, &offsets_)),
        labels_(read_labels(call.labels)),
        mask_(read_mask(call.mask, call.rows())),
        token_logps_(mask_.size()),
        first_(static_cast<size_t>(call.sequences)),
        last_(first_.size()),
        tokens_(first_.size()) {
    for (size_t row = 0; row < mask_.size(); ++row) {
      if (labels_[row] < 0)
        mask_[row] = 0;
    }
    weights_ = mask_;
    apply_tail_weight(call.sequence, spans_, weights_.data());
    sequences_.figures.resize(first_.size());
    sequences_.full_counts.resize(first_.size());
  }

  void run(RowSource& source, RowSource* reference) {
    list_rows(source.prefers_companions());
    read_references(reference);
    figures_.resize(list_.rows.size());
    const GradientTotals totals = source.run(list_, wants_everything(), figures_.data(), *this);
    evaluate();
    if (call_.losses_out)
      write(call_.losses_out, 0, call_.losses_out.size(), layer_.losses().loss.data());
    const std::vector<SequenceFigures>& figures = sequences_.figures;
    if (call_.logps)
      write_each(call_.logps, call_.sequences, [&](int64_t b) { return figures[b].logp; });
    if (call_.counts)
      write_each(call_.counts, call_.sequences, [&](int64_t b) { return figures[b].count; });
    if (call_.metrics != nullptr)
      *call_.metrics = metrics(totals);
  }

  void take(int64_t first, int64_t last) override {
    for (int64_t k = first; k < last; ++k) {
      const int64_t row = list_.rows[k], sequence = sequence_of_[k];
      const RowFigures& figures = figures_[k];
      token_logps_[row] = figures.norm.logp;
      if (layer_.covers(row))
        layer_.see(sequence, row, figures.norm.logp);
      if (!math::counts(mask_[row]))
        continue;
      const bool right = figures.of[math::kArgmax] == static_cast<double>(list_.labels[k]);
      sequences_.figures[sequence].add(math::token_figures(figures, right));
    }
    taken_ = last;
  }

  void hand_back(int64_t first, int64_t last, math::RowUpstream* upstream) override {
    evaluate();
    for (int64_t k = first; k < last; ++k) {
      const int64_t row = list_.rows[k], sequence = sequence_of_[k];
      const bool is_chosen = layer_.is_chosen(sequence);
      upstream[k - first] = {
          list_.labels[k], figures_[k].norm, 0,
          math::token_gradient(layer_.losses().gradient[sequence], weights_[row],
                               sequences_.figures[sequence].divisor,
                               is_chosen ? layer_.own_gradient(sequence, row) : 0, is_chosen),
          0};
    }
  }

 private:
  bool wants_everything() const { return call_.metrics != nullptr || needs_.every_figure; }

  // The loss alone needs the tokens whose weight the tail left above 0; all else is about every
  // token that the mask counts.
  void list_rows(bool companions_together) {
    const bool every_token = call_.metrics != nullptr || needs_.every_token;
    const std::vector<double>& weights = every_token ? mask_ : weights_;
    const int64_t groups =
        companions_together ? call_.sequences / layer_.companions() : call_.sequences;
    for (int64_t group = 0; group < groups; ++group) {
      for (int64_t b = group; b < call_.sequences; b += groups)
        list_sequence(b, weights);
      list_.complete.resize(list_.rows.size(), list_.size());
    }
    if (!companions_together || layer_.is_coupled())
      list_.complete.assign(list_.rows.size(), list_.size());
  }

  void list_sequence(int64_t sequence, const std::vector<double>& weights) {
    first_[sequence] = list_.size();
    for (int64_t row = spans_.begin(sequence); row < spans_.end(sequence); ++row) {
      if (!math::counts(weights[row]) && !layer_.covers(row))
        continue;
      list_.rows.push_back(row);
      list_.labels.push_back(labels_[row]);
      sequence_of_.push_back(sequence);
      tokens_[sequence] += math::counts(mask_[row]) ? 1 : 0;
    }
    last_[sequence] = list_.size();
  }

  // References are of tokens, from the call or another model's rows, or of sequences as they are.
  void read_references(RowSource* source) {
    std::vector<double> of_tokens;
    if (source != nullptr) {
      of_tokens.resize(mask_.size());
      std::vector<RowFigures> figures(list_.rows.size());
      struct Nobody : RowUser {
        void take(int64_t, int64_t) override {}
        void hand_back(int64_t, int64_t, math::RowUpstream*) override {}
      } nobody;
      // The same loops as the policy's give the same model rewards of exactly 0.
      source->run(list_, wants_everything(), figures.data(), nobody);
      for (size_t k = 0; k < figures.size(); ++k)
        of_tokens[list_.rows[k]] = figures[k].norm.logp;
    } else if (call_.reference_token_logps) {
      of_tokens = read_all(call_.reference_token_logps, call_.rows(), 0);
    }
    const std::vector<double> of_sequences = read_all(call_.reference_logps, call_.sequences, 0);
    for (int64_t b = 0; b < call_.sequences; ++b) {
      const int64_t begin = spans_.begin(b);
      sequences_.figures[b].reference =
          of_tokens.empty() ? of_sequences[b] : reduced(b, of_tokens).logp;
      sequences_.full_counts[b] =
          std::accumulate(mask_.begin() + begin, mask_.begin() + spans_.end(b), 0.0);
    }
  }

  SequenceSum reduced(int64_t sequence, const std::vector<double>& logps) const {
    const int64_t begin = spans_.begin(sequence);
    return reduce_sequence(call_.sequence, spans_.size(sequence), weights_.data() + begin,
                           logps.empty() ? nullptr : logps.data() + begin);
  }

  // The losses of what has been taken. A sequence of which nothing or a part was taken has its
  // number of tokens already, which is all that another's gradient may look at; its own log-prob
  // means nothing yet.
  void evaluate() {
    if (evaluated_ == taken_)
      return;
    for (int64_t b = 0; b < call_.sequences; ++b) {
      const bool is_new = evaluated_ < 0 || (evaluated_ < last_[b] && first_[b] < taken_);
      if (!is_new)
        continue;
      SequenceFigures& figures = sequences_.figures[b];
      const SequenceSum sum = reduced(b, token_logps_);
      figures.logp = sum.logp;
      figures.count = sum.count;
      figures.divisor = sum.divisor;
      figures.tokens = static_cast<double>(tokens_[b]);
    }
    layer_.evaluate(sequences_);
    evaluated_ = taken_;
  }

  lr_step_metrics metrics(const GradientTotals& totals) const {
    math::StepSums sums{};
    for (int64_t b = 0; b < call_.sequences; ++b)
      sums.add(sequences_.figures[b], layer_.is_chosen(b));
    lr_step_metrics metrics = layer_.metrics(sums);
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
  RowList list_;
  std::vector<RowFigures> figures_;    // of the list
  std::vector<int64_t> sequence_of_;   // of the list
  std::vector<double> token_logps_;    // of all rows
  std::vector<int64_t> first_, last_;  // each sequence's part of the list
  std::vector<int64_t> tokens_;        // of each sequence
  int64_t taken_ = 0;                  // of the list
  int64_t evaluated_ = -1;             // as taken_, when the layer last made its losses
  StepSequences sequences_{};
};

}  // namespace

void run_step(const op::Step& call, StepNeeds needs, StepLayer& layer) {
  LogitSource source(call.logits, call.transform, call.rows(),
                     call.wants_gradient ? &call.gradient : nullptr, call.metrics != nullptr);
  run_step(call, needs, layer, source, nullptr);
}

void run_step(const op::Step& call, StepNeeds needs, StepLayer& layer, RowSource& source,
              RowSource* reference) {
  Step(call, needs, layer).run(source, reference);
}

}  // namespace logratio::cpu
