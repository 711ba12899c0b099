#include "cpu/token_logprobs.h"

#include <limits>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/options.h"
#include "abi/overlap.h"
#include "abi/tensors.h"
#include "abi/values.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const char* kLogitsName = "logits";
constexpr const char* kLikeLabels = "the shape of labels";

struct Tokens {
  RowsArgument logits;
  op::TensorView labels;
};

Tokens check_tokens(const DLTensor* logits, const DLTensor* labels) {
  Tokens tokens;
  tokens.logits = logit_rows({kLogitsName, logits}, 2, "[N,V] or [B,T,V]");
  tokens.labels = view_of({"labels", labels}, kInts, tokens.logits.row_shape, "the rows of logits");
  return tokens;
}

}  // namespace

lr_status lr_token_logprobs(const lr_token_logprobs_args* args) {
  return operation("lr_token_logprobs_args", args, [](const lr_token_logprobs_args& a) {
    const Placement placement({{kLogitsName, a.logits},
                               {"labels", a.labels},
                               {"logp", a.logp},
                               {"lse", a.lse},
                               {"lse2", a.lse2},
                               {"entropy", a.entropy},
                               {"argmax", a.argmax},
                               {"mean_logit", a.mean_logit}},
                              a.cuda);
    const Tokens tokens = check_tokens(a.logits, a.labels);
    const Shape& shape = tokens.logits.row_shape;
    MemoryMap memory;
    memory.add_input(kLogitsName, tokens.logits.rows, tokens.logits.count);
    memory.add_input("labels", tokens.labels);
    const auto output = [&](const char* name, const DLTensor* tensor, const Types& types) {
      const op::TensorView result = optional_view({name, tensor}, types, shape, kLikeLabels);
      memory.add_output(name, result);
      return result;
    };
    op::TokenLogprobs call{tokens.logits.rows, {}, {tokens.labels, a.options.ignore_index}, {}};
    auto& outputs = call.outputs;
    outputs[math::kLogp] = output("logp", a.logp, kFloats);
    outputs[math::kLse] = output("lse", a.lse, kFloats);
    outputs[math::kLse2] = output("lse2", a.lse2, kFloats);
    outputs[math::kEntropy] = output("entropy", a.entropy, kFloats);
    outputs[math::kArgmax] = output("argmax", a.argmax, kInts);
    outputs[math::kMeanLogit] = output("mean_logit", a.mean_logit, kFloats);
    if (outputs[math::kArgmax] && outputs[math::kArgmax].type == op::ElementType::i32 &&
        tokens.logits.columns - 1 > std::numeric_limits<int32_t>::max()) {
      invalid(
          "argmax has dtype int32, expected int64: logits has more columns than int32 can number");
    }
    call.transform = check_token_options(a.options);
    memory.check();
    if (placement.on_device())
      return placement.run(&device::Table::token_logprobs, call);
    check_labels("labels", call.labels, tokens.logits.columns);
    cpu::token_logprobs(call);
  });
}

lr_status lr_token_logprobs_backward(const lr_token_logprobs_backward_args* args) {
  return operation(
      "lr_token_logprobs_backward_args", args, [](const lr_token_logprobs_backward_args& a) {
        const Placement placement({{kLogitsName, a.logits},
                                   {"labels", a.labels},
                                   {"lse", a.lse},
                                   {"entropy", a.entropy},
                                   {"grad_logp", a.grad_logp},
                                   {"grad_entropy", a.grad_entropy},
                                   {"grad_logits", a.grad_logits}},
                                  a.cuda);
        const Tokens tokens = check_tokens(a.logits, a.labels);
        const Shape& shape = tokens.logits.row_shape;
        if (a.grad_logp == nullptr && a.grad_entropy == nullptr)
          invalid("grad_logp and grad_entropy are both NULL, expected at least one");
        if (a.grad_entropy != nullptr && a.entropy == nullptr)
          invalid("entropy is NULL, and it is required with grad_entropy");
        op::TokenLogprobsBackward upstream{
            tokens.logits.rows, {}, {}, {tokens.labels, a.options.ignore_index}, {}, {}, {}, {}};
        upstream.lse = view_of({"lse", a.lse}, kFloats, shape, kLikeLabels);
        upstream.entropy = optional_view({"entropy", a.entropy}, kFloats, shape, kLikeLabels);
        upstream.grad_logp = optional_view({"grad_logp", a.grad_logp}, kFloats, shape, kLikeLabels);
        upstream.grad_entropy =
            optional_view({"grad_entropy", a.grad_entropy}, kFloats, shape, kLikeLabels);
        const RowsArgument gradient =
            gradient_rows({"grad_logits", a.grad_logits}, {kLogitsName, a.logits}, tokens.logits);
        upstream.gradient = gradient.rows;
        upstream.transform = check_token_options(a.options);
        MemoryMap memory;
        memory.add_input(kLogitsName, tokens.logits.rows, tokens.logits.count);
        memory.add_input("labels", tokens.labels);
        memory.add_input("lse", upstream.lse);
        memory.add_input("entropy", upstream.entropy);
        memory.add_input("grad_logp", upstream.grad_logp);
        memory.add_input("grad_entropy", upstream.grad_entropy);
        memory.add_output("grad_logits", gradient.rows, gradient.count, kLogitsName);
        memory.check();
        if (placement.on_device())
          return placement.run(&device::Table::token_logprobs_backward, upstream);
        check_labels("labels", upstream.labels, tokens.logits.columns);
        cpu::token_logprobs_backward(upstream);
      });
}
