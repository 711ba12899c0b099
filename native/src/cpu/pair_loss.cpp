// Pairs are few and cheap, so one thread takes them, in blocks that live on the stack; only the
// losses that sort the batch allocate. A loss of the whole batch walks its blocks several times:
// for the statistics, for the derivatives by them, and for the results.
#include "cpu/pair_loss.h"

#include <algorithm>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/sorted_loss.h"
#include "math/losses.h"

namespace logratio::cpu {
namespace {

using math::Statistics;
using math::vanishing_product;
using op::PairTensors;

void load(const TensorView& view, int64_t first, int64_t count, double absent, double padding,
          double* column) {
  if (view) {
    read(view, first, count, column);
  } else {
    std::fill_n(column, count, absent);
  }
  std::fill(column + count, column + kPairBlock, padding);
}

void load(const TensorView& view, int64_t first, int64_t count, double absent, double* column) {
  load(view, first, count, absent, absent, column);
}

void store(const TensorView& view, int64_t first, int64_t count, const double* column) {
  if (view)
    write(view, first, count, column);
}

void store_one(const TensorView& view, double value) {
  if (view)
    write(view, 0, 1, &value);
}

double one_over(int64_t count) { return count > 0 ? 1.0 / static_cast<double>(count) : 0.0; }

class Pairs {
 public:
  Pairs(const lr_loss_options& options, int64_t pairs, const PairTensors& tensors)
      : options_(options),
        info_(*math::loss_info(options.loss)),
        pairs_(pairs),
        t_(tensors),
        kernels_(kernels()),
        uniform_(one_over(info_.two_values ? 2 * pairs : pairs)) {
    in_.has_parameters = tensors.parameters.are_by_pair(info_);
  }

  void run() {
    if (info_.means > 0)
      take_statistics();
    for (int64_t first = 0; first < pairs_; first += kPairBlock) {
      const int64_t count = load_block(first);
      kernels_.evaluate_pairs(options_, statistics_, count, in_, &out_);
      if (info_.means > 0)
        kernels_.pull_back(options_, statistics_, d_statistics_, count, in_, &out_);
      store_block(first, count);
    }
    for (int p = 0; p < math::kParameters; ++p) {
      if (t_.parameters.gradients[p].size() == 1 || !in_.has_parameters)
        store_one(t_.parameters.gradients[p], out_.parameters[p]);
    }
  }

 private:
  int64_t load_block(int64_t first) {
    const int64_t count = std::min(kPairBlock, pairs_ - first);
    in_.logps_are_means = t_.logps_are_means;
    load(t_.policy_chosen, first, count, 0, in_.policy_chosen);
    load(t_.policy_rejected, first, count, 0, in_.policy_rejected);
    load(t_.reference_chosen, first, count, 0, in_.reference_chosen);
    load(t_.reference_rejected, first, count, 0, in_.reference_rejected);
    load_counts(t_.chosen_counts, first, count, in_.chosen_counts);
    load_counts(t_.rejected_counts, first, count, in_.rejected_counts);
    load(t_.grad_loss, first, count, uniform_, 0, in_.upstream);
    if (info_.two_values)
      load(t_.grad_loss, t_.grad_loss ? pairs_ + first : first, count, uniform_, 0,
           in_.second_upstream);
    if (in_.has_parameters)
      load_parameters(first, count);
    return count;
  }

  void load_parameters(int64_t first, int64_t count) {
    for (int p = 0; p < math::kParameters; ++p) {
      if (const auto option = info_.option_of(p))
        load(t_.parameters.values[p], first, count, options_.*option, options_.*option,
             in_.parameters[p]);
    }
  }

  // An answer without tokens is divided by 1.
  static void load_counts(const TensorView& view, int64_t first, int64_t count, double* column) {
    load(view, first, count, 1, column);
    if (!view)
      return;
    for (int64_t k = 0; k < count; ++k)
      column[k] = column[k] < 1 ? 1 : column[k];
  }

  // Means in order of the pairs, then the variance about the first of them.
  void take_statistics() {
    if (pairs_ == 0)
      return;
    const double count = static_cast<double>(pairs_);
    double sums[2] = {0, 0};
    for_features([&](const double* first, const double* second, int64_t n) {
      for (int64_t k = 0; k < n; ++k) {
        sums[0] += first[k];
        sums[1] += second[k];
      }
    });
    statistics_ = {count, {sums[0] / count, sums[1] / count}, 0};
    if (info_.variance) {
      double squares = 0;
      for_features([&](const double* first, const double*, int64_t n) {
        for (int64_t k = 0; k < n; ++k)
          squares += (first[k] - statistics_.mean[0]) * (first[k] - statistics_.mean[0]);
      });
      statistics_.variance = squares / (count - 1);
    }
    for (int64_t first = 0; first < pairs_; first += kPairBlock) {
      const int64_t n = load_block(first);
      kernels_.evaluate_pairs(options_, statistics_, n, in_, &out_);
      const double* const upstream[2] = {in_.upstream,
                                         info_.two_values ? in_.second_upstream : in_.upstream};
      for (int64_t k = 0; k < n; ++k) {
        for (int i = 0; i < info_.means; ++i)
          d_statistics_.mean[i] += math::by_statistic(upstream[i][k], out_.mean[i][k]);
        if (info_.variance)
          d_statistics_.variance += math::by_statistic(in_.upstream[k], out_.variance[k]);
      }
    }
  }

  template <class Body>
  void for_features(Body&& body) {
    PairColumn first_feature, second_feature;
    for (int64_t first = 0; first < pairs_; first += kPairBlock) {
      const int64_t count = load_block(first);
      kernels_.pair_features(options_, count, in_, &first_feature, &second_feature);
      body(first_feature, second_feature, count);
    }
  }

  void store_block(int64_t first, int64_t count) {
    store(t_.loss, first, count, out_.value);
    if (info_.two_values)
      store(t_.loss, pairs_ + first, count, out_.second_value);
    store(t_.grad_policy_chosen, first, count, out_.policy_chosen);
    store(t_.grad_policy_rejected, first, count, out_.policy_rejected);
    store(t_.grad_reference_chosen, first, count, out_.reference_chosen);
    store(t_.grad_reference_rejected, first, count, out_.reference_rejected);
    store_rewards(t_.chosen_rewards, first, count, in_.policy_chosen, in_.reference_chosen);
    store_rewards(t_.rejected_rewards, first, count, in_.policy_rejected, in_.reference_rejected);
    if (in_.has_parameters)
      store_parameters(first, count);
  }

  void store_parameters(int64_t first, int64_t count) {
    for (int p = 0; p < math::kParameters; ++p) {
      const TensorView& gradient = t_.parameters.gradients[p];
      if (gradient && gradient.size() == 1) {
        for (int64_t k = 0; k < count; ++k)
          out_.parameters[p] += out_.by_parameter[p][k];
      } else {
        store(gradient, first, count, out_.by_parameter[p]);
      }
    }
  }

  void store_rewards(const TensorView& view, int64_t first, int64_t count, const double* policy,
                     const double* reference) const {
    if (!view)
      return;
    const double beta = options_.*info_.reward_beta;
    PairColumn rewards;
    if (in_.has_parameters) {
      for (int64_t k = 0; k < count; ++k)
        rewards[k] = in_.parameters[math::kScale][k] * (policy[k] - reference[k]);
    } else {
      for (int64_t k = 0; k < count; ++k)
        rewards[k] = beta * (policy[k] - reference[k]);
    }
    write(view, first, count, rewards);
  }

  const lr_loss_options& options_;
  const math::LossInfo& info_;
  const int64_t pairs_;
  const PairTensors& t_;
  const Kernels& kernels_;
  const double uniform_;
  Statistics statistics_;
  Statistics d_statistics_;
  PairBlock in_;
  PairValues out_;
};

// kl of kto: the mean log-ratio of the examples given for it, at least 0.
double mean_log_ratio(const TensorView& policy, const TensorView& reference) {
  const int64_t count = policy.size();
  double sum = 0;
  double p[kPairBlock], r[kPairBlock];
  for (int64_t first = 0; first < count; first += kPairBlock) {
    const int64_t n = std::min(kPairBlock, count - first);
    read(policy, first, n, p);
    read(reference, first, n, r);
    for (int64_t k = 0; k < n; ++k)
      sum += p[k] - r[k];
  }
  return math::positive_part(sum * one_over(count));
}

}  // namespace

void pair_loss(const lr_loss_options& options, int64_t pairs, const PairTensors& tensors) {
  const bool sorts = math::loss_info(options.loss)->sorting != math::Sorting::none;
  (sorts ? sorted_loss : evaluate_pairs)(options, pairs, tensors);
}

void evaluate_pairs(const lr_loss_options& options, int64_t pairs, const PairTensors& tensors) {
  Pairs(options, pairs, tensors).run();
}

void unpaired_loss(const op::UnpairedLoss& t) {
  const lr_loss_options& options = t.options;
  const int64_t examples = t.examples;
  const bool uses_kl = math::loss_info(options.loss)->uses_kl;
  const double kl =
      uses_kl && t.kl_policy_logps ? mean_log_ratio(t.kl_policy_logps, t.kl_reference_logps) : 0;
  const double uniform = one_over(examples);
  ExampleBlock in;
  ExampleValues out;
  PairColumn reference, upstream, rewards;
  for (int64_t first = 0; first < examples; first += kPairBlock) {
    const int64_t count = std::min(kPairBlock, examples - first);
    load(t.policy_logps, first, count, 0, in.ratio);
    load(t.reference_logps, first, count, 0, reference);
    load(t.chosen, first, count, 0, in.chosen);
    load(t.grad_loss, first, count, uniform, upstream);
    for (int64_t k = 0; k < kPairBlock; ++k)
      in.ratio[k] -= reference[k];
    kernels().evaluate_examples(options, kl, count, in, &out);
    store(t.loss, first, count, out.value);
    for (int64_t k = 0; k < count; ++k)
      rewards[k] = options.beta * in.ratio[k];
    store(t.rewards, first, count, rewards);
    for (int64_t k = 0; k < count; ++k)
      out.ratio[k] = vanishing_product(upstream[k], out.ratio[k]);
    store(t.grad_policy_logps, first, count, out.ratio);
    for (int64_t k = 0; k < count; ++k)
      out.ratio[k] = -out.ratio[k];
    store(t.grad_reference_logps, first, count, out.ratio);
  }
  store_one(t.kl, kl);
}

}  // namespace logratio::cpu
