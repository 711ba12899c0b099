// Losses of single examples that are each marked chosen (desirable) or rejected; d is an example's
// log-ratio.
//
// An unpaired loss has `info` and a constructor as a paired one does, and
//   ExampleOutput<Real> evaluate(Real ratio, chosen, double kl)   kl is 0 unless info.uses_kl
#pragma once

#include "math/loss.h"

namespace logratio::math {

template <class Real>
struct ExampleOutput {
  Real value;
  Real d_ratio;
};

inline constexpr NumberOption kDesirableWeight{"desirable_weight",
                                               &lr_loss_options::desirable_weight, 1, kNonNegative};
inline constexpr NumberOption kUndesirableWeight{
    "undesirable_weight", &lr_loss_options::undesirable_weight, 1, kNonNegative};

// kto: wd (1 - sigmoid(beta (d - kl))) for chosen, wu (1 - sigmoid(beta (kl - d))) for rejected
// examples.
class Kto {
  static constexpr NumberOption kNumbers[] = {beta_option(.1), kDesirableWeight,
                                              kUndesirableWeight};

 public:
  static constexpr LossInfo info{
      .name = "kto", .kind = LR_LOSS_UNPAIRED, .numbers = kNumbers, .uses_kl = true};

  LR_FORCE_INLINE LR_HD explicit Kto(const lr_loss_options& options)
      : beta_(options.beta),
        desirable_(options.desirable_weight),
        undesirable_(options.undesirable_weight) {}

  template <class Real, class Flag>
  LR_FORCE_INLINE LR_HD ExampleOutput<Real> evaluate(Real ratio, Flag chosen, double kl) const {
    const Logistic<Real> logistic(Real(beta_) * (ratio - Real(kl)));
    const Real weight = select(chosen, Real(desirable_), Real(undesirable_));
    const Real slope = Real(beta_) * weight * logistic.slope();
    return {weight * select(chosen, logistic.sigmoid_negated, logistic.sigmoid),
            select(chosen, -slope, slope)};
  }

 private:
  double beta_;
  double desirable_;
  double undesirable_;
};

// apo_zero_unpaired: 1 - sigmoid(beta d) for chosen, sigmoid(beta d) for rejected examples.
class ApoZeroUnpaired {
 public:
  static constexpr LossInfo info{
      .name = "apo_zero_unpaired", .kind = LR_LOSS_UNPAIRED, .numbers = kBetaOnly};

  LR_FORCE_INLINE LR_HD explicit ApoZeroUnpaired(const lr_loss_options& options)
      : beta_(options.beta) {}

  template <class Real, class Flag>
  LR_FORCE_INLINE LR_HD ExampleOutput<Real> evaluate(Real ratio, Flag chosen, double) const {
    const Logistic<Real> logistic(Real(beta_) * ratio);
    const Real slope = Real(beta_) * logistic.slope();
    return {select(chosen, logistic.sigmoid_negated, logistic.sigmoid),
            select(chosen, -slope, slope)};
  }

 private:
  double beta_;
};

// bco: -log sigmoid(beta d - delta) for chosen, -w log sigmoid(-(beta d - delta)) for rejected
// examples.
class Bco {
  static constexpr NumberOption kNumbers[] = {
      beta_option(.1), kUndesirableWeight, {"delta", &lr_loss_options::delta, 0, kFinite}};

 public:
  static constexpr LossInfo info{.name = "bco", .kind = LR_LOSS_UNPAIRED, .numbers = kNumbers};

  LR_FORCE_INLINE LR_HD explicit Bco(const lr_loss_options& options)
      : beta_(options.beta), undesirable_(options.undesirable_weight), delta_(options.delta) {}

  template <class Real, class Flag>
  LR_FORCE_INLINE LR_HD ExampleOutput<Real> evaluate(Real ratio, Flag chosen, double) const {
    const Real beta(beta_), undesirable(undesirable_);
    const Logistic<Real> logistic(beta * ratio - Real(delta_));
    return {
        select(chosen, logistic.loss, vanishing_product(undesirable, logistic.loss_negated)),
        select(chosen, -beta * logistic.sigmoid_negated, beta * undesirable * logistic.sigmoid)};
  }

 private:
  double beta_;
  double undesirable_;
  double delta_;
};

using UnpairedLosses = LossList<Kto, ApoZeroUnpaired, Bco>;

}  // namespace logratio::math
