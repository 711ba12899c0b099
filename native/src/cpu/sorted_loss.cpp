// Two keys a pair are sorted, each for itself, and the formula is evaluated on the ranks as if they
// were pairs. Its gradient goes back to the pairs that hold the ranks.
#include "cpu/sorted_loss.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "cpu/elements.h"
#include "cpu/pair_loss.h"
#include "math/losses.h"

namespace logratio::cpu {

using op::PairTensors;

namespace {

std::vector<double> values_of(const TensorView& view, int64_t count) {
  std::vector<double> values(static_cast<size_t>(count), 0.0);
  if (view)
    read(view, 0, count, values.data());
  return values;
}

TensorView view(std::vector<double>& values) {
  return {true, ElementType::f64, values.data(), 1, static_cast<int64_t>(values.size()), 0, 1};
}

void store(const TensorView& view, const std::vector<double>& values) {
  if (view)
    write(view, 0, static_cast<int64_t>(values.size()), values.data());
}

std::vector<double> minus(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference(a.size());
  std::transform(a.begin(), a.end(), b.begin(), difference.begin(), std::minus<>());
  return difference;
}

// A key in ascending order, equal ones in the order of their pairs, NaN last.
struct Sorted {
  std::vector<int64_t> pair_at;  // by rank
  std::vector<double> keys;      // by rank

  explicit Sorted(const std::vector<double>& key) : pair_at(key.size()), keys(key.size()) {
    std::iota(pair_at.begin(), pair_at.end(), 0);
    std::stable_sort(pair_at.begin(), pair_at.end(), [&key](int64_t a, int64_t b) {
      return key[a] < key[b] || (!std::isnan(key[a]) && std::isnan(key[b]));
    });
    std::transform(pair_at.begin(), pair_at.end(), keys.begin(),
                   [&key](int64_t pair) { return key[pair]; });
  }
  std::vector<double> by_pair(const std::vector<double>& by_rank) const {
    std::vector<double> values(by_rank.size());
    for (size_t rank = 0; rank < by_rank.size(); ++rank)
      values[pair_at[rank]] = by_rank[rank];
    return values;
  }
};

std::vector<double> negated(std::vector<double> values) {
  for (double& value : values)
    value = -value;
  return values;
}

}  // namespace

void sorted_loss(const lr_loss_options& options, int64_t pairs, const PairTensors& t) {
  const std::vector<double> lw = values_of(t.policy_chosen, pairs),
                            ll = values_of(t.policy_rejected, pairs);
  const std::vector<double> rw = values_of(t.reference_chosen, pairs),
                            rl = values_of(t.reference_rejected, pairs);
  const std::vector<double> chosen_ratio = minus(lw, rw), rejected_ratio = minus(ll, rl);
  const bool by_model = math::loss_info(options.loss)->sorting == math::Sorting::by_model;
  Sorted first(by_model ? minus(lw, ll) : chosen_ratio),
      second(by_model ? minus(rw, rl) : rejected_ratio);

  std::vector<double> d_first(lw.size()), d_second(lw.size());
  PairTensors ranks;
  ranks.policy_chosen = view(first.keys);
  ranks.policy_rejected = view(second.keys);
  ranks.grad_loss = t.grad_loss;
  ranks.parameters = t.parameters;
  ranks.loss = t.loss;
  ranks.grad_policy_chosen = view(d_first);
  ranks.grad_policy_rejected = view(d_second);
  evaluate_pairs(options, pairs, ranks);

  const std::vector<double> by_first = first.by_pair(d_first), by_second = second.by_pair(d_second);
  store(t.grad_policy_chosen, by_first);
  store(t.grad_policy_rejected, by_model ? negated(by_first) : by_second);
  store(t.grad_reference_chosen, by_model ? by_second : negated(by_first));
  store(t.grad_reference_rejected, negated(by_second));
  const std::vector<double> betas =
      read_all(t.parameters.values[math::kScale], pairs, options.beta);
  const auto store_rewards = [&betas](const TensorView& view, std::vector<double> ratio) {
    std::transform(ratio.begin(), ratio.end(), betas.begin(), ratio.begin(), std::multiplies<>());
    store(view, ratio);
  };
  store_rewards(t.chosen_rewards, chosen_ratio);
  store_rewards(t.rejected_rewards, rejected_ratio);
}

}  // namespace logratio::cpu
