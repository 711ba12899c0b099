#include "abi/device.h"
#include "abi/errors.h"
#include "abi/options.h"
#include "abi/overlap.h"
#include "abi/tensors.h"
#include "cpu/pair_loss.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

// Views of the arguments, entered in the memory map as they are checked.
class Checker {
 public:
  explicit Checker(int64_t examples) : examples_(shape_of(examples)) {}

  op::TensorView input(const char* name, const DLTensor* tensor, const Types& types = kFloats) {
    return add_input(name, optional_view({name, tensor}, types, examples_, kReason));
  }
  op::TensorView required(const char* name, const DLTensor* tensor, const Types& types = kFloats) {
    return add_input(name, view_of({name, tensor}, types, examples_, kReason));
  }
  op::TensorView output(const char* name, const DLTensor* tensor) {
    return add_output(name, optional_view({name, tensor}, kFloats, examples_, kReason));
  }
  op::TensorView add_input(const char* name, const op::TensorView& view) {
    memory_.add_input(name, view);
    return view;
  }
  op::TensorView add_output(const char* name, const op::TensorView& view) {
    memory_.add_output(name, view);
    return view;
  }
  void check_memory() const { memory_.check(); }

 private:
  static constexpr const char* kReason = "the length of policy_logps";
  Shape examples_;
  MemoryMap memory_;
};

constexpr Types kFlags{bit(ElementType::flag), "bool or uint8"};

}  // namespace

lr_status lr_unpaired_loss(const lr_unpaired_loss_args* args) {
  return operation("lr_unpaired_loss_args", args, [](const lr_unpaired_loss_args& a) {
    const Placement placement({{"policy_logps", a.policy_logps},
                               {"reference_logps", a.reference_logps},
                               {"chosen", a.chosen},
                               {"kl_policy_logps", a.kl_policy_logps},
                               {"kl_reference_logps", a.kl_reference_logps},
                               {"grad_loss", a.grad_loss},
                               {"loss", a.loss},
                               {"rewards", a.rewards},
                               {"kl", a.kl},
                               {"grad_policy_logps", a.grad_policy_logps},
                               {"grad_reference_logps", a.grad_reference_logps}},
                              a.cuda);
    const math::LossInfo& loss = check_loss_options(a.loss_options);
    if (loss.kind != LR_LOSS_UNPAIRED) {
      invalid(std::string("loss is ") + loss.name + ", expected " +
              loss_names([](const math::LossInfo& one) { return one.kind == LR_LOSS_UNPAIRED; }));
    }
    const lr_loss_options options = *a.loss_options;
    const bool has_kl = a.kl_policy_logps != nullptr;
    if (has_kl != (a.kl_reference_logps != nullptr)) {
      invalid(std::string(has_kl ? "kl_reference_logps" : "kl_policy_logps") +
              " is NULL, expected kl_policy_logps and kl_reference_logps together");
    }
    if (has_kl && !loss.uses_kl)
      invalid(std::string("kl_policy_logps is given, and the loss ") + loss.name + " has no kl");
    const int64_t examples = view_of({"policy_logps", a.policy_logps}, kFloats, 1, "[B]").inner;
    Checker check(examples);
    op::UnpairedLoss t{options, examples, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}};
    t.policy_logps = check.required("policy_logps", a.policy_logps);
    t.reference_logps = check.required("reference_logps", a.reference_logps);
    t.chosen = check.required("chosen", a.chosen, kFlags);
    if (has_kl) {
      t.kl_policy_logps = check.add_input(
          "kl_policy_logps", view_of({"kl_policy_logps", a.kl_policy_logps}, kFloats, 1, "[C]"));
      const Shape shape = shape_of(t.kl_policy_logps.inner);
      t.kl_reference_logps = check.add_input(
          "kl_reference_logps", view_of({"kl_reference_logps", a.kl_reference_logps}, kFloats,
                                        shape, "the length of kl_policy_logps"));
    }
    t.grad_loss = check.input("grad_loss", a.grad_loss);
    t.loss = check.output("loss", a.loss);
    t.rewards = check.output("rewards", a.rewards);
    if (a.kl != nullptr)
      t.kl =
          check.add_output("kl", view_of({"kl", a.kl}, kFloats, shape_of(1), "one number for all"));
    t.grad_policy_logps = check.output("grad_policy_logps", a.grad_policy_logps);
    t.grad_reference_logps = check.output("grad_reference_logps", a.grad_reference_logps);
    check.check_memory();
    if (placement.on_device())
      return placement.run(&device::Table::unpaired_loss, t);
    cpu::unpaired_loss(t);
  });
}
