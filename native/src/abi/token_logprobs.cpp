#include "cpu/token_logprobs.h"

#include <algorithm>
#include <limits>
#include <string>

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
constexpr const Shapes& kEachLabel = shape<"N", "B,T", "N,K", "B,T,K">;

// How many labels a row has; `tail` and what belongs to it are there with several alone.
void check_columns(const Operands& operands, const DLTensor* const& labels, int64_t vocab,
                   std::initializer_list<const DLTensor* const*> of_tails) {
  const int64_t per_row = operands.size('K');
  const int64_t most = std::min(vocab, op::kMaxLabels);
  if (per_row >= 0 && (per_row < 1 || per_row > most))
    mismatch(operands[labels], "1 to " + std::to_string(most) + " labels per row");
  for (const DLTensor* const* tensor : of_tails) {
    if (per_row < 0 && *tensor != nullptr) {
      invalid(std::string(operands[*tensor].name) +
              " is there, expected labels [N,K] or [B,T,K] with it");
    }
  }
}

}  // namespace

lr_status lr_token_logprobs(const lr_token_logprobs_args* args) {
  return operation("lr_token_logprobs_args", args, [](const lr_token_logprobs_args& a) {
    op::TokenLogprobs call{};
    const Operand list[] = {
        in("logits", a.logits, kLogits, kRows, call.logits, kRequired),
        with_columns(in("labels", a.labels, kInts, kEachLabel, call.labels.values, kRequired),
                     call.label_columns),
        with_columns(out("logp", a.logp, kFloats, kEachLabel, call.outputs[math::kLogp]),
                     call.logp_columns),
        out("lse", a.lse, kFloats, kEachRow, call.outputs[math::kLse]),
        out("lse2", a.lse2, kFloats, kEachRow, call.outputs[math::kLse2]),
        out("entropy", a.entropy, kFloats, kEachRow, call.outputs[math::kEntropy]),
        out("argmax", a.argmax, kInts, kEachRow, call.outputs[math::kArgmax]),
        out("mean_logit", a.mean_logit, kFloats, kEachRow, call.outputs[math::kMeanLogit]),
        out("tail", a.tail, kFloats, kEachRow, call.tail),
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
    const int64_t vocab = check_vocab(a.options.vocab, operands.size('V'));
    check_columns(operands, a.labels, vocab, {&a.tail});
    check_kept_shape(operands[a.kept_offsets], operands[a.logits], operands[a.labels], call.kept,
                     call.rows());
    const op::TensorView& argmax = call.outputs[math::kArgmax];
    if (argmax && argmax.type == op::ElementType::i32 &&
        operands.size('V') - 1 > std::numeric_limits<int32_t>::max())
      mismatch(operands[a.argmax], "I64: logits has more columns than I32 can number");
    operands.check_apart();
    limit_columns(&call.logits, vocab);
    if (placement.on_device())
      return placement.run(&device::Table::token_logprobs, call);
    check_labels(operands[a.labels], call.labels, call.label_columns, vocab);
    check_kept(operands[a.kept_offsets], operands[a.kept_ids], call.kept, vocab);
    cpu::token_logprobs(call);
  });
}

lr_status lr_token_logprobs_backward(const lr_token_logprobs_backward_args* args) {
  return operation(
      "lr_token_logprobs_backward_args", args, [](const lr_token_logprobs_backward_args& a) {
        op::TokenLogprobsBackward call{};
        const Operand list[] = {
            in("logits", a.logits, kLogits, kRows, call.logits, kRequired),
            with_columns(in("labels", a.labels, kInts, kEachLabel, call.labels.values, kRequired),
                         call.label_columns),
            in("lse", a.lse, kFloats, kEachRow, call.lse, kRequired),
            in("entropy", a.entropy, kFloats, kEachRow, call.entropy),
            in("tail", a.tail, kFloats, kEachRow, call.tail),
            with_columns(in("grad_logp", a.grad_logp, kFloats, kEachLabel, call.grad_logp),
                         call.grad_logp_columns),
            in("grad_entropy", a.grad_entropy, kFloats, kEachRow, call.grad_entropy),
            in("grad_lse", a.grad_lse, kFloats, kEachRow, call.grad_lse),
            in("grad_tail", a.grad_tail, kFloats, kEachRow, call.grad_tail),
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
        if (a.grad_logp == nullptr && a.grad_entropy == nullptr && a.grad_lse == nullptr &&
            a.grad_tail == nullptr) {
          invalid(
              "grad_logp, grad_entropy, grad_lse and grad_tail are missing, expected at least one "
              "of them");
        }
        if (a.grad_entropy != nullptr && a.entropy == nullptr)
          operands.missing(a.entropy, ", as grad_entropy is given");
        if (a.grad_tail != nullptr && a.tail == nullptr)
          operands.missing(a.tail, ", as grad_tail is given");
        operands.check_tensors();
        const int64_t vocab = check_vocab(a.options.vocab, operands.size('V'));
        check_columns(operands, a.labels, vocab, {&a.tail, &a.grad_tail});
        check_kept_shape(operands[a.kept_offsets], operands[a.logits], operands[a.labels],
                         call.kept, call.rows());
        operands.check_apart();
        limit_columns(&call.logits, vocab);
        if (placement.on_device())
          return placement.run(&device::Table::token_logprobs_backward, call);
        check_labels(operands[a.labels], call.labels, call.label_columns, vocab);
        check_kept(operands[a.kept_offsets], operands[a.kept_ids], call.kept, vocab);
        cpu::token_logprobs_backward(call);
      });
}
