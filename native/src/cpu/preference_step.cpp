// The rows of the vocabulary are read once forward, and read and written once backward; everything
// between is a few doubles per token. Rows that do not count are skipped forward and get zeros
// backward, without being read.
#include "cpu/preference_step.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/pair_loss.h"
#include "cpu/sequence_logps.h"
#include "math/losses.h"
#include "math/sequence.h"
#include "math/step.h"
#include "math/step_nll.h"

namespace logratio::cpu {
namespace {

using math::NllFigures;
using math::RowFigures;
using math::SequenceFigures;
using math::StepSums;
using op::PairTensors;
using op::WeightedLoss;

const math::LossInfo& info_of(const WeightedLoss& loss) {
  return *math::loss_info(loss.options.loss);
}

bool is_sft(const WeightedLoss& loss) { return info_of(loss).kind == LR_LOSS_AUXILIARY; }

// A row that was read, and what was found in it.
struct CountedRows {
  std::vector<int64_t> rows, labels;
  std::vector<RowFigures> figures;
};

// Everything about the pairs, one element per pair.
struct Pairs {
  explicit Pairs(int64_t count)
      : loss(count),
        chosen_rewards(count),
        rejected_rewards(count),
        gradient(2 * count),
        by_nll_token(count),
        by_nll_sum(count) {}
  std::vector<double> loss, chosen_rewards, rejected_rewards;
  std::vector<double> gradient;  // [2 pairs]: of the mean loss by each sequence's log-prob
  // Of the negative log-likelihoods, by the log-prob of each token that they cover and by the
  // weighted sum of these.
  std::vector<double> by_nll_token, by_nll_sum;
};

class Step {
 public:
  explicit Step(const op::PreferenceStep& call)
      : call_(call),
        labels_(read_labels(call.labels)),
        mask_(counted(read_mask(call.mask, call.rows()))),
        weights_(mask_),
        nll_weights_(call.nll_mask ? counted(read_mask(call.nll_mask, call.rows() / 2))
                                   : std::vector<double>()),
        pair_weights_(read_all(call.pair_weights, call.pairs, 1)),
        upstream_(read_all(call.grad_loss, 1, 1).front()),
        sequences_(static_cast<size_t>(2 * call.pairs)),
        full_counts_(static_cast<size_t>(2 * call.pairs)),
        nll_(static_cast<size_t>(call.pairs)),
        pairs_(call.pairs) {
    apply_tail_weight(call.sequence, 2 * call.pairs, call.tokens, weights_.data());
  }

  void run() {
    read_rows();
    sum_sequences();
    evaluate_losses();
    find_rewards();
    GradientTotals totals{0, 0};
    if (call_.wants_gradient)
      write_gradient(&totals);
    if (call_.losses_out)
      write(call_.losses_out, 0, call_.pairs, pairs_.loss.data());
    if (call_.logps)
      write_each(call_.logps, 2 * call_.pairs, [&](int64_t b) { return sequences_[b].logp; });
    if (call_.counts)
      write_each(call_.counts, 2 * call_.pairs, [&](int64_t b) { return sequences_[b].count; });
    if (call_.chosen_rewards)
      write(call_.chosen_rewards, 0, call_.pairs, pairs_.chosen_rewards.data());
    if (call_.rejected_rewards)
      write(call_.rejected_rewards, 0, call_.pairs, pairs_.rejected_rewards.data());
    if (call_.metrics != nullptr)
      *call_.metrics = metrics(totals);
  }

 private:
  bool is_chosen(int64_t sequence) const { return sequence < call_.pairs; }

  // The weights of the first tokens of all, 0 where the label is ignored.
  std::vector<double> counted(std::vector<double> weights) const {
    for (size_t row = 0; row < weights.size(); ++row) {
      if (labels_[row] < 0)
        weights[row] = 0;
    }
    return weights;
  }
  // Whether the negative log-likelihoods are to see a token beside what the mask says.
  bool is_of_nll(int64_t row) const {
    return row < static_cast<int64_t>(nll_weights_.size()) && math::counts(nll_weights_[row]);
  }

  // The loss alone needs the tokens whose weight the tail left above 0; all else is about every
  // token that the mask counts.
  void read_rows() {
    const bool every_token = call_.metrics != nullptr || call_.wpo != LR_WPO_OFF ||
                             std::any_of(call_.losses, call_.losses + call_.loss_count, is_sft);
    const std::vector<double>& weights = every_token ? mask_ : weights_;
    for (size_t row = 0; row < weights.size(); ++row) {
      if (!math::counts(weights[row]) && !is_of_nll(static_cast<int64_t>(row)))
        continue;
      counted_.rows.push_back(static_cast<int64_t>(row));
      counted_.labels.push_back(labels_[row]);
    }
    counted_.figures.resize(counted_.rows.size());
    Scratch scratch;
    kernels().token_forward(
        {call_.logits, call_.transform, call_.metrics != nullptr || call_.wpo != LR_WPO_OFF,
         static_cast<int64_t>(counted_.rows.size()), counted_.rows.data(), counted_.labels.data(),
         counted_.figures.data()},
        scratch);
  }

  void sum_sequences() {
    std::vector<double> token_logps(mask_.size());
    for (size_t k = 0; k < counted_.rows.size(); ++k) {
      const int64_t row = counted_.rows[k];
      const RowFigures& figures = counted_.figures[k];
      token_logps[row] = figures.norm.logp;
      if (is_of_nll(row))
        nll_[row / call_.tokens].add(nll_weights_[row], figures.norm.logp);
      if (!math::counts(mask_[row]))
        continue;
      const bool right = figures.of[math::kArgmax] == static_cast<double>(counted_.labels[k]);
      sequences_[row / call_.tokens].add(math::token_figures(figures, right));
    }
    const std::vector<double> reference = read_all(call_.reference_logps, 2 * call_.pairs, 0),
                              reference_tokens =
                                  read_all(call_.reference_token_logps,
                                           call_.reference_token_logps ? call_.rows() : 0, 0);
    for (int64_t b = 0; b < 2 * call_.pairs; ++b) {
      const int64_t first = b * call_.tokens;
      const auto reduced = [&](const std::vector<double>& logps) {
        return reduce_sequence(call_.sequence, call_.tokens, weights_.data() + first,
                               logps.empty() ? nullptr : logps.data() + first);
      };
      const SequenceSum sum = reduced(token_logps);
      sequences_[b].logp = sum.logp;
      sequences_[b].count = sum.count;
      sequences_[b].divisor = sum.divisor;
      sequences_[b].reference =
          call_.reference_token_logps ? reduced(reference_tokens).logp : reference[b];
      full_counts_[b] =
          std::accumulate(mask_.begin() + first, mask_.begin() + first + call_.tokens, 0.0);
      if (is_chosen(b) && !call_.nll_mask)
        nll_[b] = math::nll_figures(sequences_[b], call_.sequence);
      sums_.add(sequences_[b], is_chosen(b));
    }
  }

  math::PairWeight weight_of(int64_t pair) const {
    return {pair_weights_[pair],
            math::wpo_weight(call_.wpo, sequences_[pair], sequences_[call_.pairs + pair])};
  }

  void evaluate_losses() {
    for (const WeightedLoss* loss = call_.losses; loss != call_.losses + call_.loss_count; ++loss) {
      const bool adds_nll = call_.adds_nll_of(loss->options, info_of(*loss));
      if (!is_sft(*loss))
        add_paired(*loss, adds_nll);
      if (is_sft(*loss) || adds_nll)
        add_nll({loss->options, loss->weight, is_sft(*loss), loss->options.nll == LR_NLL_TOKEN});
    }
  }

  void add_nll(const math::NllTerm& term) {
    math::NllSums sums{};
    for (int64_t k = 0; k < call_.pairs; ++k)
      sums.add(nll_[k], weight_of(k));
    for (int64_t k = 0; k < call_.pairs; ++k) {
      const math::NllShare share = math::nll_share(
          term, nll_[k], weight_of(k), sums, static_cast<double>(call_.pairs), call_.token_count);
      pairs_.loss[k] += share.value;
      pairs_.by_nll_token[k] += share.by_token * upstream_;
      if (call_.nll_mask) {
        pairs_.by_nll_sum[k] += share.by_sum * upstream_;
      } else {
        pairs_.gradient[k] +=
            share.by_sum * upstream_ * math::nll_factor(sequences_[k], call_.sequence);
      }
    }
  }

  // Of the reference whether or not a loss looks at it.
  void find_rewards() {
    const double beta = call_.reward_beta;
    for (int64_t k = 0; k < call_.pairs; ++k) {
      const auto reward = [&](const SequenceFigures& answer) {
        return beta == 0 ? 0 : beta * (answer.logp - answer.reference);
      };
      pairs_.chosen_rewards[k] = reward(sequences_[k]);
      pairs_.rejected_rewards[k] = reward(sequences_[call_.pairs + k]);
    }
  }

  // A field of the sequences' figures, of the chosen ones or of the rejected ones.
  TensorView field(double SequenceFigures::*member, int64_t first) {
    constexpr int64_t kStride = sizeof(SequenceFigures) / sizeof(double);
    double* const data =
        sequences_.empty() ? nullptr : &(sequences_[first % sequences_.size()].*member);
    return {true, ElementType::f64, data, 1, call_.pairs, 0, kStride};
  }
  static TensorView view(std::vector<double>& values, int64_t first, int64_t count) {
    return {true, ElementType::f64, values.data() + first, 1, count, 0, 1};
  }

  void add_paired(const WeightedLoss& loss, bool without_nll) {
    const math::LossInfo& info = info_of(loss);
    lr_loss_options options = loss.options;
    if (without_nll)
      options.nll = math::kNllElsewhere;
    const int64_t pairs = call_.pairs, values = info.two_values ? 2 : 1;
    std::vector<double> upstream(values * pairs), value(values * pairs), gradient(2 * pairs);
    for (int64_t k = 0; k < values * pairs; ++k) {
      upstream[k] = loss.weight * weight_of(k % pairs).both() /
                    static_cast<double>(values * pairs) * upstream_;
    }
    PairTensors t;
    t.policy_chosen = field(&SequenceFigures::logp, 0);
    t.policy_rejected = field(&SequenceFigures::logp, pairs);
    if (call_.has_reference() && info.kind != LR_LOSS_REFERENCE_FREE) {
      t.reference_chosen = field(&SequenceFigures::reference, 0);
      t.reference_rejected = field(&SequenceFigures::reference, pairs);
    }
    t.chosen_counts = field(&SequenceFigures::count, 0);
    t.rejected_counts = field(&SequenceFigures::count, pairs);
    if (options.normalise == LR_NORMALISE_FULL) {
      t.chosen_counts = view(full_counts_, 0, pairs);
      t.rejected_counts = view(full_counts_, pairs, pairs);
    }
    t.logps_are_means = call_.sequence.reduction == LR_MEAN;
    t.grad_loss = view(upstream, 0, values * pairs);
    t.loss = view(value, 0, values * pairs);
    t.grad_policy_chosen = view(gradient, 0, pairs);
    t.grad_policy_rejected = view(gradient, pairs, pairs);
    pair_loss(options, pairs, t);
    for (int64_t k = 0; k < pairs; ++k) {
      const double both = info.two_values ? (value[k] + value[pairs + k]) / 2 : value[k];
      pairs_.loss[k] += math::vanishing_product(loss.weight * weight_of(k).both(), both);
    }
    for (int64_t k = 0; k < 2 * pairs; ++k)
      pairs_.gradient[k] += gradient[k];
  }

  // Of the negative log-likelihoods, by the log-prob of a chosen token.
  double nll_gradient(int64_t row) const {
    const int64_t pair = row / call_.tokens;
    if (!call_.nll_mask)
      return pairs_.by_nll_token[pair];
    return is_of_nll(row) ? pairs_.by_nll_token[pair] + nll_weights_[row] * pairs_.by_nll_sum[pair]
                          : 0;
  }

  void write_gradient(GradientTotals* totals) const {
    std::vector<math::RowUpstream> upstream(mask_.size(), {-1, {}, 0, 0, 0});
    for (size_t k = 0; k < counted_.rows.size(); ++k) {
      const int64_t row = counted_.rows[k], sequence = row / call_.tokens;
      upstream[row] = {counted_.labels[k], counted_.figures[k].norm, 0,
                       math::token_gradient(
                           pairs_.gradient[sequence], weights_[row], sequences_[sequence].divisor,
                           is_chosen(sequence) ? nll_gradient(row) : 0, is_chosen(sequence)),
                       0};
    }
    Scratch scratch;
    kernels().token_backward({call_.logits, call_.gradient, call_.transform, call_.rows(),
                              upstream.data(), call_.metrics != nullptr ? totals : nullptr},
                             scratch);
  }

  lr_step_metrics metrics(const GradientTotals& totals) const {
    math::PairMetricSums sums{};
    for (int64_t k = 0; k < call_.pairs; ++k)
      sums.add(pairs_.loss[k], pairs_.chosen_rewards[k], pairs_.rejected_rewards[k]);
    lr_step_metrics metrics = math::step_metrics(sums, static_cast<double>(call_.pairs), sums_);
    metrics.grad_norm = std::sqrt(totals.squares);
    metrics.nonfinite += totals.nonfinite;
    return metrics;
  }

  const op::PreferenceStep& call_;
  std::vector<int64_t> labels_;
  std::vector<double> mask_;     // 0 where the label is ignored
  std::vector<double> weights_;  // of tokens in their sums, after the tail weight
  // Of the chosen tokens that negative log-likelihoods cover; empty where the mask says it.
  std::vector<double> nll_weights_;
  std::vector<double> pair_weights_;
  double upstream_;
  CountedRows counted_;
  std::vector<SequenceFigures> sequences_;
  std::vector<double> full_counts_;  // sums of the mask's weights
  std::vector<NllFigures> nll_;
  StepSums sums_{};
  Pairs pairs_;
};

}  // namespace

void preference_step(const op::PreferenceStep& call) { Step(call).run(); }

}  // namespace logratio::cpu
