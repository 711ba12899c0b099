// The device and its failures, by the CUDA runtime.
#include <dlfcn.h>

#include <array>
#include <atomic>

#include "runtime.h"

namespace logratio::device {
namespace {

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string driver_text() {
  int version = 0;
  if (cudaDriverGetVersion(&version) == cudaSuccess && version > 0) {
    return "the NVIDIA driver is for CUDA " + version_text(version) + ", and this library needs " +
           version_text(CUDART_VERSION) + ": install driver r580 or newer";
  }
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (driver == nullptr)
    return "libcuda.so.1 was not found: install an NVIDIA driver, r580 or "
           "newer";
  dlclose(driver);
  return "the NVIDIA driver does not answer: install driver r580 or newer, and "
         "see whether "
         "nvidia-smi works";
}

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess)
    fail_cuda(error, what);
}

int32_t attribute(cudaDeviceAttr which, int32_t device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "an attribute of the GPU could not be read");
  return value;
}

}  // namespace

void fail_cuda(cudaError_t error, const char* what) {
  cudaGetLastError();  // reported here, so not again by the next call
  switch (error) {
    case cudaErrorInsufficientDriver:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorInitializationError:
    case cudaErrorStubLibrary:
      throw Failure(LR_UNAVAILABLE, "CUDA is unavailable: " + driver_text());
    case cudaErrorNoDevice:
      throw Failure(LR_UNAVAILABLE,
                    "CUDA is unavailable: there is no NVIDIA GPU "
                    "that this process may use");
    case cudaErrorNoKernelImageForDevice:
      throw Failure(LR_UNAVAILABLE,
                    "CUDA is unavailable: this library has no "
                    "kernels for the GPU, expected "
                    "compute capability 8.0 or newer");
    case cudaErrorMemoryAllocation:
      throw Failure(LR_OUT_OF_MEMORY, "the GPU is out of memory");
    default:
      throw Failure(LR_INTERNAL, std::string(what) + ": " + cudaGetErrorName(error) + ", " +
                                     cudaGetErrorString(error));
  }
}

void check_device(int32_t device) {
  int count = 0;
  check(cudaGetDeviceCount(&count), "the GPUs could not be counted");
  if (device < 0 || device >= count) {
    throw Failure(LR_UNAVAILABLE, "there is no CUDA device " + std::to_string(device) +
                                      ": this process sees " + std::to_string(count) +
                                      (count == 1 ? " device, number 0" : " devices, from 0 on"));
  }
}

CurrentDevice::CurrentDevice(int32_t device) {
  check_device(device);
  check(cudaGetDevice(&previous_), "the current GPU could not be asked for");
  changed_ = previous_ != device;
  check(cudaSetDevice(device), "the GPU could not be used");
  const cudaError_t earlier = cudaGetLastError();
  if (earlier != cudaSuccess) {
    const int previous = previous_;
    if (changed_)
      cudaSetDevice(previous);
    fail_cuda(earlier, "an earlier call on this GPU has failed");
  }
}

CurrentDevice::~CurrentDevice() {
  if (changed_)
    cudaSetDevice(previous_);
}

// Asked for once: it sizes the grids of every call.
int32_t multiprocessors(int32_t device) {
  static std::array<std::atomic<int32_t>, kMaxDevices> known;
  std::atomic<int32_t>& kept = known[static_cast<size_t>(device) % kMaxDevices];
  int32_t count = device < kMaxDevices ? kept.load(std::memory_order_relaxed) : 0;
  if (count == 0) {
    count = attribute(cudaDevAttrMultiProcessorCount, device);
    if (device < kMaxDevices)
      kept.store(count, std::memory_order_relaxed);
  }
  return count;
}

void fill(void* memory, uint8_t value, uint64_t bytes, void* stream) {
  check(cudaMemsetAsync(memory, value, bytes, static_cast<cudaStream_t>(stream)),
        "device memory could not be filled");
}

OutsideCaptures::OutsideCaptures() {
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  check(cudaThreadExchangeStreamCaptureMode(&mode),
        "a thread's way of capturing could not be changed");
  mode_ = mode;
}

OutsideCaptures::~OutsideCaptures() {
  auto mode = static_cast<cudaStreamCaptureMode>(mode_);
  cudaThreadExchangeStreamCaptureMode(&mode);
}

bool is_captured(void* stream) {
  cudaStreamCaptureStatus status;
  check(cudaStreamIsCapturing(static_cast<cudaStream_t>(stream), &status),
        "a stream could not be asked whether it is being captured");
  return status != cudaStreamCaptureStatusNone;
}

uint64_t id_of(void* stream) {
  unsigned long long id = 0;
  check(cudaStreamGetId(static_cast<cudaStream_t>(stream), &id),
        "a stream could not be asked for its number");
  return id;
}

void* make_mark() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event could not be made");
  return event;
}

void destroy_mark(void* mark) {
  if (mark != nullptr)
    check(cudaEventDestroy(static_cast<cudaEvent_t>(mark)), "an event could not be destroyed");
}

void set_mark(void* mark, void* stream) noexcept {
  cudaEventRecord(static_cast<cudaEvent_t>(mark), static_cast<cudaStream_t>(stream));
}

void await_mark(void* mark, void* stream) {
  check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(mark),
                            cudaEventWaitDefault),
        "a stream could not wait for another's work");
}

int32_t compiled_for(const void* kernel) {
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kernel), "a kernel could not be looked up");
  return attributes.ptxVersion;
}

void allow_shared(const void* kernel, size_t shared_bytes) {
  constexpr size_t kEveryKernels = 48 * 1024;
  if (shared_bytes <= kEveryKernels)
    return;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(shared_bytes)),
        "a kernel could not have its shared memory");
}

int64_t resident_blocks(const void* kernel, int threads, size_t shared_bytes) {
  int device = 0, most = 0, blocks = 0;
  check(cudaGetDevice(&device), "the current GPU could not be asked for");
  most = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, kernel), "a kernel could not be looked up");
  if (shared_bytes + attributes.sharedSizeBytes > static_cast<size_t>(most))
    return 0;
  allow_shared(kernel, shared_bytes);
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shared_bytes),
        "a kernel could not be looked up");
  return blocks;
}

void describe(int32_t device, lr_device_info* info) {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, device), "the GPU could not be described");
  std::memcpy(info->name, properties.name, sizeof info->name);
  info->name[sizeof info->name - 1] = '\0';
  check(cudaDriverGetVersion(&info->driver_version), "the driver's version could not be read");
  info->runtime_version = CUDART_VERSION;
  info->compute_capability = properties.major * 10 + properties.minor;
  info->multiprocessors = properties.multiProcessorCount;
  info->memory_bytes = properties.totalGlobalMem;
}

}  // namespace logratio::device
