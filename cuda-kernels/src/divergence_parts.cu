// The kernel of divergence by several blocks to a pair of rows: a block for each part of a long
// pair, which it keeps in shared memory, so that memory is read once whatever the number of passes.
// From compute capability 9.0 on they are clusters; before, the grid is no larger than what is
// resident at once, so that blocks may wait for each other.
//
// Each warp has the copies of several chunks to shared memory under way; a lane reads what it
// copied itself, so that nobody waits but for the sums.
#include "divergence_rows.cuh"

namespace logratio::device {
namespace {

constexpr int32_t kFirstWithClusters = 90;

template <class T, TwoRowsForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    divergence_rows_by_clusters(const LR_PARAMETER DivergenceCall call, int64_t cached_vectors) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  LR_DYNAMIC_SHARED(Vector, cache);
  const ClusterOfBlocks team{call.parts};
  take_all<T, kForm>(call, team, cache + warp_index() * cached_vectors);
  cluster_barrier();  // nobody reads this block's shared memory any more
#endif
}

template <class T, TwoRowsForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    divergence_rows_by_groups(const LR_PARAMETER DivergenceCall call, int64_t cached_vectors,
                              const LR_PARAMETER Groups groups) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ < 900
  LR_DYNAMIC_SHARED(Vector, cache);
  const int64_t group = blockIdx.x / call.parts.count;
  const GroupOfBlocks team{call.parts, groups.sums + group, groups.arrivals + group};
  take_all<T, kForm>(call, team, cache + warp_index() * cached_vectors);
#endif
}

__global__ void __launch_bounds__(kStretchThreads)
    clear_arrivals(const LR_PARAMETER Groups groups) {
  for (int64_t k = threadIdx.x; k < groups.count; k += kStretchThreads)
    groups.arrivals[k] = 0;
}

}  // namespace

bool launch_parts(const DivergenceCall& call, int64_t units, const Groups& groups,
                  const Machine& machine) {
  bool launched = false;
  with_type(call.args.p.type, [&]<class T>(T) {
    with_form(call.args.options.kind, [&]<TwoRowsForm kForm>() {
      // A stretch of both rows.
      const int64_t vectors = (call.parts.stretches.columns + kRowColumns<T> - 1) / kRowColumns<T> *
                              (2 * kRowVectors * kWarp);
      const size_t bytes = static_cast<size_t>(vectors) * sizeof(Vector) * kStretchWarps;
      const auto blocks = static_cast<unsigned>(call.parts.count);
      const auto clusters = divergence_rows_by_clusters<T, kForm>;
      const auto by_groups = divergence_rows_by_groups<T, kForm>;
      const bool has_clusters = compiled_for(clusters) >= kFirstWithClusters;
      const int64_t resident = has_clusters ? resident_blocks(clusters, kStretchThreads, bytes)
                                            : resident_blocks(by_groups, kStretchThreads, bytes);
      if (resident == 0)
        return;
      if (has_clusters) {
        launch_clusters(clusters, blocks, dim3(blocks * machine.blocks(units).x), kStretchThreads,
                        bytes, machine.stream, call, vectors);
      } else {
        const int64_t count =
            std::min({units, groups.count, resident * machine.multiprocessors / blocks});
        if (count == 0)
          return;
        launch(clear_arrivals, 1, kStretchThreads, 0, machine.stream, groups);
        launch_resident(by_groups, blocks, dim3(blocks * static_cast<unsigned>(count)),
                        kStretchThreads, bytes, machine.stream, call, vectors, groups);
      }
      launched = true;
    });
  });
  return launched;
}

}  // namespace logratio::device
