// Pairs are few and cheap (three exponentials and a logarithm each), so one thread takes them in blocks that live on
// the stack and nothing is allocated.
#include "cpu/pair_loss.h"

#include <algorithm>

#include "math/losses.h"

namespace logratio::cpu {
namespace {

constexpr int64_t kBlock = 64;

template <class Loss>
void evaluate_block(const Loss& loss, double reward_beta, int64_t count, const PairColumns& c, int64_t first,
                    math::ParameterGradient* parameters) {
  const auto from = [first](const double* column) { return column == nullptr ? nullptr : column + first; };
  const double* const lw = from(c.policy_chosen);
  const double* const ll = from(c.policy_rejected);
  const double* const rw = from(c.reference_chosen);
  const double* const rl = from(c.reference_rejected);
  const double* const nw = from(c.chosen_counts);
  const double* const nl = from(c.rejected_counts);
  const double* const grad_loss = from(c.grad_loss);
  math::PairOutput out[kBlock];
  for (int64_t k = 0; k < count; ++k) {
    out[k] = loss.evaluate({lw[k], ll[k], rw != nullptr ? rw[k] : 0, rl != nullptr ? rl[k] : 0, nw != nullptr ? nw[k] : 1,
                            nl != nullptr ? nl[k] : 1});
  }

  // Column by column, so that the loop above is the formula alone.
  const auto put = [first, count](double* column, auto&& value) {
    if (column == nullptr) return;
    for (int64_t k = 0; k < count; ++k) column[first + k] = value(k);
  };
  const auto upstream = [&](int64_t k) { return grad_loss != nullptr ? grad_loss[k] : c.uniform_grad; };
  const auto gradient = [&](double math::PairOutput::* derivative) {
    return [&out, upstream, derivative](int64_t k) { return math::vanishing_product(upstream(k), out[k].*derivative); };
  };
  put(c.loss, [&](int64_t k) { return out[k].value; });
  put(c.chosen_rewards, [&](int64_t k) { return reward_beta * (lw[k] - (rw != nullptr ? rw[k] : 0)); });
  put(c.rejected_rewards, [&](int64_t k) { return reward_beta * (ll[k] - (rl != nullptr ? rl[k] : 0)); });
  put(c.grad_policy_chosen, gradient(&math::PairOutput::d_policy_chosen));
  put(c.grad_policy_rejected, gradient(&math::PairOutput::d_policy_rejected));
  put(c.grad_reference_chosen, gradient(&math::PairOutput::d_reference_chosen));
  put(c.grad_reference_rejected, gradient(&math::PairOutput::d_reference_rejected));
  if (parameters == nullptr) return;
  math::ParameterGradient sum = *parameters;
  for (int64_t k = 0; k < count; ++k) {
    const math::ParameterGradient& d = out[k].d_parameters;
    sum.beta += math::vanishing_product(upstream(k), d.beta);
    sum.beta_kl += math::vanishing_product(upstream(k), d.beta_kl);
    sum.beta_mix += math::vanishing_product(upstream(k), d.beta_mix);
    sum.tau += math::vanishing_product(upstream(k), d.tau);
  }
  *parameters = sum;
}

}  // namespace

void evaluate_pairs(const lr_loss_options& options, int64_t count, const PairColumns& columns, math::ParameterGradient* parameters) {
  const double reward_beta = options.*(math::loss_info(options.loss)->reward_beta);
  math::Losses::visit(options, [&](const auto& loss) {
    for (int64_t first = 0; first < count; first += kBlock) {
      evaluate_block(loss, reward_beta, std::min(kBlock, count - first), columns, first, parameters);
    }
  });
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
