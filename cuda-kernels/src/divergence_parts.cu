// The kernel of divergence by several blocks to a pair of rows: a block for each part of a long
// pair, which it keeps in shared memory, so that memory is read once whatever the number of passes.
// From compute capability 9.0 on they are clusters; before, the grid is no larger than what is
// resident at once, so that blocks may wait for each other.
//
// Each warp has the copies of several chunks to shared memory under way; a lane reads what it
// copied itself, so that nobody waits but for the sums.
#include "divergence_rows.cuh"
#include "parts_launch.cuh"

namespace logratio::device {
namespace {

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
                              const LR_PARAMETER Groups<PairPlaces> groups) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ < 900
  LR_DYNAMIC_SHARED(Vector, cache);
  const int64_t group = blockIdx.x / call.parts.count;
  const GroupOfBlocks<PairPlaces> team{call.parts, groups.sums + group, groups.arrivals + group};
  take_all<T, kForm>(call, team, cache + warp_index() * cached_vectors);
#endif
}

}  // namespace

bool launch_pairs_in_parts(const DivergenceCall& call, int64_t units,
                           const Groups<PairPlaces>& groups, const Machine& machine) {
  bool launched = false;
  with_type(call.args.p.type, [&]<class T>(T) {
    with_form(call.args.options, [&]<TwoRowsForm kForm>() {
      const int64_t chunks = (call.parts.stretches.columns + kRowColumns<T> - 1) / kRowColumns<T>;
      launched = launch_parts<DivergenceCall, PairPlaces>(
          divergence_rows_by_clusters<T, kForm>, divergence_rows_by_groups<T, kForm>, call,
          chunks * (2 * kRowVectors * kWarp), units, groups, machine);
    });
  });
  return launched;
}

}  // namespace logratio::device
