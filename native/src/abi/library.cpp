// The functions about the library itself, and the layout that foreign callers rely on.
#include <cstddef>
#include <string>

#include "abi/errors.h"
#include "abi/probe.h"
#include "cpu/bandwidth.h"
#include "cpu/isa.h"
#include "cpu/thread_pool.h"
#include "logratio.h"

using namespace logratio;

static_assert(sizeof(DLTensor) == 48 && offsetof(DLTensor, device) == 8 &&
              offsetof(DLTensor, ndim) == 16 && offsetof(DLTensor, dtype) == 20 &&
              offsetof(DLTensor, shape) == 24 && offsetof(DLTensor, strides) == 32 &&
              offsetof(DLTensor, byte_offset) == 40);
static_assert(sizeof(lr_token_options) == 32 && sizeof(lr_sequence_options) == 24 &&
              sizeof(lr_loss_options) == 128);
static_assert(sizeof(lr_step_metrics) == 88);
static_assert(sizeof(lr_option_info) == 56 && sizeof(lr_loss_info) == 72);

namespace logratio::abi {

void check_probe(int32_t kind, const void* source, const void* destination, uint64_t bytes) {
  if (kind < LR_BANDWIDTH_READ || kind > LR_BANDWIDTH_UPDATE) {
    invalid("kind is " + std::to_string(kind) +
            ", expected LR_BANDWIDTH_READ, LR_BANDWIDTH_COPY or LR_BANDWIDTH_UPDATE");
  }
  if (source == nullptr && bytes > 0)
    invalid("source is NULL, and it is required");
  if (kind == LR_BANDWIDTH_COPY && bytes > 0) {
    if (destination == nullptr)
      invalid("destination is NULL, and a copy requires it");
    const auto from = reinterpret_cast<uintptr_t>(source),
               to = reinterpret_cast<uintptr_t>(destination);
    if (from < to + bytes && to < from + bytes)
      invalid("destination shares memory with source, expected separate memory");
  }
}

}  // namespace logratio::abi

uint32_t lr_abi_version(void) { return LR_ABI_VERSION; }

const char* lr_version(void) { return LR_VERSION; }

const char* lr_last_error(void) { return abi::last_error(); }

const char* lr_cpu_instruction_set(void) {
  const char* name = cpu::instruction_set_name();
  if (name == nullptr)
    abi::set_error({}, cpu::instruction_set_error());
  return name;
}

int32_t lr_threads(void) { return cpu::thread_count(); }

lr_status lr_set_threads(int32_t threads) {
  return abi::guarded({}, [&] {
    if (threads < 1 || threads > LR_MAX_THREADS)
      abi::invalid("threads is " + std::to_string(threads) + ", expected 1 to " +
                   std::to_string(LR_MAX_THREADS));
    cpu::set_thread_count(threads);
  });
}

lr_status lr_bandwidth_probe(int32_t kind, void* source, void* destination, uint64_t bytes,
                             double* seconds) {
  return abi::guarded({}, [&] {
    abi::check_probe(kind, source, destination, bytes);
    if (seconds == nullptr)
      abi::invalid("seconds is NULL, and it is required");
    abi::check_environment();
    *seconds = cpu::bandwidth_probe(static_cast<cpu::Bandwidth>(kind), source, destination, bytes);
  });
}
