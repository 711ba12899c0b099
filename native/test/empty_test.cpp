// Tensors without an element whose other sizes no memory holds, at NULL with an offset: a call
// returns at once, and reads and writes nothing of them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/tensor.h"

namespace logratio::test {
namespace {

constexpr int64_t kHuge[] = {int64_t{1} << 62, std::numeric_limits<int64_t>::max() - 1};

class Shaped {
 public:
  Shaped(D type, std::vector<int64_t> shape) : type_(type), shape_(std::move(shape)) {}
  operator const DLTensor*() {
    view_ = {nullptr,
             test_device(),
             static_cast<int32_t>(shape_.size()),
             dtype_of(type_),
             shape_.data(),
             nullptr,
             24};
    return &view_;
  }

 private:
  D type_;
  std::vector<int64_t> shape_;
  DLTensor view_{};
};

// Shapes of logits without a row, with the shape of their labels.
std::vector<std::pair<std::vector<int64_t>, std::vector<int64_t>>> row_shapes(int64_t huge) {
  return {{{0, huge}, {0}},
          {{0, huge, huge}, {0, huge}},
          {{huge, 0, huge}, {huge, 0}},
          {{huge, 0, 3}, {huge, 0}}};
}

TEST(Empty, TokenLogprobs) {
  for (const int64_t huge : kHuge) {
    for (const auto& [shape, rows] : row_shapes(huge)) {
      for (const D type : {D::f32, D::bf16}) {
        Shaped logits(type, shape), labels(D::i32, rows), figure(D::f32, rows), index(D::i64, rows),
            gradient(type, shape);
        auto args = make_args<lr_token_logprobs_args>();
        args.logits = logits;
        args.labels = labels;
        args.options = {-100, 1, 30};
        args.logp = args.lse = args.lse2 = args.entropy = args.mean_logit = figure;
        args.argmax = index;
        EXPECT_EQ(call(lr_token_logprobs, args), LR_OK) << lr_last_error();
        auto back = make_args<lr_token_logprobs_backward_args>();
        back.logits = logits;
        back.labels = labels;
        back.options = default_token_options();
        back.lse = back.entropy = back.grad_logp = back.grad_entropy = figure;
        back.grad_logits = gradient;
        EXPECT_EQ(call(lr_token_logprobs_backward, back), LR_OK) << lr_last_error();
      }
    }
  }
}

TEST(Empty, ScoringRule) {
  for (const int64_t huge : kHuge) {
    for (const auto& [shape, rows] : row_shapes(huge)) {
      for (const int64_t vocab : {int64_t{0}, shape.back()}) {
        Shaped logits(D::f32, shape), labels(D::i64, rows), values(D::f16, rows),
            upstream(D::f64, rows), gradient(D::f32, shape);
        Tensor loss(D::f64, {1}, {7});
        auto args = make_args<lr_scoring_rule_args>();
        args.logits = logits;
        args.labels = labels;
        args.options = {LR_RULE_BRIER, LR_SELTEN, 1, 0, 2, .1, vocab, -100};
        args.grad_loss = upstream;
        args.values = values;
        args.loss = loss;
        args.grad_logits = gradient;
        ASSERT_EQ(call(lr_scoring_rule, args), LR_OK) << lr_last_error();
        EXPECT_EQ(loss.get(0), 0);
      }
    }
  }
}

TEST(Empty, Divergence) {
  for (const int64_t huge : kHuge) {
    for (const bool weights : {false, true}) {
      for (const bool by_index : {false, true}) {
        Shaped p(D::f32, {0, huge}), q(D::f32, {0, huge}), rows(D::i64, {0}),
            row_weights(D::f32, {0}), values(D::f32, {0});
        Shaped grad_p(D::f32, {0, huge}), grad_q(D::f32, {0, huge});
        Tensor loss(D::f64, {1}, {7});
        auto args = make_args<lr_divergence_args>();
        args.p_logits = p;
        (weights ? args.q_weights : args.q_logits) = q;
        if (by_index)
          args.p_rows = args.q_rows = rows;
        args.row_weights = row_weights;
        args.options = {LR_WASSERSTEIN1, LR_DIVERGENCE_MEAN, LR_DETACH_NONE, 0, 1, 1, 1};
        args.values = values;
        args.loss = loss;
        args.grad_p_logits = grad_p;
        if (!weights)
          args.grad_q_logits = grad_q;
        ASSERT_EQ(call(lr_divergence, args), LR_OK) << lr_last_error();
        EXPECT_EQ(loss.get(0), 0);
      }
    }
  }
}

TEST(Empty, SequenceLogps) {
  for (const int64_t huge : kHuge) {
    for (const double tail_weight : {1., .5}) {
      for (const lr_align align : {LR_ALIGN_COMPLETION, LR_ALIGN_ABSOLUTE}) {
        auto args = make_args<lr_sequence_logps_args>();
        args.options = {LR_MEAN, align, tail_weight, 1};
        Shaped none_mask(D::f32, {0, huge}), none_tokens(D::f32, {0, huge}), none(D::f32, {0});
        args.mask = none_mask;
        args.token_logps = args.grad_token_logps = none_tokens;
        args.logps = args.counts = args.grad_logps = none;
        EXPECT_EQ(call(lr_sequence_logps, args), LR_OK) << lr_last_error();
        Shaped mask(D::boolean, {huge, 0}), tokens(D::f32, {huge, 0});
        args.mask = mask;
        args.token_logps = tokens;
        args.logps = args.counts = args.grad_logps = args.grad_token_logps = nullptr;
        EXPECT_EQ(call(lr_sequence_logps, args), LR_OK) << lr_last_error();
      }
    }
  }
  // One number stands for the upstream gradients of all sequences.
  int64_t shape[] = {int64_t{1} << 40}, stride[] = {0};
  double one = 1;
  const DLTensor upstream{&one, test_device(), 1, dtype_of(D::f64), shape, stride, 0};
  Shaped mask(D::boolean, {shape[0], 0}), tokens(D::f32, {shape[0], 0});
  auto args = make_args<lr_sequence_logps_args>();
  args.mask = mask;
  args.options = default_sequence_options();
  args.grad_logps = &upstream;
  args.grad_token_logps = tokens;
  EXPECT_EQ(call(lr_sequence_logps, args), LR_OK) << lr_last_error();
}

lr_step_metrics step(const char* loss, std::vector<int64_t> shape, bool tail_and_wpo) {
  const std::vector<int64_t> rows(shape.begin(), shape.end() - 1);
  Shaped logits(D::bf16, shape), labels(D::i64, rows), mask(D::f32, rows), reference(D::f32, rows),
      gradient(D::bf16, shape);
  const lr_loss_options options = loss_options(loss);
  lr_step_metrics metrics{};
  auto args = make_args<lr_preference_step_args>();
  args.loss_options = &options;
  args.token_options = default_token_options();
  args.sequence_options = {LR_SUM, LR_ALIGN_COMPLETION, tail_and_wpo ? .5 : 1, 1};
  args.logits = logits;
  args.labels = labels;
  args.mask = mask;
  args.reference_token_logps = reference;
  args.grad_logits = gradient;
  args.metrics = &metrics;
  args.wpo = tail_and_wpo;
  EXPECT_EQ(call(lr_preference_step, args), LR_OK) << lr_last_error();
  return metrics;
}

TEST(Empty, PreferenceStep) {
  for (const int64_t huge : kHuge) {
    for (const bool tail_and_wpo : {false, true}) {
      EXPECT_EQ(step("sigmoid", {0, huge, huge}, tail_and_wpo).loss, 0);
      EXPECT_EQ(step("sigmoid", {0, 3, huge}, tail_and_wpo).loss, 0);
      EXPECT_NEAR(step("sigmoid", {huge, 0, 5}, tail_and_wpo).loss, std::log(2), 1e-15);
      for (const char* loss : {"ipo", "kto_pair", "aqfl", "dlrml"}) {
        const lr_step_metrics few = step(loss, {8, 0, 5}, tail_and_wpo),
                              many = step(loss, {huge, 0, huge}, tail_and_wpo);
        EXPECT_NEAR(many.loss, few.loss, 1e-15 * std::fabs(few.loss)) << loss;
        EXPECT_EQ(many.rewards_margin, few.rewards_margin) << loss;
        EXPECT_EQ(many.nonfinite, 0) << loss;
      }
    }
  }
}

TEST(Empty, UnpairedStep) {
  for (const int64_t huge : kHuge) {
    for (const std::vector<int64_t>& shape :
         {std::vector<int64_t>{0, huge, huge}, {0, 3, huge}, {2, 0, huge}}) {
      const std::vector<int64_t> rows(shape.begin(), shape.end() - 1);
      Shaped logits(D::bf16, shape), labels(D::i64, rows), reference(D::f32, rows),
          gradient(D::bf16, shape);
      Tensor chosen(D::boolean, {shape[0]});
      const lr_loss_options options = loss_options("apo_zero_unpaired");
      lr_step_metrics metrics{};
      auto args = make_args<lr_unpaired_step_args>();
      args.loss_options = &options;
      args.token_options = default_token_options();
      args.sequence_options = default_sequence_options();
      args.logits = logits;
      args.labels = labels;
      args.chosen = chosen;
      args.reference_token_logps = reference;
      args.grad_logits = gradient;
      args.metrics = &metrics;
      EXPECT_EQ(call(lr_unpaired_step, args), LR_OK) << lr_last_error();
      EXPECT_EQ(metrics.loss, shape[0] == 0 ? 0 : .5);
    }
  }
}

// Nothing is empty here: an output of 2^40 elements that all lie in one place is refused without a
// look at each of them.
TEST(Empty, BroadcastOutput) {
  int64_t shape[] = {int64_t{1} << 20, int64_t{1} << 20}, in_one_place[] = {0, 0},
          in_one_column[] = {1, 0}, crossing[] = {1, 1};
  float value = 7;
  for (int64_t* strides : {in_one_place, in_one_column, crossing}) {
    DLTensor everywhere{&value, test_device(), 2, dtype_of(D::f32), shape, strides, 0};
    auto args = make_args<lr_sequence_logps_args>();
    args.mask = &everywhere;
    args.options = default_sequence_options();
    DLTensor upstream{&value, test_device(), 1, dtype_of(D::f32), shape, in_one_place, 0};
    args.grad_logps = &upstream;
    args.grad_token_logps = &everywhere;
    EXPECT_EQ(call(lr_sequence_logps, args), LR_INVALID_ARGUMENT);
    EXPECT_TRUE(last_error().ends_with(
        " with elements that share memory, expected memory for each element"))
        << last_error();
  }
}

}  // namespace
}  // namespace logratio::test
