// Devices, memory, streams and events of the emulated device. Its memory is the host's, and its
// work is done when a call returns. It knows what is allocated, pinned and made, and answers with
// CUDA's errors where an address or a handle is wrong.
#include "resources.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>

#include "runtime.h"

namespace logratio::device::resources {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kAlignment = LR_DEVICE_ALIGNMENT;
// CUDA's streams without a creation: the default one by its two names, and that of each thread.
constexpr uintptr_t kLastNamedStream = 2;

struct State {
  std::mutex mutex;
  std::map<uintptr_t, uint64_t> allocations;  // address to bytes
  std::map<uintptr_t, uint64_t> pinned;
  std::map<uintptr_t, bool> streams;
  std::map<uintptr_t, std::optional<Clock::time_point>> events;  // when they were reached
  uintptr_t last_handle = 0x1000;
};

// Never destroyed: a call may come while the process ends. A child of fork() finds it unlocked.
State& state() {
  static State* const only = [] {
    static State* made = new State;
    pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); },
                   [] { made->mutex.unlock(); });
    return made;
  }();
  return *only;
}

uintptr_t address_of(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

[[noreturn]] void fail(lr_status status, const std::string& call, const char* error) {
  throw Failure(status, call + " failed: " + error);
}

void check(bool valid, const std::string& call) {
  if (!valid)
    fail(LR_INTERNAL, call, "cudaErrorInvalidValue, invalid argument");
}

void check_handle(bool valid, const char* call) {
  if (!valid)
    fail(LR_INTERNAL, call, "cudaErrorInvalidResourceHandle, invalid resource handle");
}

// Whether memory lies within one of the pieces.
bool within(const std::map<uintptr_t, uint64_t>& pieces, const void* memory, uint64_t bytes) {
  const auto above = pieces.upper_bound(address_of(memory));
  if (above == pieces.begin())
    return false;
  const auto& [start, size] = *std::prev(above);
  return address_of(memory) - start <= size && bytes <= size - (address_of(memory) - start);
}

bool is_stream(const State& s, const void* stream) {
  return address_of(stream) <= kLastNamedStream || s.streams.count(address_of(stream)) > 0;
}

uint64_t memory_bytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

uint64_t free_memory(const State& s) {
  uint64_t used = 0;
  for (const auto& [address, bytes] : s.allocations)
    used += bytes;
  return memory_bytes() - std::min(used, memory_bytes());
}

}  // namespace

void count(Execution&, int32_t* devices) { *devices = 1; }

void current(Execution&, int32_t* device) { *device = 0; }

void make_current(Execution& execution) { check_device(execution.device); }

void synchronize(Execution&) {}

void memory(Execution&, uint64_t* free_bytes, uint64_t* total_bytes) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  *free_bytes = free_memory(s);
  *total_bytes = memory_bytes();
}

void allocate(Execution&, uint64_t bytes, void** memory) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const uint64_t whole = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* const piece =
      bytes > free_memory(s) || whole < bytes ? nullptr : std::aligned_alloc(kAlignment, whole);
  if (piece == nullptr)
    fail(LR_OUT_OF_MEMORY, "cudaMalloc of " + std::to_string(bytes) + " bytes",
         "cudaErrorMemoryAllocation, out of memory");
  std::memset(piece, 0xff, bytes);  // whoever reads before writing gets NaN
  s.allocations[address_of(piece)] = bytes;
  *memory = piece;
}

void free(Execution&, void* memory) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check(s.allocations.erase(address_of(memory)) == 1, "cudaFree");
  std::free(memory);
}

void fill(Execution& execution, void* memory, int32_t value, uint64_t bytes) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check_handle(is_stream(s, execution.stream), "cudaMemsetAsync");
  check(within(s.allocations, memory, bytes) || within(s.pinned, memory, bytes), "cudaMemsetAsync");
  std::memset(memory, value, bytes);
}

void copy(Execution& execution, void* to, const void* from, uint64_t bytes) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check_handle(is_stream(s, execution.stream), "cudaMemcpyAsync");
  std::memmove(to, from, bytes);
}

void pin(Execution&, void* memory, uint64_t bytes) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const std::string call = "cudaHostRegister of " + std::to_string(bytes) + " bytes";
  check(bytes > 0, call);
  if (within(s.pinned, memory, 0)) {
    fail(LR_INTERNAL, call,
         "cudaErrorHostMemoryAlreadyRegistered, part or all of the requested memory range is "
         "already mapped");
  }
  s.pinned[address_of(memory)] = bytes;
}

void unpin(Execution&, void* memory) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.pinned.erase(address_of(memory)) == 0) {
    fail(LR_INTERNAL, "cudaHostUnregister",
         "cudaErrorHostMemoryNotRegistered, pointer does not correspond to a registered memory "
         "region");
  }
}

void create_stream(Execution&, void** stream) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.streams[s.last_handle += 8] = true;
  *stream = reinterpret_cast<void*>(s.last_handle);
}

void destroy_stream(Execution& execution) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check_handle(s.streams.erase(address_of(execution.stream)) == 1, "cudaStreamDestroy");
}

void synchronize_stream(Execution& execution) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check_handle(is_stream(s, execution.stream), "cudaStreamSynchronize");
}

void query_stream(Execution& execution, int32_t* done) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check_handle(is_stream(s, execution.stream), "cudaStreamQuery");
  *done = 1;
}

void wait(Execution& execution, void* event) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check_handle(is_stream(s, execution.stream) && s.events.count(address_of(event)) > 0,
               "cudaStreamWaitEvent");
}

void create_event(Execution&, void** event) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.events[s.last_handle += 8] = std::nullopt;
  *event = reinterpret_cast<void*>(s.last_handle);
}

void destroy_event(Execution&, void* event) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check_handle(s.events.erase(address_of(event)) == 1, "cudaEventDestroy");
}

void record(Execution& execution, void* event) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto found = s.events.find(address_of(event));
  check_handle(found != s.events.end() && is_stream(s, execution.stream), "cudaEventRecord");
  found->second = Clock::now();
}

void synchronize_event(Execution&, void* event) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check_handle(s.events.count(address_of(event)) > 0, "cudaEventSynchronize");
}

void query_event(Execution&, void* event, int32_t* done) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  check_handle(s.events.count(address_of(event)) > 0, "cudaEventQuery");
  *done = 1;
}

void elapsed(Execution&, void* start, void* end, double* milliseconds) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const auto from = s.events.find(address_of(start)), to = s.events.find(address_of(end));
  check_handle(from != s.events.end() && to != s.events.end() && from->second && to->second,
               "cudaEventElapsedTime");
  *milliseconds = std::chrono::duration<double, std::milli>(*to->second - *from->second).count();
}

}  // namespace logratio::device::resources
