// The emulator in a child of fork(), where no launch is under way. AddressSanitizer's own memory is
// not fit for use in a child where another thread allocates.
#ifndef __SANITIZE_ADDRESS__
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "support/child.h"
#include "support/tokens.h"

namespace logratio::test {
namespace {

TEST(DeviceFork, WhileAnotherThreadComputes) {
  Tensor logits(D::f32, {8, 300}, normal_values(2400, 3, 1)),
      labels(D::i64, {8}, random_labels(8, 300, 2));
  const auto result = [&] { return forward(logits, labels).bits(); };
  const std::string expected = result();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop)
      result();
  });
  for (int k = 0; k < 20 && !testing::Test::HasFailure(); ++k)
    EXPECT_EQ(in_child([&] { return result() == expected; }), "") << "fork " << k;
  stop = true;
  other.join();
}

}  // namespace
}  // namespace logratio::test
#endif
