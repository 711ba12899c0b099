#include "cpu/unpaired_step.h"

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/unpaired_checks.h"
#include "abi/values.h"
#include "cpu/elements.h"
#include "math/sequence_spans.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kRows = shape<"B,T,V", "N,V">;
constexpr const Shapes& kEachRow = shape<"B,T", "N">;

}  // namespace

lr_status lr_unpaired_step(const lr_unpaired_step_args* args) {
  return operation("lr_unpaired_step_args", args, [](const lr_unpaired_step_args& a) {
    op::UnpairedStep call{};
    const Operand list[] = {
        in("logits", a.logits, kLogits, kRows, call.logits, kRequired),
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
        gradient("grad_logits", a.grad_logits, a.logits, kRows, call.gradient),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    const math::LossInfo& loss = check_unpaired_loss(a.loss_options);
    call.options = *a.loss_options;
    call.sequence = a.sequence_options;
    call.transform = check_token_options(a.token_options);
    call.labels.ignore_index = a.token_options.ignore_index;
    call.metrics = a.metrics;
    call.wants_gradient = a.grad_logits != nullptr;
    check_unpaired_sequence_options(a.sequence_options);
    operands.check_presence();
    check_one_reference(a);
    check_kl(a.kl_policy_logps, loss);
    operands.check_tensors();
    call.sequences = operands.size('B');
    // Where there is no padded sequence, there may be 2^62 tokens in each.
    call.length = call.cu_seqlens ? math::kPacked : call.sequences == 0 ? 0 : operands.size('T');
    check_has_sequences(operands[a.cu_seqlens], call.rows());
    const int64_t vocab = check_vocab(a.token_options.vocab, operands.size('V'));
    operands.check_apart();
    limit_columns(&call.logits, vocab);
    if (placement.on_device()) {
      check_device_metrics(a.metrics);
      return placement.run(&device::Table::unpaired_step, call);
    }
    check_cu_seqlens(operands[a.cu_seqlens], call.cu_seqlens, call.rows());
    check_labels(operands[a.labels], call.labels, vocab,
                 cpu::read_mask(call.mask, call.rows()).data());
    check_weights(operands[a.mask], call.mask);
    check_weights(operands[a.weights], call.weights);
    cpu::unpaired_step(call);
  });
}
