#include "cpu/large_memory.h"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace logratio::cpu {

LargeMemory::LargeMemory(size_t bytes) : bytes_(bytes) {
  if (bytes == 0)
    return;
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::bad_alloc();
  madvise(memory, bytes, MADV_HUGEPAGE);  // where there are none, small pages do
  memory_ = memory;
}

LargeMemory& LargeMemory::operator=(LargeMemory&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

LargeMemory::~LargeMemory() {
  if (memory_ != nullptr)
    munmap(memory_, bytes_);
}

}  // namespace logratio::cpu
