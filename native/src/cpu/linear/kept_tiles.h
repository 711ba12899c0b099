// Tiles of logits that are kept from the forward to the backward, as many as there is room for.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/large_memory.h"
#include "cpu/linear/tiles.h"

namespace logratio::cpu {

class KeptTiles {
 public:
  KeptTiles(int64_t capacity, const Tiles& tiles);

  // Gives the block's first windows what room there is.
  void reserve(int64_t block);
  // nullptr: not kept.
  float* at(int64_t block, int64_t window) const {
    return window < count(block) ? tile_[block][window] : nullptr;
  }
  int64_t count(int64_t block) const { return static_cast<int64_t>(tile_[block].size()); }
  void release(int64_t block);
  int64_t most_bytes() const { return most_bytes_; }  // at one time

 private:
  const int64_t windows_;
  LargeMemory memory_;
  std::vector<float*> free_;
  std::vector<std::vector<float*>> tile_;  // of each block, those that it has now
  int64_t capacity_, tile_bytes_, most_bytes_ = 0;
};

}  // namespace logratio::cpu
