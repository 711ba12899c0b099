// Memory of many megabytes for the length of a call, on huge pages where the system has them: the
// first touch of a page costs as much as many products, and there are 512 times fewer of these.
#pragma once

#include <cstddef>
#include <cstdint>

namespace logratio::cpu {

class LargeMemory {
 public:
  LargeMemory() = default;
  // Zeros, in pages that are not there before they are touched. Throws bad_alloc.
  explicit LargeMemory(size_t bytes);
  LargeMemory(LargeMemory&& other) noexcept : memory_(other.memory_), bytes_(other.bytes_) {
    other.memory_ = nullptr;
  }
  LargeMemory& operator=(LargeMemory&& other) noexcept;
  ~LargeMemory();

  float* floats() const { return static_cast<float*>(memory_); }

 private:
  void* memory_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace logratio::cpu
