// How a library is kept to the calling thread.
#pragma once

#include <cstdint>
#include <functional>

#include "cpu/linear/shared_library.h"

namespace logratio::cpu {

// Makes calls of a library run on the thread that makes them, whatever the program has set for
// itself, and puts that back.
class OneThread {
 public:
  // begin() returns what end() puts back.
  OneThread(std::function<int64_t()> begin, std::function<void(int64_t)> end)
      : begin_(std::move(begin)), end_(std::move(end)) {}

  // For a library that has no threads.
  OneThread() = default;

  template <class Call>
  auto run(Call&& call) const {
    const Scope scope(*this);
    return call();
  }

 private:
  struct Scope {
    explicit Scope(const OneThread& one) : one(one), before(one.begin_ ? one.begin_() : 0) {}
    ~Scope() {
      if (one.end_)
        one.end_(before);
    }
    const OneThread& one;
    const int64_t before;
  };

  std::function<int64_t()> begin_;
  std::function<void(int64_t)> end_;
};

// OpenMP's number of threads is the calling thread's own. A library without OpenMP has no threads
// by this.
OneThread one_openmp_thread(const SharedLibrary& library);

// A number of threads that the whole process shares is 1 while any product runs. Products that
// others make with the same library meanwhile run on one thread, too.
OneThread one_thread_in_process(int (*get)(), void (*set)(int));

}  // namespace logratio::cpu
