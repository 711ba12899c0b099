// That no plan of threads hides a barrier that is missing in a kernel of ours.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "removed_barriers.h"

namespace logratio::test {

// run(&failure) runs kernels in all their ways and returns their outputs' bits. Every barrier that
// they meet, `least` of them or more, is needed: its lack shows under one of a few seeds, as other
// bits or as a report.
template <class Run>
void expect_every_barrier_needed(size_t least, Run&& run) {
  barriers_met.clear();
  emulator::set_seed(1);
  std::string failure;
  const std::string expected = run(&failure);
  ASSERT_EQ(failure, "");
  const std::map<Place, int> places = barriers_met;
  EXPECT_GE(places.size(), least);
  for (const auto& [place, calls] : places) {
    removed_barrier = place;
    bool caught = false;
    for (uint64_t seed = 1; seed <= 40 && !caught; ++seed) {
      emulator::set_seed(seed);
      std::string report;
      caught = run(&report) != expected || !report.empty();
    }
    EXPECT_TRUE(caught) << "nothing shows that the barrier in " << place.first << ':'
                        << place.second << " (" << calls << " calls) is missing";
  }
  removed_barrier = {};
}

}  // namespace logratio::test
