#include "abi/device.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string>

#include "abi/operands.h"
#include "abi/probe.h"
#include "abi/text.h"

namespace logratio::abi {
namespace {

using device::Table;

// The folder of this library's own file, with a slash at its end; "" where the file cannot be told.
// It is found while the library is being loaded: a library that was opened by a relative path knows
// itself by that path for good, which means another file as soon as the current folder changes.
char own_folder[PATH_MAX] = "";

__attribute__((constructor)) void find_own_folder() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&lr_abi_version), &info) == 0 ||
      info.dli_fname == nullptr)
    return;
  if (realpath(info.dli_fname, own_folder) == nullptr)
    own_folder[0] = '\0';
  if (char* const slash = std::strrchr(own_folder, '/'))
    slash[1] = '\0';
}

// One of the libraries that run kernels. Opened when it is first needed; a failure is not
// remembered, so that it can be mended. Threads that come at once open it each for itself, and get
// the same: a lock might be held for ever in a child of fork().
class DeviceLibrary {
 public:
  constexpr DeviceLibrary(const char* what, const char* file, const char* variable)
      : what_(what), file_(file), variable_(variable) {}

  const Table& table() {
    const Table* table = table_.load(std::memory_order_acquire);
    if (table == nullptr)
      table_.store(table = open(), std::memory_order_release);
    return *table;
  }

 private:
  const Table* open() const {
    void* const library = find();
    const auto function =
        reinterpret_cast<device::TableFunction>(dlsym(library, device::kTableSymbol));
    const Table* table = function == nullptr ? nullptr : function();
    if (table == nullptr || table->version != device::kTableVersion) {
      const std::string version =
          table == nullptr ? "no table" : "table version " + std::to_string(table->version);
      dlclose(library);
      unavailable(std::string(file_) + " has " + version + ", expected version " +
                  std::to_string(device::kTableVersion) + ": use the libraries of one release");
    }
    return table;
  }

  // No path is taken from the current folder, neither here nor by the loader, whose path for a bare
  // name does not hold it.
  void* find() const {
    const std::string beside = std::string(own_folder) + file_;
    if (*own_folder != '\0' && access(beside.c_str(), F_OK) == 0)
      return open_file(beside);
    std::string tried = "not beside liblogratio.so (" +
                        (*own_folder == '\0' ? "whose folder is unknown" : beside) + ")";
    if (variable_ != nullptr) {
      const char* const named = std::getenv(variable_);
      if (named != nullptr && *named != '\0') {
        if (*named != '/')
          unavailable(std::string(variable_) + " is \"" + named + "\", expected an absolute path");
        return open_file(named);
      }
      tried += std::string(", not by the environment variable ") + variable_;
    }
    void* const library = dlopen(file_, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
      unavailable(std::string(file_) + " was found " + tried + " and not on the loader's path");
    return library;
  }

  // A file that is there and cannot be loaded is the fault to name; nothing else is looked for.
  void* open_file(const std::string& path) const {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr)
      unavailable(std::string(file_) + " could not be loaded: " + dlerror());
    return library;
  }

  [[noreturn]] void unavailable(const std::string& why) const {
    throw Error(LR_UNAVAILABLE, std::string(what_) + " is unavailable: " + why);
  }

  const char* what_;
  const char* file_;
  const char* variable_;  // may name the file by an absolute path; nullptr: none
  std::atomic<const Table*> table_{nullptr};
};

constinit DeviceLibrary cuda_library("CUDA", "liblogratio_cuda.so", nullptr);
constinit DeviceLibrary emulator_library("the emulator", "liblogratio_emulator.so",
                                         "LOGRATIO_EMULATOR");

[[noreturn]] void fail(const device::Execution& execution, lr_status status) {
  throw Error(status, execution.error);
}

}  // namespace

void check_device_type(DLDeviceType type) {
  if (type != kDLCUDA && type != kDLExtDev)
    invalid("device_type is " + std::to_string(type) + ", expected kDLCUDA or kDLExtDev");
}

const Table& table_of(DLDeviceType type) {
  return (type == kDLCUDA ? cuda_library : emulator_library).table();
}

Placement::Placement(std::span<const Operand> operands, lr_cuda* cuda) : target_(cuda) {
  const Operand* first = nullptr;
  for (const Operand& operand : operands) {
    if (operand.tensor() == nullptr)
      continue;
    const DLDevice& device = operand.tensor()->device;
    const int32_t type = type_of(device), id = type == kDLCPU ? 0 : device.device_id;
    if (type != kDLCPU && type != kDLCUDA && type != kDLExtDev)
      mismatch(operand, "host memory or a CUDA device");
    if (first == nullptr) {
      first = &operand;
      type_ = type;
      id_ = id;
    } else if (type != type_ || id != id_) {
      mismatch(operand, device_text(type_, id_) + ", as " + is_text(*first));
    }
  }
  if (!on_device()) {
    if (cuda != nullptr)
      invalid("cuda is given, expected NULL: the tensors are in host memory");
    return;
  }
  if (cuda == nullptr)
    invalid("cuda is NULL, and it is required: " + is_text(*first));
  check_struct("lr_cuda", cuda, Published<lr_cuda>::size, sizeof(lr_cuda));
  std::memcpy(&cuda_, cuda, cuda->size < sizeof cuda_ ? cuda->size : sizeof cuda_);
  if (reinterpret_cast<uintptr_t>(cuda_.workspace) % LR_DEVICE_ALIGNMENT != 0)
    invalid("cuda.workspace is not aligned to " + std::to_string(LR_DEVICE_ALIGNMENT) + " bytes");
  if (reinterpret_cast<uintptr_t>(cuda_.bad_values) % sizeof(int64_t) != 0)
    invalid("cuda.bad_values is not aligned to 8 bytes");
}

const device::Table& Placement::table() const { return table_of(static_cast<DLDeviceType>(type_)); }

device::Execution Placement::begin() const {
  return {id_, cuda_.stream, cuda_.workspace, cuda_.workspace_bytes, cuda_.bad_values, ""};
}

void Placement::finish(const device::Execution& execution, lr_status status) const {
  if (status != LR_OK)
    fail(execution, status);
  if (cuda_.workspace == nullptr)
    target_->workspace_bytes = execution.workspace_bytes;
}

}  // namespace logratio::abi

using namespace logratio;

lr_status lr_device(DLDeviceType device_type, int32_t device_id, lr_device_info* info) {
  return abi::guarded({}, [&] {
    abi::check_device_type(device_type);
    if (info == nullptr)
      abi::invalid("info is NULL, and it is required");
    abi::check_struct("lr_device_info", info, abi::Published<lr_device_info>::size,
                      sizeof(lr_device_info));
    lr_device_info known{};
    device::Execution execution{device_id, nullptr, nullptr, 0, nullptr, ""};
    const lr_status status = abi::table_of(device_type).describe(&execution, &known);
    if (status != LR_OK)
      throw abi::Error(status, execution.error);
    known.size = info->size;
    std::memcpy(info, &known, info->size < sizeof known ? info->size : sizeof known);
  });
}

lr_status lr_device_bandwidth_probe(int32_t kind, DLDeviceType device_type, int32_t device_id,
                                    void* stream, void* source, void* destination, uint64_t bytes) {
  return abi::guarded({}, [&] {
    abi::check_device_type(device_type);
    abi::check_probe(kind, source, destination, bytes);
    const auto addresses =
        reinterpret_cast<uintptr_t>(source) | reinterpret_cast<uintptr_t>(destination);
    if (addresses % 16 != 0)
      abi::invalid("source or destination is not aligned to 16 bytes");
    if (bytes % 16 != 0)
      abi::invalid("bytes is " + std::to_string(bytes) + ", expected a multiple of 16");
    device::Execution execution{device_id, stream, nullptr, 0, nullptr, ""};
    const op::BandwidthProbe call{kind, source, destination, bytes};
    const lr_status status = abi::table_of(device_type).bandwidth_probe(&execution, &call);
    if (status != LR_OK)
      throw abi::Error(status, execution.error);
  });
}
