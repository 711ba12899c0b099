#include "cpu/thread_count.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <thread>

#include "cpu/cgroup.h"
#include "logratio.h"

namespace logratio::cpu {
namespace {

#define LR_TEXT_OF(tokens) #tokens
#define LR_TEXT(macro) LR_TEXT_OF(macro)

// Both are found when they are first needed, perhaps by several threads at once, which find the
// same. Neither is a static local variable: a child of fork() would wait for ever where another
// thread was about to initialise it.
constexpr int kUnread = -2;
std::atomic<int> g_requested{
    kUnread};  // by LOGRATIO_THREADS: 0 if it is not set, -1 if it is no number of threads
std::atomic<int> g_threads{0};  // 0: not chosen yet

int read_request() {
  const char* const text = std::getenv("LOGRATIO_THREADS");
  if (text == nullptr || *text == '\0')
    return 0;
  char* end = nullptr;
  const long threads = std::strtol(text, &end, 10);
  return *end == '\0' && threads >= 1 && threads <= LR_MAX_THREADS ? static_cast<int>(threads) : -1;
}

int requested_thread_count() {
  int requested = g_requested.load(std::memory_order_relaxed);
  if (requested == kUnread)
    g_requested.store(requested = read_request(), std::memory_order_relaxed);
  return requested;
}

// The CPUs that the scheduler may give this process.
int64_t affinity() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return CPU_COUNT(&set);
  return std::thread::hardware_concurrency();  // of a machine with more CPUs than the set has bits
}

int default_thread_count() {
  if (requested_thread_count() > 0)
    return requested_thread_count();
  const int64_t cpus = affinity();
  return static_cast<int>(
      std::clamp<int64_t>(std::min(cpus, cgroup_cpus().value_or(cpus)), 1, LR_MAX_THREADS));
}

}  // namespace

int thread_count() {
  int threads = g_threads.load(std::memory_order_relaxed);
  if (threads == 0) {
    int expected = 0;
    threads = default_thread_count();
    if (!g_threads.compare_exchange_strong(expected, threads))
      threads = expected;
  }
  return threads;
}

void set_thread_count(int threads) { g_threads.store(threads, std::memory_order_relaxed); }

const char* thread_count_error() {
  return requested_thread_count() < 0
             ? "LOGRATIO_THREADS is set, and not to a number from 1 to " LR_TEXT(LR_MAX_THREADS)
             : nullptr;
}

}  // namespace logratio::cpu
