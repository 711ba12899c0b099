#include "cpu/scratch.h"

namespace logratio::cpu {

void* Scratch::take(size_t bytes) {
  constexpr size_t kAlignment = 64;
  pieces_.push_back(std::make_unique_for_overwrite<char[]>(bytes + kAlignment));
  const auto address = reinterpret_cast<uintptr_t>(pieces_.back().get());
  return reinterpret_cast<void*>((address + kAlignment - 1) / kAlignment * kAlignment);
}

}  // namespace logratio::cpu
