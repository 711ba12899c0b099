// Threads that each have a space of tiles and take tasks in their order.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "cpu/linear/tiles.h"
#include "cpu/scratch.h"
#include "cpu/thread_pool.h"

namespace logratio::cpu {

class Workers {
 public:
  explicit Workers(const Tiles& tiles) {
    for (int64_t k = thread_count(); k > 0; --k)
      spaces_.push_back(tiles.make_space(scratch_));
  }

  // body(task, space) for 0..count-1. A task is begun after all before it were: it may wait for
  // them.
  template <class Body>
  void run(int64_t count, Body&& body) const {
    std::atomic<int64_t> next{0};
    const int64_t workers = std::min(count, static_cast<int64_t>(spaces_.size()));
    parallel_for(workers, [&](int64_t worker) {
      for (int64_t task = next++; task < count; task = next++)
        body(task, spaces_[worker]);
    });
  }

 private:
  Scratch scratch_;
  std::vector<TileSpace> spaces_;
};

}  // namespace logratio::cpu
