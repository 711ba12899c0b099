// The one symbol of the library: its table of operations.
#include "operations.h"
#include "runtime.h"

namespace logratio::device {
namespace {

lr_status describe_device(Execution* execution, lr_device_info* info) {
  return run(execution, [&] { describe(execution->device, info); });
}

constexpr Table kTable = {
    kTableVersion,  describe_device, token_logprobs,  token_logprobs_backward,
    sequence_logps, pair_loss,       unpaired_loss,   preference_step,
    divergence,     scoring_rule,    bandwidth_probe,
};

}  // namespace
}  // namespace logratio::device

extern "C" __attribute__((visibility("default"))) const logratio::device::Table*
logratio_device_table() {
  return &logratio::device::kTable;
}
