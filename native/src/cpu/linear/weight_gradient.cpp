#include "cpu/linear/weight_gradient.h"

#include <algorithm>
#include <cstring>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/row_tasks.h"
#include "cpu/thread_pool.h"

namespace logratio::cpu {

WeightGradient::WeightGradient(const op::TrainedHead& head, const Tiles& tiles)
    : head_(head), tiles_(tiles) {
  if (head.wants_weight && !is_direct()) {
    const int64_t floats = tiles.vocab() * tiles.size();
    accumulator_ = LargeMemory(static_cast<size_t>(floats) * sizeof(float));
    accumulator_bytes_ = floats * int64_t{sizeof(float)};
    for (int64_t v = 0; head.accumulate && v < tiles.vocab(); ++v) {
      kernels().widen_row(head.grad_weight.type, row_address(head.grad_weight, v), tiles.size(),
                          accumulator_.floats() + v * tiles.size());
    }
  }
  if (head.grad_bias)
    bias_.resize(static_cast<size_t>(tiles.vocab()));
}

Matrix WeightGradient::sums(int64_t window) const {
  const int64_t begin = window * kWindow;
  if (is_direct())
    return {row_address(head_.grad_weight, begin),
            head_.grad_weight.inner > 1 ? head_.grad_weight.inner_stride : tiles_.size()};
  return {accumulator_.floats() + begin * tiles_.size(), tiles_.size()};
}

void WeightGradient::add(int64_t block, int64_t window, const float* tile, const Matrix& factor,
                         const TileSpace& space) {
  const int64_t count = tiles_.columns(window);
  if (head_.wants_weight) {
    const bool adds = block > 0 || head_.accumulate;
    tiles_.products().multiply(tiles_.type(),
                               {GemmForm::tn, count, tiles_.size(), tiles_.block_rows()}, factor,
                               {space.hidden, tiles_.size()}, adds, sums(window));
  }
  if (head_.grad_bias) {
    float* const sum = bias_.data() + window * kWindow;
    for (int64_t r = 0; r < tiles_.rows(block); ++r) {
      for (int64_t k = 0; k < count; ++k)
        sum[k] += tile[r * count + k];
    }
  }
}

void WeightGradient::finish() {
  if (head_.wants_weight)
    finish_weight();
  if (head_.grad_bias)
    finish_bias();
}

void WeightGradient::finish_weight() const {
  const op::LogitRows& gradient = head_.grad_weight;
  const int64_t size = tiles_.size(), bytes = size * op::bytes_of(gradient.type),
                summed = tiles_.blocks() > 0 ? tiles_.vocab() : 0;
  if (!is_direct()) {
    parallel_for(summed, [&](int64_t v) {
      kernels().narrow_row(gradient.type, accumulator_.floats() + v * size, size,
                           row_address(gradient, v));
    });
  }
  for (int64_t v = summed; v < gradient.inner && !head_.accumulate; ++v)
    std::memset(row_address(gradient, v), 0, static_cast<size_t>(bytes));
}

void WeightGradient::finish_bias() const {
  const op::TensorView& gradient = head_.grad_bias;
  std::vector<double> values(static_cast<size_t>(gradient.size()));
  if (head_.accumulate)
    read(gradient, 0, gradient.size(), values.data());
  for (size_t v = 0; v < bias_.size(); ++v)
    values[v] += bias_[v];
  write(gradient, 0, gradient.size(), values.data());
}

}  // namespace logratio::cpu
