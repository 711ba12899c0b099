#include "cpu/linear/sweep.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>

#include "cpu/isa.h"
#include "cpu/row_tasks.h"

namespace logratio::cpu {

using math::RowPart;
using math::RowUpstream;

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
  const int64_t segments = (tiles_.windows() + kWindowsPerSegment - 1) / kWindowsPerSegment,
                rows = tiles_.block_rows();
  std::vector<RowPart> parts(static_cast<size_t>((last - first) * segments * rows),
                             RowPart::none());
  for (int64_t block = first; kept_ != nullptr && block < last; ++block)
    kept_->reserve(block);
  workers_.run((last - first) * segments, [&](int64_t task, const TileSpace& space) {
    const int64_t block = first + task / segments, begin = task % segments * kWindowsPerSegment;
    tiles_.load_hidden(block, space);
    for (int64_t w = begin; w < std::min(tiles_.windows(), begin + kWindowsPerSegment); ++w) {
      float* const kept = kept_ == nullptr ? nullptr : kept_->at(block, w);
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

void store_gradient(const Tiles& tiles, const op::LogitRows& gradient, int64_t block,
                    const float* rows) {
  for (int64_t r = 0; r < tiles.rows(block); ++r) {
    kernels().narrow_row(gradient.type, rows + r * tiles.size(), tiles.size(),
                         row_address(gradient, tiles.list().rows[tiles.first(block) + r]));
  }
}

void Sweep::backward(int64_t first, int64_t last, const RowUpstream* upstream,
                     const op::TrainedHead& head, WeightGradient& weight_gradient,
                     GradientTotals* totals) const {
  const int64_t blocks = last - first, rows = tiles_.block_rows(), size = tiles_.size();
  // How many windows of a block are done. Those of the block before come first, as the weight's
  // gradient sums blocks in their order.
  const auto done = std::make_unique<std::atomic<int64_t>[]>(static_cast<size_t>(blocks));
  std::vector<GradientTotals> found(static_cast<size_t>(blocks * rows));
  workers_.run(blocks, [&](int64_t task, const TileSpace& space) {
    const int64_t block = first + task;
    tiles_.load_hidden(block, space);
    for (int64_t w = 0; w < tiles_.windows(); ++w) {
      const Matrix weight = tiles_.weight(w, space);
      float* tile = kept_->at(block, w);
      if (tile == nullptr) {
        tile = space.logits;
        tiles_.make_logits(w, space, weight, tile);
      }
      const op::LogitRows logits = tiles_.tile_rows(w, tile);
      TokenBackward call{logits, logits, transform_, rows, upstream + task * rows, nullptr};
      call.first_column = w * kWindow;
      call.row_totals = totals == nullptr ? nullptr : found.data() + task * rows;
      Scratch scratch;
      kernels().token_backward(call, scratch);
      for (int64_t r = 0; totals != nullptr && r < tiles_.rows(block); ++r) {
        totals[tiles_.first(block) + r].squares += found[task * rows + r].squares;
        totals[tiles_.first(block) + r].nonfinite += found[task * rows + r].nonfinite;
      }
      const Matrix factor = tiles_.factor(w, tile, space);
      if (head.wants_hidden) {
        tiles_.products().multiply(tiles_.type(), {GemmForm::nn, rows, size, tiles_.columns(w)},
                                   factor, weight, w > 0, {space.gradient, size});
      }
      if (weight_gradient.is_wanted()) {
        while (task > 0 && done[task - 1].load(std::memory_order_acquire) <= w)
          std::this_thread::yield();
        weight_gradient.add(block, w, tile, factor, space);
        done[task].store(w + 1, std::memory_order_release);
      }
    }
    if (head.wants_hidden)
      store_gradient(tiles_, head.grad_hidden, block, space.gradient);
  });
  for (int64_t block = first; block < last; ++block)
    kept_->release(block);
}

}  // namespace logratio::cpu
