// Forward and backward of blocks of rows, tile by tile: the backward of a tile finds its logits
// kept, or multiplies them again.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/linear/kept_tiles.h"
#include "cpu/linear/tiles.h"
#include "cpu/linear/weight_gradient.h"
#include "cpu/linear/worker.h"
#include "cpu/rows.h"

namespace logratio::cpu {

// A tile's part of the figures of its rows: adds to `parts`, which are of a segment of windows.
void add_window(const Tiles& tiles, int64_t block, int64_t window, bool everything,
                const op::RowTransform& transform, float* tile, math::RowPart* parts);

class Sweep {
 public:
  Sweep(const Tiles& tiles, const Workers& workers, const op::RowTransform& transform,
        bool everything, KeptTiles& kept)
      : tiles_(tiles),
        workers_(workers),
        transform_(transform),
        everything_(everything),
        kept_(kept) {}

  // Blocks first .. last-1.
  void forward(int64_t first, int64_t last, math::RowFigures* figures) const;

  // The gradients of blocks whose rows have their upstream, one per row of each block. `totals`
  // receives those of the list's entries. Returns the bytes of the sums that it held meanwhile.
  int64_t backward(int64_t first, int64_t last, const math::RowUpstream* upstream,
                   const op::TrainedHead& head, WeightGradient& weight_gradient,
                   GradientTotals* totals) const;

 private:
  const Tiles& tiles_;
  const Workers& workers_;
  const op::RowTransform& transform_;
  const bool everything_;
  KeptTiles& kept_;
};

// Writes a block's rows of the gradient of hidden states.
void store_gradient(const Tiles& tiles, const op::LogitRows& gradient, int64_t block,
                    const float* rows);

}  // namespace logratio::cpu
