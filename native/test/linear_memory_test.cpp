// What a fused linear operation holds beyond its tensors, against its plan and the formula of
// docs/numerics.md.
#include <gtest/gtest.h>

#include <cstdio>

#include "support/child.h"
#include "support/tensor.h"

namespace logratio::test {
namespace {

// A field of this process's status, in bytes.
int64_t status(const char* field) {
  int64_t kibibytes = -1;
  char line[256];
  FILE* const file = std::fopen("/proc/self/status", "r");
  const std::string format = std::string(field) + ": %ld kB";
  while (file != nullptr && std::fgets(line, sizeof line, file) != nullptr &&
         std::sscanf(line, format.c_str(), &kibibytes) != 1) {
  }
  if (file != nullptr)
    std::fclose(file);
  return kibibytes * 1024;
}

// Has the peak of the resident size begin anew.
bool restart_peak() {
  FILE* const file = std::fopen("/proc/self/clear_refs", "w");
  const bool written = file != nullptr && std::fputs("5", file) >= 0;
  return file != nullptr && std::fclose(file) == 0 && written;
}

struct Case {
  const char* name;
  D type;
  D gradient;  // of the weight
  bool frozen;
  uint64_t budget;
};

constexpr int64_t kRows = 600, kSize = 256, kColumns = 36000;
constexpr int64_t kMega = 1 << 20;

lr_linear_plan run(const Case& c, int64_t* growth) {
  Tensor hidden(c.type, {kRows, kSize}, normal_values(kRows * kSize, 1, 1)),
      weight(c.type, {kColumns, kSize}), labels(D::i64, {kRows}), grad_logp(D::f32, {kRows}),
      logp(D::f32, {kRows}), grad_hidden(c.type, {kRows, kSize}),
      grad_weight(c.gradient, {kColumns, kSize});
  weight.fill(.01);
  grad_logp.fill(1);
  grad_weight.fill(0);
  auto args = make_args<lr_linear_token_logprobs_args>();
  args.token_options = default_token_options();
  args.linear_options = {c.budget, c.frozen ? LR_FROZEN_WEIGHT : LR_FROZEN_NONE, 0};
  args.hidden = hidden;
  args.weight = weight;
  args.labels = labels;
  args.grad_logp = grad_logp;
  args.logp = logp;
  args.grad_hidden = grad_hidden;
  if (!c.frozen)
    args.grad_weight = grad_weight;
  lr_linear_plan plan;
  args.plan = &plan;
  const int64_t before = status("VmRSS");
  EXPECT_TRUE(restart_peak());
  EXPECT_EQ(lr_linear_token_logprobs(&args), LR_OK) << lr_last_error();
  *growth = status("VmHWM") - before;
  return plan;
}

bool is_within(const char* name, const char* what, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most) {
    std::fprintf(stderr, "%s: %s is %ld, expected %ld to %ld\n", name, what, value, least, most);
    return false;
  }
  return true;
}

bool holds_as_planned(const Case& c, bool takes_bfloat16) {
  int64_t growth;
  const Case warm_up{"", D::f32, D::f32, false, kColumns * 4};
  run(warm_up, &growth);  // the library of products takes its own memory
  const lr_linear_plan plan = run(c, &growth);
  const int64_t threads = lr_threads(), rows = plan.block_rows,
                kept = static_cast<int64_t>(plan.kept_bytes),
                sums = static_cast<int64_t>(plan.accumulator_bytes),
                scratch = static_cast<int64_t>(plan.scratch_bytes);
  const bool is_wide = c.type == D::f32, stays = is_wide || takes_bfloat16;
  const int64_t element = is_wide || !stays ? 4 : 2;
  // The hidden states and their gradient, a tile, the same as the products take it, and a window of
  // the weight where it is widened.
  const int64_t space = rows * kSize * (element + 4) + rows * 512 * (element == 4 ? 4 : 6) +
                        (stays ? 0 : 512 * kSize * element);
  const int64_t blocks = (kRows + rows - 1) / rows, windows = (kColumns + 511) / 512,
                segments = (windows + 63) / 64, tile = rows * 512 * 4,
                room = c.frozen
                           ? 0
                           : std::max(static_cast<int64_t>(c.budget) - scratch, int64_t{0}) / tile,
                // Blocks that go through the backward together.
      ahead = c.frozen ? threads : std::max((threads + segments - 1) / segments, room / windows),
                together = std::min(ahead, blocks),
                of_weight = c.gradient == D::f32 || c.frozen ? 0 : 4 * kColumns * kSize,
                of_both = of_weight + 4 * rows * kSize * together,
                most = std::min(room, together * windows) * tile;
  return is_within(c.name, "scratch_bytes", scratch, threads * space, threads * space) &&
         is_within(c.name, "kept_bytes", kept, most, most) &&
         is_within(c.name, "accumulator_bytes", sums, of_both, of_both) &&
         is_within(c.name, "growth", growth, (kept + sums) * 9 / 10 - kMega,
                   kept + sums + scratch + 4 * kMega);
}

// Each in a process of its own, where no call before left anything mapped.
TEST(LinearMemory, IsThatOfItsPlan) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer keeps memory of its own";
#endif
  lr_gemm_info gemm{};
  gemm.size = sizeof gemm;
  ASSERT_EQ(lr_gemm(&gemm), LR_OK);
  for (const Case& c : {Case{"most kept", D::f32, D::f32, false, 64 * kMega},
                        Case{"little kept", D::f32, D::f32, false, 16 * kMega},
                        Case{"nothing kept", D::f32, D::f32, false, kColumns * 4},
                        Case{"narrow gradient", D::bf16, D::bf16, false, 16 * kMega},
                        Case{"frozen", D::f32, D::f32, true, 64 * kMega}}) {
    EXPECT_EQ(in_child([&] { return holds_as_planned(c, gemm.bfloat16 != 0); }), "") << c.name;
  }
}

}  // namespace
}  // namespace logratio::test
