#include <string>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/linear.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/unpaired_checks.h"
#include "abi/values.h"
#include "cpu/elements.h"
#include "cpu/unpaired_step.h"
#include "math/sequence_spans.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kHidden = shape<"B,T,H", "N,H">;
constexpr const Shapes& kEachRow = shape<"B,T", "N">;

}  // namespace

lr_status lr_linear_unpaired_step(const lr_linear_unpaired_step_args* args) {
  return operation("lr_linear_unpaired_step_args", args, [](const lr_linear_unpaired_step_args& a) {
    op::LinearUnpairedStep call{};
    op::TrainedHead& head = call.head;
    const Operand list[] = {
        in("hidden", a.hidden, kLogits, kHidden, head.hidden, kRequired),
        in("weight", a.weight, kLogits, shape<"V,H">, head.weight, kRequired),
        in("bias", a.bias, kLogits, shape<"V">, head.bias),
        in("cu_seqlens", a.cu_seqlens, kInts, shape<"B+1">, call.cu_seqlens, kPacked),
        in("labels", a.labels, kInts, kEachRow, call.labels.values, kRequired),
        in("mask", a.mask, kMasks, kEachRow, call.mask),
        in("chosen", a.chosen, kFlags, shape<"B">, call.chosen, kRequired),
        in("reference_logps", a.reference_logps, kFloats, shape<"B">, call.reference_logps),
        in("reference_token_logps", a.reference_token_logps, kFloats, kEachRow,
           call.reference_token_logps),
        in("kl_policy_logps", a.kl_policy_logps, kFloats, shape<"C">, call.kl_policy_logps,
           with(a.kl_reference_logps)),
        in("kl_reference_logps", a.kl_reference_logps, kFloats, shape<"C">, call.kl_reference_logps,
           with(a.kl_policy_logps)),
        in("weights", a.weights, kFloats, shape<"B">, call.weights),
        in("grad_loss", a.grad_loss, kFloats, shape<"1">, call.grad_loss),
        out("losses", a.losses, kFloats, shape<"B">, call.losses_out),
        out("logps", a.logps, kFloats, shape<"B">, call.logps),
        out("counts", a.counts, kFloats, shape<"B">, call.counts),
        out("rewards", a.rewards, kFloats, shape<"B">, call.rewards),
        out("kl", a.kl, kFloats, shape<"1">, call.kl),
        out("grad_hidden", a.grad_hidden, kLogits, kHidden, head.grad_hidden),
        out("grad_weight", a.grad_weight, kLogits, shape<"V,H">, head.grad_weight),
        out("grad_bias", a.grad_bias, kLogits, shape<"V">, head.grad_bias),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    const HeadFields fields = head_fields(a);
    const math::LossInfo& loss = check_unpaired_loss(a.loss_options);
    call.options = *a.loss_options;
    call.sequence = a.sequence_options;
    call.transform = check_token_options(a.token_options);
    call.labels.ignore_index = a.token_options.ignore_index;
    call.metrics = a.metrics;
    check_unpaired_sequence_options(a.sequence_options);
    check_linear_options(a.linear_options);
    operands.check_presence();
    check_one_reference(a);
    check_kl(a.kl_policy_logps, loss);
    check_head_presence(operands, fields, a.linear_options);
    operands.check_tensors();
    call.sequences = operands.size('B');
    // Where there is no padded sequence, there may be 2^62 tokens in each.
    call.length = call.cu_seqlens ? math::kPacked : call.sequences == 0 ? 0 : operands.size('T');
    check_has_sequences(operands[a.cu_seqlens], call.rows());
    const int64_t vocab = check_vocab(a.token_options.vocab, operands.size('V'));
    check_head(operands, fields, a.linear_options, vocab, a.plan, &head);
    operands.check_apart();
    call.wants_gradient = head.wants_gradient();
    if (placement.on_device()) {
      check_device_metrics(a.metrics);
      return placement.run(&device::Table::linear_unpaired_step, call);
    }
    check_cu_seqlens(operands[a.cu_seqlens], call.cu_seqlens, call.rows());
    check_labels(operands[a.labels], call.labels, vocab,
                 cpu::read_mask(call.mask, call.rows()).data());
    check_weights(operands[a.mask], call.mask);
    check_weights(operands[a.weights], call.weights);
    cpu::linear_unpaired_step(call);
  });
}
