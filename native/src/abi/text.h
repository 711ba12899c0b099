// How messages write values and tensors: word for word as the Java interface does.
#pragma once

#include <cstdint>
#include <string>

#include "logratio.h"

namespace logratio::abi {

// "0.05", "1.0E-5", "-Infinity": the fewest digits that tell the number from its neighbours.
std::string text_of(double value);

// "host memory", "CUDA 0".
std::string device_text(int32_t type, int32_t id);

// "F32 [4, 5]", "I64 [4] on CUDA 0".
std::string text_of(const DLTensor& tensor);

// "F32", "BOOL".
std::string text_of(DLDataType type);

// DLPack has more device types than this header's enum may hold; pinned memory is host memory.
int32_t type_of(const DLDevice& device);

}  // namespace logratio::abi
