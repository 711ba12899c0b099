// What every pair loss is made of: its inputs, its outputs and the description of its options.
//
// A loss is a struct with
//   static constexpr LossInfo info         name, options, what may be asked of it
//   explicit Loss(const lr_loss_options&)  options already checked against info
//   PairOutput evaluate(const PairInput&)  one pair: value and every derivative
// Losses of the difference of the two scores reach evaluate through difference_loss(). A formula of other inputs fills
// PairOutput itself: the four log-probs have a derivative each, and the counts are there to divide by.
#pragma once

#include <cstdint>
#include <span>

#include "logratio.h"
#include "math/f_divergence.h"

namespace logratio::math {

struct PairInput {
  double policy_chosen;
  double policy_rejected;
  double reference_chosen;
  double reference_rejected;
  double chosen_count;
  double rejected_count;
};

struct ParameterGradient {
  double beta = 0;
  double beta_kl = 0;
  double beta_mix = 0;
  double tau = 0;
};

struct PairOutput {
  double value;
  double d_policy_chosen;
  double d_policy_rejected;
  double d_reference_chosen;
  double d_reference_rejected;
  ParameterGradient d_parameters;
};

enum class Range : uint8_t { positive, finite, smoothing };

struct NumberOption {
  const char* name;
  double lr_loss_options::* member;
  double fallback;
  Range range;
  bool differentiable;
};

struct ChoiceOption {
  const char* name;
  int32_t lr_loss_options::* member;
  int32_t count;  // values 0 .. count-1
};

struct LossInfo {
  const char* name;
  const char* alias;  // nullptr: none
  std::span<const NumberOption> numbers;
  std::span<const ChoiceOption> choices;
  double lr_loss_options::* reward_beta;  // scales the logged rewards
  bool divides_by_length;                 // such a loss takes sums over tokens, never means
};

// Every option of lr_loss_options; a loss lists the ones it has, with its own default.
inline constexpr double lr_loss_options::* kNumberMembers[] = {
    &lr_loss_options::beta, &lr_loss_options::beta_kl,         &lr_loss_options::beta_mix,
    &lr_loss_options::tau,  &lr_loss_options::label_smoothing, &lr_loss_options::f_alpha};
inline constexpr const char* kNumberNames[] = {"beta", "beta_kl", "beta_mix", "tau", "label_smoothing", "f_alpha"};

inline constexpr ChoiceOption kFDivergence{"f_divergence", &lr_loss_options::f_divergence, 4};
inline constexpr ChoiceOption kGuard{"guard", &lr_loss_options::guard, 3};
inline constexpr ChoiceOption kVariant{"variant", &lr_loss_options::variant, 2};
inline constexpr ChoiceOption kChoices[] = {kFDivergence, kGuard, kVariant};

constexpr NumberOption f_alpha_option() { return {"f_alpha", &lr_loss_options::f_alpha, .5, Range::finite, false}; }

// A loss of D = score(policy - reference of chosen) - score(the same of rejected).
struct DifferenceOutput {
  double value;
  double d_difference;
  ParameterGradient d_parameters;
};

template <class Formula>
LR_FORCE_INLINE LR_HD PairOutput difference_loss(const PairInput& pair, const FDivergence& score, const Formula& formula) {
  const Score chosen = score(pair.policy_chosen - pair.reference_chosen);
  const Score rejected = score(pair.policy_rejected - pair.reference_rejected);
  const DifferenceOutput loss = formula(chosen.value - rejected.value);
  const double d_chosen = vanishing_product(loss.d_difference, chosen.slope);
  const double d_rejected = -vanishing_product(loss.d_difference, rejected.slope);
  return {loss.value, d_chosen, d_rejected, -d_chosen, -d_rejected, loss.d_parameters};
}

}  // namespace logratio::math
