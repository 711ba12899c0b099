// Where an operation's rows of logits come from: they lie in memory (HeldRows), or are made block
// by block of hidden states (linear_head.h). The operation brings what is done to rows, and sees of
// each only its place among all rows.
#pragma once

#include <algorithm>
#include <functional>

#include "op/logit_rows.h"

namespace logratio::device {

// Rows [begin, begin + count) of the two views; others of the views need not exist.
struct RowBlock {
  op::LogitRows logits;
  op::LogitRows gradient;
  int64_t begin, count;
};

using Figures = std::function<void(const RowBlock&)>;
// Writes the gradient. `upstream` has each row's gradient by its log-prob; null: the operation
// knows it.
using Differentiate = std::function<void(const RowBlock&, const double* upstream)>;

class RowSource {
 public:
  virtual ~RowSource() = default;

  // Blocks as there will be, for their shapes: of the most rows, and the last one.
  virtual RowBlock first_block() const = 0;
  virtual RowBlock last_block() const = 0;

  // Calls `figures` once for every row, whose logits are there then.
  virtual void forward(const Figures& figures, const Differentiate& differentiate) = 0;
  // After the upstream is known: the gradients of all rows.
  virtual void backward(const Differentiate& differentiate) = 0;
};

class HeldRows : public RowSource {
 public:
  HeldRows(const op::LogitRows& logits, const op::LogitRows& gradient, int64_t count)
      : all_{logits, gradient, 0, count} {}

  RowBlock first_block() const override { return all_; }
  RowBlock last_block() const override { return all_; }
  void forward(const Figures& figures, const Differentiate&) override {
    if (all_.count > 0)
      figures(all_);
  }
  void backward(const Differentiate& differentiate) override {
    if (all_.count > 0)
      differentiate(all_, nullptr);
  }

 private:
  RowBlock all_;
};

}  // namespace logratio::device
