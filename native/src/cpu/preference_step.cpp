// The rows of the vocabulary are read once forward, and read and written once backward; everything
// between is a few doubles a token. Rows that do not count are skipped forward and get zeros
// backward, without being read.
#include "cpu/preference_step.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "cpu/elements.h"
#include "cpu/labels.h"
#include "cpu/pair_loss.h"
#include "cpu/sequence_logps.h"
#include "cpu/token_rows.h"
#include "math/losses.h"

namespace logratio::cpu {
namespace {

using op::PairTensors;
using op::WeightedLoss;

// A step with its labels, and the weights of its mask, which are 0 where the label is ignored.
struct StepInput : op::PreferenceStep {
  explicit StepInput(const op::PreferenceStep& call)
      : op::PreferenceStep(call),
        labels(read_labels(call.labels)),
        weights(read_mask(call.mask, call.rows())) {
    for (size_t k = 0; k < weights.size(); ++k) {
      if (labels[k] < 0)
        weights[k] = 0;
    }
  }
  std::vector<int64_t> labels;
  std::vector<double> weights;
};

double mean_of(double sum, int64_t count) {
  return count > 0 ? sum / static_cast<double>(count) : 0.0;
}

// The counted rows and what the forward pass found in each of them.
struct CountedRows {
  std::vector<int64_t> rows;
  std::vector<int64_t> labels;
  std::vector<RowStats> stats;
};

struct Wants {
  bool metrics;
  bool wpo;
  bool sft;
  // The loss alone needs the tokens whose weight the tail left above 0; all else is about every
  // token that the mask counts.
  bool every_token() const { return metrics || wpo || sft; }
};

// The rows whose weight is above 0.
CountedRows read_rows(const StepInput& input, const std::vector<double>& weights,
                      const Wants& wants) {
  CountedRows counted;
  for (size_t row = 0; row < weights.size(); ++row) {
    if (!(weights[row] > 0))
      continue;
    counted.rows.push_back(static_cast<int64_t>(row));
    counted.labels.push_back(input.labels[row]);
  }
  counted.stats.resize(counted.rows.size());
  const RowWants row_wants{
      .lse2 = wants.wpo, .entropy = wants.metrics, .argmax = wants.metrics, .mean = wants.metrics};
  forward_rows(input.logits, input.transform, row_wants, counted.rows.data(), counted.labels.data(),
               static_cast<int64_t>(counted.rows.size()), counted.stats.data());
  return counted;
}

std::vector<SequenceSum> reduce(const lr_sequence_options& options, int64_t sequences,
                                int64_t tokens, const std::vector<double>& weights,
                                const std::vector<double>& token_logps) {
  std::vector<SequenceSum> sums(sequences);
  for (int64_t b = 0; b < sequences; ++b) {
    sums[b] = reduce_sequence(options.reduction, tokens, weights.data() + b * tokens,
                              token_logps.data() + b * tokens);
  }
  return sums;
}

// The reference's log-prob of each sequence; empty when there is no reference.
std::vector<double> reference_logps(const lr_sequence_options& options, const StepInput& input,
                                    int64_t sequences, const std::vector<double>& weights) {
  std::vector<double> logps;
  if (input.reference_logps) {
    logps.resize(sequences);
    read(input.reference_logps, 0, sequences, logps.data());
  } else if (input.reference_token_logps) {
    std::vector<double> token_logps(weights.size());
    read(input.reference_token_logps, 0, static_cast<int64_t>(token_logps.size()),
         token_logps.data());
    for (const SequenceSum& sum : reduce(options, sequences, input.tokens, weights, token_logps))
      logps.push_back(sum.logp);
  }
  return logps;
}

// WPO's weight of each pair (arXiv 2406.11827): the product of both answers' exp(mean of logp - log
// sum p^2), the mean over counted tokens.
std::vector<double> wpo_weights(const StepInput& input, const CountedRows& counted) {
  std::vector<double> sum(2 * input.pairs), tokens(2 * input.pairs), weights(input.pairs);
  for (size_t k = 0; k < counted.rows.size(); ++k) {
    const RowStats& row = counted.stats[k];
    const int64_t sequence = counted.rows[k] / input.tokens;
    sum[sequence] += row.logp - (row.log_sum2 - 2 * row.log_sum);
    tokens[sequence] += 1;
  }
  const auto mean = [&](int64_t sequence) {
    return tokens[sequence] > 0 ? sum[sequence] / tokens[sequence] : 0.0;
  };
  for (int64_t pair = 0; pair < input.pairs; ++pair)
    weights[pair] = std::exp(mean(pair) + mean(input.pairs + pair));
  return weights;
}

// sft: the mean of -logp over the counted chosen tokens.
struct Sft {
  double value = 0;
  int64_t tokens = 0;

  Sft(const StepInput& input, const CountedRows& counted) {
    for (size_t k = 0; k < counted.rows.size() && counted.rows[k] < input.pairs * input.tokens;
         ++k, ++tokens)
      value -= counted.stats[k].logp;
    value = mean_of(value, tokens);
  }
};

// Everything about the pairs, one element a pair.
struct Pairs {
  explicit Pairs(int64_t count)
      : loss(count), chosen_rewards(count), rejected_rewards(count), grad(2 * count) {}
  std::vector<double> loss;
  std::vector<double> chosen_rewards;
  std::vector<double> rejected_rewards;
  std::vector<double> grad;      // [2 pairs]: of the mean loss by each sequence's log-prob
  double chosen_token_grad = 0;  // of sft, by the log-prob of each counted chosen token
};

TensorView view(const std::vector<double>& values, int64_t first, int64_t count) {
  return {true, ElementType::f64, const_cast<double*>(values.data()) + first, 1, count, 0, 1};
}

class PairEvaluation {
 public:
  PairEvaluation(int64_t count, bool logps_are_means, const std::vector<SequenceSum>& sums,
                 const std::vector<double>& reference, const std::vector<double>& wpo)
      : count_(count),
        logps_are_means_(logps_are_means),
        reference_(reference),
        wpo_(wpo),
        pairs_(count) {
    for (const SequenceSum& sum : sums) {
      logps_.push_back(sum.logp);
      counts_.push_back(sum.count);
    }
  }

  void add_paired(const WeightedLoss& loss) {
    const math::LossInfo& info = *math::loss_info(loss.options.loss);
    const int64_t values = info.two_values ? 2 : 1;
    std::vector<double> upstream(values * count_), value(values * count_), grad(2 * count_),
        chosen_rewards(count_), rejected_rewards(count_);
    for (int64_t k = 0; k < values * count_; ++k)
      upstream[k] = loss.weight * weight_of(k % count_) / static_cast<double>(values * count_);
    PairTensors t;
    t.policy_chosen = view(logps_, 0, count_);
    t.policy_rejected = view(logps_, count_, count_);
    if (!reference_.empty() && info.kind != LR_LOSS_REFERENCE_FREE) {
      t.reference_chosen = view(reference_, 0, count_);
      t.reference_rejected = view(reference_, count_, count_);
    }
    t.chosen_counts = view(counts_, 0, count_);
    t.rejected_counts = view(counts_, count_, count_);
    t.logps_are_means = logps_are_means_;
    t.grad_loss = view(upstream, 0, values * count_);
    t.loss = view(value, 0, values * count_);
    t.grad_policy_chosen = view(grad, 0, count_);
    t.grad_policy_rejected = view(grad, count_, count_);
    t.chosen_rewards = view(chosen_rewards, 0, count_);
    t.rejected_rewards = view(rejected_rewards, 0, count_);
    pair_loss(loss.options, count_, t);
    for (int64_t k = 0; k < count_; ++k) {
      const double both = info.two_values ? (value[k] + value[count_ + k]) / 2 : value[k];
      pairs_.loss[k] += math::vanishing_product(loss.weight * weight_of(k), both);
    }
    for (int64_t k = 0; k < 2 * count_; ++k)
      pairs_.grad[k] += grad[k];
    if (!rewarded_) {
      pairs_.chosen_rewards = chosen_rewards;
      pairs_.rejected_rewards = rejected_rewards;
      rewarded_ = true;
    }
  }

  void add_sft(double weight, const Sft& sft) {
    for (double& loss : pairs_.loss)
      loss += math::vanishing_product(weight, sft.value);
    if (sft.tokens > 0)
      pairs_.chosen_token_grad -= weight / static_cast<double>(sft.tokens);
  }

  const Pairs& result() const { return pairs_; }

 private:
  double weight_of(int64_t pair) const { return wpo_.empty() ? 1 : wpo_[pair]; }

  int64_t count_;
  bool logps_are_means_;
  const std::vector<double>& reference_;
  const std::vector<double>& wpo_;
  std::vector<double> logps_, counts_;
  bool rewarded_ = false;
  Pairs pairs_;
};

// weights: those of the sum, after the tail weight.
GradTotals write_gradient(const StepInput& input, const std::vector<double>& weights,
                          const CountedRows& counted, const std::vector<SequenceSum>& sums,
                          const Pairs& pairs, const LogitRows& target, bool totals_wanted) {
  std::vector<RowGrad> rows(weights.size());
  for (size_t k = 0; k < counted.rows.size(); ++k) {
    const int64_t row = counted.rows[k];
    const int64_t sequence = row / input.tokens;
    double coefficient =
        weights[row] > 0 ? pairs.grad[sequence] * weights[row] / sums[sequence].divisor : 0.0;
    if (sequence < input.pairs)
      coefficient += pairs.chosen_token_grad;
    if (coefficient == 0)
      continue;
    const RowStats& stats = counted.stats[k];
    rows[row].label = counted.labels[k];
    rows[row].norm = {stats.pivot, stats.log_sum, stats.logp};
    rows[row].grad_logp = coefficient;
  }
  GradTotals totals{0, 0};
  backward_rows(input.logits, target, input.transform, rows.data(),
                static_cast<int64_t>(rows.size()), totals_wanted ? &totals : nullptr);
  return totals;
}

lr_step_metrics pair_metrics(const Pairs& pairs) {
  lr_step_metrics metrics{};
  const auto count = static_cast<int64_t>(pairs.loss.size());
  double loss = 0, chosen = 0, rejected = 0, margin = 0, right = 0;
  for (int64_t k = 0; k < count; ++k) {
    loss += pairs.loss[k];
    chosen += pairs.chosen_rewards[k];
    rejected += pairs.rejected_rewards[k];
    margin += pairs.chosen_rewards[k] - pairs.rejected_rewards[k];
    right += pairs.chosen_rewards[k] > pairs.rejected_rewards[k] ? 1 : 0;
    metrics.nonfinite += std::isfinite(pairs.loss[k]) ? 0 : 1;
  }
  metrics.loss = mean_of(loss, count);
  metrics.rewards_chosen = mean_of(chosen, count);
  metrics.rewards_rejected = mean_of(rejected, count);
  metrics.rewards_margin = mean_of(margin, count);
  metrics.rewards_accuracy = mean_of(right, count);
  return metrics;
}

void add_token_metrics(const CountedRows& counted, int64_t chosen_rows, lr_step_metrics& metrics) {
  double entropy = 0, chosen_logits = 0, rejected_logits = 0;
  int64_t chosen_tokens = 0, right = 0;
  for (size_t k = 0; k < counted.rows.size(); ++k) {
    const RowStats& row = counted.stats[k];
    entropy += row.entropy;
    if (counted.rows[k] < chosen_rows) {
      ++chosen_tokens;
      chosen_logits += row.mean_raw;
      right += row.argmax == counted.labels[k] ? 1 : 0;
    } else {
      rejected_logits += row.mean_raw;
    }
  }
  const auto tokens = static_cast<int64_t>(counted.rows.size());
  metrics.entropy = mean_of(entropy, tokens);
  metrics.token_accuracy = mean_of(static_cast<double>(right), chosen_tokens);
  metrics.logits_chosen = mean_of(chosen_logits, chosen_tokens);
  metrics.logits_rejected = mean_of(rejected_logits, tokens - chosen_tokens);
}

}  // namespace

void preference_step(const op::PreferenceStep& call) {
  const StepInput input(call);
  const std::vector<WeightedLoss> losses(call.losses, call.losses + call.loss_count);
  const lr_sequence_options& sequence = call.sequence;
  const int64_t sequences = 2 * input.pairs;
  const auto is_sft = [](const WeightedLoss& loss) {
    return math::loss_info(loss.options.loss)->kind == LR_LOSS_AUXILIARY;
  };
  const Wants wants{call.metrics != nullptr, call.wpo,
                    std::any_of(losses.begin(), losses.end(), is_sft)};
  std::vector<double> weights = input.weights;
  apply_tail_weight(sequence, sequences, input.tokens, weights.data());
  const CountedRows counted =
      read_rows(input, wants.every_token() ? input.weights : weights, wants);

  std::vector<double> token_logps(weights.size());
  for (size_t k = 0; k < counted.rows.size(); ++k)
    token_logps[counted.rows[k]] = counted.stats[k].logp;
  const std::vector<SequenceSum> sums =
      reduce(sequence, sequences, input.tokens, weights, token_logps);
  const std::vector<double> reference = reference_logps(sequence, input, sequences, weights);
  const std::vector<double> wpo_weight =
      call.wpo ? wpo_weights(input, counted) : std::vector<double>();
  PairEvaluation evaluation(input.pairs, sequence.reduction == LR_MEAN, sums, reference,
                            wpo_weight);
  for (const WeightedLoss& loss : losses) {
    is_sft(loss) ? evaluation.add_sft(loss.weight, Sft(input, counted))
                 : evaluation.add_paired(loss);
  }
  const Pairs& pairs = evaluation.result();

  GradTotals totals{0, 0};
  if (call.wants_gradient) {
    totals = write_gradient(input, weights, counted, sums, pairs, call.gradient, wants.metrics);
  }
  if (call.losses_out)
    write(call.losses_out, 0, input.pairs, pairs.loss.data());
  if (call.logps)
    write_each(call.logps, sequences, [&](int64_t b) { return sums[b].logp; });
  if (call.counts)
    write_each(call.counts, sequences, [&](int64_t b) { return sums[b].count; });
  if (!wants.metrics)
    return;
  lr_step_metrics metrics = pair_metrics(pairs);
  add_token_metrics(counted, input.pairs * input.tokens, metrics);
  metrics.grad_norm = std::sqrt(totals.sum_squares);
  metrics.nonfinite += totals.nonfinite;
  *call.metrics = metrics;
}

}  // namespace logratio::cpu
