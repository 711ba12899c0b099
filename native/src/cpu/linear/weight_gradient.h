// The gradients of a head's weight and bias: float32 sums over blocks, in their order. Where the
// gradient itself is float32, they are made in it.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/large_memory.h"
#include "cpu/linear/tiles.h"

namespace logratio::cpu {

class WeightGradient {
 public:
  WeightGradient(const op::TrainedHead& head, const Tiles& tiles);

  bool is_wanted() const { return head_.wants_weight || head_.grad_bias; }
  int64_t accumulator_bytes() const { return accumulator_bytes_; }

  // Adds a block's tile of the logits' gradient; blocks come one after the other in each window.
  // `factor` is the tile as products take it.
  void add(int64_t block, int64_t window, const float* tile, const Matrix& factor,
           const TileSpace& space);

  // After the last block: rounds to the gradients' types, and fills in the rows that no tile has.
  void finish();

 private:
  // Whether products may add to the gradient where it lies.
  bool is_direct() const {
    const op::LogitRows& gradient = head_.grad_weight;
    return gradient.type == op::ElementType::f32 &&
           (gradient.inner == 1 || gradient.inner_stride >= tiles_.size());
  }
  Matrix sums(int64_t window) const;
  void finish_weight() const;
  void finish_bias() const;

  const op::TrainedHead& head_;
  const Tiles& tiles_;
  int64_t accumulator_bytes_ = 0;
  LargeMemory accumulator_;  // [vocab, H], where the gradient is narrower
  std::vector<float> bias_;  // [vocab]
};

}  // namespace logratio::cpu
