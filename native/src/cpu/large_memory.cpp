#include "cpu/large_memory.h"

#include <sys/mman.h>

#include <atomic>
#include <new>
#include <utility>

namespace logratio::cpu {
namespace {

struct Mapping {
  void* memory;
  size_t bytes;
};

// The last two mappings that calls gave back: logits that were kept, and sums of a gradient.
// Without a lock, which a child of fork() might find taken.
std::atomic<Mapping*> idle[2];

void unmap(Mapping* mapping) {
  if (mapping == nullptr)
    return;
  munmap(mapping->memory, mapping->bytes);
  delete mapping;
}

// One that is large enough and not much larger, else a new one.
Mapping* take(size_t bytes) {
  for (std::atomic<Mapping*>& place : idle) {
    Mapping* const mapping = place.exchange(nullptr);
    if (mapping != nullptr && mapping->bytes >= bytes && mapping->bytes / 2 <= bytes)
      return mapping;
    Mapping* nothing = nullptr;
    if (!place.compare_exchange_strong(nothing, mapping))
      unmap(mapping);
  }
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw std::bad_alloc();
  madvise(memory, bytes, MADV_HUGEPAGE);  // where there are none, small pages do
  return new Mapping{memory, bytes};
}

void give_back(Mapping* mapping) {
  madvise(mapping->memory, mapping->bytes, MADV_FREE);
  for (std::atomic<Mapping*>& place : idle)
    mapping = place.exchange(mapping);
  unmap(mapping);
}

}  // namespace

LargeMemory::LargeMemory(size_t bytes) {
  if (bytes == 0)
    return;
  Mapping* const mapping = take(bytes);
  mapping_ = mapping;
  memory_ = mapping->memory;
}

LargeMemory& LargeMemory::operator=(LargeMemory&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(memory_, other.memory_);
  return *this;
}

LargeMemory::~LargeMemory() {
  if (mapping_ != nullptr)
    give_back(static_cast<Mapping*>(mapping_));
}

}  // namespace logratio::cpu
