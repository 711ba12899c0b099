// The tiles that a head's logits are made in: rows that are listed, packed into blocks, by windows
// of the vocabulary. A tile is small enough for a cache, so that logits are gone through where they
// were multiplied.
//
// A block has a fixed number of rows, the last one filled up with zeros, and a window a fixed
// number of columns: products have the same shape whatever the batch, and so the same bits.
#pragma once

#include <cstdint>

#include "cpu/linear/gemm.h"
#include "cpu/rows.h"
#include "cpu/scratch.h"
#include "op/linear.h"

namespace logratio::cpu {

inline constexpr int64_t kWindow = 512;            // columns
inline constexpr int64_t kWindowsPerSegment = 64;  // which are summed by themselves

// The memory of a thread.
struct TileSpace {
  void* hidden;     // [block_rows, H], of the products' type
  void* weight;     // [kWindow, H], of the products' type: where the weight cannot stay, else null
  float* logits;    // [block_rows, kWindow]
  void* narrow;     // the same, of the products' type where that is not f32
  float* gradient;  // [block_rows, H]: of hidden states
};

class Tiles {
 public:
  Tiles(const op::Head& head, int64_t vocab, const RowList& list);

  int64_t block_rows() const { return block_rows_; }
  int64_t blocks() const { return (list_.size() + block_rows_ - 1) / block_rows_; }
  int64_t windows() const { return (vocab_ + kWindow - 1) / kWindow; }
  int64_t segments() const { return (windows() + kWindowsPerSegment - 1) / kWindowsPerSegment; }
  int64_t size() const { return head_.hidden.columns; }  // H
  int64_t vocab() const { return vocab_; }
  // Entries of the list: first(b) .. first(b) + rows(b) - 1 are the block's.
  int64_t first(int64_t block) const { return block * block_rows_; }
  int64_t rows(int64_t block) const {
    const int64_t left = list_.size() - first(block);
    return left < block_rows_ ? left : block_rows_;
  }
  int64_t columns(int64_t window) const {
    const int64_t left = vocab_ - window * kWindow;
    return left < kWindow ? left : kWindow;
  }
  const RowList& list() const { return list_; }
  const op::Head& head() const { return head_; }
  const Gemm& products() const { return gemm_; }
  op::ElementType type() const { return type_; }  // of the products' factors

  int64_t space_bytes() const;  // of a thread
  TileSpace make_space(Scratch& scratch) const;

  // The block's hidden states, into the space.
  void load_hidden(int64_t block, const TileSpace& space) const;
  // The window's rows of the weight, where they lie or copied into the space.
  Matrix weight(int64_t window, const TileSpace& space) const;
  // The tile [block_rows, columns] of the hidden states that the space holds.
  void make_logits(int64_t window, const TileSpace& space, const Matrix& weight, float* tile) const;
  // A tile as a factor of products: itself, or narrowed in the space.
  Matrix factor(int64_t window, float* tile, const TileSpace& space) const;
  // Rows of a tile as a kernel takes them.
  op::LogitRows tile_rows(int64_t window, float* tile) const;

 private:
  void copy_row(const op::LogitRows& rows, int64_t row, void* to) const;

  const op::Head& head_;
  const int64_t vocab_;
  const RowList& list_;
  const Gemm& gemm_;
  const op::ElementType type_;
  const int64_t block_rows_;

  // Whether the weight is of another type, or its rows lie as no library takes them.
  bool copies_weight() const {
    return head_.weight.type != type_ ||
           (head_.weight.inner > 1 && head_.weight.inner_stride < size());
  }
  bool narrows() const { return type_ != op::ElementType::f32; }
};

// The type in which a head's products are made.
op::ElementType product_type(const op::Head& head, const Gemm& gemm);

}  // namespace logratio::cpu
