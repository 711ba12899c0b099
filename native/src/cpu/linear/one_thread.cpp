#include "cpu/linear/one_thread.h"

#include <pthread.h>

#include <mutex>
#include <new>

namespace logratio::cpu {
namespace {

// The products that run now, and the number of threads that their library had before.
struct Running {
  std::mutex mutex;
  int products = 0;
  int before = 1;
};
constinit Running running;

// A child of fork() has none of its parent's products, and the mutex as it was at that moment.
// Where products ran, the child's number of threads stays 1.
void start_anew() { new (&running) Running; }

}  // namespace

OneThread one_openmp_thread(const SharedLibrary& library) {
  const auto get = library.find<int()>("omp_get_max_threads");
  const auto set = library.find<void(int)>("omp_set_num_threads");
  if (get == nullptr || set == nullptr)
    return {};
  return {[get, set] {
            const int before = get();
            if (before != 1)
              set(1);
            return before;
          },
          [set](int64_t before) {
            if (before != 1)
              set(static_cast<int>(before));
          }};
}

OneThread one_thread_in_process(int (*get)(), void (*set)(int)) {
  if (pthread_atfork(nullptr, nullptr, start_anew) != 0)
    throw std::bad_alloc();
  return {[get, set] {
            const std::lock_guard<std::mutex> lock(running.mutex);
            if (running.products++ == 0)
              running.before = get();
            if (get() != 1)
              set(1);
            return 0;
          },
          [set](int64_t) {
            const std::lock_guard<std::mutex> lock(running.mutex);
            if (--running.products == 0 && running.before != 1)
              set(running.before);
          }};
}

}  // namespace logratio::cpu
