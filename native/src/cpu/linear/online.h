// The gradient of hidden states where the weight has none: summed in the forward, as a sum of the
// weight's rows by exponentials, and scaled when the upstream is known. Nothing of the logits is
// kept or multiplied twice, and a row's upstream may come as late as it likes.
//
// Exponents are from a pivot that moves up with the windows' own, and what was summed before is
// scaled down then. The label's column is left out: where it has nearly all of the probability, the
// others keep their digits.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/linear/sweep.h"

namespace logratio::cpu {

class Online {
 public:
  Online(const Tiles& tiles, const Workers& workers, const op::RowTransform& transform,
         bool everything, bool wants_totals)
      : tiles_(tiles),
        workers_(workers),
        transform_(transform),
        everything_(everything),
        wants_totals_(wants_totals),
        blocks_(static_cast<size_t>(tiles.blocks())) {}

  // Blocks first .. last-1.
  void forward(int64_t first, int64_t last, math::RowFigures* figures);

  // The gradient of the same blocks, with an upstream per row of each. `totals`, if wanted,
  // receives those of the list's entries.
  void backward(int64_t first, int64_t last, const math::RowUpstream* upstream,
                const op::TrainedHead& head, GradientTotals* totals);

  int64_t most_bytes() const { return most_bytes_; }

 private:
  struct Block {
    std::vector<float> sums;      // [block_rows, H]
    std::vector<double> pivots;   // of the rows; -inf while nothing else was seen
    std::vector<double> squares;  // of the logits' gradients, the labels aside
    std::vector<float> labels;    // raw logits
  };

  void sum_block(int64_t block, const TileSpace& space, math::RowFigures* figures);
  void take_window(int64_t block, int64_t window, const TileSpace& space, const Matrix& weight,
                   math::RowPart* parts, math::RowUpstream* upstream);
  void finish_row(int64_t block, int64_t r, const math::RowUpstream& upstream,
                  const op::TrainedHead& head, float* weight_row, float* row,
                  GradientTotals* totals) const;

  const Tiles& tiles_;
  const Workers& workers_;
  const op::RowTransform& transform_;
  const bool everything_;
  const bool wants_totals_;
  std::vector<Block> blocks_;
  int64_t bytes_ = 0, most_bytes_ = 0;
};

}  // namespace logratio::cpu
