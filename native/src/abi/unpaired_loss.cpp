#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "cpu/pair_loss.h"

using namespace logratio;
using namespace logratio::abi;

lr_status lr_unpaired_loss(const lr_unpaired_loss_args* args) {
  return operation("lr_unpaired_loss_args", args, [](const lr_unpaired_loss_args& a) {
    op::UnpairedLoss call{};
    const Operand list[] = {
        in("policy_logps", a.policy_logps, kFloats, shape<"B">, call.policy_logps, kRequired),
        in("reference_logps", a.reference_logps, kFloats, shape<"B">, call.reference_logps,
           kRequired),
        in("chosen", a.chosen, kFlags, shape<"B">, call.chosen, kRequired),
        in("kl_policy_logps", a.kl_policy_logps, kFloats, shape<"C">, call.kl_policy_logps,
           with(a.kl_reference_logps)),
        in("kl_reference_logps", a.kl_reference_logps, kFloats, shape<"C">, call.kl_reference_logps,
           with(a.kl_policy_logps)),
        in("grad_loss", a.grad_loss, kFloats, shape<"B">, call.grad_loss),
        out("loss", a.loss, kFloats, shape<"B">, call.loss),
        out("rewards", a.rewards, kFloats, shape<"B">, call.rewards),
        out("kl", a.kl, kFloats, shape<"1">, call.kl),
        out("grad_policy_logps", a.grad_policy_logps, kFloats, shape<"B">, call.grad_policy_logps),
        out("grad_reference_logps", a.grad_reference_logps, kFloats, shape<"B">,
            call.grad_reference_logps),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    const math::LossInfo& loss = check_unpaired_loss(a.loss_options);
    call.options = *a.loss_options;
    operands.check_presence();
    check_kl(a.kl_policy_logps, loss);
    operands.check_tensors();
    call.examples = operands.size('B');
    operands.check_apart();
    if (placement.on_device())
      return placement.run(&device::Table::unpaired_loss, call);
    cpu::unpaired_loss(call);
  });
}
