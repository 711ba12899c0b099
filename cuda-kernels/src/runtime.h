// What every operation's host code is made of, for CUDA and, with LR_EMULATOR, for the emulator:
//   run(execution, body)   makes the device current, and turns what body throws into a status and
//                          its text
//   Workspace              cuts the caller's device memory into pieces, or counts how much that
//                          would take
//   launch(kernel, ...)    the only place that starts kernels, blocks by themselves or in clusters
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "op/device_table.h"
#include "workspace_use.h"

#ifdef LR_EMULATOR
#include "emulator.h"
#define LR_NO_INLINE __attribute__((noinline))
#define LR_PARAMETER
#else
#include <cuda_runtime.h>
#define LR_NO_INLINE __noinline__
#define LR_PARAMETER __grid_constant__  // of a kernel: stays where it is, however it is passed on
#define LR_SHARED(type, name, count) __shared__ type name[count]
#define LR_DYNAMIC_SHARED(type, name)                         \
  extern __shared__ __align__(16) unsigned char lr_dynamic[]; \
  type* const name = reinterpret_cast<type*>(lr_dynamic)
#endif

namespace logratio::device {

class Failure : public std::runtime_error {
 public:
  Failure(lr_status status, const std::string& text) : std::runtime_error(text), status_(status) {}
  lr_status status() const { return status_; }

 private:
  lr_status status_;
};

// Makes a device current for as long as this lives. Throws Failure if it cannot be used, or an
// earlier launch on it has failed.
class CurrentDevice {
 public:
  explicit CurrentDevice(int32_t device);
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int previous_ = 0;
  bool changed_ = false;
};

// Throws Failure if there is no such device.
void check_device(int32_t device);
int32_t multiprocessors(int32_t device);
// Loads every kernel to the current device, which is `device`, unless that has been done.
void load_kernels(int32_t device);
// The compute capability, 90 for 9.0, of the PTX that a kernel's code for the current device was
// made of: what its source could use.
int32_t compiled_for(const void* kernel);
template <class... Parameters>
int32_t compiled_for(void (*kernel)(Parameters...)) {
  return compiled_for(reinterpret_cast<const void*>(kernel));
}
// How many blocks of a kernel are on a multiprocessor at once; 0 where not even one fits.
int64_t resident_blocks(const void* kernel, int threads, size_t shared_bytes);
template <class... Parameters>
int64_t resident_blocks(void (*kernel)(Parameters...), int threads, size_t shared_bytes) {
  return resident_blocks(reinterpret_cast<const void*>(kernel), threads, shared_bytes);
}
void describe(int32_t device, lr_device_info* info);
// Queues writing a byte's value to each byte of device memory.
void fill(void* memory, uint8_t value, uint64_t bytes, void* stream);

// Lets this thread do what is no part of a capture, its own or another thread's, while it lives.
class OutsideCaptures {
 public:
  OutsideCaptures();
  ~OutsideCaptures();
  OutsideCaptures(const OutsideCaptures&) = delete;
  OutsideCaptures& operator=(const OutsideCaptures&) = delete;

 private:
  int mode_ = 0;
};

// Streams and marks in their work. A mark is an event without a time, of the current device.
bool is_captured(void* stream);
uint64_t id_of(void* stream);  // no other stream ever has it
void* make_mark();
void destroy_mark(void* mark);                     // may be null
void set_mark(void* mark, void* stream) noexcept;  // CUDA tells the next call of a failure
void await_mark(void* mark, void* stream);         // on the device

// Pieces of the caller's workspace, each aligned to kAlignment. The same calls of take() come with
// and without memory.
class Workspace {
 public:
  static constexpr uint64_t kAlignment = LR_DEVICE_ALIGNMENT;

  explicit Workspace(Execution& execution) : execution_(execution) {}

  template <class T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(execution_.workspace) +
                                    used_);  // of NULL there is no memory yet
    used_ += (static_cast<uint64_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return piece;
  }

  // The size of all pieces so far.
  uint64_t bytes() const { return used_; }

  // After the last take(): false if the call only asked how much there is to take.
  bool ready() {
    load_kernels(execution_.device);
    const uint64_t needed = used_ == 0 ? kAlignment : used_;
    if (execution_.workspace == nullptr) {
      execution_.workspace_bytes = needed;
      return false;
    }
    if (execution_.workspace_bytes < needed) {
      throw Failure(LR_INVALID_ARGUMENT, "cuda.workspace_bytes is " +
                                             std::to_string(execution_.workspace_bytes) +
                                             ", expected at least " + std::to_string(needed) +
                                             " for this call: ask for it with workspace NULL");
    }
    use_.emplace(execution_);
#ifdef LR_EMULATOR
    std::memset(execution_.workspace, 0xff, needed);  // whoever reads before writing gets NaN
#endif
    return true;
  }

 private:
  Execution& execution_;
  uint64_t used_ = 0;
  std::optional<WorkspaceUse> use_;  // while the call queues its work
};

// Turns what body throws into a status and its text.
template <class Body>
lr_status guarded(Execution* execution, Body&& body) {
  const auto fail = [execution](lr_status status, const char* text) {
    std::strncpy(execution->error, text, sizeof execution->error - 1);
    execution->error[sizeof execution->error - 1] = '\0';
    return status;
  };
  try {
    body();
    return LR_OK;
  } catch (const Failure& failure) {
    return fail(failure.status(), failure.what());
  } catch (const std::bad_alloc&) {
    return fail(LR_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return fail(LR_INTERNAL, error.what());
  }
}

template <class Body>
lr_status run(Execution* execution, Body&& body) {
  return guarded(execution, [&] {
    const CurrentDevice device(execution->device);
    body();
  });
}

// Arguments become the kernel's parameter types first, as in a call of a function.
#ifdef LR_EMULATOR

template <class... Parameters, class... Arguments>
void launch_clusters(void (*kernel)(Parameters...), unsigned cluster, dim3 grid, dim3 block,
                     size_t shared_bytes, void*, Arguments&&... arguments) {
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> parameters;
  } call{kernel, std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)};
  const auto thread = [](void* memory) {
    const auto* c = static_cast<const Call*>(memory);
    std::apply(c->kernel, c->parameters);
  };
  emulator::run_grid(grid, block, shared_bytes, cluster, thread, &call);
}

template <class... Parameters, class... Arguments>
void launch_resident(void (*kernel)(Parameters...), unsigned group, dim3 grid, dim3 block,
                     size_t shared_bytes, void* stream, Arguments&&... arguments) {
  launch_clusters(kernel, group, grid, block, shared_bytes, stream,
                  std::forward<Arguments>(arguments)...);
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, void* stream,
            Arguments&&... arguments) {
  launch_clusters(kernel, 1, grid, block, shared_bytes, stream,
                  std::forward<Arguments>(arguments)...);
}

// Outputs start as NaN, so that an element that no kernel wrote shows.
void poison(const op::TensorView& output);
void poison(const op::LogitRows& output, int64_t rows);

#else

constexpr int32_t kMaxDevices = 64;  // of which facts are remembered

[[noreturn]] void fail_cuda(cudaError_t error, const char* what);

// A source file with kernels, by one of them; load_kernels() finds the others beside it.
struct KernelFile {
  static inline const KernelFile* first = nullptr;

  explicit KernelFile(void (*one)()) : kernel(reinterpret_cast<const void*>(one)), next(first) {
    first = this;
  }
  KernelFile(const KernelFile&) = delete;

  const void* kernel;
  const KernelFile* next;
};

#ifdef __CUDACC__
namespace {

__global__ void nothing() {}
const KernelFile this_file(nothing);

}  // namespace
#endif

void allow_shared(const void* kernel, size_t shared_bytes);

// `attribute` may be null.
template <class... Parameters, class... Arguments>
void launch_with(const cudaLaunchAttribute* attribute, void (*kernel)(Parameters...), dim3 grid,
                 dim3 block, size_t shared_bytes, void* stream, Arguments&&... arguments) {
  const auto start = [&](Parameters... parameters) {
    void* addresses[] = {static_cast<void*>(&parameters)...};
    const auto* const function = reinterpret_cast<const void*>(kernel);
    allow_shared(function, shared_bytes);
    cudaLaunchAttribute own = attribute == nullptr ? cudaLaunchAttribute{} : *attribute;
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = static_cast<cudaStream_t>(stream);
    config.attrs = &own;
    config.numAttrs = attribute == nullptr ? 0 : 1;
    return cudaLaunchKernelExC(&config, function, addresses);
  };
  const cudaError_t error = start(std::forward<Arguments>(arguments)...);
  if (error != cudaSuccess)
    fail_cuda(error, "a kernel could not be started");
}

// Clusters need compute capability 9.0.
template <class... Parameters, class... Arguments>
void launch_clusters(void (*kernel)(Parameters...), unsigned cluster, dim3 grid, dim3 block,
                     size_t shared_bytes, void* stream, Arguments&&... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {cluster, 1, 1};
  launch_with(&attribute, kernel, grid, block, shared_bytes, stream,
              std::forward<Arguments>(arguments)...);
}

// The grid is resident as a whole, or does not start. Groups of so many blocks meet.
template <class... Parameters, class... Arguments>
void launch_resident(void (*kernel)(Parameters...), unsigned, dim3 grid, dim3 block,
                     size_t shared_bytes, void* stream, Arguments&&... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = 1;
  launch_with(&attribute, kernel, grid, block, shared_bytes, stream,
              std::forward<Arguments>(arguments)...);
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes, void* stream,
            Arguments&&... arguments) {
  launch_with(nullptr, kernel, grid, block, shared_bytes, stream,
              std::forward<Arguments>(arguments)...);
}

inline void poison(const op::TensorView&) {}
inline void poison(const op::LogitRows&, int64_t) {}

#endif

}  // namespace logratio::device
