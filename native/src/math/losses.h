// The list of losses. A new loss is its class and one line here; its number in lr_loss_options is
// its place, from 1.
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

template <class... Loss>
struct LossList {
  static constexpr const LossInfo* infos[] = {&Loss::info...};
  static constexpr int32_t count = sizeof...(Loss);

  // body(loss) with the loss that the checked options name; `before` is how many losses other lists
  // put before these.
  template <int32_t before = 0, class Body>
  LR_FORCE_INLINE LR_HD static void visit(const lr_loss_options& options, Body&& body) {
    int32_t number = before;
    (void)((++number == options.loss && (body(Loss(options)), true)) || ...);
  }
};

using PairedLosses = LossList<Dlrml,                    //
                              DiscoPop,                 //
                              SigmoidLoss,              //
                              SigmoidNorm,              //
                              Hinge,                    //
                              Ipo,                      //
                              ExoPair,                  //
                              Robust,                   //
                              NcaPair,                  //
                              BcoPair,                  //
                              SppoHard,                 //
                              ApoZero,                  //
                              ApoDown,                  //
                              Aot<Sorting::by_model>,   //
                              Aot<Sorting::by_answer>,  //
                              KtoPair,                  //
                              Dbaql,                    //
                              Aql,                      //
                              Aqfl,                     //
                              Padll,                    //
                              Cell,                     //
                              Pfl,                      //
                              Simpo,                    //
                              AlphaPo,                  //
                              Cpo,                      //
                              Orpo>;

using UnpairedLosses = LossList<Kto,              //
                                ApoZeroUnpaired,  //
                                Bco>;

// sft has no formula of its own: it is the mean of -logp over the chosen tokens, which
// preference_step takes.
struct Sft {
  static constexpr LossInfo info{.name = "sft",
                                 .kind = LossKind::auxiliary,
                                 .reward_beta = nullptr,
                                 .divides_by_length = true};
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
