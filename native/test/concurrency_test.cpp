// Eight callers at a time, each with tensors and errors of its own.
#include <thread>

#include "support/tokens.h"

namespace logratio::test {
namespace {

TEST(Concurrency, EightCallersGetTheirOwnResults) {
  std::vector<std::string> expected(8), actual(8), errors(8);
  const auto work = [](int caller) {
    const int64_t rows = 5 + caller, columns = 20011;
    Tensor logits(D::f32, {rows, columns}, normal_values(rows * columns, 3, 100 + caller)),
        labels(D::i64, {rows}, random_labels(rows, columns, 200 + caller));
    Tensor up = Tensor(D::f32, {rows}).fill(caller + 1), gradient(D::f32, {rows, columns});
    TokenFigures figures = forward(logits, labels);
    backward(logits, labels, figures, up, up, gradient);
    return figures.bits() + gradient.bits();
  };
  for (int k = 0; k < 8; ++k)
    expected[k] = work(k);
  std::vector<std::thread> callers;
  for (int k = 0; k < 8; ++k) {
    callers.emplace_back([&, k] {
      for (int repeat = 0; repeat < 3; ++repeat) {
        actual[k] = work(k);
        Tensor logits(D::f32, {k + 1, 3}), labels(D::i64, {k + 2});
        auto args = make_args<lr_token_logprobs_args>();
        args.logits = logits;
        args.labels = labels;
        args.options = default_token_options();
        EXPECT_EQ(lr_token_logprobs(&args), LR_INVALID_ARGUMENT);
        errors[k] = lr_last_error();
      }
    });
  }
  for (std::thread& caller : callers)
    caller.join();
  for (int k = 0; k < 8; ++k) {
    EXPECT_EQ(actual[k], expected[k]) << k;
    const std::string rows = std::to_string(k + 1);
    EXPECT_TRUE(errors[k].starts_with("labels is I64 [" + std::to_string(k + 2) +
                                      "], expected shape [" + rows + "], as logits is F32 [" +
                                      rows))
        << errors[k];
  }
}

}  // namespace
}  // namespace logratio::test
