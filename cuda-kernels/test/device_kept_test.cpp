// Kept columns in device memory, where nobody looks at them beforehand.
#include <algorithm>

#include "support/tokens.h"

namespace logratio::test {
namespace {

constexpr double kUnwritten = 77;

struct KeptCall {
  Tensor logits{D::f32, {5, 9}, normal_values(45, 2, 3)}, labels{D::i64, {5}, {4, 0, 2, 5, 3}},
      ids{D::i64, {9}, {0, 4, 8, 1, 2, 2, 5, 1, 7}};
  TokenFigures figures{{5}};
  Tensor outside{D::i64, {1}, {kUnwritten}}, up{D::f32, {5}, {1, 1, 1, 1, 1}},
      gradient{D::f32, {5, 9}};
  int64_t bad = 40;

  explicit KeptCall(Tensor offsets) {
    auto args = make_args<lr_token_logprobs_args>();
    args.logits = logits;
    args.labels = labels;
    args.options = default_token_options();
    args.logp = figures.logp;
    args.lse = figures.lse;
    args.lse2 = figures.lse2;
    args.entropy = figures.entropy;
    args.argmax = figures.argmax;
    args.mean_logit = figures.mean_logit;
    args.kept_offsets = offsets;
    args.kept_ids = ids;
    args.outside = outside;
    EXPECT_EQ(call(lr_token_logprobs, args, &bad), LR_OK) << lr_last_error();
    int64_t counted = 0;
    auto back = make_args<lr_token_logprobs_backward_args>();
    back.logits = logits;
    back.labels = labels;
    back.options = default_token_options();
    back.lse = figures.lse;
    back.entropy = figures.entropy;
    back.grad_logp = up;
    back.grad_entropy = up;
    back.grad_logits = gradient;
    back.kept_offsets = offsets;
    back.kept_ids = ids;
    EXPECT_EQ(call(lr_token_logprobs_backward, back, &counted), LR_OK) << lr_last_error();
    EXPECT_EQ(counted, bad - 40);
  }

  void expect_bad(int64_t row) const {
    for (const Tensor* figure :
         {&figures.logp, &figures.lse, &figures.lse2, &figures.entropy, &figures.mean_logit})
      EXPECT_TRUE(std::isnan(figure->get(row))) << row;
    for (int64_t k = 0; k < 9; ++k)
      EXPECT_EQ(gradient.get(row * 9 + k), 0) << row << " " << k;
  }

  // The same as a call of a row that has these columns alone.
  void expect_good(int64_t row, const std::vector<int64_t>& columns) const {
    std::vector<double> kept;
    for (const int64_t column : columns)
      kept.push_back(logits.get(row * 9 + column));
    Tensor alone(D::f32, {1, static_cast<int64_t>(columns.size())}, kept);
    const TokenFigures expected = forward(alone, Tensor(D::i64, {1}, {0}));
    EXPECT_EQ(figures.lse.get(row), expected.lse.get(0)) << row;
    EXPECT_EQ(figures.entropy.get(row), expected.entropy.get(0)) << row;
    EXPECT_EQ(figures.argmax.get(row),
              static_cast<double>(columns[static_cast<size_t>(expected.argmax.get(0))]));
    for (int64_t k = 0; k < 9; ++k) {
      const bool is_kept = std::find(columns.begin(), columns.end(), k) != columns.end();
      EXPECT_EQ(gradient.get(row * 9 + k) != 0, is_kept) << row << " " << k;
    }
  }
};

TEST(DeviceKept, BadSetsAreCountedAndHarmTheirRowOnly) {
  // None; not in order.
  const KeptCall call(Tensor(D::i64, {6}, {0, 3, 3, 5, 6, 9}));
  EXPECT_EQ(call.bad, 42);
  EXPECT_EQ(call.outside.get(0), 1);
  call.expect_good(0, {0, 4, 8});
  call.expect_bad(1);
  call.expect_good(2, {1, 2});
  EXPECT_EQ(call.figures.logp.get(3), -INFINITY);
  call.expect_bad(4);
}

TEST(DeviceKept, RepeatedColumns) {
  const KeptCall call(Tensor(D::i32, {6}, {0, 3, 4, 6, 7, 9}));
  EXPECT_EQ(call.bad, 41);  // row 2 has column 2 twice
  call.expect_good(0, {0, 4, 8});
  call.expect_bad(2);
  call.expect_good(4, {1, 7});
  EXPECT_EQ(call.outside.get(0), 2);
  EXPECT_EQ(KeptCall(Tensor(D::i64, {6}, {0, 3, 4, 5, 7, 9})).bad, 40);
}

TEST(DeviceKept, OffsetsThatLeadNowhere) {
  const KeptCall wild(Tensor(D::i64, {6}, {1, 3, 1e15, -4, 7, 8}));
  EXPECT_EQ(wild.bad, 45);
  for (int64_t row = 0; row < 5; ++row)
    wild.expect_bad(row);
  EXPECT_EQ(wild.outside.get(0), 0);
  const KeptCall ends(Tensor(D::i64, {6}, {1, 3, 4, 5, 7, 8}));
  EXPECT_EQ(ends.bad, 42);  // the first does not begin at 0, the last does not end at 9
  ends.expect_bad(0);
  ends.expect_bad(4);
  ends.expect_good(3, {2, 5});
}

TEST(DeviceKept, ColumnsOutOfRange) {
  for (const double column : {-1.0, 9.0, 1e12}) {
    Tensor ids(D::i64, {2}, {0, column}), offsets(D::i64, {3}, {0, 1, 2});
    Tensor logits(D::bf16, {2, 9}, normal_values(18, 2, 3)), labels(D::i64, {2}, {0, 0});
    Tensor logp(D::f64, {2});
    auto args = make_args<lr_token_logprobs_args>();
    args.logits = logits;
    args.labels = labels;
    args.options = default_token_options();
    args.logp = logp;
    args.kept_offsets = offsets;
    args.kept_ids = ids;
    int64_t bad = 0;
    ASSERT_EQ(call(lr_token_logprobs, args, &bad), LR_OK) << lr_last_error();
    EXPECT_EQ(bad, 1);
    EXPECT_EQ(logp.get(0), 0);
    EXPECT_TRUE(std::isnan(logp.get(1)));
  }
}

}  // namespace
}  // namespace logratio::test
