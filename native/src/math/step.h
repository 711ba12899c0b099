// What a step makes of the figures of tokens, pairs and examples: WPO's weights, the gradient by
// each token, and the metrics that a trainer logs.
#pragma once

#include <cmath>
#include <cstdint>

#include "logratio.h"
#include "math/functions.h"
#include "math/token_row.h"

namespace logratio::math {

LR_FORCE_INLINE LR_HD double mean_of(double sum, double count) {
  return count > 0 ? sum / count : 0;
}

// What a step keeps of a counted token.
struct TokenFigures {
  double logp;
  double weighed_logp;  // logp - log(sum of p^2), for wpo
  double entropy;       // this and the next two for metrics
  double mean_raw;
  double right;  // 1 where the argmax is the label
};

LR_FORCE_INLINE LR_HD TokenFigures token_figures(const RowFigures& row, bool right) {
  return {row.norm.logp, row.norm.logp - row.log_square_sum, row.of[kEntropy], row.mean_raw,
          right ? 1.0 : 0.0};
}

// Sums over the tokens of a sequence: with the weights of the sum, and over every token that the
// mask counts.
struct SequenceFigures {
  double logp;   // weighted sum, over the divisor
  double count;  // of weights
  double divisor;
  double reference;  // as logp, of the reference
  double tokens;
  double nll;  // of the chosen ones
  double weighed_logp;
  double entropy;
  double mean_raw;
  double right;

  // Adds a token that the mask counts.
  LR_FORCE_INLINE LR_HD void add(const TokenFigures& token) {
    tokens += 1;
    nll -= token.logp;
    weighed_logp += token.weighed_logp;
    entropy += token.entropy;
    mean_raw += token.mean_raw;
    right += token.right;
  }
};

// WPO's weight of a pair (arXiv 2406.11827): the product of both answers' exp(mean of logp - log
// sum p^2), the mean over counted tokens.
LR_FORCE_INLINE LR_HD double wpo_weight(const SequenceFigures& chosen,
                                        const SequenceFigures& rejected) {
  return ::exp(mean_of(chosen.weighed_logp, chosen.tokens) +
               mean_of(rejected.weighed_logp, rejected.tokens));
}

// The gradient by a token's log-prob: that of its sequence, of which the token has a share, and
// sft's.
LR_FORCE_INLINE LR_HD double token_gradient(double by_sequence, double weight, double divisor,
                                            double by_chosen_token, bool is_chosen) {
  const double own = weight > 0 ? by_sequence * weight / divisor : 0;
  return is_chosen ? own + by_chosen_token : own;
}

// Sums over all sequences and pairs, in any fixed order.
struct StepSums {
  double chosen_tokens, rejected_tokens;
  double nll;  // of the chosen tokens
  double entropy;
  double chosen_raw, rejected_raw;
  double right;  // of the chosen tokens

  LR_FORCE_INLINE LR_HD void add(const SequenceFigures& sequence, bool is_chosen) {
    chosen_tokens += is_chosen ? sequence.tokens : 0;
    rejected_tokens += is_chosen ? 0 : sequence.tokens;
    chosen_raw += is_chosen ? sequence.mean_raw : 0;
    rejected_raw += is_chosen ? 0 : sequence.mean_raw;
    entropy += sequence.entropy;
    nll += is_chosen ? sequence.nll : 0;
    right += is_chosen ? sequence.right : 0;
  }
  // sft: the mean of -logp over the counted chosen tokens.
  LR_FORCE_INLINE LR_HD double sft() const { return mean_of(nll, chosen_tokens); }
};

struct PairMetricSums {
  double loss, chosen, rejected, margin, right, nonfinite;

  LR_FORCE_INLINE LR_HD void add(double pair_loss, double chosen_reward, double rejected_reward) {
    loss += pair_loss;
    chosen += chosen_reward;
    rejected += rejected_reward;
    margin += chosen_reward - rejected_reward;
    right += chosen_reward > rejected_reward ? 1 : 0;
    nonfinite += ::fabs(pair_loss) < kInfinity ? 0 : 1;
  }
};

// The same of single examples.
struct ExampleMetricSums {
  double loss, chosen, rejected, chosen_examples, rejected_examples, nonfinite;

  LR_FORCE_INLINE LR_HD void add(double example_loss, double reward, bool is_chosen) {
    loss += example_loss;
    chosen += is_chosen ? reward : 0;
    rejected += is_chosen ? 0 : reward;
    chosen_examples += is_chosen ? 1 : 0;
    rejected_examples += is_chosen ? 0 : 1;
    nonfinite += ::fabs(example_loss) < kInfinity ? 0 : 1;
  }
};

// What the tokens alone tell.
LR_FORCE_INLINE LR_HD lr_step_metrics token_metrics(const StepSums& tokens) {
  lr_step_metrics metrics{};
  metrics.entropy = mean_of(tokens.entropy, tokens.chosen_tokens + tokens.rejected_tokens);
  metrics.token_accuracy = mean_of(tokens.right, tokens.chosen_tokens);
  metrics.logits_chosen = mean_of(tokens.chosen_raw, tokens.chosen_tokens);
  metrics.logits_rejected = mean_of(tokens.rejected_raw, tokens.rejected_tokens);
  return metrics;
}

// All but the norm of the gradient, and what of it is not finite.
LR_FORCE_INLINE LR_HD lr_step_metrics step_metrics(const PairMetricSums& sums, double pairs,
                                                   const StepSums& tokens) {
  lr_step_metrics metrics = token_metrics(tokens);
  metrics.loss = mean_of(sums.loss, pairs);
  metrics.rewards_chosen = mean_of(sums.chosen, pairs);
  metrics.rewards_rejected = mean_of(sums.rejected, pairs);
  metrics.rewards_margin = mean_of(sums.margin, pairs);
  metrics.rewards_accuracy = mean_of(sums.right, pairs);
  metrics.nonfinite = static_cast<int64_t>(sums.nonfinite);
  return metrics;
}
LR_FORCE_INLINE LR_HD lr_step_metrics step_metrics(const ExampleMetricSums& sums,
                                                   const StepSums& tokens) {
  lr_step_metrics metrics = token_metrics(tokens);
  metrics.loss = mean_of(sums.loss, sums.chosen_examples + sums.rejected_examples);
  metrics.rewards_chosen = mean_of(sums.chosen, sums.chosen_examples);
  metrics.rewards_rejected = mean_of(sums.rejected, sums.rejected_examples);
  metrics.rewards_margin = metrics.rewards_chosen - metrics.rewards_rejected;
  metrics.nonfinite = static_cast<int64_t>(sums.nonfinite);
  return metrics;
}

}  // namespace logratio::math
