#include "cpu/pair_loss.h"

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/options.h"
#include "abi/overlap.h"
#include "abi/tensors.h"
#include "cpu/elements.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

void together(const DLTensor* a, const char* a_name, const DLTensor* b, const char* b_name) {
  if ((a == nullptr) == (b == nullptr))
    return;
  invalid(std::string(a == nullptr ? a_name : b_name) + " is NULL, expected " + a_name + " and " +
          b_name + " together");
}

// Views of the arguments, entered in the memory map as they are checked.
class Checker {
 public:
  explicit Checker(int64_t pairs) : pairs_(shape_of(pairs)) {}

  op::TensorView input(const char* name, const DLTensor* tensor, const Types& types = kFloats) {
    return input(name, tensor, types, pairs_, "the length of policy_chosen");
  }
  op::TensorView output(const char* name, const DLTensor* tensor) {
    return output(name, tensor, pairs_, "the length of policy_chosen");
  }
  // One for each value of the loss.
  op::TensorView input_by_value(const char* name, const DLTensor* tensor,
                                const math::LossInfo& loss) {
    return input(name, tensor, kFloats, values_shape(loss), values_reason(loss).c_str());
  }
  op::TensorView output_by_value(const char* name, const DLTensor* tensor,
                                 const math::LossInfo& loss) {
    return output(name, tensor, values_shape(loss), values_reason(loss).c_str());
  }
  op::TensorView parameter(const char* name, const DLTensor* tensor, const math::LossInfo& loss,
                           double lr_loss_options::*option) {
    if (tensor == nullptr)
      return {};
    if (!has_gradient(loss, option))
      invalid(std::string(name) + " is given, and the loss " + loss.name + " has no such gradient");
    const op::TensorView result =
        view_of({name, tensor}, kFloats, shape_of(1), "a sum over the pairs");
    memory_.add_output(name, result);
    return result;
  }
  // A learned parameter, which takes the place of an option.
  op::TensorView learned(const char* name, const DLTensor* tensor, const math::LossInfo& loss) {
    if (tensor == nullptr)
      return {};
    if (!loss.takes_learned_parameters) {
      invalid(std::string(name) + " is given as a tensor, and the loss " + loss.name +
              " takes none: only " +
              loss_names([](const math::LossInfo& one) { return one.takes_learned_parameters; }) +
              " does");
    }
    return input(name, tensor, kFloats, shape_of(1), "one parameter");
  }
  void check_memory() const { memory_.check(); }

 private:
  Shape values_shape(const math::LossInfo& loss) const {
    return shape_of(loss.two_values ? 2 * pairs_.size[0] : pairs_.size[0]);
  }
  static std::string values_reason(const math::LossInfo& loss) {
    return loss.two_values ? std::string("twice the length of policy_chosen: ") + loss.name +
                                 " has a value for each answer"
                           : "the length of policy_chosen";
  }
  op::TensorView input(const char* name, const DLTensor* tensor, const Types& types,
                       const Shape& shape, const char* reason) {
    const op::TensorView result = optional_view({name, tensor}, types, shape, reason);
    memory_.add_input(name, result);
    return result;
  }
  op::TensorView output(const char* name, const DLTensor* tensor, const Shape& shape,
                        const char* reason) {
    const op::TensorView result = optional_view({name, tensor}, kFloats, shape, reason);
    memory_.add_output(name, result);
    return result;
  }

  Shape pairs_;
  MemoryMap memory_;
};

}  // namespace

lr_status lr_pair_loss(const lr_pair_loss_args* args) {
  return operation("lr_pair_loss_args", args, [](const lr_pair_loss_args& a) {
    const Placement placement({{"policy_chosen", a.policy_chosen},
                               {"policy_rejected", a.policy_rejected},
                               {"reference_chosen", a.reference_chosen},
                               {"reference_rejected", a.reference_rejected},
                               {"chosen_counts", a.chosen_counts},
                               {"rejected_counts", a.rejected_counts},
                               {"grad_loss", a.grad_loss},
                               {"loss", a.loss},
                               {"chosen_rewards", a.chosen_rewards},
                               {"rejected_rewards", a.rejected_rewards},
                               {"grad_policy_chosen", a.grad_policy_chosen},
                               {"grad_policy_rejected", a.grad_policy_rejected},
                               {"grad_reference_chosen", a.grad_reference_chosen},
                               {"grad_reference_rejected", a.grad_reference_rejected},
                               {"grad_beta", a.grad_beta},
                               {"grad_beta_kl", a.grad_beta_kl},
                               {"grad_beta_mix", a.grad_beta_mix},
                               {"grad_tau", a.grad_tau},
                               {"beta_kl", a.beta_kl},
                               {"beta_mix", a.beta_mix},
                               {"tau", a.tau}},
                              a.cuda);
    const math::LossInfo& loss = check_loss_options(a.loss_options);
    if (!loss.paired())
      invalid(std::string("loss is ") + loss.name + ", expected a loss of pairs");
    lr_loss_options options = *a.loss_options;
    require({"policy_chosen", a.policy_chosen});
    require({"policy_rejected", a.policy_rejected});
    together(a.reference_chosen, "reference_chosen", a.reference_rejected, "reference_rejected");
    if (loss.kind == LR_LOSS_REFERENCE_FREE && a.reference_chosen != nullptr) {
      invalid(std::string("reference_chosen is given, and the loss ") + loss.name +
              " has no reference");
    }
    together(a.chosen_counts, "chosen_counts", a.rejected_counts, "rejected_counts");
    const int64_t pairs = view_of({"policy_chosen", a.policy_chosen}, kFloats, 1, "[P]").inner;
    check_pairs(loss, pairs);
    Checker check(pairs);
    op::PairTensors t;
    t.policy_chosen = check.input("policy_chosen", a.policy_chosen);
    t.policy_rejected = check.input("policy_rejected", a.policy_rejected);
    t.reference_chosen = check.input("reference_chosen", a.reference_chosen);
    t.reference_rejected = check.input("reference_rejected", a.reference_rejected);
    t.chosen_counts = check.input("chosen_counts", a.chosen_counts, kCounts);
    t.rejected_counts = check.input("rejected_counts", a.rejected_counts, kCounts);
    t.grad_loss = check.input_by_value("grad_loss", a.grad_loss, loss);
    t.loss = check.output_by_value("loss", a.loss, loss);
    t.chosen_rewards = check.output("chosen_rewards", a.chosen_rewards);
    t.rejected_rewards = check.output("rejected_rewards", a.rejected_rewards);
    t.grad_policy_chosen = check.output("grad_policy_chosen", a.grad_policy_chosen);
    t.grad_policy_rejected = check.output("grad_policy_rejected", a.grad_policy_rejected);
    if (a.reference_chosen == nullptr &&
        (a.grad_reference_chosen != nullptr || a.grad_reference_rejected != nullptr)) {
      invalid(std::string(a.grad_reference_chosen != nullptr ? "grad_reference_chosen"
                                                             : "grad_reference_rejected") +
              " is given, and there is no reference to have a gradient");
    }
    t.grad_reference_chosen = check.output("grad_reference_chosen", a.grad_reference_chosen);
    t.grad_reference_rejected = check.output("grad_reference_rejected", a.grad_reference_rejected);
    const op::TensorView of_beta =
        check.parameter("grad_beta", a.grad_beta, loss, &lr_loss_options::beta);
    const op::TensorView of_beta_kl =
        check.parameter("grad_beta_kl", a.grad_beta_kl, loss, &lr_loss_options::beta_kl);
    t.grad_parameters[math::kScale] = of_beta ? of_beta : of_beta_kl;  // no loss has both
    t.grad_parameters[math::kMix] =
        check.parameter("grad_beta_mix", a.grad_beta_mix, loss, &lr_loss_options::beta_mix);
    t.grad_parameters[math::kTemperature] =
        check.parameter("grad_tau", a.grad_tau, loss, &lr_loss_options::tau);
    op::PairLoss call{options, pairs, {}, {}};
    call.learned[math::kScale] = {check.learned("beta_kl", a.beta_kl, loss),
                                  &lr_loss_options::beta_kl};
    call.learned[math::kMix] = {check.learned("beta_mix", a.beta_mix, loss),
                                &lr_loss_options::beta_mix};
    call.learned[math::kTemperature] = {check.learned("tau", a.tau, loss), &lr_loss_options::tau};
    call.tensors = t;
    check.check_memory();
    if (placement.on_device())
      return placement.run(&device::Table::pair_loss, call);
    bool learns = false;
    for (const auto& learned : call.learned) {
      if (learned.value)
        cpu::read(learned.value, 0, 1, &(options.*learned.option));
      learns |= learned.value.present;
    }
    if (learns)
      check_loss_options(&options);
    cpu::pair_loss(options, pairs, t);
  });
}
