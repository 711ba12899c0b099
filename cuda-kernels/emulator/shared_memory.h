// The shared memory of a block.
#pragma once

#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "stacks.h"

namespace logratio::emulator {

constexpr size_t kMaxStaticShared = 48 * 1024;
constexpr size_t kMaxShared = 227 * 1024;
constexpr size_t kRedZone = 256;
constexpr unsigned char kRedZoneByte = 0xff;  // NaN

// Pieces between red zones. What is read of a red zone is NaN, what is written there is found at
// the end of the block; under AddressSanitizer both are errors at once.
class SharedMemory {
 public:
  SharedMemory() : arena_(static_cast<char*>(std::aligned_alloc(kPage, kArena))) {
    if (arena_ == nullptr)
      throw std::bad_alloc();
  }

  void start(size_t dynamic_bytes) {
    unpoison(arena_, kArena);
    pieces_.clear();
    used_ = 0;
    static_bytes_ = 0;
    dynamic_ = nullptr;
    red_zone();
    if (dynamic_bytes > 0)
      dynamic_ = add(nullptr, dynamic_bytes, 16);
  }

  void* piece(const void* key, size_t bytes, size_t alignment) {
    for (const Piece& piece : pieces_) {
      if (piece.key == key)
        return piece.memory;
    }
    static_bytes_ += bytes;
    if (static_bytes_ > kMaxStaticShared)
      return nullptr;
    return add(key, bytes, alignment);
  }

  void* dynamic() const { return dynamic_; }

  // Where another block has what this one has at an address of its shared memory; null: nowhere.
  void* twin(const void* address, const SharedMemory& other) const {
    const auto* at = static_cast<const char*>(address);
    for (const Piece& own : pieces_) {
      if (at < own.memory || at >= own.memory + own.bytes)
        continue;
      for (const Piece& piece : other.pieces_) {
        if (piece.key == own.key)
          return piece.memory + (at - own.memory);
      }
    }
    return nullptr;
  }

  bool intact() {
    unpoison(arena_, kArena);
    size_t at = 0;
    for (const Piece& piece : pieces_) {
      const auto begin = static_cast<size_t>(piece.memory - arena_);
      if (!is_red(at, begin))
        return false;
      at = begin + piece.bytes;
    }
    return is_red(at, used_);
  }

 private:
  static constexpr size_t kArena =
      (kMaxShared + 64 * (2 * kRedZone + 64) + kPage - 1) / kPage * kPage;

  struct Piece {
    const void* key;
    char* memory;
    size_t bytes;
  };

  char* add(const void* key, size_t bytes, size_t alignment) {
    const size_t begin = (used_ + alignment - 1) / alignment * alignment;
    if (begin + bytes + kRedZone > kArena)
      return nullptr;
    std::memset(arena_ + used_, kRedZoneByte, begin - used_);
    poison(arena_ + used_, begin - used_);
    std::memset(arena_ + begin, 0xff, bytes);
    pieces_.push_back({key, arena_ + begin, bytes});
    used_ = begin + bytes;
    red_zone();
    return arena_ + begin;
  }

  void red_zone() {
    std::memset(arena_ + used_, kRedZoneByte, kRedZone);
    poison(arena_ + used_, kRedZone);
    used_ += kRedZone;
  }

  bool is_red(size_t begin, size_t end) const {
    for (size_t k = begin; k < end; ++k) {
      if (static_cast<unsigned char>(arena_[k]) != kRedZoneByte)
        return false;
    }
    return true;
  }

  static void poison([[maybe_unused]] char* memory, [[maybe_unused]] size_t bytes) {
#if LR_ASAN
    __asan_poison_memory_region(memory, bytes);
#endif
  }
  static void unpoison([[maybe_unused]] char* memory, [[maybe_unused]] size_t bytes) {
#if LR_ASAN
    __asan_unpoison_memory_region(memory, bytes);
#endif
  }

  char* arena_;
  std::vector<Piece> pieces_;
  size_t used_ = 0;
  size_t static_bytes_ = 0;
  char* dynamic_ = nullptr;
};

}  // namespace logratio::emulator
