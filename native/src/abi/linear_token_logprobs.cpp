#include "cpu/linear/token_logprobs.h"

#include <limits>
#include <string>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/linear.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/values.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kHidden = shape<"N,H", "B,T,H">;
constexpr const Shapes& kEachRow = shape<"N", "B,T">;

}  // namespace

lr_status lr_linear_token_logprobs(const lr_linear_token_logprobs_args* args) {
  return operation(
      "lr_linear_token_logprobs_args", args, [](const lr_linear_token_logprobs_args& a) {
        op::LinearTokenLogprobs call{};
        op::TrainedHead& head = call.head;
        const Operand list[] = {
            in("hidden", a.hidden, kLogits, kHidden, head.hidden, kRequired),
            in("weight", a.weight, kLogits, shape<"V,H">, head.weight, kRequired),
            in("bias", a.bias, kLogits, shape<"V">, head.bias),
            in("labels", a.labels, kInts, kEachRow, call.labels.values, kRequired),
            in("grad_logp", a.grad_logp, kFloats, kEachRow, call.grad_logp),
            in("grad_entropy", a.grad_entropy, kFloats, kEachRow, call.grad_entropy),
            in("grad_lse", a.grad_lse, kFloats, kEachRow, call.grad_lse),
            out("logp", a.logp, kFloats, kEachRow, call.outputs[math::kLogp]),
            out("lse", a.lse, kFloats, kEachRow, call.outputs[math::kLse]),
            out("lse2", a.lse2, kFloats, kEachRow, call.outputs[math::kLse2]),
            out("entropy", a.entropy, kFloats, kEachRow, call.outputs[math::kEntropy]),
            out("argmax", a.argmax, kInts, kEachRow, call.outputs[math::kArgmax]),
            out("mean_logit", a.mean_logit, kFloats, kEachRow, call.outputs[math::kMeanLogit]),
            out("grad_hidden", a.grad_hidden, kLogits, kHidden, head.grad_hidden),
            out("grad_weight", a.grad_weight, kLogits, shape<"V,H">, head.grad_weight),
            out("grad_bias", a.grad_bias, kLogits, shape<"V">, head.grad_bias),
        };
        const Placement placement(list, a.cuda);
        Operands operands(list);
        const HeadFields fields = head_fields(a);
        call.labels.ignore_index = a.token_options.ignore_index;
        call.transform = check_token_options(a.token_options);
        check_linear_options(a.linear_options);
        operands.check_presence();
        check_head_presence(operands, fields, a.linear_options);
        if ((a.grad_hidden != nullptr || a.grad_weight != nullptr || a.grad_bias != nullptr) &&
            a.grad_logp == nullptr && a.grad_entropy == nullptr && a.grad_lse == nullptr) {
          invalid(
              "grad_logp, grad_entropy and grad_lse are missing, expected at least one of them");
        }
        operands.check_tensors();
        const int64_t vocab = check_vocab(a.token_options.vocab, operands.size('V'));
        check_head(operands, fields, a.linear_options, vocab, a.plan, &head);
        const op::TensorView& argmax = call.outputs[math::kArgmax];
        if (argmax && argmax.type == op::ElementType::i32 &&
            operands.size('V') - 1 > std::numeric_limits<int32_t>::max())
          mismatch(operands[a.argmax], "I64: weight has more rows than I32 can number");
        operands.check_apart();
        if (placement.on_device())
          return placement.run(&device::Table::linear_token_logprobs, call);
        check_labels(operands[a.labels], call.labels, vocab);
        cpu::linear_token_logprobs(call);
      });
}
