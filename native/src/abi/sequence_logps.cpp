#include "cpu/sequence_logps.h"

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/values.h"
#include "math/sequence_spans.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kTokens = shape<"B,T", "N">;

}  // namespace

lr_status lr_sequence_logps(const lr_sequence_logps_args* args) {
  return operation("lr_sequence_logps_args", args, [](const lr_sequence_logps_args& a) {
    op::SequenceLogps call{};
    const Operand list[] = {
        in("mask", a.mask, kMasks, kTokens, call.mask, kRequired),
        in("cu_seqlens", a.cu_seqlens, kInts, shape<"B+1">, call.cu_seqlens, kPacked),
        in("token_logps", a.token_logps, kFloats, kTokens, call.token_logps),
        in("grad_logps", a.grad_logps, kFloats, shape<"B">, call.grad_logps,
           with(a.grad_token_logps)),
        out("logps", a.logps, kFloats, shape<"B">, call.logps),
        out("counts", a.counts, kFloats, shape<"B">, call.counts),
        out("grad_token_logps", a.grad_token_logps, kFloats, kTokens, call.grad_token_logps,
            with(a.grad_logps)),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    call.options = a.options;
    check_sequence_options(a.options);
    operands.check_presence();
    if (a.logps != nullptr && a.token_logps == nullptr)
      operands.missing(a.token_logps, ", as logps is wanted");
    operands.check_tensors();
    call.sequences = operands.size('B');
    call.length = call.cu_seqlens ? math::kPacked : call.sequences == 0 ? 0 : operands.size('T');
    check_has_sequences(operands[a.cu_seqlens], call.mask.size());
    if (a.options.tail_weight != 1 && call.sequences % 2 != 0) {
      mismatch(operands[call.cu_seqlens ? a.cu_seqlens : a.mask],
               "an even number of sequences as tail_weight is below 1");
    }
    operands.check_apart();
    // Sequences without a token, of which nothing is wanted, may be 2^62 and are as good as none.
    if (!call.cu_seqlens && call.mask.size() == 0 && !call.logps && !call.counts)
      call.sequences = 0;
    if (placement.on_device())
      return placement.run(&device::Table::sequence_logps, call);
    check_cu_seqlens(operands[a.cu_seqlens], call.cu_seqlens, call.mask.size());
    check_weights(operands[a.mask], call.mask);
    if (call.sequences > 0)
      cpu::sequence_logps(call);
  });
}
