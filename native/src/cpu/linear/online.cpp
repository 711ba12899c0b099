#include "cpu/linear/online.h"

#include <algorithm>
#include <cmath>

#include "cpu/isa.h"
#include "cpu/row_tasks.h"
#include "math/softcap.h"

namespace logratio::cpu {

using math::RowPart;
using math::RowUpstream;

namespace {

constexpr int64_t kElsewhere = INT64_MAX / 2;  // a label that no window has

}  // namespace

void Online::forward(int64_t first, int64_t last, math::RowFigures* figures) {
  const auto rows = static_cast<size_t>(tiles_.block_rows());
  const int64_t floats = tiles_.block_rows() * tiles_.size();
  for (int64_t block = first; block < last; ++block) {
    blocks_[block] = {std::vector<float>(static_cast<size_t>(floats)),
                      std::vector<double>(rows, -math::kInfinity), std::vector<double>(rows),
                      std::vector<float>(rows)};
    bytes_ += floats * int64_t{sizeof(float)};
  }
  most_bytes_ = std::max(most_bytes_, bytes_);
  workers_.run(last - first, [&](int64_t task, const TileSpace& space) {
    sum_block(first + task, space, figures);
  });
}

void Online::sum_block(int64_t block, const TileSpace& space, math::RowFigures* figures) {
  const int64_t rows = tiles_.block_rows();
  Scratch scratch;
  auto* const upstream = scratch.array<RowUpstream>(rows);
  auto* const segment = scratch.array<RowPart>(rows);
  auto* const whole = scratch.array<RowPart>(rows);
  std::fill_n(segment, rows, RowPart::none());
  std::fill_n(whole, rows, RowPart::none());
  tiles_.load_hidden(block, space);
  for (int64_t w = 0; w < tiles_.windows(); ++w) {
    const Matrix weight = tiles_.weight(w, space);
    tiles_.make_logits(w, space, weight, space.logits);
    take_window(block, w, space, weight, segment, upstream);
    if ((w + 1) % kWindowsPerSegment == 0 || w + 1 == tiles_.windows()) {
      for (int64_t r = 0; r < rows; ++r) {
        whole[r].add(segment[r], transform_.temperature);
        segment[r] = RowPart::none();
      }
    }
  }
  for (int64_t r = 0; r < tiles_.rows(block); ++r) {
    const int64_t entry = tiles_.first(block) + r;
    figures[entry] =
        math::finish_row(whole[r], tiles_.list().labels[entry], transform_.temperature);
  }
}

void Online::take_window(int64_t block, int64_t window, const TileSpace& space,
                         const Matrix& weight, RowPart* parts, RowUpstream* upstream) {
  Block& b = blocks_[block];
  const int64_t begin = window * kWindow, columns = tiles_.columns(window),
                rows = tiles_.block_rows(), size = tiles_.size();
  add_window(tiles_, block, window, everything_, transform_, space.logits, parts);
  for (int64_t r = 0; r < rows; ++r) {
    upstream[r] = {-1, {}, 0, 0, 0};
    if (r >= tiles_.rows(block) || tiles_.list().labels[tiles_.first(block) + r] < 0)
      continue;
    const int64_t label = tiles_.list().labels[tiles_.first(block) + r] - begin;
    if (label >= 0 && label < columns) {
      float& logit = space.logits[r * columns + label];
      b.labels[r] = logit;
      logit = -static_cast<float>(math::kInfinity);
    }
    double pivot = b.pivots[r];
    if (parts[r].sums.e() != 0 && !(parts[r].sums.pivot <= pivot))
      pivot = parts[r].sums.pivot;
    if (pivot != b.pivots[r] && b.pivots[r] != -math::kInfinity) {
      const double factor = std::exp((b.pivots[r] - pivot) / transform_.temperature);
      b.squares[r] *= factor * factor;
      float* const sums = b.sums.data() + r * size;
      for (int64_t k = 0; k < size; ++k)
        sums[k] *= static_cast<float>(factor);
    }
    b.pivots[r] = pivot;
    upstream[r] = {kElsewhere, {pivot == -math::kInfinity ? 0 : pivot, 0, -1}, 0, 1, 0};
  }
  const op::LogitRows logits = tiles_.tile_rows(window, space.logits);
  TokenBackward call{logits, logits, transform_, rows, upstream, nullptr};
  call.first_column = begin;
  Scratch scratch;
  auto* const totals = scratch.array<GradientTotals>(rows);
  call.row_totals = wants_totals_ ? totals : nullptr;
  kernels().token_backward(call, scratch);
  for (int64_t r = 0; wants_totals_ && r < rows; ++r)
    b.squares[r] += totals[r].squares;
  tiles_.products().multiply(tiles_.type(), {GemmForm::nn, rows, size, columns},
                             tiles_.factor(window, space.logits, space), weight, true,
                             {b.sums.data(), size});
}

void Online::backward(int64_t first, int64_t last, const RowUpstream* upstream,
                      const op::TrainedHead& head, GradientTotals* totals) {
  const int64_t rows = tiles_.block_rows(), size = tiles_.size();
  workers_.run(last - first, [&](int64_t task, const TileSpace&) {
    const int64_t block = first + task;
    Scratch scratch;
    float* const weight_row = scratch.array<float>(size);
    float* const sums = blocks_[block].sums.data();
    for (int64_t r = 0; r < tiles_.rows(block); ++r)
      finish_row(block, r, upstream[task * rows + r], head, weight_row, sums + r * size, totals);
    store_gradient(tiles_, head.grad_hidden, block, sums);
  });
  for (int64_t block = first; block < last; ++block) {
    blocks_[block] = {};
    bytes_ -= rows * size * int64_t{sizeof(float)};
  }
}

void Online::finish_row(int64_t block, int64_t r, const RowUpstream& upstream,
                        const op::TrainedHead& head, float* weight_row, float* row,
                        GradientTotals* totals) const {
  const Block& b = blocks_[block];
  const int64_t size = tiles_.size();
  if (upstream.is_zero()) {
    std::fill_n(row, size, 0.0f);
    return;
  }
  const double temperature = transform_.temperature,
               pivot = b.pivots[r] == -math::kInfinity ? 0 : b.pivots[r],
               slope = math::softcap_slope_at(b.labels[r], transform_.softcap);
  const math::RowGradient gradient = math::row_gradient(
      upstream, {upstream.norm.pivot, upstream.of_others(), false}, pivot, temperature, slope);
  const double of_sums = -gradient.scale * temperature;
  kernels().widen_row(head.weight.type, row_address(head.weight, upstream.label), size, weight_row);
  for (int64_t k = 0; k < size; ++k)
    row[k] = static_cast<float>(of_sums * row[k] + gradient.label_value * weight_row[k]);
  if (totals == nullptr)
    return;
  const double squares =
      of_sums * of_sums * b.squares[r] + gradient.label_value * gradient.label_value;
  totals[tiles_.first(block) + r] = {squares, std::isfinite(squares) ? 0 : tiles_.vocab()};
}

}  // namespace logratio::cpu
