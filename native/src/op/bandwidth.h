// The bandwidth probes as a side runs them.
#pragma once

#include <cstdint>

namespace logratio::op {

// The plainest loop of a kind, as lr_bandwidth has them.
struct BandwidthProbe {
  int32_t kind;
  void* source;
  void* destination;
  uint64_t bytes;
};

}  // namespace logratio::op
