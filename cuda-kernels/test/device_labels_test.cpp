// token_logprobs with several labels per row on a device: the CPU's numbers, the same bits for
// every schedule, and labels that are bad.
#include <algorithm>
#include <numeric>

#include "support.h"
#include "support/tokens.h"

namespace logratio::test {
namespace {

struct Labelled {
  Tensor logp, lse, tail, gradient;

  std::string bits() const { return logp.bits() + lse.bits() + tail.bits() + gradient.bits(); }
};

// Labels of `rows` rows, distinct in each.
Tensor distinct_labels(int64_t rows, int64_t per_row, int64_t columns) {
  Tensor labels(D::i64, {rows, per_row});
  uint64_t state = 17;
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<int64_t> all(static_cast<size_t>(columns));
    std::iota(all.begin(), all.end(), 0);
    for (int64_t k = 0; k < per_row; ++k) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const auto other =
          k + static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(columns - k));
      std::swap(all[static_cast<size_t>(k)], all[static_cast<size_t>(other)]);
      labels.set(r * per_row + k, static_cast<double>(all[static_cast<size_t>(k)]));
    }
  }
  return labels;
}

Labelled run_labels(Tensor& logits, Tensor& labels, int64_t* bad = nullptr,
                    lr_token_options options = default_token_options()) {
  const int64_t rows = labels.shape()[0], per_row = labels.shape()[1];
  Labelled result{Tensor(D::f64, {rows, per_row}), Tensor(D::f64, {rows}), Tensor(D::f64, {rows}),
                  Tensor(logits.type(), logits.shape())};
  int64_t counted = 0;
  auto args = make_args<lr_token_logprobs_args>();
  args.logits = logits;
  args.labels = labels;
  args.options = options;
  args.logp = result.logp;
  args.lse = result.lse;
  args.tail = result.tail;
  EXPECT_EQ(call(lr_token_logprobs, args, &counted), LR_OK) << lr_last_error();
  Tensor grad_logp(D::f32, {rows, per_row}, normal_values(rows * per_row, 1, 4)),
      grad_tail(D::f32, {rows}, normal_values(rows, 1, 5)),
      grad_lse(D::f32, {rows}, normal_values(rows, 1, 6));
  auto back = make_args<lr_token_logprobs_backward_args>();
  back.logits = logits;
  back.labels = labels;
  back.options = options;
  back.lse = result.lse;
  back.tail = result.tail;
  back.grad_logp = grad_logp;
  back.grad_tail = grad_tail;
  back.grad_lse = grad_lse;
  back.grad_logits = result.gradient;
  EXPECT_EQ(call(lr_token_logprobs_backward, back, &counted), LR_OK) << lr_last_error();
  if (bad != nullptr)
    *bad = counted;
  return result;
}

void expect_close(const Tensor& a, const Tensor& b, double tolerance, const std::string& what) {
  for (int64_t k = 0; k < a.size(); ++k)
    expect_near_or_same(a.get(k), b.get(k), tolerance * std::fmax(1, std::fabs(b.get(k))),
                        what + " " + std::to_string(k));
}

TEST(DeviceLabels, AgreeWithTheCpu) {
  for (D type : {D::f32, D::bf16}) {
    for (const auto& [columns, per_row] : {std::pair{5, 5}, {300, 33}, {5000, 16}, {40000, 70}}) {
      for (double softcap : {0.0, 8.0}) {
        for (double sharpness : {1.0, 9.0}) {
          const lr_token_options options{-100, 1.1, softcap, 0};
          Tensor logits(type, {5, columns}, normal_values(5 * columns, 1, 7)),
              labels = distinct_labels(5, per_row, columns);
          for (int64_t k = 0; k < 5 * per_row; ++k) {
            const int64_t at = k / per_row * columns + static_cast<int64_t>(labels.get(k));
            logits.set(at, logits.get(at) + sharpness);
          }
          labels.set(2, -100);
          const Labelled device = run_labels(logits, labels, nullptr, options);
          const OnCpu cpu;
          const Labelled expected = run_labels(logits, labels, nullptr, options);
          const std::string what = std::to_string(columns) + "/" + std::to_string(softcap) + "/" +
                                   std::to_string(sharpness);
          expect_close(device.logp, expected.logp, 3e-6, what + " logp");
          expect_close(device.tail, expected.tail, 3e-6, what + " tail");
          expect_close(device.gradient, expected.gradient, type == D::f32 ? 5e-6 : .01,
                       what + " gradient");
        }
      }
    }
  }
}

TEST(DeviceLabels, EveryScheduleGivesTheSameBits) {
  for (int64_t columns : {64, 3000, 9000}) {
    Tensor logits(D::f32, {11, columns}, normal_values(11 * columns, 3, 11)),
        labels = distinct_labels(11, 40, columns);
    std::string bits;
    for (uint64_t seed : {1, 2, 3, 99}) {
      set_emulator_seed(seed);
      const Labelled result = run_labels(logits, labels);
      if (bits.empty())
        bits = result.bits();
      EXPECT_EQ(result.bits(), bits) << columns << " seed " << seed;
    }
  }
  set_emulator_seed(1);
}

// One out of range, one that is repeated far behind, and one that is ignored twice, which is right.
TEST(DeviceLabels, BadOnesAreCountedAndHarmTheirRowOnly) {
  constexpr int64_t kColumns = 90, kPerRow = 70;
  Tensor logits(D::f32, {4, kColumns}, normal_values(4 * kColumns, 2, 3)),
      good = distinct_labels(4, kPerRow, kColumns);
  good.set(3 * kPerRow + 1, -100);
  good.set(3 * kPerRow + 68, -100);
  Tensor labels = good.clone();
  labels.set(kPerRow + 3, kColumns);
  labels.set(2 * kPerRow + 69, good.get(2 * kPerRow + 5));
  labels.set(2 * kPerRow + 40, -3);
  int64_t bad = 0;
  const Labelled expected = run_labels(logits, good, &bad);
  EXPECT_EQ(bad, 0);
  const Labelled actual = run_labels(logits, labels, &bad);
  EXPECT_EQ(bad, 6);  // forward and backward
  for (int64_t k = 0; k < 4 * kPerRow; ++k) {
    const bool is_bad = k == kPerRow + 3 || k == 2 * kPerRow + 69 || k == 2 * kPerRow + 40;
    if (is_bad)
      EXPECT_TRUE(std::isnan(actual.logp.get(k))) << k;
    else
      EXPECT_EQ(actual.logp.get(k), expected.logp.get(k)) << k;
  }
  for (int64_t r = 0; r < 4; ++r) {
    const bool harmed = r == 1 || r == 2;
    EXPECT_EQ(actual.lse.get(r), expected.lse.get(r));
    EXPECT_EQ(std::isnan(actual.tail.get(r)), harmed);
    for (int64_t k = 0; k < kColumns; ++k)
      EXPECT_EQ(actual.gradient.get(r * kColumns + k),
                harmed ? 0 : expected.gradient.get(r * kColumns + k));
  }
}

}  // namespace
}  // namespace logratio::test
