// Calls where the system refuses threads. pthread_create of this program takes the place of the C
// library's, and refuses them as a limit on a user's processes does, which does not bind root.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <thread>

#include "support/threads.h"
#include "support/tokens.h"

namespace {

std::atomic<int> g_left{INT_MAX};  // threads that may still be started
std::atomic<int> g_refusals{0};

}  // namespace

extern "C" __attribute__((visibility("default"))) int pthread_create(
    pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
    void* argument) noexcept {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (g_left.load() <= 0) {
    ++g_refusals;
    return EAGAIN;
  }
  --g_left;
  return create(thread, attributes, start, argument);
}

namespace logratio::test {
namespace {

TEST(ThreadLimit, CallsGoOnWithTheThreadsThereAre) {
  constexpr int kThreads = 8;
  Tensor logits(D::f32, {512, 2048}, normal_values(512 * 2048, 3, 1)),
      labels(D::i64, {512}, random_labels(512, 2048, 2));
  const auto result = [&] { return forward_logp(logits, labels).logp.bits(); };
  ASSERT_EQ(lr_set_threads(1), LR_OK);
  const std::string expected = result();
  ASSERT_EQ(lr_set_threads(kThreads), LR_OK);
  const int before = running_threads();

  g_left = 0;
  EXPECT_TRUE(result() == expected);
  EXPECT_EQ(running_threads(), before);
  EXPECT_EQ(g_refusals, 1);
  EXPECT_EQ(lr_threads(), kThreads);

  // Refusals are not asked for with every call, and are not for ever.
  const auto start = std::chrono::steady_clock::now();
  for (int k = 0; k < 30; ++k)
    EXPECT_TRUE(result() == expected);
  const auto tenths = (std::chrono::steady_clock::now() - start) / std::chrono::milliseconds(100);
  EXPECT_LE(g_refusals, 2 + tenths);
  g_left = 3;
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_TRUE(result() == expected);
  EXPECT_EQ(running_threads(), before + 3);
  g_left = INT_MAX;
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  EXPECT_TRUE(result() == expected);
  EXPECT_EQ(running_threads(), before + kThreads - 1);
}

}  // namespace
}  // namespace logratio::test
