// Pairs are few and cheap (three exponentials and a logarithm each), so one thread takes them in blocks that live on
// the stack: nothing is allocated, and a call of 64 pairs with every gradient stays below two microseconds.
#include "cpu/pair_loss.h"

#include <algorithm>

#include "math/losses.h"

namespace logratio::cpu {
namespace {

constexpr int64_t kBlock = 64;

double at(const double* column, int64_t k, double fallback) { return column != nullptr ? column[k] : fallback; }

void put(double* column, int64_t k, double value) {
  if (column != nullptr) column[k] = value;
}

template <class Loss>
void evaluate(const Loss& loss, double reward_beta, int64_t count, const PairColumns& c, math::ParameterGradient* parameters) {
  for (int64_t k = 0; k < count; ++k) {
    const math::PairInput pair{c.policy_chosen[k],         c.policy_rejected[k],    at(c.reference_chosen, k, 0), at(c.reference_rejected, k, 0),
                               at(c.chosen_counts, k, 1), at(c.rejected_counts, k, 1)};
    const math::PairOutput out = loss.evaluate(pair);
    const double upstream = at(c.grad_loss, k, c.uniform_grad);
    const auto scaled = [upstream](double derivative) { return math::vanishing_product(upstream, derivative); };
    put(c.loss, k, out.value);
    put(c.chosen_rewards, k, reward_beta * (pair.policy_chosen - pair.reference_chosen));
    put(c.rejected_rewards, k, reward_beta * (pair.policy_rejected - pair.reference_rejected));
    put(c.grad_policy_chosen, k, scaled(out.d_policy_chosen));
    put(c.grad_policy_rejected, k, scaled(out.d_policy_rejected));
    put(c.grad_reference_chosen, k, scaled(out.d_reference_chosen));
    put(c.grad_reference_rejected, k, scaled(out.d_reference_rejected));
    if (parameters == nullptr) continue;
    parameters->beta += scaled(out.d_parameters.beta);
    parameters->beta_kl += scaled(out.d_parameters.beta_kl);
    parameters->beta_mix += scaled(out.d_parameters.beta_mix);
    parameters->tau += scaled(out.d_parameters.tau);
  }
}

}  // namespace

void evaluate_pairs(const lr_loss_options& options, int64_t count, const PairColumns& columns, math::ParameterGradient* parameters) {
  const double reward_beta = options.*(math::loss_info(options.loss)->reward_beta);
  math::Losses::visit(options, [&](const auto& loss) { evaluate(loss, reward_beta, count, columns, parameters); });
}

void pair_loss(const lr_loss_options& options, int64_t pairs, const PairTensors& t) {
  enum Column { kPolicyChosen, kPolicyRejected, kReferenceChosen, kReferenceRejected, kChosenCounts, kRejectedCounts, kGradLoss,
                kLoss, kChosenRewards, kRejectedRewards, kGradPolicyChosen, kGradPolicyRejected, kGradReferenceChosen,
                kGradReferenceRejected, kColumns };
  double block[kColumns][kBlock];
  const auto column = [&block](const Grid& grid, Column name) { return grid ? block[name] : nullptr; };
  const PairColumns columns{column(t.policy_chosen, kPolicyChosen),
                            column(t.policy_rejected, kPolicyRejected),
                            column(t.reference_chosen, kReferenceChosen),
                            column(t.reference_rejected, kReferenceRejected),
                            column(t.chosen_counts, kChosenCounts),
                            column(t.rejected_counts, kRejectedCounts),
                            column(t.grad_loss, kGradLoss),
                            pairs > 0 ? 1.0 / static_cast<double>(pairs) : 0.0,
                            column(t.loss, kLoss),
                            column(t.chosen_rewards, kChosenRewards),
                            column(t.rejected_rewards, kRejectedRewards),
                            column(t.grad_policy_chosen, kGradPolicyChosen),
                            column(t.grad_policy_rejected, kGradPolicyRejected),
                            column(t.grad_reference_chosen, kGradReferenceChosen),
                            column(t.grad_reference_rejected, kGradReferenceRejected)};
  math::ParameterGradient parameters;
  for (int64_t first = 0; first < pairs; first += kBlock) {
    const int64_t count = std::min(kBlock, pairs - first);
    const auto load = [&](const Grid& grid, Column name) {
      if (grid) read(grid, first, count, block[name]);
    };
    const auto store = [&](const Grid& grid, Column name) {
      if (grid) write(grid, first, count, block[name]);
    };
    load(t.policy_chosen, kPolicyChosen);
    load(t.policy_rejected, kPolicyRejected);
    load(t.reference_chosen, kReferenceChosen);
    load(t.reference_rejected, kReferenceRejected);
    load(t.chosen_counts, kChosenCounts);
    load(t.rejected_counts, kRejectedCounts);
    load(t.grad_loss, kGradLoss);
    evaluate_pairs(options, count, columns, &parameters);
    store(t.loss, kLoss);
    store(t.chosen_rewards, kChosenRewards);
    store(t.rejected_rewards, kRejectedRewards);
    store(t.grad_policy_chosen, kGradPolicyChosen);
    store(t.grad_policy_rejected, kGradPolicyRejected);
    store(t.grad_reference_chosen, kGradReferenceChosen);
    store(t.grad_reference_rejected, kGradReferenceRejected);
  }
  const auto store_parameter = [](const Grid& grid, double value) {
    if (grid) write(grid, 0, 1, &value);
  };
  store_parameter(t.grad_beta, parameters.beta);
  store_parameter(t.grad_beta_kl, parameters.beta_kl);
  store_parameter(t.grad_beta_mix, parameters.beta_mix);
  store_parameter(t.grad_tau, parameters.tau);
}

}  // namespace logratio::cpu
