#include "cpu/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

namespace logratio::cpu {
namespace {

// What LOGRATIO_THREADS asks for: 0 if it is not set, -1 if it is no number of threads.
int requested_thread_count() {
  static const int requested = [] {
    const char* const text = std::getenv("LOGRATIO_THREADS");
    if (text == nullptr || *text == '\0') return 0;
    char* end = nullptr;
    const long threads = std::strtol(text, &end, 10);
    return *end == '\0' && threads >= 1 && threads <= 1024 ? static_cast<int>(threads) : -1;
  }();
  return requested;
}

int default_thread_count() {
  if (requested_thread_count() > 0) return requested_thread_count();
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, std::min(1024, CPU_COUNT(&set)));
  return std::max(1u, std::thread::hardware_concurrency());
}

std::atomic<int> g_threads{0};  // 0: not chosen yet

// One job at a time. Workers join the job of the moment, take tasks from its counter and leave; the caller returns once the counter
// is used up and nobody is inside. A process that forked has no workers and still finishes: the caller takes every task.
class Pool {
 public:
  bool try_run(int64_t count, Task task, void* context, int threads) {
    std::unique_lock<std::mutex> caller(caller_, std::try_to_lock);
    if (!caller.owns_lock()) return false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      grow(threads - 1);
      task_ = task;
      context_ = context;
      count_ = count;
      next_.store(0, std::memory_order_relaxed);
      seats_ = threads - 1;
      ++generation_;
    }
    wake_.notify_all();
    work(task, context, count);
    std::unique_lock<std::mutex> lock(mutex_);
    seats_ = 0;
    left_.wait(lock, [this] { return inside_ == 0; });
    return true;
  }

 private:
  void grow(int workers) {
    while (started_ < workers) {
      std::thread([this] { worker(); }).detach();
      ++started_;
    }
  }

  void work(Task task, void* context, int64_t count) {
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count;) task(context, i);
  }

  void worker() {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return generation_ != seen && seats_ > 0; });
      seen = generation_;
      --seats_;
      ++inside_;
      const Task task = task_;
      void* const context = context_;
      const int64_t count = count_;
      lock.unlock();
      work(task, context, count);
      lock.lock();
      if (--inside_ == 0) left_.notify_one();
    }
  }

  std::mutex caller_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable left_;
  std::atomic<int64_t> next_{0};
  Task task_ = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0;
  uint64_t generation_ = 0;
  int seats_ = 0;
  int inside_ = 0;
  int started_ = 0;
};

// Never destroyed: detached workers may outlive static destruction.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

}  // namespace

int thread_count() {
  int threads = g_threads.load(std::memory_order_relaxed);
  if (threads == 0) {
    int expected = 0;
    threads = default_thread_count();
    if (!g_threads.compare_exchange_strong(expected, threads)) threads = expected;
  }
  return threads;
}

const char* thread_count_error() {
  return requested_thread_count() < 0 ? "LOGRATIO_THREADS is set, and not to a number from 1 to 1024" : nullptr;
}

void set_thread_count(int threads) { g_threads.store(threads, std::memory_order_relaxed); }

void parallel_for(int64_t count, Task task, void* context) {
  const int threads = static_cast<int>(std::min<int64_t>(thread_count(), count));
  if (threads > 1 && pool().try_run(count, task, context, threads)) return;
  for (int64_t i = 0; i < count; ++i) task(context, i);
}

}  // namespace logratio::cpu
