#include "cpu/pair_loss.h"

#include <span>
#include <string>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "cpu/elements.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

void check_no_reference(const lr_pair_loss_args& a, const math::LossInfo& loss) {
  const auto refuse = [&](const DLTensor* reference, const char* name) {
    if (reference != nullptr && loss.kind == LR_LOSS_REFERENCE_FREE) {
      invalid(std::string(name) + " is given, expected it absent as loss " + loss.name +
              " has no reference");
    }
  };
  refuse(a.reference_chosen, "reference_chosen");
  refuse(a.reference_rejected, "reference_rejected");
}

void check_reference_gradients(const lr_pair_loss_args& a) {
  const auto refuse = [&](const DLTensor* gradient, const char* name) {
    if (gradient != nullptr && a.reference_chosen == nullptr)
      invalid(std::string(name) + " is wanted, expected a reference with it");
  };
  refuse(a.grad_reference_chosen, "grad_reference_chosen");
  refuse(a.grad_reference_rejected, "grad_reference_rejected");
}

// The loss has the options that tensors stand for, or are the gradients of.
void check_option_tensors(std::span<const Operand> list, const math::LossInfo& loss) {
  for (const Operand& operand : list) {
    if (operand.option == nullptr || operand.tensor() == nullptr)
      continue;
    if (!operand.is_output && !loss.takes_learned_parameters) {
      invalid(std::string(operand.name) + " is given as a tensor, expected it only with the loss " +
              loss_names([](const math::LossInfo& one) { return one.takes_learned_parameters; }) +
              ", not " + loss.name);
    }
    if (operand.is_output && !has_gradient(loss, operand.option)) {
      invalid(std::string(operand.name) + " is wanted, expected a loss with the option " +
              option_name(operand.option) + ", not " + loss.name);
    }
  }
}

// Puts the learned parameters into the options, which then have to be as right as any.
void read_learned(op::PairLoss& call) {
  bool learns = false;
  for (int k = 0; k < math::kParameters; ++k) {
    const op::TensorView& learned = call.learned[k];
    if (learned)
      cpu::read(learned, 0, 1, &(call.options.*math::learned_option(k)));
    learns |= learned.present;
  }
  if (learns)
    check_loss_options(&call.options);
}

}  // namespace

lr_status lr_pair_loss(const lr_pair_loss_args* args) {
  return operation("lr_pair_loss_args", args, [](const lr_pair_loss_args& a) {
    op::PairLoss call{};
    op::PairTensors& t = call.tensors;
    const Shapes &pairs = shape<"P">, &losses = shape<"L">, &number = shape<"1">;
    // A parameter that takes the place of an option, and the gradient by one. No loss has beta and
    // beta_kl both.
    const auto learned = [&](const char* name, const DLTensor* const& field,
                             math::Parameter parameter) {
      return in(name, field, kFloats, number, call.learned[parameter], {},
                math::learned_option(parameter));
    };
    const auto by_option = [&](const char* name, const DLTensor* const& field,
                               math::Parameter parameter, OptionMember option) {
      return out(name, field, kFloats, number, t.grad_parameters[parameter], {}, option);
    };
    const Operand list[] = {
        in("policy_chosen", a.policy_chosen, kFloats, pairs, t.policy_chosen, kRequired),
        in("policy_rejected", a.policy_rejected, kFloats, pairs, t.policy_rejected, kRequired),
        in("reference_chosen", a.reference_chosen, kFloats, pairs, t.reference_chosen,
           with(a.reference_rejected)),
        in("reference_rejected", a.reference_rejected, kFloats, pairs, t.reference_rejected,
           with(a.reference_chosen)),
        in("chosen_counts", a.chosen_counts, kCounts, pairs, t.chosen_counts,
           with(a.rejected_counts)),
        in("rejected_counts", a.rejected_counts, kCounts, pairs, t.rejected_counts,
           with(a.chosen_counts)),
        in("grad_loss", a.grad_loss, kFloats, losses, t.grad_loss),
        learned("beta_kl", a.beta_kl, math::kScale),
        learned("beta_mix", a.beta_mix, math::kMix),
        learned("tau", a.tau, math::kTemperature),
        out("loss", a.loss, kFloats, losses, t.loss),
        out("chosen_rewards", a.chosen_rewards, kFloats, pairs, t.chosen_rewards),
        out("rejected_rewards", a.rejected_rewards, kFloats, pairs, t.rejected_rewards),
        out("grad_policy_chosen", a.grad_policy_chosen, kFloats, pairs, t.grad_policy_chosen),
        out("grad_policy_rejected", a.grad_policy_rejected, kFloats, pairs, t.grad_policy_rejected),
        out("grad_reference_chosen", a.grad_reference_chosen, kFloats, pairs,
            t.grad_reference_chosen),
        out("grad_reference_rejected", a.grad_reference_rejected, kFloats, pairs,
            t.grad_reference_rejected),
        by_option("grad_beta", a.grad_beta, math::kScale, &lr_loss_options::beta),
        by_option("grad_beta_kl", a.grad_beta_kl, math::kScale, &lr_loss_options::beta_kl),
        by_option("grad_beta_mix", a.grad_beta_mix, math::kMix, &lr_loss_options::beta_mix),
        by_option("grad_tau", a.grad_tau, math::kTemperature, &lr_loss_options::tau),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    const math::LossInfo& loss = check_loss_options(a.loss_options);
    if (!loss.paired())
      invalid(std::string("loss is ") + loss.name + ", expected a loss of pairs");
    call.options = *a.loss_options;
    check_no_reference(a, loss);
    operands.check_presence();
    check_reference_gradients(a);
    check_option_tensors(list, loss);
    operands.derive('L', loss.two_values ? 2 : 1, 'P');
    operands.check_tensors();
    call.pairs = operands.size('P');
    check_pairs(operands[a.policy_chosen], call.pairs, loss);
    operands.check_apart();
    if (placement.on_device())
      return placement.run(&device::Table::pair_loss, call);
    read_learned(call);
    cpu::pair_loss(call.options, call.pairs, t);
  });
}
