// The list of pair losses. A new loss is its struct and one line here; its number in lr_loss_options is its place, from 1.
#pragma once

#include <cstdint>
#include <utility>

#include "math/discopop.h"
#include "math/dlrml.h"
#include "math/sigmoid_loss.h"

namespace logratio::math {

template <class... Loss>
struct LossList {
  static constexpr const LossInfo* infos[] = {&Loss::info...};
  static constexpr int32_t count = sizeof...(Loss);

  // body(loss) with the loss that the checked options name.
  template <class Body>
  static void visit(const lr_loss_options& options, Body&& body) {
    int32_t number = 0;
    (void)((++number == options.loss && (body(Loss(options)), true)) || ...);
  }
};

using Losses = LossList<Dlrml,        //
                        DiscoPop,     //
                        SigmoidLoss>;

// The description of a loss by its number; nullptr where there is none.
inline const LossInfo* loss_info(int32_t number) {
  return number >= 1 && number <= Losses::count ? Losses::infos[number - 1] : nullptr;
}

}  // namespace logratio::math
