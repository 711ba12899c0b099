// What makes the matrix products on a device, as the library that runs the kernels there tells it.
#include <cstring>

#include "abi/device.h"
#include "abi/errors.h"

using namespace logratio;

lr_status lr_device_gemm(DLDeviceType device_type, int32_t device_id, lr_gemm_info* info) {
  return abi::guarded({}, [&] {
    abi::check_device_type(device_type);
    if (info == nullptr)
      abi::invalid("info is NULL, and it is required");
    abi::check_struct("lr_gemm_info", info, abi::Published<lr_gemm_info>::size,
                      sizeof(lr_gemm_info));
    lr_gemm_info known{};
    device::Execution execution{device_id, nullptr, nullptr, 0, nullptr, ""};
    const lr_status status = abi::table_of(device_type).gemm(&execution, &known);
    if (status != LR_OK)
      throw abi::Error(status, execution.error);
    known.size = info->size;
    std::memcpy(info, &known, info->size < sizeof known ? info->size : sizeof known);
  });
}
