#include "cpu/linear/tiles.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/row_tasks.h"

namespace logratio::cpu {
namespace {

constexpr int64_t kFloat = sizeof(float);

}  // namespace

op::ElementType product_type(const op::Head& head, const Gemm& gemm) {
  return head.hidden.type == op::ElementType::bf16 && gemm.takes_bfloat16() ? op::ElementType::bf16
                                                                            : op::ElementType::f32;
}

Tiles::Tiles(const op::Head& head, int64_t vocab, const RowList& list)
    : head_(head),
      vocab_(vocab),
      list_(list),
      gemm_(gemm()),
      type_(product_type(head, gemm_)),
      block_rows_(gemm_.block_rows(type_)) {}

int64_t Tiles::space_bytes() const {
  const int64_t element = op::bytes_of(type_);
  return block_rows_ * size() * (element + kFloat) +
         (copies_weight() ? kWindow * size() * element : 0) +
         block_rows_ * kWindow * (kFloat + (narrows() ? element : 0));
}

TileSpace Tiles::make_space(Scratch& scratch) const {
  return {scratch.take(static_cast<size_t>(block_rows_ * size() * op::bytes_of(type_))),
          copies_weight()
              ? scratch.take(static_cast<size_t>(kWindow * size() * op::bytes_of(type_)))
              : nullptr,
          scratch.array<float>(block_rows_ * kWindow),
          narrows() ? scratch.take(static_cast<size_t>(block_rows_ * kWindow * op::bytes_of(type_)))
                    : nullptr,
          scratch.array<float>(block_rows_ * size())};
}

void Tiles::copy_row(const op::LogitRows& rows, int64_t row, void* to) const {
  const char* const from = row_address(rows, row);
  if (rows.type == type_) {
    std::memcpy(to, from, static_cast<size_t>(size() * op::bytes_of(type_)));
  } else {
    kernels().widen_row(rows.type, from, size(), static_cast<float*>(to));
  }
}

void Tiles::load_hidden(int64_t block, const TileSpace& space) const {
  const int64_t bytes = size() * op::bytes_of(type_);
  char* to = static_cast<char*>(space.hidden);
  for (int64_t k = first(block); k < first(block) + rows(block); ++k, to += bytes)
    copy_row(head_.hidden, list_.rows[k], to);
  std::memset(to, 0, static_cast<size_t>((block_rows_ - rows(block)) * bytes));
}

Matrix Tiles::weight(int64_t window, const TileSpace& space) const {
  const int64_t begin = window * kWindow;
  if (!copies_weight())
    return {row_address(head_.weight, begin),
            head_.weight.inner > 1 ? head_.weight.inner_stride : size()};
  const int64_t bytes = size() * op::bytes_of(type_);
  for (int64_t r = 0; r < columns(window); ++r)
    copy_row(head_.weight, begin + r, static_cast<char*>(space.weight) + r * bytes);
  return {space.weight, size()};
}

void Tiles::make_logits(int64_t window, const TileSpace& space, const Matrix& weight,
                        float* tile) const {
  const int64_t count = columns(window);
  if (head_.bias) {
    double bias[kWindow];
    read(head_.bias, window * kWindow, count, bias);
    std::transform(bias, bias + count, tile,
                   [](double value) { return static_cast<float>(value); });
    for (int64_t r = 1; r < block_rows_; ++r)
      std::memcpy(tile + r * count, tile, static_cast<size_t>(count * kFloat));
  }
  gemm_.multiply(type_, {GemmForm::nt, block_rows_, count, size()}, {space.hidden, size()}, weight,
                 head_.bias.present, {tile, count});
}

Matrix Tiles::factor(int64_t window, float* tile, const TileSpace& space) const {
  const int64_t count = columns(window);
  if (type_ == op::ElementType::f32)
    return {tile, count};
  kernels().narrow_row(type_, tile, block_rows_ * count, space.narrow);
  return {space.narrow, count};
}

op::LogitRows Tiles::tile_rows(int64_t window, float* tile) const {
  const int64_t count = columns(window);
  return {tile, op::ElementType::f32, block_rows_, 0, count, count};
}

}  // namespace logratio::cpu
