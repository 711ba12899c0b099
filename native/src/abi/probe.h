// The arguments that both bandwidth probes have.
#pragma once

#include <cstdint>

namespace logratio::abi {

void check_probe(int32_t kind, const void* source, const void* destination, uint64_t bytes);

}  // namespace logratio::abi
