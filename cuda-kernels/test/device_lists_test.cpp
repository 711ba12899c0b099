// Sums over more rows than one block has threads for, and counts of bad values, on a device.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support.h"
#include "support/tensor.h"

namespace logratio::test {
namespace {

constexpr int64_t kRows = 1300, kColumns = 4;  // three parts

struct Outcome {
  Tensor values, loss, gradient;
  int64_t bad = 0;
  std::string bits() const { return values.bits() + loss.bits() + gradient.bits(); }
};

// On the CPU, on the emulator in several schedules, which must agree to the bit, and there with the
// loss near the CPU's.
template <class Run>
Outcome run_everywhere(const Run& run) {
  const Outcome expected = [&] {
    const OnCpu cpu;
    return run();
  }();
  Outcome first = run();
  for (uint64_t seed : {2, 3, 5}) {
    set_emulator_seed(seed);
    EXPECT_EQ(run().bits(), first.bits()) << "seed " << seed;
  }
  EXPECT_NEAR(first.loss.get(0), expected.loss.get(0),
              2e-6 * (1 + std::fabs(expected.loss.get(0))));
  return first;
}

Outcome diverge(bool by_index, bool weighted, double bad_weight = 0) {
  Tensor p(D::f32, {kRows, kColumns}, normal_values(kRows * kColumns, 2, 1)),
      q(D::f32, {kRows, kColumns}, normal_values(kRows * kColumns, 2, 2)), p_rows(D::i64, {kRows}),
      q_rows(D::i32, {kRows}), weights(D::f64, {kRows});
  for (int64_t k = 0; k < kRows; ++k) {
    p_rows.set(k, static_cast<double>((k + 700) % kRows));
    q_rows.set(k, static_cast<double>(kRows - 1 - k));
    weights.set(k, bad_weight != 0 ? bad_weight : static_cast<double>(k % 5));
  }
  Outcome result{Tensor(D::f64, {kRows}), Tensor(D::f64, {1}), Tensor(D::f32, {kRows, kColumns})};
  auto args = make_args<lr_divergence_args>();
  args.options = {LR_KL_PQ, LR_DIVERGENCE_MEAN, LR_DETACH_NONE, 0, 1, 1, 1, .5, 0};
  args.p_logits = p;
  args.q_logits = q;
  if (by_index) {
    args.p_rows = p_rows;
    args.q_rows = q_rows;
  }
  if (weighted)
    args.row_weights = weights;
  args.values = result.values;
  args.loss = result.loss;
  args.grad_p_logits = result.gradient;
  EXPECT_EQ(call(lr_divergence, args, &result.bad), LR_OK) << lr_last_error();
  return result;
}

TEST(DeviceLists, DivergencesOfManyRows) {
  for (bool by_index : {false, true}) {
    for (bool weighted : {false, true})
      run_everywhere([&] { return diverge(by_index, weighted); });
  }
}

TEST(DeviceLists, BadRowWeightsAreCountedAtOnce) {
  const uint64_t before = emulator_counts();
  EXPECT_EQ(diverge(false, true, -1).bad, kRows);
  EXPECT_EQ(emulator_counts() - before, 1u);
}

TEST(DeviceLists, ScoresOfManyRows) {
  run_everywhere([&] {
    Tensor logits(D::f32, {kRows, kColumns}, normal_values(kRows * kColumns, 2, 3)),
        labels(D::i64, {kRows}, random_labels(kRows, kColumns, 4));
    for (int64_t k = 0; k < kRows; k += 3)
      labels.set(k, -100);
    Outcome result{Tensor(D::f64, {kRows}), Tensor(D::f64, {1}), Tensor(D::f32, {kRows, kColumns})};
    auto args = make_args<lr_scoring_rule_args>();
    args.logits = logits;
    args.labels = labels;
    args.options = {LR_RULE_BRIER, LR_SELTEN, 0, 0, 2, 0, 0, -100};
    args.values = result.values;
    args.loss = result.loss;
    args.grad_logits = result.gradient;
    EXPECT_EQ(call(lr_scoring_rule, args, &result.bad), LR_OK) << lr_last_error();
    return result;
  });
}

TEST(DeviceLists, BadMaskWeightsAreCountedByBlock) {
  constexpr int64_t kSequences = 3, kTokens = 700;
  Tensor logp(D::f32, {kSequences, kTokens}), mask(D::f32, {kSequences, kTokens}),
      logps(D::f64, {kSequences});
  mask.fill(NAN);
  auto args = make_args<lr_sequence_logps_args>();
  args.options = {LR_SUM, LR_ALIGN_COMPLETION, 1, 1};
  args.token_logps = logp;
  args.mask = mask;
  args.logps = logps;
  int64_t bad = 5;
  const uint64_t before = emulator_counts();
  EXPECT_EQ(call(lr_sequence_logps, args, &bad), LR_OK) << lr_last_error();
  EXPECT_EQ(bad, 5 + kSequences * kTokens);
  EXPECT_EQ(emulator_counts() - before, 3u);
}

// ---- One workspace for two streams ----

TEST(DeviceWorkspace, AStreamWaitsForTheOneBefore) {
  Tensor logp(D::f32, {2, 5}), mask(D::f32, {2, 5}), logps(D::f64, {2});
  auto args = make_args<lr_sequence_logps_args>();
  args.options = {LR_SUM, LR_ALIGN_COMPLETION, 1, 1};
  args.token_logps = logp;
  args.mask = mask;
  args.logps = logps;
  const WorkspaceMemory one(256), other(256);
  const auto waits_of = [&](uintptr_t stream, const WorkspaceMemory& workspace) {
    lr_cuda cuda{sizeof cuda, reinterpret_cast<void*>(stream), workspace.get(), 256, nullptr};
    args.cuda = &cuda;
    const uint64_t before = emulator_waits();
    EXPECT_EQ(lr_sequence_logps(&args), LR_OK) << lr_last_error();
    return emulator_waits() - before;
  };
  waits_of(1, one);
  waits_of(2, other);
  EXPECT_EQ(waits_of(1, one), 0u);
  EXPECT_EQ(waits_of(2, other), 0u);
  EXPECT_EQ(waits_of(2, one), 1u);
}

}  // namespace
}  // namespace logratio::test
