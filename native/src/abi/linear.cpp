#include "abi/linear.h"

#include <string>

#include "abi/errors.h"
#include "abi/options.h"
#include "abi/tensors.h"
#include "abi/text.h"

namespace logratio::abi {
namespace {

op::ElementType type_of(const Operand& operand) { return *element_type(operand.tensor()->dtype); }

void refuse_frozen(const Operands& operands, const DLTensor* const& field, const char* frozen) {
  if (field != nullptr) {
    invalid(std::string(operands[field].name) + " is there, expected it absent as frozen is " +
            frozen);
  }
}

// A gradient has the type of what it is of, or float32.
void check_gradient_type(const Operands& operands, const DLTensor* const& gradient,
                         const DLTensor* const& of) {
  if (gradient == nullptr)
    return;
  const op::ElementType type = type_of(operands[gradient]), own = type_of(operands[of]);
  if (type != own && type != op::ElementType::f32) {
    const std::string also =
        own == op::ElementType::f32 ? "" : " or " + text_of(operands[of].tensor()->dtype);
    mismatch(operands[gradient], "F32" + also + " as " + operands[of].name);
  }
}

}  // namespace

void check_linear_options(const lr_linear_options& options) {
  check_choice("frozen", options.frozen, 3);
  check_choice("accumulate", options.accumulate, 2);
}

void check_head_presence(const Operands& operands, const HeadFields& fields,
                         const lr_linear_options& options) {
  if (options.frozen == LR_FROZEN_HIDDEN)
    refuse_frozen(operands, fields.grad_hidden, "hidden");
  if (options.frozen == LR_FROZEN_WEIGHT) {
    refuse_frozen(operands, fields.grad_weight, "weight");
    refuse_frozen(operands, fields.grad_bias, "weight");
  }
  if (fields.grad_bias != nullptr && fields.bias == nullptr)
    operands.missing(fields.bias, ", as grad_bias is wanted");
}

void check_same_type(const Operand& operand, const Operand& other) {
  if (type_of(operand) != type_of(other))
    mismatch(operand, text_of(other.tensor()->dtype) + " as " + other.name);
}

void check_head(const Operands& operands, const HeadFields& fields,
                const lr_linear_options& options, int64_t vocab, lr_linear_plan* plan,
                op::TrainedHead* head) {
  if (vocab < 1)
    mismatch(operands[fields.weight], "a vocabulary of at least 1");
  check_same_type(operands[fields.weight], operands[fields.hidden]);
  check_gradient_type(operands, fields.grad_hidden, fields.hidden);
  check_gradient_type(operands, fields.grad_weight, fields.weight);
  check_gradient_type(operands, fields.grad_bias, fields.bias);
  const uint64_t budget = options.budget_bytes == 0 ? LR_BUDGET_BYTES : options.budget_bytes,
                 row = static_cast<uint64_t>(vocab) * sizeof(float);
  if (budget < row) {
    invalid("budget_bytes is " + std::to_string(budget) + ", expected at least " +
            std::to_string(row) + ", the logits of a row");
  }
  head->present = true;
  head->vocab = vocab;
  head->wants_hidden = fields.grad_hidden != nullptr;
  head->wants_weight = fields.grad_weight != nullptr;
  head->accumulate = options.accumulate != 0;
  head->budget_bytes = budget;
  head->plan = plan;
}

}  // namespace logratio::abi
