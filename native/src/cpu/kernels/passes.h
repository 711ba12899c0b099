// Rows that are gone through several times, by segments, with a few sums to be finished after each
// pass: the driver of divergence and of scoring rules.
//
// A Run is one row, or two, on its way:
//   begin(k)          row k of the call
//   wants(pass)       whether the pass is needed at all, from what is known then
//   segment(pass, s)  segment s of a pass, in any order
//   finish(pass)
// It may point to memory of its own, which is taken before it is made.
#pragma once

#include "cpu/row_tasks.h"
#include "cpu/scratch.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

// A value that a generic lambda can take as a template argument.
template <auto kValue>
struct Constant {
  constexpr auto operator()() const { return kValue; }
};

// Whole rows, each through all of its passes while it is in the cache, or, where few rows have
// several segments each, all rows through a pass together, a segment a task.
template <int kPasses, class MakeRun>
void run_passes(int64_t count, const RowPlan& plan, Scratch& scratch, MakeRun&& make_run) {
  using Run = decltype(make_run());
  const int64_t tasks = (count + plan.rows_per_task - 1) / plan.rows_per_task;
  const int64_t threads = thread_count(), workers = tasks < threads ? tasks : threads;
  const int64_t alive = plan.by_segment ? count : workers;
  auto* const runs = scratch.array<Run>(alive);
  for (int64_t i = 0; i < alive; ++i)
    runs[i] = make_run();
  if (!plan.by_segment) {
    int64_t next = 0;
    parallel_for(workers, [&](int64_t worker) {
      Run& run = runs[worker];
      for (;;) {
        const int64_t first = __atomic_fetch_add(&next, plan.rows_per_task, __ATOMIC_RELAXED);
        const int64_t last =
            first + plan.rows_per_task < count ? first + plan.rows_per_task : count;
        if (first >= last)
          return;
        for (int64_t k = first; k < last; ++k) {
          run.begin(k);
          for (int pass = 0; pass < kPasses; ++pass) {
            if (!run.wants(pass))
              continue;
            for (int64_t s = 0; s < plan.segments; ++s)
              run.segment(pass, s);
            run.finish(pass);
          }
        }
      }
    });
    return;
  }
  parallel_for(count, [&](int64_t k) { runs[k].begin(k); });
  for (int pass = 0; pass < kPasses; ++pass) {
    parallel_for(count * plan.segments, [&](int64_t i) {
      Run& run = runs[i / plan.segments];
      if (run.wants(pass))
        run.segment(pass, i % plan.segments);
    });
    for (int64_t k = 0; k < count; ++k) {
      if (runs[k].wants(pass))
        runs[k].finish(pass);
    }
  }
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
