// The formulas of src/math over vectors of pairs, compiled once per instruction set
// (LR_ISA_NAMESPACE says which). Nothing but this namespace may be emitted here; the formulas are
// templates over Doubles, which is local.
#include "cpu/kernels/kernels.h"
#include "cpu/simd/doubles.h"
#include "math/losses.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

static_assert(kPairBlock % Doubles::kCount == 0);
constexpr int64_t kStep = Doubles::kCount;

using Pair = math::PairInput<Doubles>;

HWY_INLINE Pair pair_at(const PairBlock& in, int64_t k) {
  return {Doubles::load(in.policy_chosen + k),
          Doubles::load(in.policy_rejected + k),
          Doubles::load(in.reference_chosen + k),
          Doubles::load(in.reference_rejected + k),
          Doubles::load(in.chosen_counts + k),
          Doubles::load(in.rejected_counts + k),
          in.logps_are_means};
}

HWY_INLINE void store_scaled(Doubles upstream, Doubles derivative, double* gradient) {
  math::vanishing_product(upstream, derivative).store(gradient);
}

// The values and gradients of kStep pairs; a loss with two values per pair splits its gradient
// between them.
template <bool kTwoValues>
HWY_INLINE void store(const math::PairOutput<Doubles>& pair, const PairBlock& in, int64_t k,
                      PairValues* out) {
  const Doubles upstream = Doubles::load(in.upstream + k);
  const Doubles of_rejected = kTwoValues ? Doubles::load(in.second_upstream + k) : upstream;
  pair.value.store(out->value + k);
  if (kTwoValues)
    pair.second_value.store(out->second_value + k);
  store_scaled(upstream, pair.gradient.policy_chosen, out->policy_chosen + k);
  store_scaled(of_rejected, pair.gradient.policy_rejected, out->policy_rejected + k);
  store_scaled(upstream, pair.gradient.reference_chosen, out->reference_chosen + k);
  store_scaled(of_rejected, pair.gradient.reference_rejected, out->reference_rejected + k);
}

// The loss of the kStep pairs from k on: that of all pairs, or the pairs' own.
template <class Loss>
struct SharedLoss {
  const Loss& loss;

  HWY_INLINE const Loss& at(int64_t) const { return loss; }
};

template <class Loss>
struct OwnLosses {
  const lr_loss_options& options;
  const PairBlock& in;

  HWY_INLINE typename math::WithNumbers<Loss, Doubles>::Type at(int64_t k) const {
    math::OwnOptions<Doubles> own;
    static_cast<lr_loss_options&>(own) = options;
    own.beta = own.beta_kl = parameter<math::kScale>(k);  // no loss has both
    own.beta_mix = parameter<math::kMix>(k);
    own.tau = parameter<math::kTemperature>(k);
    return typename math::WithNumbers<Loss, Doubles>::Type(own);
  }

 private:
  template <int kParameter>
  HWY_INLINE Doubles parameter(int64_t k) const {
    if constexpr (Loss::info.option_of(kParameter) == nullptr) {
      return Doubles(0.0);
    } else {
      return Doubles::load(in.parameters[kParameter] + k);
    }
  }
};

// body(losses) with the loss of the options, or those of the pairs.
template <class Body>
HWY_INLINE void with_losses(const lr_loss_options& options, const PairBlock& in, Body&& body) {
  math::visit_paired(options, [&]<class Loss>(const Loss& loss) {
    if (in.has_parameters) {
      body.template operator()<Loss, true>(OwnLosses<Loss>{options, in});
    } else {
      body.template operator()<Loss, false>(SharedLoss<Loss>{loss});
    }
  });
}

template <bool kTwoValues>
HWY_INLINE void store_parameters(const math::PairOutput<Doubles>& pair, const PairBlock& in,
                                 int64_t k, PairValues* out) {
  for (int p = 0; p < math::kParameters; ++p) {
    Doubles gradient = math::vanishing_product(Doubles::load(in.upstream + k), pair.parameters[p]);
    if constexpr (kTwoValues) {
      gradient = gradient + math::vanishing_product(Doubles::load(in.second_upstream + k),
                                                    pair.second_parameters[p]);
    }
    gradient.store(out->by_parameter[p] + k);
  }
}

template <class Loss, bool kOwn, class Losses>
void evaluate_loss(const Losses& losses, const math::Statistics& statistics, int64_t count,
                   const PairBlock& in, PairValues* out) {
  constexpr math::LossInfo info = Loss::info;
  math::ParameterGradient<Doubles> sums;
  for (int64_t k = 0; k < count; k += kStep) {
    const auto& loss = losses.at(k);
    if constexpr (info.means > 0) {
      const math::CoupledOutput<Doubles> result = loss.evaluate(pair_at(in, k), statistics);
      store<info.two_values>(result.pair, in, k, out);
      result.d_mean[0].store(out->mean[0] + k);
      if constexpr (info.means > 1)
        result.d_mean[1].store(out->mean[1] + k);
      if constexpr (info.variance)
        result.d_variance.store(out->variance + k);
      if constexpr (kOwn)
        store_parameters<info.two_values>(result.pair, in, k, out);
    } else {
      const math::PairOutput<Doubles> result = loss.evaluate(pair_at(in, k));
      store<info.two_values>(result, in, k, out);
      if constexpr (kOwn) {
        store_parameters<info.two_values>(result, in, k, out);
      } else if constexpr (info.differentiates_options) {
        const Doubles upstream = Doubles::load(in.upstream + k);
        for (int p = 0; p < math::kParameters; ++p)
          sums[p] = sums[p] + math::vanishing_product(upstream, result.parameters[p]);
      }
    }
  }
  if constexpr (!kOwn && info.differentiates_options) {
    for (int p = 0; p < math::kParameters; ++p)
      out->parameters[p] += sum_of(sums[p]);
  }
}

}  // namespace

void evaluate_pairs(const lr_loss_options& options, const math::Statistics& statistics,
                    int64_t count, const PairBlock& in, PairValues* out) {
  with_losses(options, in, [&]<class Loss, bool kOwn>(const auto& losses) {
    evaluate_loss<Loss, kOwn>(losses, statistics, count, in, out);
  });
}

void pair_features(const lr_loss_options& options, int64_t count, const PairBlock& in,
                   PairColumn* first, PairColumn* second) {
  with_losses(options, in, [&]<class Loss, bool kOwn>(const auto& losses) {
    if constexpr (Loss::info.means > 0) {
      for (int64_t k = 0; k < count; k += kStep) {
        const math::Features<Doubles> f = losses.at(k).features(pair_at(in, k));
        f.first.store(*first + k);
        f.second.store(*second + k);
      }
    }
  });
}

static HWY_INLINE void add(Doubles x, double* column) { (Doubles::load(column) + x).store(column); }

void pull_back(const lr_loss_options& options, const math::Statistics& statistics,
               const math::Statistics& d, int64_t count, const PairBlock& in, PairValues* out) {
  with_losses(options, in, [&]<class Loss, bool kOwn>(const auto& losses) {
    if constexpr (Loss::info.means > 0) {
      for (int64_t k = 0; k < count; k += kStep) {
        const Pair pair = pair_at(in, k);
        const auto& loss = losses.at(k);
        const math::PulledBack<Doubles> back =
            loss.pull_back(pair, math::feature_gradient(loss.features(pair), statistics, d));
        add(back.gradient.policy_chosen, out->policy_chosen + k);
        add(back.gradient.policy_rejected, out->policy_rejected + k);
        add(back.gradient.reference_chosen, out->reference_chosen + k);
        add(back.gradient.reference_rejected, out->reference_rejected + k);
        for (int p = 0; kOwn && p < math::kParameters; ++p)
          add(back.parameters[p], out->by_parameter[p] + k);
      }
    }
  });
}

void evaluate_examples(const lr_loss_options& options, double kl, int64_t count,
                       const ExampleBlock& in, ExampleValues* out) {
  math::visit_unpaired(options, [&](const auto& loss) {
    for (int64_t k = 0; k < count; k += kStep) {
      const DoubleFlags chosen = Doubles::load(in.chosen + k) > Doubles(0.0);
      const math::ExampleOutput<Doubles> result =
          loss.evaluate(Doubles::load(in.ratio + k), chosen, kl);
      result.value.store(out->value + k);
      result.d_ratio.store(out->ratio + k);
    }
  });
}

void widen(const float* from, int64_t count, double* to) {
  for (int64_t k = 0; k < count; ++k)
    to[k] = from[k];
}

void narrow(const double* from, int64_t count, float* to) {
  for (int64_t k = 0; k < count; ++k)
    to[k] = static_cast<float>(from[k]);
}

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
