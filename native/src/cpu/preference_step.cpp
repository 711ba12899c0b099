// The rows of the vocabulary are read once forward, and read and written once backward; everything
// between is a few doubles per token. Rows that do not count are skipped forward and get zeros
// backward, without being read.
#include "cpu/preference_step.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/pair_loss.h"
#include "cpu/sequence_logps.h"
#include "cpu/step.h"
#include "math/losses.h"
#include "math/sequence.h"

namespace logratio::cpu {
namespace {

using math::RowFigures;
using math::SequenceFigures;
using math::StepSums;
using op::PairTensors;
using op::WeightedLoss;

bool is_sft(const WeightedLoss& loss) {
  return math::loss_info(loss.options.loss)->kind == LR_LOSS_AUXILIARY;
}

// A row that was read, and what was found in it.
struct CountedRows {
  std::vector<int64_t> rows, labels;
  std::vector<RowFigures> figures;
};

// Everything about the pairs, one element per pair.
struct Pairs : StepLosses {
  explicit Pairs(int64_t count) : chosen_rewards(count), rejected_rewards(count) {
    loss.resize(count);
    gradient.resize(2 * count);
  }
  std::vector<double> chosen_rewards, rejected_rewards;
};

class Step {
 public:
  Step(const op::Step& call, StepNeeds needs, StepLayer& layer)
      : call_(call),
        needs_(needs),
        layer_(layer),
        spans_(read_spans(call.sequences, call.length, call.cu_seqlens, &offsets_)),
        labels_(read_labels(call.labels)),
        mask_(read_mask(call.mask, call.rows())),
        sequences_(static_cast<size_t>(call.sequences)) {
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
    layer_.evaluate(sequences_, sums_);
    GradientTotals totals{0, 0};
    if (call_.wants_gradient)
      write_gradient(&totals);
    if (call_.losses_out)
      write(call_.losses_out, 0, call_.losses_out.size(), layer_.losses().loss.data());
    if (call_.logps)
      write_each(call_.logps, call_.sequences, [&](int64_t b) { return sequences_[b].logp; });
    if (call_.counts)
      write_each(call_.counts, call_.sequences, [&](int64_t b) { return sequences_[b].count; });
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
      if (!math::counts(weights[row]))
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

  void sum_sequences() {
    std::vector<double> token_logps(mask_.size());
    int64_t sequence = 0;
    for (size_t k = 0; k < counted_.rows.size(); ++k) {
      const int64_t row = counted_.rows[k];
      const RowFigures& figures = counted_.figures[k];
      token_logps[row] = figures.norm.logp;
      const bool right = figures.of[math::kArgmax] == static_cast<double>(counted_.labels[k]);
      while (row >= spans_.end(sequence))
        ++sequence;
      sequences_[sequence].add(math::token_figures(figures, right));
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
      sequences_[b].logp = sum.logp;
      sequences_[b].count = sum.count;
      sequences_[b].divisor = sum.divisor;
      sequences_[b].reference =
          call_.reference_token_logps ? reduced(reference_tokens).logp : reference[b];
      sums_.add(sequences_[b], layer_.is_chosen(b));
    }
  }

  void write_gradient(GradientTotals* totals) const {
    const StepLosses& losses = layer_.losses();
    std::vector<math::RowUpstream> upstream(mask_.size(), {-1, {}, 0, 0, 0});
    int64_t sequence = 0;
    for (size_t k = 0; k < counted_.rows.size(); ++k) {
      const int64_t row = counted_.rows[k];
      while (row >= spans_.end(sequence))
        ++sequence;
      upstream[row] = {counted_.labels[k], counted_.figures[k].norm, 0,
                       math::token_gradient(losses.gradient[sequence], weights_[row],
                                            sequences_[sequence].divisor, losses.by_chosen_token,
                                            layer_.is_chosen(sequence)),
                       0};
    }
    Scratch scratch;
    kernels().token_backward({call_.logits, call_.gradient, call_.transform, call_.rows(),
                              upstream.data(), call_.metrics != nullptr ? totals : nullptr},
                             scratch);
  }

  lr_step_metrics metrics(const GradientTotals& totals) const {
    lr_step_metrics metrics = layer_.metrics(sums_);
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
  std::vector<SequenceFigures> sequences_;
  StepSums sums_{};
};

// The losses of the list, over pairs.
class PairLayer : public StepLayer {
 public:
  explicit PairLayer(const op::PreferenceStep& call) : call_(call), pairs_(call.pairs) {}

  bool is_chosen(int64_t sequence) const override { return sequence < call_.pairs; }

  void evaluate(std::vector<SequenceFigures>& sequences, const StepSums& sums) override {
    sequences_ = &sequences;
    bool rewarded = false;
    for (const WeightedLoss* loss = call_.losses; loss != call_.losses + call_.loss_count; ++loss) {
      if (is_sft(*loss)) {
        for (double& value : pairs_.loss)
          value += math::vanishing_product(loss->weight, sums.sft());
        if (sums.chosen_tokens > 0)
          pairs_.by_chosen_token -= loss->weight / sums.chosen_tokens;
      } else {
        add_paired(*loss, !rewarded);
        rewarded = true;
      }
    }
  }

  const StepLosses& losses() const override { return pairs_; }

  lr_step_metrics metrics(const StepSums& tokens) const override {
    math::PairMetricSums sums{};
    for (int64_t k = 0; k < call_.pairs; ++k)
      sums.add(pairs_.loss[k], pairs_.chosen_rewards[k], pairs_.rejected_rewards[k]);
    return math::step_metrics(sums, static_cast<double>(call_.pairs), tokens);
  }

 private:
  double wpo_weight(int64_t pair) const {
    return call_.wpo ? math::wpo_weight((*sequences_)[pair], (*sequences_)[call_.pairs + pair]) : 1;
  }

  // A field of the sequences' figures, of the chosen ones or of the rejected ones.
  TensorView field(double SequenceFigures::*member, int64_t first) {
    return field_of(*sequences_, member, first, call_.pairs);
  }
  static TensorView view(std::vector<double>& values, int64_t first, int64_t count) {
    return view_of(values.data() + first, count);
  }

  void add_paired(const WeightedLoss& loss, bool is_first) {
    const math::LossInfo& info = *math::loss_info(loss.options.loss);
    const int64_t pairs = call_.pairs, values = info.two_values ? 2 : 1;
    std::vector<double> upstream(values * pairs), value(values * pairs), gradient(2 * pairs),
        chosen_rewards(pairs), rejected_rewards(pairs);
    for (int64_t k = 0; k < values * pairs; ++k)
      upstream[k] = loss.weight * wpo_weight(k % pairs) / static_cast<double>(values * pairs);
    PairTensors t;
    t.policy_chosen = field(&SequenceFigures::logp, 0);
    t.policy_rejected = field(&SequenceFigures::logp, pairs);
    if ((call_.reference_logps || call_.reference_token_logps) &&
        info.kind != LR_LOSS_REFERENCE_FREE) {
      t.reference_chosen = field(&SequenceFigures::reference, 0);
      t.reference_rejected = field(&SequenceFigures::reference, pairs);
    }
    t.chosen_counts = field(&SequenceFigures::count, 0);
    t.rejected_counts = field(&SequenceFigures::count, pairs);
    t.logps_are_means = call_.sequence.reduction == LR_MEAN;
    t.grad_loss = view(upstream, 0, values * pairs);
    t.loss = view(value, 0, values * pairs);
    t.grad_policy_chosen = view(gradient, 0, pairs);
    t.grad_policy_rejected = view(gradient, pairs, pairs);
    t.chosen_rewards = view(chosen_rewards, 0, pairs);
    t.rejected_rewards = view(rejected_rewards, 0, pairs);
    pair_loss(loss.options, pairs, t);
    for (int64_t k = 0; k < pairs; ++k) {
      const double both = info.two_values ? (value[k] + value[pairs + k]) / 2 : value[k];
      pairs_.loss[k] += math::vanishing_product(loss.weight * wpo_weight(k), both);
    }
    for (int64_t k = 0; k < 2 * pairs; ++k)
      pairs_.gradient[k] += gradient[k];
    if (is_first) {
      pairs_.chosen_rewards = chosen_rewards;
      pairs_.rejected_rewards = rejected_rewards;
    }
  }

  const op::PreferenceStep& call_;
  std::vector<SequenceFigures>* sequences_ = nullptr;
  Pairs pairs_;
};

}  // namespace

void run_step(const op::Step& call, StepNeeds needs, StepLayer& layer) {
  Step(call, needs, layer).run();
}

void preference_step(const op::PreferenceStep& call) {
  const bool sft = std::any_of(call.losses, call.losses + call.loss_count, is_sft);
  PairLayer pairs(call);
  run_step(call, {call.wpo || sft, call.wpo}, pairs);
}

}  // namespace logratio::cpu
