// All losses, by the lists of the files that they are in; a loss's number in lr_loss_options is its
// place, from 1.
#pragma once

#include <cstdint>

#include "math/batch_losses.h"
#include "math/difference_losses.h"
#include "math/discovered_losses.h"
#include "math/mixture_losses.h"
#include "math/ratio_losses.h"
#include "math/reference_free_losses.h"
#include "math/unpaired_losses.h"

namespace logratio::math {

using PairedLosses = decltype(MixtureLosses() + DifferenceLosses() + RatioLosses() + BatchLosses() +
                              DiscoveredLosses() + ReferenceFreeLosses());

// sft has no formula of its own: it is the mean of -logp over the chosen tokens, which
// preference_step takes.
struct Sft {
  static constexpr LossInfo info{
      .name = "sft", .kind = LR_LOSS_AUXILIARY, .reward_beta = nullptr, .divides_by_length = true};
};

inline constexpr int32_t kLossCount = PairedLosses::count + UnpairedLosses::count + 1;

// The description of a loss by its number; nullptr where there is none.
constexpr const LossInfo* loss_info(int32_t number) {
  if (number < 1 || number > kLossCount)
    return nullptr;
  if (number <= PairedLosses::count)
    return PairedLosses::infos[number - 1];
  if (number < kLossCount)
    return UnpairedLosses::infos[number - 1 - PairedLosses::count];
  return &Sft::info;
}

template <class Body>
LR_FORCE_INLINE LR_HD void visit_paired(const lr_loss_options& options, Body&& body) {
  PairedLosses::visit(options, body);
}

template <class Body>
LR_FORCE_INLINE LR_HD void visit_unpaired(const lr_loss_options& options, Body&& body) {
  UnpairedLosses::visit<PairedLosses::count>(options, body);
}

}  // namespace logratio::math
