// The negative log-likelihoods that a step adds by itself: sft, and that of a loss with the option
// nll where a mask of its own, weights of pairs or a count of tokens have a say in it.
#pragma once

#include "math/loss.h"
#include "math/step.h"

namespace logratio::math {

// Sums over the tokens of a chosen answer that a negative log-likelihood covers.
struct NllFigures {
  double tokens;
  double nll;       // of -logp, as sft takes them
  double weighted;  // the same times the tokens' weights
  double weight;

  LR_FORCE_INLINE LR_HD void add(double token_weight, double logp) {
    tokens += 1;
    nll -= logp;
    weighted -= token_weight * logp;
    weight += token_weight;
  }
  LR_FORCE_INLINE LR_HD double length() const { return weight < 1 ? 1 : weight; }
};

// Those of the tokens that the mask counts. The factor is one from the answer's log-prob, which may
// be a mean, to that of all its tokens together.
LR_FORCE_INLINE LR_HD double nll_factor(const SequenceFigures& chosen,
                                        const lr_sequence_options& options) {
  return options.reduction == LR_MEAN && chosen.count > 1 ? chosen.count : 1;
}
LR_FORCE_INLINE LR_HD NllFigures nll_figures(const SequenceFigures& chosen,
                                             const lr_sequence_options& options) {
  return {chosen.tokens, chosen.nll, -chosen.logp * nll_factor(chosen, options), chosen.count};
}

// What weighs a pair: its own weight, and that of WPO, which is not for sft.
struct PairWeight {
  double own;
  double wpo;

  LR_FORCE_INLINE LR_HD double both() const { return own * wpo; }
};

// Over the pairs, in any fixed order.
struct NllSums {
  double tokens;
  double nll;  // this and the next: each pair's times its own weight
  double weighted;
  double length;
  double wpo;

  LR_FORCE_INLINE LR_HD void add(const NllFigures& pair, const PairWeight& weight) {
    tokens += pair.tokens;
    nll += vanishing_product(weight.own, pair.nll);
    weighted += vanishing_product(weight.own, pair.weighted);
    length += pair.length();
    wpo += weight.wpo;
  }
};

// One of a step's negative log-likelihoods.
struct NllTerm {
  double factor;  // the loss's weight, and cpo's alpha
  bool is_sft;
  bool whole_batch;  // the mean over all tokens, not over a pair's own

  LR_FORCE_INLINE LR_HD NllTerm(const lr_loss_options& options, double weight, bool sft,
                                bool of_batch)
      : factor(options.alpha != options.alpha ? weight : weight * options.alpha),
        is_sft(sft),
        whole_batch(sft || of_batch) {}
};

// What a pair has of a term: its value, and the gradient of the mean by each token's log-prob and
// by the weighted sum of them.
struct NllShare {
  double value;
  double by_token;
  double by_sum;
};

// token_count: 0 where the batch's own divides.
LR_FORCE_INLINE LR_HD NllShare nll_share(const NllTerm& term, const NllFigures& pair,
                                         const PairWeight& weight, const NllSums& all, double pairs,
                                         double token_count) {
  if (!term.whole_batch) {
    const double factor = term.factor * weight.both();
    return {vanishing_product(factor, pair.weighted / pair.length()), 0,
            -factor / pair.length() / pairs};
  }
  const double count = token_count > 0 ? token_count : term.is_sft ? all.tokens : all.length;
  if (term.is_sft)
    return {vanishing_product(term.factor, mean_of(all.nll, count)),
            count > 0 ? -term.factor * weight.own / count : 0, 0};
  return {vanishing_product(term.factor * weight.wpo, mean_of(all.weighted, count)), 0,
          -term.factor * (all.wpo / pairs) * weight.own / count};
}

}  // namespace logratio::math
