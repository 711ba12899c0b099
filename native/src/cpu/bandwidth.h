// Measures what the memory gives, with the threads and instruction set that the kernels use.
#pragma once

#include <cstdint>

namespace logratio::cpu {

enum class Bandwidth : int { read = 0, copy = 1, update = 2 };

// Runs a probe once over `bytes` of memory and returns its seconds. The source keeps its values.
double bandwidth_probe(Bandwidth kind, void* source, void* destination, uint64_t bytes);

}  // namespace logratio::cpu
