// Packed sequences whose offsets, which lie in device memory, are wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/tensor.h"

namespace logratio::test {
namespace {

constexpr int64_t kSequences = 4, kTokens = 700, kColumns = 4;

struct Wrong {
  std::vector<double> offsets;
  int64_t numbers;  // that are wrong
};

const Wrong kAllWrong[] = {
    {{1, 2, 3, 4, kTokens}, 1},          {{-5, 2, 3, 4, kTokens}, 1},
    {{0, 2, 3, 4, kTokens - 1}, 1},      {{0, 2, 3, 4, kTokens + 1}, 1},
    {{0, 600, 3, 4, kTokens}, 1},        {{0, 5, 4, 3, 2}, 3},
    {{0, 1e15, 1e15, 1e15, kTokens}, 1}, {{-1e15, -1e15, 1e15, -1e15, 1e15}, 3},
};

bool all_nan(const Tensor& tensor) {
  for (double value : tensor.values()) {
    if (!std::isnan(value))
      return false;
  }
  return true;
}

TEST(DevicePacked, WrongOffsetsOfSequencesAreCounted) {
  for (const Wrong& wrong : kAllWrong) {
    for (double tail : {1., .5}) {
      for (int32_t align : {LR_ALIGN_COMPLETION, LR_ALIGN_ABSOLUTE}) {
        Tensor offsets(D::i64, {kSequences + 1}, wrong.offsets),
            logps(D::f32, {kTokens}, normal_values(kTokens, 1, 1)), mask(D::f32, {kTokens}),
            sums(D::f64, {kSequences}), counts(D::f64, {kSequences}),
            upstream(D::f64, {kSequences}), gradient(D::f64, {kTokens});
        mask.fill(1);
        upstream.fill(1);
        auto args = make_args<lr_sequence_logps_args>();
        args.options = {LR_SUM, align, tail, 1};
        args.token_logps = logps;
        args.mask = mask;
        args.cu_seqlens = offsets;
        args.grad_logps = upstream;
        args.logps = sums;
        args.counts = counts;
        args.grad_token_logps = gradient;
        int64_t bad = 3;
        EXPECT_EQ(call(lr_sequence_logps, args, &bad), LR_OK) << lr_last_error();
        EXPECT_EQ(bad, 3 + wrong.numbers);
        EXPECT_TRUE(all_nan(sums) && all_nan(counts) && all_nan(gradient));
      }
    }
  }
}

TEST(DevicePacked, WrongOffsetsOfStepsAreCounted) {
  for (const Wrong& wrong : kAllWrong) {
    for (double tail : {1., .5}) {
      Tensor offsets(D::i64, {kSequences + 1}, wrong.offsets),
          logits(D::f32, {kTokens, kColumns}, normal_values(kTokens * kColumns, 1, 1)),
          labels(D::i64, {kTokens}, random_labels(kTokens, kColumns, 2)),
          losses(D::f64, {kSequences / 2}), logps(D::f64, {kSequences}),
          counts(D::f64, {kSequences}), gradient(D::f32, {kTokens, kColumns});
      lr_loss_options list[] = {loss_options("hinge"), loss_options("sft")};
      lr_step_metrics metrics{};
      auto args = make_args<lr_preference_step_args>();
      args.loss_options = list;
      args.loss_count = 2;
      args.token_options = default_token_options();
      args.sequence_options = {LR_SUM, LR_ALIGN_COMPLETION, tail, 1};
      args.logits = logits;
      args.labels = labels;
      args.cu_seqlens = offsets;
      args.losses = losses;
      args.logps = logps;
      args.counts = counts;
      args.grad_logits = gradient;
      args.metrics = &metrics;
      int64_t bad = 3;
      EXPECT_EQ(call(lr_preference_step, args, &bad), LR_OK) << lr_last_error();
      EXPECT_EQ(bad, 3 + wrong.numbers);
      EXPECT_TRUE(all_nan(losses) && all_nan(logps) && all_nan(counts) && all_nan(gradient));
      EXPECT_TRUE(std::isnan(metrics.loss) && std::isnan(metrics.grad_norm));
    }
  }
}

TEST(DevicePacked, WrongOffsetsWithAnNllMaskAreCounted) {
  for (const Wrong& wrong : kAllWrong) {
    for (const char* name : {"orpo", "sft"}) {
      Tensor offsets(D::i64, {kSequences + 1}, wrong.offsets),
          logits(D::f32, {kTokens, kColumns}, normal_values(kTokens * kColumns, 1, 1)),
          labels(D::i64, {kTokens}, random_labels(kTokens, kColumns, 2)), mask(D::f32, {kTokens}),
          losses(D::f64, {kSequences / 2}), gradient(D::f32, {kTokens, kColumns});
      mask.fill(.5);
      lr_loss_options loss = loss_options(name);
      auto args = make_args<lr_preference_step_args>();
      args.loss_options = &loss;
      args.token_options = default_token_options();
      args.sequence_options = {LR_SUM, LR_ALIGN_COMPLETION, 1, 1};
      args.logits = logits;
      args.labels = labels;
      args.cu_seqlens = offsets;
      args.nll_mask = mask;
      args.losses = losses;
      args.grad_logits = gradient;
      int64_t bad = 3;
      EXPECT_EQ(call(lr_preference_step, args, &bad), LR_OK) << lr_last_error();
      EXPECT_EQ(bad, 3 + wrong.numbers);
      EXPECT_TRUE(all_nan(losses) && all_nan(gradient));
    }
  }
}

TEST(DevicePacked, WrongOffsetsOfExamplesAreCounted) {
  for (const Wrong& wrong : kAllWrong) {
    Tensor offsets(D::i64, {kSequences + 1}, wrong.offsets),
        logits(D::f32, {kTokens, kColumns}, normal_values(kTokens * kColumns, 1, 1)),
        labels(D::i64, {kTokens}, random_labels(kTokens, kColumns, 2)),
        chosen(D::u8, {kSequences}, {1, 0, 0, 1}),
        reference(D::f64, {kSequences}, normal_values(kSequences, 1, 3)),
        losses(D::f64, {kSequences}), rewards(D::f64, {kSequences}), counts(D::f64, {kSequences}),
        gradient(D::f32, {kTokens, kColumns});
    const lr_loss_options loss = loss_options("kto");
    lr_step_metrics metrics{};
    auto args = make_args<lr_unpaired_step_args>();
    args.loss_options = &loss;
    args.token_options = default_token_options();
    args.sequence_options = {LR_SUM, LR_ALIGN_COMPLETION, 1, 1};
    args.logits = logits;
    args.labels = labels;
    args.cu_seqlens = offsets;
    args.chosen = chosen;
    args.reference_logps = reference;
    args.losses = losses;
    args.rewards = rewards;
    args.counts = counts;
    args.grad_logits = gradient;
    args.metrics = &metrics;
    int64_t bad = 3;
    EXPECT_EQ(call(lr_unpaired_step, args, &bad), LR_OK) << lr_last_error();
    EXPECT_EQ(bad, 3 + wrong.numbers);
    EXPECT_TRUE(all_nan(losses) && all_nan(rewards) && all_nan(counts) && all_nan(gradient));
    EXPECT_TRUE(std::isnan(metrics.loss) && std::isnan(metrics.grad_norm));
  }
}

}  // namespace
}  // namespace logratio::test
