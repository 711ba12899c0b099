// The one symbol of the library: its table of operations.
#include "gemm.h"
#include "operations.h"
#include "resources.h"
#include "runtime.h"

namespace logratio::device {
namespace {

lr_status describe_device(Execution* execution, lr_device_info* info) {
  return run(execution, [&] { describe(execution->device, info); });
}

lr_status describe_gemm(Execution* execution, lr_gemm_info* info) {
  return run(execution, [&] { gemm::describe(execution->device, info); });
}

template <class... Arguments>
using Resource = void (*)(Execution&, Arguments...);

// A function of resources.h as the table has it: with the execution's device current, or not.
template <auto kFunction>
struct Entry;
template <class... Arguments, Resource<Arguments...> kFunction>
struct Entry<kFunction> {
  static lr_status on_device(Execution* execution, Arguments... arguments) {
    return run(execution, [&] { kFunction(*execution, arguments...); });
  }
  static lr_status anywhere(Execution* execution, Arguments... arguments) {
    return guarded(execution, [&] { kFunction(*execution, arguments...); });
  }
};

template <auto kFunction>
constexpr auto on_device = &Entry<kFunction>::on_device;
template <auto kFunction>
constexpr auto anywhere = &Entry<kFunction>::anywhere;

constexpr Table kTable = {
    .version = kTableVersion,
    .describe = describe_device,
    .token_logprobs = token_logprobs,
    .token_logprobs_backward = token_logprobs_backward,
    .sequence_logps = sequence_logps,
    .pair_loss = pair_loss,
    .unpaired_loss = unpaired_loss,
    .preference_step = preference_step,
    .unpaired_step = unpaired_step,
    .linear_token_logprobs = linear_token_logprobs,
    .linear_preference_step = linear_preference_step,
    .linear_unpaired_step = linear_unpaired_step,
    .gemm = describe_gemm,
    .divergence = divergence,
    .scoring_rule = scoring_rule,
    .bandwidth_probe = bandwidth_probe,
    .resources = {.count = anywhere<resources::count>,
                  .current = anywhere<resources::current>,
                  .make_current = anywhere<resources::make_current>,
                  .synchronize = on_device<resources::synchronize>,
                  .memory = on_device<resources::memory>,
                  .allocate = on_device<resources::allocate>,
                  .free = on_device<resources::free>,
                  .fill = on_device<resources::fill>,
                  .copy = on_device<resources::copy>,
                  .pin = on_device<resources::pin>,
                  .unpin = on_device<resources::unpin>,
                  .create_stream = on_device<resources::create_stream>,
                  .destroy_stream = on_device<resources::destroy_stream>,
                  .synchronize_stream = on_device<resources::synchronize_stream>,
                  .query_stream = on_device<resources::query_stream>,
                  .wait = on_device<resources::wait>,
                  .create_event = on_device<resources::create_event>,
                  .destroy_event = on_device<resources::destroy_event>,
                  .record = on_device<resources::record>,
                  .synchronize_event = on_device<resources::synchronize_event>,
                  .query_event = on_device<resources::query_event>,
                  .elapsed = on_device<resources::elapsed>},
};

}  // namespace
}  // namespace logratio::device

extern "C" __attribute__((visibility("default"))) const logratio::device::Table*
logratio_device_table() {
  return &logratio::device::kTable;
}
