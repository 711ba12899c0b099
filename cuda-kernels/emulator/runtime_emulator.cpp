// The emulated device: one, with a single multiprocessor, so that small batches are enough to try
// every way of sharing out the work.
#include <unistd.h>

#include <atomic>

#include "runtime.h"

namespace logratio::device {
namespace {

constexpr int32_t kMultiprocessors = 1;
constexpr int64_t kBlocksAtOnce = 8;  // of those that wait for each other
std::atomic<int32_t> g_compute_capability{90};

}  // namespace

void check_device(int32_t device) {
  if (device != 0)
    throw Failure(LR_UNAVAILABLE,
                  "there is no emulated device " + std::to_string(device) + ", only number 0");
}

CurrentDevice::CurrentDevice(int32_t device) { check_device(device); }

CurrentDevice::~CurrentDevice() = default;

int32_t multiprocessors(int32_t) { return kMultiprocessors; }

void load_kernels(int32_t) {}

OutsideCaptures::OutsideCaptures() = default;
OutsideCaptures::~OutsideCaptures() { mode_ = 0; }

// Work is done when a call returns, so there is nothing to wait for; tests see that it was asked
// for.
bool is_captured(void*) { return emulator::capturing; }
uint64_t id_of(void* stream) { return reinterpret_cast<uintptr_t>(stream); }
void* make_mark() { return new char; }
void destroy_mark(void* mark) { delete static_cast<char*>(mark); }
void set_mark(void*, void*) noexcept {}
void await_mark(void*, void*) { ++emulator::waits; }
int64_t resident_blocks(const void*, int, size_t shared_bytes) {
  constexpr size_t kMostShared = 224 * 1024;
  return shared_bytes > kMostShared || g_compute_capability == 0 ? 0 : kBlocksAtOnce;
}

int32_t compiled_for(const void*) { return g_compute_capability; }

void describe(int32_t, lr_device_info* info) {
  std::strncpy(info->name, "Logratio's CUDA emulator", sizeof info->name);
  info->driver_version = 0;
  info->runtime_version = 0;
  info->compute_capability = g_compute_capability;
  info->multiprocessors = kMultiprocessors;
  info->memory_bytes =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

void fill(void* memory, uint8_t value, uint64_t bytes, void*) { std::memset(memory, value, bytes); }

void poison(const op::TensorView& output) {
  if (!output.present || output.size() == 0)
    return;
  const int64_t size = bytes_of(output.type);
  for (int64_t o = 0; o < output.outer; ++o) {
    for (int64_t i = 0; i < output.inner; ++i) {
      std::memset(static_cast<char*>(output.data) +
                      (o * output.outer_stride + i * output.inner_stride) * size,
                  0xff, static_cast<size_t>(size));
    }
  }
}

void poison(const op::LogitRows& output, int64_t rows) {
  const int64_t size = bytes_of(output.type);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t element =
        r / output.inner * output.outer_stride + r % output.inner * output.inner_stride;
    std::memset(static_cast<char*>(output.base) + element * size, 0xff,
                static_cast<size_t>(output.columns * size));
  }
}

}  // namespace logratio::device

// For tests: the compute capability that kernels are chosen by, 0 for a GPU whose shared memory is
// too small for several blocks that share a row; the order in which the emulator runs a block's
// threads; how many clusters of several blocks have run, how often kernels have added to a counter,
// and streams have waited for a workspace.
extern "C" __attribute__((visibility("default"))) void logratio_emulator_set_capability(
    int32_t capability) {
  logratio::device::g_compute_capability = capability;
}
extern "C" __attribute__((visibility("default"))) void logratio_emulator_set_seed(uint64_t seed) {
  logratio::emulator::set_seed(seed);
}
extern "C" __attribute__((visibility("default"))) uint64_t logratio_emulator_clusters() {
  return logratio::emulator::clusters_run();
}
extern "C" __attribute__((visibility("default"))) uint64_t logratio_emulator_counts() {
  return logratio::emulator::counts;
}
extern "C" __attribute__((visibility("default"))) uint64_t logratio_emulator_waits() {
  return logratio::emulator::waits;
}
