// A small thread pool: the caller works too, and a task's result never depends on which thread ran
// it.
#pragma once

#include <cstdint>

#include "cpu/thread_count.h"

namespace logratio::cpu {

using Task = void (*)(void* context, int64_t index);

// Runs task(context, 0..count-1) in any order on up to thread_count() threads and returns when all
// are done. Tasks must not throw. A second caller that finds the pool busy runs its tasks itself,
// as does a task that calls this. Where the system refuses a thread the tasks are run by those
// there are. In a child of fork() the pool starts anew.
void parallel_for(int64_t count, Task task, void* context);

template <class F>
void parallel_for(int64_t count, F&& body) {
  parallel_for(
      count, [](void* context, int64_t index) { (*static_cast<F*>(context))(index); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace logratio::cpu
