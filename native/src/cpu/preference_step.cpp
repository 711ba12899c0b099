// The rows of the vocabulary are read once forward, and read and written once backward; everything between is a few
// doubles a token. Rows that do not count are skipped forward and get zeros backward, without being read.
#include "cpu/preference_step.h"

#include <algorithm>
#include <cmath>

#include "cpu/pair_loss.h"
#include "cpu/sequence_logps.h"

namespace logratio::cpu {
namespace {

double mean_of(double sum, int64_t count) { return count > 0 ? sum / static_cast<double>(count) : 0.0; }

// The counted rows and what the forward pass found in each of them.
struct CountedRows {
  std::vector<int64_t> rows;
  std::vector<int64_t> labels;
  std::vector<RowStats> stats;
};

// The rows whose weight is above 0.
CountedRows read_rows(const StepInput& input, const std::vector<double>& weights, bool metrics) {
  CountedRows counted;
  for (size_t row = 0; row < weights.size(); ++row) {
    if (!(weights[row] > 0)) continue;
    counted.rows.push_back(static_cast<int64_t>(row));
    counted.labels.push_back(input.labels[row]);
  }
  counted.stats.resize(counted.rows.size());
  const RowWants wants{.lse2 = false, .entropy = metrics, .argmax = metrics, .mean = metrics};
  forward_rows(input.logits, input.transform, wants, counted.rows.data(), counted.labels.data(),
               static_cast<int64_t>(counted.rows.size()), counted.stats.data());
  return counted;
}

std::vector<SequenceSum> reduce(const lr_sequence_options& options, int64_t sequences, int64_t tokens, const std::vector<double>& weights,
                                const std::vector<double>& token_logps) {
  std::vector<SequenceSum> sums(sequences);
  for (int64_t b = 0; b < sequences; ++b) {
    sums[b] = reduce_sequence(options.reduction, tokens, weights.data() + b * tokens, token_logps.data() + b * tokens);
  }
  return sums;
}

// The reference's log-prob of each sequence; empty when there is no reference.
std::vector<double> reference_logps(const lr_sequence_options& options, const StepInput& input, int64_t sequences,
                                    const std::vector<double>& weights) {
  std::vector<double> logps;
  if (input.reference_logps) {
    logps.resize(sequences);
    read(input.reference_logps, 0, sequences, logps.data());
  } else if (input.reference_token_logps) {
    std::vector<double> token_logps(weights.size());
    read(input.reference_token_logps, 0, static_cast<int64_t>(token_logps.size()), token_logps.data());
    for (const SequenceSum& sum : reduce(options, sequences, input.tokens, weights, token_logps)) logps.push_back(sum.logp);
  }
  return logps;
}

// Everything about the pairs, one element a pair.
struct Pairs {
  explicit Pairs(int64_t count)
      : loss(count), chosen_rewards(count), rejected_rewards(count), grad(2 * count) {}
  std::vector<double> loss;
  std::vector<double> chosen_rewards;
  std::vector<double> rejected_rewards;
  std::vector<double> grad;  // [2 pairs]: of the mean loss by each sequence's log-prob
};

Pairs evaluate(const lr_loss_options& options, int64_t count, const std::vector<SequenceSum>& sums, const std::vector<double>& reference) {
  Pairs pairs(count);
  std::vector<double> logps, counts;
  for (const SequenceSum& sum : sums) {
    logps.push_back(sum.logp);
    counts.push_back(std::max(sum.count, 1.0));
  }
  const bool referenced = !reference.empty();
  PairColumns columns{};
  columns.policy_chosen = logps.data();
  columns.policy_rejected = logps.data() + count;
  columns.reference_chosen = referenced ? reference.data() : nullptr;
  columns.reference_rejected = referenced ? reference.data() + count : nullptr;
  columns.chosen_counts = counts.data();
  columns.rejected_counts = counts.data() + count;
  columns.uniform_grad = count > 0 ? 1.0 / static_cast<double>(count) : 0.0;
  columns.loss = pairs.loss.data();
  columns.chosen_rewards = pairs.chosen_rewards.data();
  columns.rejected_rewards = pairs.rejected_rewards.data();
  columns.grad_policy_chosen = pairs.grad.data();
  columns.grad_policy_rejected = pairs.grad.data() + count;
  evaluate_pairs(options, count, columns, nullptr);
  return pairs;
}

// weights: those of the sum, after the tail weight.
GradTotals write_gradient(const StepInput& input, const std::vector<double>& weights, const CountedRows& counted,
                          const std::vector<SequenceSum>& sums, const std::vector<double>& grad, const LogitRows& target, bool totals_wanted) {
  std::vector<RowGrad> rows(weights.size(), RowGrad{-1, 0, 0, 0, 0});
  for (size_t k = 0; k < counted.rows.size(); ++k) {
    const int64_t row = counted.rows[k];
    if (!(weights[row] > 0)) continue;
    const int64_t sequence = row / input.tokens;
    const double coefficient = grad[sequence] * weights[row] / sums[sequence].divisor;
    if (coefficient == 0) continue;
    rows[row] = {counted.labels[k], counted.stats[k].lse, 0, coefficient, 0};
  }
  GradTotals totals{0, 0};
  backward_rows(input.logits, target, input.transform, rows.data(), static_cast<int64_t>(rows.size()), totals_wanted ? &totals : nullptr);
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

void preference_step(const lr_loss_options& loss, const lr_sequence_options& sequence, const StepInput& input, const StepOutput& output) {
  const int64_t sequences = 2 * input.pairs;
  const bool metrics_wanted = output.metrics != nullptr;
  std::vector<double> weights = input.weights;
  apply_tail_weight(sequence, sequences, input.tokens, weights.data());
  // The metrics describe every token that the mask counts; the loss alone needs those whose weight the tail left above 0.
  const CountedRows counted = read_rows(input, metrics_wanted ? input.weights : weights, metrics_wanted);

  std::vector<double> token_logps(weights.size());
  for (size_t k = 0; k < counted.rows.size(); ++k) token_logps[counted.rows[k]] = counted.stats[k].logp;
  const std::vector<SequenceSum> sums = reduce(sequence, sequences, input.tokens, weights, token_logps);
  const Pairs pairs = evaluate(loss, input.pairs, sums, reference_logps(sequence, input, sequences, weights));

  GradTotals totals{0, 0};
  if (output.grad_logits != nullptr) {
    totals = write_gradient(input, weights, counted, sums, pairs.grad, *output.grad_logits, metrics_wanted);
  }
  if (output.losses) write(output.losses, 0, input.pairs, pairs.loss.data());
  if (output.logps) write_each(output.logps, sequences, [&](int64_t b) { return sums[b].logp; });
  if (output.counts) write_each(output.counts, sequences, [&](int64_t b) { return sums[b].count; });
  if (!metrics_wanted) return;
  lr_step_metrics metrics = pair_metrics(pairs);
  add_token_metrics(counted, input.pairs * input.tokens, metrics);
  metrics.grad_norm = std::sqrt(totals.sum_squares);
  metrics.nonfinite += totals.nonfinite;
  *output.metrics = metrics;
}

}  // namespace logratio::cpu
