// A child of fork() computes as its parent does, with threads of its own, whatever the parent's
// threads were about.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/child.h"
#include "support/threads.h"
#include "support/tokens.h"

namespace logratio::test {
namespace {

// Enough rows for that many threads.
struct Work {
  explicit Work(int threads)
      : rows(64 * threads),
        logits(D::f32, {rows, 1024}, normal_values(rows * 1024, 3, 1)),
        labels(D::i64, {rows}, random_labels(rows, 1024, 2)) {}

  std::string result() { return forward_logp(logits, labels).logp.bits(); }

  int64_t rows;
  Tensor logits, labels;
};

std::string same_in_child(Work& work, int threads, const std::string& expected) {
  return in_child([&] { return work.result() == expected && running_threads() == threads; });
}

TEST(Fork, OfAChild) {
  ASSERT_EQ(lr_set_threads(4), LR_OK);
  Work work(4);
  const std::string expected = work.result();
  EXPECT_EQ(in_child([&] {
              return work.result() == expected && same_in_child(work, 4, expected).empty();
            }),
            "");
}

// The memory of AddressSanitizer is not fit for use in a child where another thread allocates,
// which those of a pool do when they start.
#ifndef __SANITIZE_ADDRESS__
TEST(Fork, AfterCallsOnManyThreads) {
  for (const int threads : {1, 2, 4, 8, 16, 32, 64}) {
    ASSERT_EQ(lr_set_threads(threads), LR_OK);
    Work work(threads);
    for (int k = 0; k < 6; ++k) {
      const std::string expected = work.result();
      ASSERT_EQ(same_in_child(work, threads, expected), "") << threads << " threads, fork " << k;
    }
  }
}

TEST(Fork, WhileOtherThreadsCompute) {
  constexpr int kThreads = 8;
  ASSERT_EQ(lr_set_threads(kThreads), LR_OK);
  Work work(kThreads);
  const std::string expected = work.result();
  std::atomic<bool> stop{false};
  std::thread others[2];
  for (std::thread& other : others) {
    other = std::thread([&stop] {
      Work own(kThreads);
      while (!stop)
        own.result();
    });
  }
  for (int k = 0; k < 30 && !HasFailure(); ++k)
    EXPECT_EQ(same_in_child(work, kThreads, expected), "") << "fork " << k;
  stop = true;
  for (std::thread& other : others)
    other.join();
}
#endif

}  // namespace
}  // namespace logratio::test
