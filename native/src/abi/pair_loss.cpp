#include "cpu/pair_loss.h"

#include <string>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/parameters.h"

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

}  // namespace

lr_status lr_pair_loss(const lr_pair_loss_args* args) {
  return operation("lr_pair_loss_args", args, [](const lr_pair_loss_args& a) {
    op::PairLoss call{};
    op::PairTensors& t = call.tensors;
    const Shapes &pairs = shape<"P">, &losses = shape<"L">;
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
        parameter("beta", a.beta, t.parameters, math::kScale, &lr_loss_options::beta),
        parameter("beta_kl", a.beta_kl, t.parameters, math::kScale, &lr_loss_options::beta_kl),
        parameter("beta_mix", a.beta_mix, t.parameters, math::kMix, &lr_loss_options::beta_mix),
        parameter("tau", a.tau, t.parameters, math::kTemperature, &lr_loss_options::tau),
        out("loss", a.loss, kFloats, losses, t.loss),
        out("chosen_rewards", a.chosen_rewards, kFloats, pairs, t.chosen_rewards),
        out("rejected_rewards", a.rejected_rewards, kFloats, pairs, t.rejected_rewards),
        out("grad_policy_chosen", a.grad_policy_chosen, kFloats, pairs, t.grad_policy_chosen),
        out("grad_policy_rejected", a.grad_policy_rejected, kFloats, pairs, t.grad_policy_rejected),
        out("grad_reference_chosen", a.grad_reference_chosen, kFloats, pairs,
            t.grad_reference_chosen),
        out("grad_reference_rejected", a.grad_reference_rejected, kFloats, pairs,
            t.grad_reference_rejected),
        parameter_gradient("grad_beta", a.grad_beta, t.parameters, math::kScale,
                           &lr_loss_options::beta),
        parameter_gradient("grad_beta_kl", a.grad_beta_kl, t.parameters, math::kScale,
                           &lr_loss_options::beta_kl),
        parameter_gradient("grad_beta_mix", a.grad_beta_mix, t.parameters, math::kMix,
                           &lr_loss_options::beta_mix),
        parameter_gradient("grad_tau", a.grad_tau, t.parameters, math::kTemperature,
                           &lr_loss_options::tau),
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
    const bool has_parameters = any_given({a.beta, a.beta_kl, a.beta_mix, a.tau, a.grad_beta,
                                           a.grad_beta_kl, a.grad_beta_mix, a.grad_tau});
    if (has_parameters)
      check_parameters(list, loss);
    operands.derive('L', loss.two_values ? 2 : 1, 'P');
    operands.check_tensors();
    call.pairs = operands.size('P');
    check_pairs(operands[a.policy_chosen], call.pairs, loss);
    if (has_parameters)
      check_parameter_shapes(list);
    operands.check_apart();
    if (placement.on_device())
      return placement.run(&device::Table::pair_loss, call);
    if (has_parameters)
      read_parameters(list, &call.options);
    cpu::pair_loss(call.options, call.pairs, t);
  });
}
