// Memory for the length of a call. Kernels are compiled once per instruction set and may hold
// neither exceptions nor containers of the standard library: they take arrays here, and the caller
// of the kernel gives them back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace logratio::cpu {

class Scratch {
 public:
  // Uninitialised, and aligned for anything. Throws bad_alloc.
  void* take(size_t bytes);

  template <class T>
  [[gnu::always_inline]] inline T* array(int64_t count) {
    return static_cast<T*>(take(static_cast<size_t>(count) * sizeof(T)));
  }

 private:
  std::vector<std::unique_ptr<char[]>> pieces_;
};

}  // namespace logratio::cpu
