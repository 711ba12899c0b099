#include "cpu/linear/kept_tiles.h"

#include <algorithm>

namespace logratio::cpu {

KeptTiles::KeptTiles(int64_t capacity, const Tiles& tiles)
    : windows_(tiles.windows()),
      tile_(static_cast<size_t>(tiles.blocks())),
      capacity_(capacity),
      tile_bytes_(tiles.block_rows() * kWindow * int64_t{sizeof(float)}) {
  const int64_t floats = tiles.block_rows() * kWindow;
  memory_ = LargeMemory(static_cast<size_t>(capacity * floats) * sizeof(float));
  for (int64_t k = capacity - 1; k >= 0; --k)
    free_.push_back(memory_.floats() + k * floats);
}

void KeptTiles::reserve(int64_t block) {
  std::vector<float*>& tiles = tile_[block];
  while (!free_.empty() && static_cast<int64_t>(tiles.size()) < windows_) {
    tiles.push_back(free_.back());
    free_.pop_back();
  }
  most_bytes_ =
      std::max(most_bytes_, (capacity_ - static_cast<int64_t>(free_.size())) * tile_bytes_);
}

void KeptTiles::release(int64_t block) {
  free_.insert(free_.end(), tile_[block].begin(), tile_[block].end());
  tile_[block].clear();
}

}  // namespace logratio::cpu
