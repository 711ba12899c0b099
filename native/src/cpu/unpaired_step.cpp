// Rows and sequences are those of cpu/step.h; here stands only what lies between a sequence's
// log-prob and the gradient by it.
#include "cpu/unpaired_step.h"

#include <vector>

#include "cpu/elements.h"
#include "cpu/linear/head_source.h"
#include "cpu/pair_loss.h"
#include "cpu/step.h"
#include "math/functions.h"

namespace logratio::cpu {
namespace {

using math::SequenceFigures;
using math::StepSums;

class Examples : public StepLayer {
 public:
  explicit Examples(const op::UnpairedStep& call)
      : call_(call),
        chosen_(read_all(call.chosen, call.sequences, 0)),
        rewards_(static_cast<size_t>(call.sequences)) {
    losses_.loss.resize(rewards_.size());
    losses_.gradient.resize(rewards_.size());
  }

  bool is_chosen(int64_t sequence) const override { return chosen_[sequence] > 0; }

  int64_t companions() const override { return 1; }

  // KTO's estimate of the KL divergence comes from elsewhere, and is a constant.
  bool is_coupled() const override { return false; }

  void evaluate(StepSequences& told) override {
    std::vector<SequenceFigures>& sequences = told.figures;
    const int64_t count = call_.sequences;
    const std::vector<double> weights = read_all(call_.weights, count, 1);
    const double grad_loss = read_all(call_.grad_loss, 1, 1).front();
    std::vector<double> upstream(weights);
    for (double& value : upstream)
      value = math::vanishing_product(grad_loss, value / static_cast<double>(count));
    op::UnpairedLoss t{};
    t.options = call_.options;
    t.examples = count;
    t.policy_logps = field_of(sequences, &SequenceFigures::logp, 0, count);
    t.reference_logps = field_of(sequences, &SequenceFigures::reference, 0, count);
    t.chosen = view_of(chosen_.data(), count);
    t.kl_policy_logps = call_.kl_policy_logps;
    t.kl_reference_logps = call_.kl_reference_logps;
    t.grad_loss = view_of(upstream.data(), count);
    t.loss = view_of(losses_.loss.data(), count);
    t.rewards = view_of(rewards_.data(), count);
    t.kl = call_.kl;
    t.grad_policy_logps = view_of(losses_.gradient.data(), count);
    unpaired_loss(t);
    for (int64_t k = 0; k < count; ++k)
      losses_.loss[k] = math::vanishing_product(weights[k], losses_.loss[k]);
    if (call_.rewards)
      write(call_.rewards, 0, count, rewards_.data());
  }

  const StepLosses& losses() const override { return losses_; }

  lr_step_metrics metrics(const StepSums& tokens) const override {
    math::ExampleMetricSums sums{};
    for (int64_t k = 0; k < call_.sequences; ++k)
      sums.add(losses_.loss[k], rewards_[k], is_chosen(k));
    return math::step_metrics(sums, tokens);
  }

 private:
  const op::UnpairedStep& call_;
  std::vector<double> chosen_, rewards_;
  StepLosses losses_;
};

}  // namespace

void unpaired_step(const op::UnpairedStep& call) {
  Examples examples(call);
  run_step(call, {}, examples);
}

void linear_unpaired_step(const op::LinearUnpairedStep& call) {
  Examples examples(call);
  HeadSource source(call.head, call.transform, call.rows(), true, call.metrics != nullptr);
  run_step(call, {}, examples, source, nullptr);
}

}  // namespace logratio::cpu
