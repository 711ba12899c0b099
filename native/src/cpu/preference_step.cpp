// Rows and sequences are those of cpu/step.h; here stands only what lies between a sequence's
// log-prob and the gradient by it: the losses of the list, over pairs, and negative log-likelihoods
// over tokens of chosen answers.
#include "cpu/preference_step.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "cpu/elements.h"
#include "cpu/linear/head_source.h"
#include "cpu/pair_loss.h"
#include "cpu/sequence_logps.h"
#include "cpu/step.h"
#include "math/losses.h"
#include "math/sequence.h"
#include "math/step_nll.h"

namespace logratio::cpu {
namespace {

using math::NllFigures;
using math::SequenceFigures;
using math::StepSums;
using op::PairTensors;
using op::TensorView;
using op::WeightedLoss;

const math::LossInfo& info_of(const WeightedLoss& loss) {
  return *math::loss_info(loss.options.loss);
}

bool is_sft(const WeightedLoss& loss) { return info_of(loss).kind == LR_LOSS_AUXILIARY; }

// The weights of the first tokens of all, 0 where the label is ignored.
std::vector<double> read_nll_mask(const op::PreferenceStep& call) {
  if (!call.nll_mask)
    return {};
  std::vector<double> weights = read_mask(call.nll_mask, chosen_rows(call));
  const std::vector<int64_t> labels = read_labels(call.labels);
  for (size_t row = 0; row < weights.size(); ++row) {
    if (labels[row] < 0)
      weights[row] = 0;
  }
  return weights;
}

class PairLayer : public StepLayer {
 public:
  explicit PairLayer(const op::PreferenceStep& call)
      : call_(call),
        nll_weights_(read_nll_mask(call)),
        pair_weights_(read_all(call.pair_weights, call.pairs, 1)),
        upstream_(read_all(call.grad_loss, 1, 1).front()),
        nll_(static_cast<size_t>(call.pairs)),
        chosen_rewards_(nll_.size()),
        rejected_rewards_(nll_.size()),
        by_nll_token_(nll_.size()),
        by_nll_sum_(nll_.size()) {
    losses_.loss.resize(nll_.size());
    losses_.gradient.resize(2 * nll_.size());
  }

  bool is_chosen(int64_t sequence) const override { return sequence < call_.pairs; }

  int64_t companions() const override { return 2; }

  // Statistics and ranks are of the whole batch. So is the mean of WPO's weights beside a mean over
  // all tokens, and the number of these where a mask of their own has to be read for it.
  bool is_coupled() const override {
    return std::any_of(call_.losses, call_.losses + call_.loss_count,
                       [&](const WeightedLoss& loss) {
                         const math::LossInfo& info = info_of(loss);
                         const bool of_tokens = is_sft(loss) || loss.options.nll == LR_NLL_TOKEN;
                         if (is_sft(loss) || call_.adds_nll_of(loss.options, info)) {
                           return of_tokens && ((call_.nll_mask && call_.token_count == 0) ||
                                                (!is_sft(loss) && call_.wpo != LR_WPO_OFF));
                         }
                         return info.sorting != math::Sorting::none ||
                                (info.means > 0 && (!info.has_nll() || of_tokens));
                       });
  }

  bool covers(int64_t row) const override {
    return row < static_cast<int64_t>(nll_weights_.size()) && math::counts(nll_weights_[row]);
  }

  void see(int64_t sequence, int64_t row, double logp) override {
    nll_[sequence].add(nll_weights_[row], logp);
  }

  void evaluate(StepSequences& sequences) override {
    sequences_ = &sequences;
    for (std::vector<double>* sum :
         {&losses_.loss, &losses_.gradient, &by_nll_token_, &by_nll_sum_})
      std::fill(sum->begin(), sum->end(), 0);
    if (!call_.nll_mask) {
      for (int64_t k = 0; k < call_.pairs; ++k)
        nll_[k] = math::nll_figures(figures(k), call_.sequence);
    }
    for (const WeightedLoss* loss = call_.losses; loss != call_.losses + call_.loss_count; ++loss) {
      const bool adds_nll = call_.adds_nll_of(loss->options, info_of(*loss));
      if (!is_sft(*loss))
        add_paired(*loss, adds_nll);
      if (is_sft(*loss) || adds_nll)
        add_nll({loss->options, loss->weight, is_sft(*loss), loss->options.nll == LR_NLL_TOKEN});
    }
    find_rewards();
  }

  const StepLosses& losses() const override { return losses_; }

  // What the negative log-likelihoods add.
  double own_gradient(int64_t pair, int64_t row) const override {
    if (!call_.nll_mask)
      return by_nll_token_[pair];
    return covers(row) ? by_nll_token_[pair] + nll_weights_[row] * by_nll_sum_[pair] : 0;
  }

  lr_step_metrics metrics(const StepSums& tokens) const override {
    math::PairMetricSums sums{};
    for (int64_t k = 0; k < call_.pairs; ++k)
      sums.add(losses_.loss[k], chosen_rewards_[k], rejected_rewards_[k]);
    return math::step_metrics(sums, static_cast<double>(call_.pairs), tokens);
  }

 private:
  const SequenceFigures& figures(int64_t sequence) const { return sequences_->figures[sequence]; }

  math::PairWeight weight_of(int64_t pair) const {
    return {pair_weights_[pair],
            math::wpo_weight(call_.wpo, figures(pair), figures(call_.pairs + pair))};
  }

  void add_nll(const math::NllTerm& term) {
    math::NllSums sums{};
    for (int64_t k = 0; k < call_.pairs; ++k)
      sums.add(nll_[k], weight_of(k));
    for (int64_t k = 0; k < call_.pairs; ++k) {
      const math::NllShare share = math::nll_share(
          term, nll_[k], weight_of(k), sums, static_cast<double>(call_.pairs), call_.token_count);
      losses_.loss[k] += share.value;
      by_nll_token_[k] += share.by_token * upstream_;
      if (call_.nll_mask) {
        by_nll_sum_[k] += share.by_sum * upstream_;
      } else {
        losses_.gradient[k] +=
            share.by_sum * upstream_ * math::nll_factor(figures(k), call_.sequence);
      }
    }
  }

  // Rewards are against the reference whether or not a loss looks at it.
  void find_rewards() {
    const TensorView& own = call_.parameters.values[math::kScale];
    const std::vector<double> betas = read_all(own, call_.pairs, call_.reward_beta);
    for (int64_t k = 0; k < call_.pairs; ++k) {
      const double beta = betas[k];
      const auto reward = [&](const SequenceFigures& answer) {
        return beta == 0 ? 0 : beta * (answer.logp - answer.reference);
      };
      chosen_rewards_[k] = reward(figures(k));
      rejected_rewards_[k] = reward(figures(call_.pairs + k));
    }
    if (call_.chosen_rewards)
      write(call_.chosen_rewards, 0, call_.pairs, chosen_rewards_.data());
    if (call_.rejected_rewards)
      write(call_.rejected_rewards, 0, call_.pairs, rejected_rewards_.data());
  }

  // A field of the sequences' figures, of the chosen ones or of the rejected ones.
  TensorView field(double SequenceFigures::*member, int64_t first) {
    return field_of(sequences_->figures, member, first, call_.pairs);
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
      t.chosen_counts = view_of(sequences_->full_counts.data(), pairs);
      t.rejected_counts = view_of(sequences_->full_counts.data() + pairs, pairs);
    }
    t.logps_are_means = call_.sequence.reduction == LR_MEAN;
    t.grad_loss = view_of(upstream.data(), values * pairs);
    t.loss = view_of(value.data(), values * pairs);
    t.grad_policy_chosen = view_of(gradient.data(), pairs);
    t.grad_policy_rejected = view_of(gradient.data() + pairs, pairs);
    t.parameters = call_.parameters;  // gradients are as the upstream: of the step's own loss
    pair_loss(options, pairs, t);
    for (int64_t k = 0; k < pairs; ++k) {
      const double both = info.two_values ? (value[k] + value[pairs + k]) / 2 : value[k];
      losses_.loss[k] += math::vanishing_product(loss.weight * weight_of(k).both(), both);
    }
    for (int64_t k = 0; k < 2 * pairs; ++k)
      losses_.gradient[k] += gradient[k];
  }

  const op::PreferenceStep& call_;
  // Weights of the chosen tokens that negative log-likelihoods cover; empty where the mask says it.
  std::vector<double> nll_weights_;
  std::vector<double> pair_weights_;
  double upstream_;
  StepSequences* sequences_ = nullptr;
  std::vector<NllFigures> nll_;
  std::vector<double> chosen_rewards_, rejected_rewards_;
  // Gradients of the negative log-likelihoods by the log-prob of each token that they cover, and by
  // the weighted sum of these.
  std::vector<double> by_nll_token_, by_nll_sum_;
  StepLosses losses_;
};

}  // namespace

int64_t chosen_rows(const op::PreferenceStep& call) {
  std::vector<int64_t> offsets;
  return read_spans(call.sequences, call.length, call.cu_seqlens, &offsets).begin(call.pairs);
}

namespace {

StepNeeds needs_of(const op::PreferenceStep& call) {
  const bool sft = std::any_of(call.losses, call.losses + call.loss_count, is_sft),
             wpo = call.wpo != LR_WPO_OFF;
  return {wpo || sft, wpo};
}

}  // namespace

void preference_step(const op::PreferenceStep& call) {
  PairLayer pairs(call);
  run_step(call, needs_of(call), pairs);
}

void linear_preference_step(const op::LinearPreferenceStep& call) {
  PairLayer pairs(call);
  HeadSource source(call.head, call.transform, call.rows(), true, call.metrics != nullptr);
  std::optional<HeadSource> reference;
  if (call.reference_head)
    reference.emplace(call.reference_head, call.head.vocab, call.transform);
  run_step(call, needs_of(call), pairs, source, reference ? &*reference : nullptr);
}

}  // namespace logratio::cpu
