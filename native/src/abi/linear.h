// Checks of what the fused linear operations have in common: the head, its gradients and options.
#pragma once

#include "abi/operands.h"
#include "op/linear.h"

namespace logratio::abi {

// The options alone.
void check_linear_options(const lr_linear_options& options);

// Fields of the args struct.
struct HeadFields {
  const DLTensor* const& hidden;
  const DLTensor* const& weight;
  const DLTensor* const& bias;
  const DLTensor* const& grad_hidden;
  const DLTensor* const& grad_weight;
  const DLTensor* const& grad_bias;
};

template <class Args>
HeadFields head_fields(const Args& a) {
  return {a.hidden, a.weight, a.bias, a.grad_hidden, a.grad_weight, a.grad_bias};
}

// No gradient of what is frozen, or of a bias that is absent.
void check_head_presence(const Operands& operands, const HeadFields& fields,
                         const lr_linear_options& options);

// After the tensors were checked: types that go together, and room for a row. Fills in the rest of
// the head; `vocab` is the checked one.
void check_head(const Operands& operands, const HeadFields& fields,
                const lr_linear_options& options, int64_t vocab, lr_linear_plan* plan,
                op::TrainedHead* head);

// A tensor has the type of another.
void check_same_type(const Operand& operand, const Operand& other);

}  // namespace logratio::abi
