#include "cpu/linear/sweep.h"

#include <algorithm>

#include "cpu/isa.h"

namespace logratio::cpu {

using math::RowPart;

void add_window(const Tiles& tiles, int64_t block, int64_t window, bool everything,
                const op::RowTransform& transform, float* tile, RowPart* parts) {
  const int64_t begin = window * kWindow, rows = tiles.rows(block), columns = tiles.columns(window);
  Scratch scratch;
  auto* const labels = scratch.array<int64_t>(rows);
  auto* const found = scratch.array<RowPart>(rows);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t label = tiles.list().labels[tiles.first(block) + r] - begin;
    labels[r] = label >= 0 && label < columns ? label : -1;
  }
  TokenForward call{
      tiles.tile_rows(window, tile), transform, everything, rows, nullptr, labels, nullptr};
  call.parts = found;
  kernels().token_forward(call, scratch);
  for (int64_t r = 0; r < rows; ++r) {
    found[r].argmax += begin;
    parts[r].add(found[r], transform.temperature);
  }
}

void Sweep::forward(int64_t first, int64_t last, math::RowFigures* figures) const {
  const int64_t segments = tiles_.segments(), rows = tiles_.block_rows();
  std::vector<RowPart> parts(static_cast<size_t>((last - first) * segments * rows),
                             RowPart::none());
  for (int64_t block = first; block < last; ++block)
    kept_.reserve(block);
  workers_.run((last - first) * segments, [&](int64_t task, const TileSpace& space) {
    const int64_t block = first + task / segments, begin = task % segments * kWindowsPerSegment;
    tiles_.load_hidden(block, space);
    for (int64_t w = begin; w < std::min(tiles_.windows(), begin + kWindowsPerSegment); ++w) {
      float* const kept = kept_.at(block, w);
      float* const tile = kept == nullptr ? space.logits : kept;
      tiles_.make_logits(w, space, tiles_.weight(w, space), tile);
      add_window(tiles_, block, w, everything_, transform_, tile, parts.data() + task * rows);
    }
  });
  for (int64_t block = first; block < last; ++block) {
    for (int64_t r = 0; r < tiles_.rows(block); ++r) {
      RowPart row = RowPart::none();
      for (int64_t s = 0; s < segments; ++s)
        row.add(parts[((block - first) * segments + s) * rows + r], transform_.temperature);
      const int64_t entry = tiles_.first(block) + r;
      figures[entry] = math::finish_row(row, tiles_.list().labels[entry], transform_.temperature);
    }
  }
}

}  // namespace logratio::cpu
