// The kernel of divergence by clusters of blocks, from compute capability 9.0 on: a block for each
// part of a long pair of rows. So few pairs are under way that they stay in the L2, and where a
// part fits into its block's shared memory, memory is read once whatever the number of passes.
//
// Each warp has the copies of several chunks to shared memory under way; a lane reads what it
// copied itself, so that nobody waits but for the sums.
#include "divergence_rows.cuh"

namespace logratio::device {
namespace {

constexpr int32_t kFirstWithClusters = 90;
constexpr size_t kMaxCache = 224 * 1024 - sizeof(TwoRowsScratch<OnePartEach>);

template <class T, TwoRowsForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    divergence_rows(const LR_PARAMETER DivergenceCall call, int64_t cached_vectors) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  LR_DYNAMIC_SHARED(Vector, cache);
  const OnePartEach team{call.parts};
  take_all<T, kForm>(call, team, cache + warp_index() * cached_vectors);
  cluster_barrier();  // nobody reads this block's shared memory any more
#endif
}

}  // namespace

bool launch_in_clusters(const DivergenceCall& call, int64_t units, const Machine& machine) {
  bool launched = false;
  with_type(call.args.p.type, [&]<class T>(T) {
    with_form(call.args.options.kind, [&]<TwoRowsForm kForm>() {
      const auto kernel = divergence_rows<T, kForm>;
      // A stretch of both rows.
      const int64_t vectors = (call.parts.stretches.columns + kRowColumns<T> - 1) / kRowColumns<T> *
                              (2 * kRowVectors * kWarp);
      const size_t bytes = static_cast<size_t>(vectors) * sizeof(Vector) * kStretchWarps;
      if (bytes > kMaxCache || compiled_for(kernel) < kFirstWithClusters)
        return;
      const auto blocks = static_cast<unsigned>(call.parts.count);
      launch_clusters(kernel, blocks, dim3(blocks * machine.blocks(units).x), kStretchThreads,
                      bytes, machine.stream, call, vectors);
      launched = true;
    });
  });
  return launched;
}

}  // namespace logratio::device
