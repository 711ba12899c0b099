// The device that a run of the tests is for: the CPU, or what LOGRATIO_TEST_DEVICE names. On the
// emulator tensors lie in host memory, too.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "logratio.h"

namespace logratio::test {

inline bool& on_emulator() {
  static const char* const name = std::getenv("LOGRATIO_TEST_DEVICE");
  static bool emulator = name != nullptr && std::strcmp(name, "emulator") == 0;
  return emulator;
}

// Calls go to the CPU while this lives: for comparisons between the two.
class OnCpu {
 public:
  OnCpu() : before_(on_emulator()) { on_emulator() = false; }
  ~OnCpu() { on_emulator() = before_; }
  OnCpu(const OnCpu&) = delete;
  OnCpu& operator=(const OnCpu&) = delete;

 private:
  bool before_;
};

inline DLDevice test_device() { return {on_emulator() ? kDLExtDev : kDLCPU, 0}; }

// The text of the last failure as it is on the CPU: elsewhere each tensor is said to be there.
inline std::string last_error() {
  constexpr char kPlace[] = " on emulated device 0";
  std::string text = lr_last_error();
  for (size_t at; (at = text.find(kPlace)) != std::string::npos;)
    text.erase(at, sizeof kPlace - 1);
  return text;
}

// Device memory for a call's workspace, of no more bytes than asked for.
class WorkspaceMemory {
 public:
  explicit WorkspaceMemory(uint64_t bytes)
      : memory_(std::aligned_alloc(LR_DEVICE_ALIGNMENT, bytes), &std::free) {}
  void* get() const { return memory_.get(); }

 private:
  std::unique_ptr<void, void (*)(void*)> memory_;
};

// Calls an operation on the tensors' device: on a GPU's, first for the size of the workspace.
template <class Args>
lr_status call(lr_status (*operation)(const Args*), const Args& args,
               int64_t* bad_values = nullptr) {
  if (!on_emulator())
    return operation(&args);
  Args known = args;
  lr_cuda cuda{};
  cuda.size = sizeof cuda;
  cuda.bad_values = bad_values;
  known.cuda = &cuda;
  const lr_status status = operation(&known);
  if (status != LR_OK)
    return status;
  const WorkspaceMemory workspace(cuda.workspace_bytes);
  cuda.workspace = workspace.get();
  return operation(&known);
}

}  // namespace logratio::test
