// The kernel of scoring_rule by several blocks to a row, as divergence_parts.cu has it for pairs.
#include "parts_launch.cuh"
#include "rule_rows.cuh"

namespace logratio::device {
namespace {

template <class T, RuleForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    rule_rows_by_clusters(const LR_PARAMETER RuleCall call, int64_t cached_vectors) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  LR_DYNAMIC_SHARED(Vector, cache);
  const ClusterOfBlocks team{call.parts};
  take_all<T, kForm>(call, team, cache + warp_index() * cached_vectors);
  cluster_barrier();  // nobody reads this block's shared memory any more
#endif
}

template <class T, RuleForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    rule_rows_by_groups(const LR_PARAMETER RuleCall call, int64_t cached_vectors,
                        const LR_PARAMETER Groups<RulePlaces> groups) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ < 900
  LR_DYNAMIC_SHARED(Vector, cache);
  const int64_t group = blockIdx.x / call.parts.count;
  const GroupOfBlocks<RulePlaces> team{call.parts, groups.sums + group, groups.arrivals + group};
  take_all<T, kForm>(call, team, cache + warp_index() * cached_vectors);
#endif
}

}  // namespace

bool launch_rules_in_parts(const RuleCall& call, const Groups<RulePlaces>& groups,
                           const Machine& machine) {
  bool launched = false;
  with_type(call.args.logits.type, [&]<class T>(T) {
    with_form(call.args.options, [&]<RuleForm kForm>() {
      const int64_t chunks = (call.parts.stretches.columns + kRuleColumns<T> - 1) / kRuleColumns<T>;
      launched = launch_parts<RuleCall, RulePlaces>(
          rule_rows_by_clusters<T, kForm>, rule_rows_by_groups<T, kForm>, call,
          chunks * (kChunkVectors * kWarp), call.rows, groups, machine);
    });
  });
  return launched;
}

}  // namespace logratio::device
