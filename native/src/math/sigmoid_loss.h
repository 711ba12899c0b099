// sigmoid (DPO): -(1 - e) log sigmoid(beta D) - e log sigmoid(-beta D), e the label smoothing.
#pragma once

#include "math/loss.h"

namespace logratio::math {

class SigmoidLoss {
  static constexpr NumberOption kNumbers[] = {{"beta", &lr_loss_options::beta, .1, Range::positive, false},
                                              {"label_smoothing", &lr_loss_options::label_smoothing, 0, Range::smoothing, false},
                                              f_alpha_option()};
  static constexpr ChoiceOption kChoicesHere[] = {kFDivergence};

 public:
  static constexpr LossInfo info{"sigmoid", nullptr, kNumbers, kChoicesHere, &lr_loss_options::beta, false};

  explicit SigmoidLoss(const lr_loss_options& options)
      : score_{options.f_divergence, options.f_alpha}, beta_(options.beta), smoothing_(options.label_smoothing) {}

  LR_HD PairOutput evaluate(const PairInput& pair) const {
    return difference_loss(pair, score_, [this](double difference) {
      const double z = beta_ * difference;
      const Decay decay(z);
      const double wrong = (z < 0 ? -z : 0.0) + decay.log1p_v;  // -log sigmoid(z)
      const double right = (z > 0 ? z : 0.0) + decay.log1p_v;   // -log sigmoid(-z)
      const double slope_wrong = (z >= 0 ? decay.v : 1.0) * decay.inverse;
      const double slope_right = (z >= 0 ? 1.0 : decay.v) * decay.inverse;
      return DifferenceOutput{(1 - smoothing_) * wrong + vanishing_product(smoothing_, right),
                              beta_ * (smoothing_ * slope_right - (1 - smoothing_) * slope_wrong),
                              {}};
    });
  }

 private:
  FDivergence score_;
  double beta_;
  double smoothing_;
};

}  // namespace logratio::math
