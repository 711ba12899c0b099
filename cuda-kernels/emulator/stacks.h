// The stacks of a block's threads, which are fibers.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define LR_ASAN 1
#else
#define LR_ASAN 0
#endif

namespace logratio::emulator {

constexpr size_t kMaxThreads = 1024;
constexpr size_t kPage = 4096;
constexpr size_t kStackBytes = LR_ASAN ? 256 * 1024 : 64 * 1024;

// Stacks are mapped once and used by every launch, each over a page that nobody may touch.
class Stacks {
 public:
  static constexpr size_t kStride = kStackBytes + kPage;

  char* bottom(size_t thread) {
    if (base_ == nullptr)
      map();
    return base_ + thread * kStride + kPage;
  }

 private:
  void map() {
    void* memory = mmap(nullptr, kMaxThreads * kStride, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      throw std::bad_alloc();
    base_ = static_cast<char*>(memory);
    for (size_t k = 0; k < kMaxThreads; ++k)
      mprotect(base_ + k * kStride, kPage, PROT_NONE);
  }

  char* base_ = nullptr;
};

// What AddressSanitizer must know of a change of stacks; nothing without it.
struct StackSwitch {
  static void leave([[maybe_unused]] void** saved, [[maybe_unused]] const void* bottom,
                    [[maybe_unused]] size_t size) {
#if LR_ASAN
    __sanitizer_start_switch_fiber(saved, bottom, size);
#endif
  }
  static void arrive([[maybe_unused]] void* saved, [[maybe_unused]] const void** from,
                     [[maybe_unused]] size_t* size) {
#if LR_ASAN
    __sanitizer_finish_switch_fiber(saved, from, size);
#endif
  }
};

}  // namespace logratio::emulator
