// Memory of many megabytes for the length of a call, on huge pages where the system has them. The
// first touch of memory costs as much as many products, so that what a call gives back stays mapped
// for the next one; the system may take its pages whenever it lacks some.
#pragma once

#include <cstddef>

namespace logratio::cpu {

class LargeMemory {
 public:
  LargeMemory() = default;
  // Uninitialised. Throws bad_alloc.
  explicit LargeMemory(size_t bytes);
  LargeMemory& operator=(LargeMemory&& other) noexcept;
  ~LargeMemory();

  float* floats() const { return static_cast<float*>(memory_); }

 private:
  void* mapping_ = nullptr;
  void* memory_ = nullptr;
};

}  // namespace logratio::cpu
