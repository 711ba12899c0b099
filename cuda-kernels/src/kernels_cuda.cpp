// All kernels of the library are loaded before the first of them runs on a device. CUDA by itself
// loads each at its first launch, and that cannot be done while a stream is being captured.
#include <cudaTypedefs.h>

#include <array>
#include <atomic>
#include <vector>

#include "runtime.h"

namespace logratio::device {
namespace {

void check(cudaError_t error) {
  if (error != cudaSuccess)
    fail_cuda(error, "the kernels could not be loaded");
}

// CUDA's driver, which the runtime has opened, is not linked with.
template <class Function>
class DriverFunction {
 public:
  DriverFunction(const char* name, unsigned version) : name_(name) {
    cudaDriverEntryPointQueryResult found;
    check(cudaGetDriverEntryPointByVersion(name, reinterpret_cast<void**>(&function_), version,
                                           cudaEnableDefault, &found));
    if (found != cudaDriverEntryPointSuccess)
      throw Failure(LR_UNAVAILABLE, std::string("the NVIDIA driver has no ") + name +
                                        ": install driver r580 or newer");
  }
  template <class... Arguments>
  void operator()(Arguments... arguments) const {
    const CUresult result = function_(arguments...);
    if (result != CUDA_SUCCESS)
      throw Failure(LR_INTERNAL, "the kernels could not be loaded: " + std::string(name_) +
                                     " returned " + std::to_string(result));
  }

 private:
  const char* name_;
  Function function_ = nullptr;
};

void load_all() {
  const OutsideCaptures outside;
  const DriverFunction<PFN_cuFuncGetModule_v11000> module_of("cuFuncGetModule", 11000);
  const DriverFunction<PFN_cuModuleGetFunctionCount_v12040> count_functions(
      "cuModuleGetFunctionCount", 12040);
  const DriverFunction<PFN_cuModuleEnumerateFunctions_v12040> list_functions(
      "cuModuleEnumerateFunctions", 12040);
  const DriverFunction<PFN_cuFuncLoad_v12040> load("cuFuncLoad", 12040);
  for (const KernelFile* file = KernelFile::first; file != nullptr; file = file->next) {
    cudaFunction_t one;
    check(cudaGetFuncBySymbol(&one, file->kernel));
    CUmodule module;
    module_of(&module, one);
    unsigned count = 0;
    count_functions(&count, module);
    std::vector<CUfunction> functions(count);
    list_functions(functions.data(), count, module);
    for (const CUfunction function : functions)
      load(function);
  }
}

}  // namespace

// Threads that come at once each do it; what is loaded stays so.
void load_kernels(int32_t device) {
  static std::array<std::atomic<bool>, kMaxDevices> loaded;
  std::atomic<bool>& done = loaded[static_cast<size_t>(device) % kMaxDevices];
  if (device < kMaxDevices && done.load(std::memory_order_acquire))
    return;
  load_all();
  if (device < kMaxDevices)
    done.store(true, std::memory_order_release);
}

}  // namespace logratio::device
