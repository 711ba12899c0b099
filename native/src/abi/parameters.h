// Tensors that take the place of the numbers of a loss that it has gradients by, and the tensors of
// these gradients: what the operations on pairs share. Java's ParameterTensors does the same, in
// the same words.
#pragma once

#include <initializer_list>
#include <span>

#include "abi/operand.h"
#include "abi/operands.h"
#include "math/loss.h"
#include "op/pair_loss.h"

namespace logratio::abi {

inline constexpr const Shapes& kOneOrPairs = shape<"1|P">;

// A parameter that takes the place of an option, and the gradient by one. No loss has beta and
// beta_kl both.
constexpr Operand parameter(const char* name, const DLTensor* const& field,
                            op::ParameterTensors& tensors, math::Parameter number,
                            OptionMember option) {
  return in(name, field, kFloats, kOneOrPairs, tensors.values[number], {}, option);
}
constexpr Operand parameter_gradient(const char* name, const DLTensor* const& field,
                                     op::ParameterTensors& tensors, math::Parameter number,
                                     OptionMember option) {
  return out(name, field, kFloats, kOneOrPairs, tensors.gradients[number], {}, option);
}

// Whether one of the tensors is there. Where none is, the checks below have nothing to do.
inline bool any_given(std::initializer_list<const DLTensor*> tensors) {
  bool any = false;
  for (const DLTensor* tensor : tensors)
    any |= tensor != nullptr;
  return any;
}

// The loss has the options that tensors are given for, and the gradients that are wanted.
void check_parameters(std::span<const Operand> list, const math::LossInfo& loss);

// Parameters are of one loss: refuses them beside a list of several.
void check_one_loss(std::span<const Operand> list, size_t losses);

// A gradient has its parameter's shape, or [1] where that is no tensor.
void check_parameter_shapes(std::span<const Operand> list);

// Checks the elements of parameters in CPU memory; those that are [1] go into the options, and are
// absent then.
void read_parameters(std::span<const Operand> list, lr_loss_options* options);

}  // namespace logratio::abi
