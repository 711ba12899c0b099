// The backward of blocks. A task is a segment of windows of a block: its part of the hidden states'
// gradient is added to those of the segments before it, and each of its windows adds to the
// weight's gradient after the same window of the block before. So both are summed in one order
// whoever does it, and a task waits only for tasks that were begun before it.
#include "cpu/linear/sweep.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "cpu/isa.h"
#include "cpu/row_tasks.h"

namespace logratio::cpu {

using math::RowUpstream;

namespace {

// How far tasks have come, for those that wait for them.
class Progress {
 public:
  explicit Progress(int64_t tasks)
      : done_(std::make_unique<std::atomic<int64_t>[]>(static_cast<size_t>(tasks))) {}

  void wait_for(int64_t task, int64_t steps) const {
    while (done_[task].load(std::memory_order_acquire) < steps)
      std::this_thread::yield();
  }
  void tell(int64_t task, int64_t steps) { done_[task].store(steps, std::memory_order_release); }

 private:
  std::unique_ptr<std::atomic<int64_t>[]> done_;
};

void add(const float* from, int64_t count, float* to) {
  for (int64_t k = 0; k < count; ++k)
    to[k] += from[k];
}

}  // namespace

void store_gradient(const Tiles& tiles, const op::LogitRows& gradient, int64_t block,
                    const float* rows) {
  for (int64_t r = 0; r < tiles.rows(block); ++r) {
    kernels().narrow_row(gradient.type, rows + r * tiles.size(), tiles.size(),
                         row_address(gradient, tiles.list().rows[tiles.first(block) + r]));
  }
}

int64_t Sweep::backward(int64_t first, int64_t last, const RowUpstream* upstream,
                        const op::TrainedHead& head, WeightGradient& weight_gradient,
                        GradientTotals* totals) const {
  const int64_t blocks = last - first, segments = tiles_.segments(), rows = tiles_.block_rows(),
                size = tiles_.size();
  const bool sums_apart = head.wants_hidden && segments > 1;
  std::vector<float> sums(static_cast<size_t>(sums_apart ? blocks * rows * size : 0));
  std::vector<GradientTotals> found(
      static_cast<size_t>(totals == nullptr ? 0 : 2 * blocks * segments * rows));
  Progress windows(blocks * segments), added(blocks);
  workers_.run(blocks * segments, [&](int64_t task, const TileSpace& space) {
    const int64_t block = first + task / segments, segment = task % segments,
                  begin = segment * kWindowsPerSegment,
                  end = std::min(tiles_.windows(), begin + kWindowsPerSegment),
                  number = task / segments;
    GradientTotals* const of_task = totals == nullptr ? nullptr : found.data() + 2 * task * rows;
    tiles_.load_hidden(block, space);
    for (int64_t w = begin; w < end; ++w) {
      const Matrix weight = tiles_.weight(w, space);
      float* tile = kept_.at(block, w);
      if (tile == nullptr) {
        tile = space.logits;
        tiles_.make_logits(w, space, weight, tile);
      }
      const op::LogitRows logits = tiles_.tile_rows(w, tile);
      TokenBackward call{logits, logits, transform_, rows, upstream + number * rows, nullptr};
      call.first_column = w * kWindow;
      call.row_totals = of_task == nullptr ? nullptr : of_task + rows;
      Scratch scratch;
      kernels().token_backward(call, scratch);
      for (int64_t r = 0; of_task != nullptr && r < rows; ++r)
        of_task[r].add(of_task[rows + r]);
      const Matrix factor = tiles_.factor(w, tile, space);
      if (head.wants_hidden) {
        tiles_.products().multiply(tiles_.type(), {GemmForm::nn, rows, size, tiles_.columns(w)},
                                   factor, weight, w > begin, {space.gradient, size});
      }
      if (weight_gradient.is_wanted()) {
        if (number > 0)
          windows.wait_for(task - segments, w - begin + 1);
        weight_gradient.add(block, w, tile, factor, space);
        windows.tell(task, w - begin + 1);
      }
    }
    if (segment > 0)
      added.wait_for(number, segment);
    for (int64_t r = 0; of_task != nullptr && r < tiles_.rows(block); ++r)
      totals[tiles_.first(block) + r].add(of_task[r]);
    if (head.wants_hidden) {
      float* sum = space.gradient;
      if (sums_apart) {
        sum = sums.data() + number * rows * size;
        add(space.gradient, rows * size, sum);
      }
      if (segment + 1 == segments)
        store_gradient(tiles_, head.grad_hidden, block, sum);
    }
    added.tell(number, segment + 1);
  });
  for (int64_t block = first; block < last; ++block)
    kept_.release(block);
  return static_cast<int64_t>(sums.size() * sizeof(float));
}

}  // namespace logratio::cpu
