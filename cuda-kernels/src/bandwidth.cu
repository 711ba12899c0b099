// The plainest kernels there are: what a read, a copy and an update in place of all of a device's
// memory can reach, in bytes per second.
//   read    16 bytes read per vector     copy, update   16 read and 16 written
// A block walks its own stretch with eight loads under way per thread, and there are enough blocks
// for all multiprocessors to be full.
#include "intrinsics.h"
#include "operations.h"

namespace logratio::device {
namespace {

constexpr int kThreads = 512;
constexpr int kUnroll = 8;
constexpr int64_t kBlockVectors = int64_t{kThreads} * kUnroll;

struct Probe {
  Vector* source;
  Vector* destination;
  int64_t vectors;
};

template <int kKind>
__global__ void __launch_bounds__(kThreads) probe_memory(const Probe probe) {
  const int64_t first = blockIdx.x * kBlockVectors + threadIdx.x;
  Vector v[kUnroll] = {};
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    const int64_t k = first + int64_t{i} * kThreads;
    if (k < probe.vectors)
      v[i] = kKind == LR_BANDWIDTH_UPDATE ? load_before_write(probe.source + k)
                                          : load_once(probe.source + k);
  }
  if constexpr (kKind == LR_BANDWIDTH_READ) {
    // The sum must seem to matter, or nothing would be read. What may be stored once in 2^32
    // threads is what is there already.
    uint32_t sum = 0;
#pragma unroll
    for (int i = 0; i < kUnroll; ++i)
      sum += v[i].word[0] ^ v[i].word[1] ^ v[i].word[2] ^ v[i].word[3];
    if (sum == 0x9e3779b9u && first < probe.vectors)
      store_once(probe.source + first, v[0]);
  } else {
    Vector* const to = kKind == LR_BANDWIDTH_COPY ? probe.destination : probe.source;
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) {
      const int64_t k = first + int64_t{i} * kThreads;
      if (k < probe.vectors)
        store_once(to + k, v[i]);
    }
  }
}

}  // namespace

lr_status bandwidth_probe(Execution* execution, const op::BandwidthProbe* call) {
  return run(execution, [&] {
    const Probe probe{static_cast<Vector*>(call->source), static_cast<Vector*>(call->destination),
                      static_cast<int64_t>(call->bytes / sizeof(Vector))};
    if (probe.vectors == 0)
      return;
    const auto kernel = call->kind == LR_BANDWIDTH_READ   ? probe_memory<LR_BANDWIDTH_READ>
                        : call->kind == LR_BANDWIDTH_COPY ? probe_memory<LR_BANDWIDTH_COPY>
                                                          : probe_memory<LR_BANDWIDTH_UPDATE>;
    launch(kernel, dim3(static_cast<unsigned>((probe.vectors + kBlockVectors - 1) / kBlockVectors)),
           dim3(kThreads), 0, execution->stream, probe);
  });
}

}  // namespace logratio::device
