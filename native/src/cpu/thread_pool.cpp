#include "cpu/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

namespace logratio::cpu {
namespace {

// Whether this thread is within a task, whose own jobs it does by itself.
thread_local bool t_working = false;

// One job at a time. Workers join the job of the moment, take tasks from its counter and leave; the
// caller returns once the counter is used up and nobody is inside. A job needs no worker: the
// caller takes the tasks that nobody else does.
class Pool {
 public:
  bool try_run(int64_t count, Task task, void* context, int threads) {
    std::unique_lock<std::mutex> caller(caller_, std::try_to_lock);
    if (!caller.owns_lock())
      return false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (started_ < threads - 1)
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
  using Clock = std::chrono::steady_clock;

  // A refusal, which is of moments, such as a limit on a user's processes, costs as much as a small
  // call. So the system is asked again after a while only.
  static constexpr std::chrono::milliseconds kPatience{100};

  void grow(int workers) {
    if (Clock::now() < next_attempt_)
      return;
    try {
      for (; started_ < workers; ++started_)
        std::thread([this] { worker(); }).detach();
    } catch (const std::system_error&) {
      next_attempt_ = Clock::now() + kPatience;
    }
  }

  void work(Task task, void* context, int64_t count) {
    t_working = true;
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count;)
      task(context, i);
    t_working = false;
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
      if (--inside_ == 0)
        left_.notify_one();
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
  Clock::time_point next_attempt_{};
};

// Never destroyed: detached workers may outlive static destruction.
std::atomic<Pool*> g_pool{nullptr};

// A child of fork() has none of its parent's workers, and has its parent's locks as they were at
// that moment, held by threads that are no more. The child begins with a pool as good as new, in
// the place of the old one, before anything else runs in it.
void start_anew() {
  if (Pool* const inherited = g_pool.load(std::memory_order_relaxed))
    new (inherited) Pool;
}

Pool& pool() {
  Pool* current = g_pool.load(std::memory_order_acquire);
  if (current != nullptr)
    return *current;
  if (pthread_atfork(nullptr, nullptr, start_anew) != 0)
    throw std::bad_alloc();
  auto made = std::make_unique<Pool>();
  // One of the threads that come here at once wins. start_anew() may be called more than once.
  if (g_pool.compare_exchange_strong(current, made.get(), std::memory_order_acq_rel))
    current = made.release();
  return *current;
}

}  // namespace

void parallel_for(int64_t count, Task task, void* context) {
  const int threads = static_cast<int>(std::min<int64_t>(thread_count(), count));
  if (threads > 1 && !t_working && pool().try_run(count, task, context, threads))
    return;
  for (int64_t i = 0; i < count; ++i)
    task(context, i);
}

}  // namespace logratio::cpu
