// Rows of logits that a head makes of hidden states, a block of rows at a time, and the gradients
// of what it made them of. Of M rows, V columns and hidden states of H numbers a product takes
// 2 M H V operations; what lies between products reads or writes 4 or 2 bytes per logit:
//
//   forward    hidden states are gathered (rows that do not count are 0), the product writes
//              logits, the operation's forward reads them
//   backward   the operation's backward writes the gradient over the logits; bfloat16 and float16
//              heads get a rounded copy of it; two products make of it the gradient of the hidden
//              states and add to that of the weight
//
// Where the upstream comes later, after all rows' forward, and the weight has no gradient, a
// block's backward follows its forward with an upstream of 1 and waits for the upstream as a row of
// H numbers: 4 M H V in all. Where the weight has one, the first blocks' logits are kept as far as
// budget_bytes go, and the last block's; the others are multiplied again, 6 to 8 M H V. Blocks have
// gemm::block_rows() rows whatever there is to keep, and go into the weight's gradient in one
// order, so that the budget changes no bit.
//
// The host does not know which rows count: all of them are multiplied.
#pragma once

#include "gemm.h"
#include "op/linear.h"
#include "row_source.h"
#include "runtime.h"

namespace logratio::device {

enum class UpstreamComes {
  never,  // there is no gradient
  known,  // it is there before the forward
  later,  // it follows from all rows' figures
};

class LinearHead : public RowSource {
 public:
  // Takes its part of the workspace.
  LinearHead(const Execution& execution, const op::TrainedHead& head, int64_t rows,
             UpstreamComes upstream, Workspace& workspace);
  // Without a gradient; of the same rows and columns, of which it reads the same.
  LinearHead(const LinearHead& beside, const op::Head& head, Workspace& workspace);

  // For the caller to fill in, an element a row: not 0 where the row is read, before the forward;
  // and not 0 where it has a gradient, before the backward or, of a known upstream, the forward.
  // Where scales() is true it is the upstream itself.
  double* reads() const { return reads_; }
  double* upstream() const { return upstream_; }
  // Whether the forward differentiates by an upstream of 1, which reads() has, and the backward
  // scales what came of it.
  bool scales() const { return comes_ == UpstreamComes::later && at_once_; }

  // What the call will do; `others` are heads that run beside it. After all of the workspace is
  // taken, of which there is so much.
  void tell_plan(std::initializer_list<const LinearHead*> others, uint64_t workspace_bytes) const;

  // Before the forward: outputs become NaN on the emulator.
  void start() const;

  RowBlock first_block() const override { return block(0); }
  RowBlock last_block() const override { return block(std::max<int64_t>(blocks_ - 1, 0)); }
  void forward(const Figures& figures, const Differentiate& differentiate) override;
  void backward(const Differentiate& differentiate) override;

 private:
  bool trains() const { return head_.wants_weight || head_.grad_bias.present; }
  bool is_narrow() const { return head_.weight.type != op::ElementType::f32; }
  bool is_kept(int64_t b) const { return b < buffers_ - 1 || b == blocks_ - 1; }
  float* buffer(int64_t b) const { return logits_ + std::min(b, buffers_ - 1) * block_numbers_; }
  int64_t kept_rows() const;

  RowBlock block(int64_t b) const;
  void multiply(gemm::Product product) const;
  void gather(int64_t b, const double* wanted) const;
  void make_logits(int64_t b) const;
  void add_gradients(int64_t b, const double* upstream, bool first) const;
  void write_hidden_rows(int64_t b, const float* products, const double* upstream) const;
  void write_weight() const;

  Execution execution_;
  op::TrainedHead head_;
  int64_t rows_, hidden_, vocab_;
  UpstreamComes comes_;
  bool at_once_;  // a block's backward follows its forward
  int64_t block_rows_, blocks_;
  int64_t hidden_stride_, logit_stride_, block_numbers_;
  int64_t buffers_;  // of blocks of logits
  gemm::Matrix weight_;

  // In the workspace. Absent ones are null.
  void* gemm_;
  double* reads_;
  double* upstream_;
  float* bias_;
  void* gathered_;     // hidden states of a block
  float* logits_;      // of some blocks, which become their gradient
  void* rounded_;      // the gradient of a block of logits, of the head's type
  float* of_hidden_;   // the gradient of a block's hidden states; where it is scaled later, of all
  float* of_weight_;   // sums; null also where they are the gradient itself
  gemm::Matrix sums_;  // what the products add to
  double* of_bias_;
  uint64_t accumulator_bytes_ = 0;
};

}  // namespace logratio::device
