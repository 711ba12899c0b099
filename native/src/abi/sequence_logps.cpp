#include "cpu/sequence_logps.h"

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/options.h"
#include "abi/overlap.h"
#include "abi/tensors.h"
#include "abi/values.h"

using namespace logratio;
using namespace logratio::abi;

lr_status lr_sequence_logps(const lr_sequence_logps_args* args) {
  return operation("lr_sequence_logps_args", args, [](const lr_sequence_logps_args& a) {
    const Placement placement({{"mask", a.mask},
                               {"token_logps", a.token_logps},
                               {"grad_logps", a.grad_logps},
                               {"logps", a.logps},
                               {"counts", a.counts},
                               {"grad_token_logps", a.grad_token_logps}},
                              a.cuda);
    op::TensorView mask = view_of({"mask", a.mask}, kMasks, 2, "[B,T]");
    const int64_t sequences = mask.outer, tokens = mask.inner;
    const Shape token_shape = shape_of(sequences, tokens), sequence_shape = shape_of(sequences);
    constexpr const char* kLikeMask = "the shape of mask";
    constexpr const char* kRowsOfMask = "the rows of mask";
    if (a.token_logps == nullptr && a.logps != nullptr)
      invalid("token_logps is NULL, and it is required with logps");
    if ((a.grad_logps == nullptr) != (a.grad_token_logps == nullptr)) {
      invalid(std::string(a.grad_logps == nullptr ? "grad_logps" : "grad_token_logps") +
              " is NULL, expected grad_logps and grad_token_logps together");
    }
    op::SequenceLogps tensors{a.options, {}, {}, {}, {}, {}, {}};
    tensors.token_logps =
        optional_view({"token_logps", a.token_logps}, kFloats, token_shape, kLikeMask);
    tensors.grad_logps =
        optional_view({"grad_logps", a.grad_logps}, kFloats, sequence_shape, kRowsOfMask);
    tensors.logps = optional_view({"logps", a.logps}, kFloats, sequence_shape, kRowsOfMask);
    tensors.counts = optional_view({"counts", a.counts}, kFloats, sequence_shape, kRowsOfMask);
    tensors.grad_token_logps =
        optional_view({"grad_token_logps", a.grad_token_logps}, kFloats, token_shape, kLikeMask);
    check_sequence_options(a.options);
    if (a.options.tail_weight != 1 && sequences % 2 != 0) {
      invalid("mask has shape " + to_text(token_shape) +
              ", expected an even first dimension where tail_weight is below 1 (chosen, then "
              "rejected)");
    }
    MemoryMap memory;
    memory.add_input("mask", mask);
    memory.add_input("token_logps", tensors.token_logps);
    memory.add_input("grad_logps", tensors.grad_logps);
    memory.add_output("logps", tensors.logps);
    memory.add_output("counts", tensors.counts);
    memory.add_output("grad_token_logps", tensors.grad_token_logps);
    memory.check();
    // Sequences without a token, of which nothing is wanted, may be 2^62 and are as good as none.
    if (mask.size() == 0 && !tensors.logps && !tensors.counts)
      mask.outer = 0;
    tensors.mask = mask;
    if (placement.on_device())
      return placement.run(&device::Table::sequence_logps, tensors);
    check_mask("mask", mask);
    if (mask.outer > 0)
      cpu::sequence_logps(tensors);
  });
}
