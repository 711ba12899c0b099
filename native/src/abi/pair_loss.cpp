#include "cpu/pair_loss.h"

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/options.h"
#include "abi/overlap.h"
#include "abi/tensors.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

void together(const DLTensor* a, const char* a_name, const DLTensor* b, const char* b_name) {
  if ((a == nullptr) == (b == nullptr)) return;
  invalid(std::string(a == nullptr ? a_name : b_name) + " is NULL, expected " + a_name + " and " + b_name + " together");
}

// Views of the arguments, entered in the memory map as they are checked.
class Checker {
 public:
  explicit Checker(int64_t pairs) : pairs_(shape_of(pairs)) {}

  cpu::Grid input(const char* name, const DLTensor* tensor, const Types& types = kFloats) {
    const cpu::Grid result = optional_grid({name, tensor}, types, pairs_, "the length of policy_chosen");
    memory_.add_input(name, result);
    return result;
  }
  cpu::Grid output(const char* name, const DLTensor* tensor) {
    const cpu::Grid result = optional_grid({name, tensor}, kFloats, pairs_, "the length of policy_chosen");
    memory_.add_output(name, result);
    return result;
  }
  cpu::Grid parameter(const char* name, const DLTensor* tensor, const math::LossInfo& loss, double lr_loss_options::* option) {
    if (tensor == nullptr) return {};
    if (!has_gradient(loss, option)) invalid(std::string(name) + " is given, and the loss " + loss.name + " has no such gradient");
    const cpu::Grid result = grid({name, tensor}, kFloats, shape_of(1), "a sum over the pairs");
    memory_.add_output(name, result);
    return result;
  }
  void check_memory() const { memory_.check(); }

 private:
  Shape pairs_;
  MemoryMap memory_;
};

}  // namespace

lr_status lr_pair_loss(const lr_pair_loss_args* args) {
  return operation("lr_pair_loss_args", args, [](const lr_pair_loss_args& a) {
    const Placement placement(
        {{"policy_chosen", a.policy_chosen}, {"policy_rejected", a.policy_rejected}, {"reference_chosen", a.reference_chosen},
         {"reference_rejected", a.reference_rejected}, {"chosen_counts", a.chosen_counts}, {"rejected_counts", a.rejected_counts},
         {"grad_loss", a.grad_loss}, {"loss", a.loss}, {"chosen_rewards", a.chosen_rewards}, {"rejected_rewards", a.rejected_rewards},
         {"grad_policy_chosen", a.grad_policy_chosen}, {"grad_policy_rejected", a.grad_policy_rejected},
         {"grad_reference_chosen", a.grad_reference_chosen}, {"grad_reference_rejected", a.grad_reference_rejected},
         {"grad_beta", a.grad_beta}, {"grad_beta_kl", a.grad_beta_kl}, {"grad_beta_mix", a.grad_beta_mix}, {"grad_tau", a.grad_tau},
         {"beta_kl", a.beta_kl}, {"beta_mix", a.beta_mix}, {"tau", a.tau}},
        a.cuda);
    placement.require_cpu("lr_pair_loss");
    const math::LossInfo& loss = check_loss_options(a.loss_options);
    const lr_loss_options options = *a.loss_options;
    require({"policy_chosen", a.policy_chosen});
    require({"policy_rejected", a.policy_rejected});
    together(a.reference_chosen, "reference_chosen", a.reference_rejected, "reference_rejected");
    together(a.chosen_counts, "chosen_counts", a.rejected_counts, "rejected_counts");
    const int64_t pairs = grid({"policy_chosen", a.policy_chosen}, kFloats, 1, "[P]").inner;
    Checker check(pairs);
    cpu::PairTensors t;
    t.policy_chosen = check.input("policy_chosen", a.policy_chosen);
    t.policy_rejected = check.input("policy_rejected", a.policy_rejected);
    t.reference_chosen = check.input("reference_chosen", a.reference_chosen);
    t.reference_rejected = check.input("reference_rejected", a.reference_rejected);
    t.chosen_counts = check.input("chosen_counts", a.chosen_counts, kCounts);
    t.rejected_counts = check.input("rejected_counts", a.rejected_counts, kCounts);
    t.grad_loss = check.input("grad_loss", a.grad_loss);
    t.loss = check.output("loss", a.loss);
    t.chosen_rewards = check.output("chosen_rewards", a.chosen_rewards);
    t.rejected_rewards = check.output("rejected_rewards", a.rejected_rewards);
    t.grad_policy_chosen = check.output("grad_policy_chosen", a.grad_policy_chosen);
    t.grad_policy_rejected = check.output("grad_policy_rejected", a.grad_policy_rejected);
    if (a.reference_chosen == nullptr && (a.grad_reference_chosen != nullptr || a.grad_reference_rejected != nullptr)) {
      invalid(std::string(a.grad_reference_chosen != nullptr ? "grad_reference_chosen" : "grad_reference_rejected") +
              " is given, and there is no reference to have a gradient");
    }
    t.grad_reference_chosen = check.output("grad_reference_chosen", a.grad_reference_chosen);
    t.grad_reference_rejected = check.output("grad_reference_rejected", a.grad_reference_rejected);
    t.grad_beta = check.parameter("grad_beta", a.grad_beta, loss, &lr_loss_options::beta);
    t.grad_beta_kl = check.parameter("grad_beta_kl", a.grad_beta_kl, loss, &lr_loss_options::beta_kl);
    t.grad_beta_mix = check.parameter("grad_beta_mix", a.grad_beta_mix, loss, &lr_loss_options::beta_mix);
    t.grad_tau = check.parameter("grad_tau", a.grad_tau, loss, &lr_loss_options::tau);
    check.check_memory();
    cpu::pair_loss(options, pairs, t);
  });
}
