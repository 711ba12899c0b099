// How the kernels of divergence_parts.cu and rule_parts.cu are started: by clusters, or by blocks
// that are resident together.
#pragma once

#include "parts.cuh"

namespace logratio::device {

namespace {

__global__ void __launch_bounds__(kStretchThreads)
    clear_arrivals(uint32_t* arrivals, int64_t count) {
  for (int64_t k = threadIdx.x; k < count; k += kStretchThreads)
    arrivals[k] = 0;
}

// Starts either kernel, the one for clusters where there are any, on blocks that keep `vectors` of
// each stretch in shared memory. False, and nothing done, where they do not fit.
template <class Call, class Places>
bool launch_parts(void (*by_clusters)(Call, int64_t),
                  void (*by_groups)(Call, int64_t, Groups<Places>), const Call& call,
                  int64_t vectors, int64_t units, const Groups<Places>& groups,
                  const Machine& machine) {
  constexpr int32_t kFirstWithClusters = 90;
  const size_t bytes = static_cast<size_t>(vectors) * sizeof(Vector) * kStretchWarps;
  const auto blocks = static_cast<unsigned>(call.parts.count);
  if (compiled_for(by_clusters) >= kFirstWithClusters) {
    if (resident_blocks(by_clusters, kStretchThreads, bytes) == 0)
      return false;
    launch_clusters(by_clusters, blocks, dim3(blocks * machine.blocks(units).x), kStretchThreads,
                    bytes, machine.stream, call, vectors);
    return true;
  }
  const int64_t resident = resident_blocks(by_groups, kStretchThreads, bytes);
  const int64_t count =
      std::min({units, groups.count, resident * machine.multiprocessors / blocks});
  if (count == 0)
    return false;
  launch(clear_arrivals, 1, kStretchThreads, 0, machine.stream, groups.arrivals, groups.count);
  launch_resident(by_groups, blocks, dim3(blocks * static_cast<unsigned>(count)), kStretchThreads,
                  bytes, machine.stream, call, vectors, groups);
  return true;
}

}  // namespace

}  // namespace logratio::device
