// Where the tensors of a call lie, and the way from there to the library that runs it.
#pragma once

#include <cstdint>
#include <span>

#include "abi/errors.h"
#include "abi/operand.h"
#include "op/device_table.h"

namespace logratio::abi {

// A type of device that kernels run on: kDLCUDA or kDLExtDev.
void check_device_type(DLDeviceType type);
// The library for devices of such a type; opened when it is first needed.
const device::Table& table_of(DLDeviceType type);

// Metrics that kernels write.
inline void check_device_metrics(const lr_step_metrics* metrics) {
  if (reinterpret_cast<uintptr_t>(metrics) % alignof(lr_step_metrics) != 0)
    invalid("metrics is not aligned to 8 bytes");
}

// Host memory, or one device. Made first in an operation, from its operands (NULL ones do not
// count) and the `cuda` field.
class Placement {
 public:
  Placement(std::span<const Operand> operands, lr_cuda* cuda);

  bool on_device() const { return type_ != kDLCPU; }

  // Runs one of the table's operations, or stores the workspace that it needs.
  template <class Call>
  void run(lr_status (*device::Table::*operation)(device::Execution*, const Call*),
           const Call& call) const {
    device::Execution execution = begin();
    finish(execution, (table().*operation)(&execution, &call));
  }

 private:
  const device::Table& table() const;
  device::Execution begin() const;
  void finish(const device::Execution& execution, lr_status status) const;

  int32_t type_ = kDLCPU;
  int32_t id_ = 0;
  lr_cuda* target_;  // of workspace_bytes
  lr_cuda cuda_{};
};

}  // namespace logratio::abi
