#include "cpu/token_logprobs.h"

#include <limits>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/kept.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/values.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kRows = shape<"N,V", "B,T,V">;
constexpr const Shapes& kEachRow = shape<"N", "B,T">;

}  // namespace

lr_status lr_token_logprobs(const lr_token_logprobs_args* args) {
  return operation("lr_token_logprobs_args", args, [](const lr_token_logprobs_args& a) {
    op::TokenLogprobs call{};
    const Operand list[] = {
        in("logits", a.logits, kLogits, kRows, call.logits, kRequired),
        in("labels", a.labels, kInts, kEachRow, call.labels.values, kRequired),
        out("logp", a.logp, kFloats, kEachRow, call.outputs[math::kLogp]),
        out("lse", a.lse, kFloats, kEachRow, call.outputs[math::kLse]),
        out("lse2", a.lse2, kFloats, kEachRow, call.outputs[math::kLse2]),
        out("entropy", a.entropy, kFloats, kEachRow, call.outputs[math::kEntropy]),
        out("argmax", a.argmax, kInts, kEachRow, call.outputs[math::kArgmax]),
        out("mean_logit", a.mean_logit, kFloats, kEachRow, call.outputs[math::kMeanLogit]),
        in("kept_offsets", a.kept_offsets, kInts, shape<"N+1">, call.kept.offsets,
           with(a.kept_ids)),
        in("kept_ids", a.kept_ids, kInts, shape<"M">, call.kept.ids, with(a.kept_offsets)),
        out("outside", a.outside, kLongs, shape<"1">, call.outside),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    call.labels.ignore_index = a.options.ignore_index;
    call.transform = check_token_options(a.options);
    operands.check_presence();
    if (a.outside != nullptr && a.kept_ids == nullptr)
      operands.missing(a.kept_ids, ", as outside is wanted");
    operands.check_tensors();
    check_kept_shape(operands[a.kept_offsets], operands[a.logits], call.kept, call.rows());
    const op::TensorView& argmax = call.outputs[math::kArgmax];
    if (argmax && argmax.type == op::ElementType::i32 &&
        operands.size('V') - 1 > std::numeric_limits<int32_t>::max())
      mismatch(operands[a.argmax], "I64: logits has more columns than I32 can number");
    operands.check_apart();
    if (placement.on_device())
      return placement.run(&device::Table::token_logprobs, call);
    check_labels(operands[a.labels], call.labels, operands.size('V'));
    check_kept(operands[a.kept_offsets], operands[a.kept_ids], call.kept, operands.size('V'));
    cpu::token_logprobs(call);
  });
}

lr_status lr_token_logprobs_backward(const lr_token_logprobs_backward_args* args) {
  return operation(
      "lr_token_logprobs_backward_args", args, [](const lr_token_logprobs_backward_args& a) {
        op::TokenLogprobsBackward call{};
        const Operand list[] = {
            in("logits", a.logits, kLogits, kRows, call.logits, kRequired),
            in("labels", a.labels, kInts, kEachRow, call.labels.values, kRequired),
            in("lse", a.lse, kFloats, kEachRow, call.lse, kRequired),
            in("entropy", a.entropy, kFloats, kEachRow, call.entropy),
            in("grad_logp", a.grad_logp, kFloats, kEachRow, call.grad_logp),
            in("grad_entropy", a.grad_entropy, kFloats, kEachRow, call.grad_entropy),
            gradient("grad_logits", a.grad_logits, a.logits, kRows, call.gradient, kRequired),
            in("kept_offsets", a.kept_offsets, kInts, shape<"N+1">, call.kept.offsets,
               with(a.kept_ids)),
            in("kept_ids", a.kept_ids, kInts, shape<"M">, call.kept.ids, with(a.kept_offsets)),
        };
        const Placement placement(list, a.cuda);
        Operands operands(list);
        call.labels.ignore_index = a.options.ignore_index;
        call.transform = check_token_options(a.options);
        operands.check_presence();
        if (a.grad_logp == nullptr && a.grad_entropy == nullptr)
          invalid("grad_logp and grad_entropy are missing, expected at least one of them");
        if (a.grad_entropy != nullptr && a.entropy == nullptr)
          operands.missing(a.entropy, ", as grad_entropy is given");
        operands.check_tensors();
        check_kept_shape(operands[a.kept_offsets], operands[a.logits], call.kept, call.rows());
        operands.check_apart();
        if (placement.on_device())
          return placement.run(&device::Table::token_logprobs_backward, call);
        check_labels(operands[a.labels], call.labels, operands.size('V'));
        check_kept(operands[a.kept_offsets], operands[a.kept_ids], call.kept, operands.size('V'));
        cpu::token_logprobs_backward(call);
      });
}
