// scoring_rule: values, loss and gradient of strictly proper scoring rules.
//
// One kernel takes a row through everything: log-sum-exp and the sum of powers in one read, the sum
// over the masked columns in a second where the masked log term is wanted, and one read and one
// write for the gradient. Memory itself is to be read once and written once: 2 (BF16, F16) or 4
// (F32) bytes per element forward, as many again backward. Short rows belong to a block, and are in
// the L2 when they are read again. Rows of 65536 columns and more have eight parts, each a block's,
// which keeps it in shared memory; where it does not fit, one block does all parts, to the same
// bits. Each warp has a stretch of the columns and meets the others between passes only.
//
// The mean is over the rows that are not ignored: a small launch before counts them, so that the
// upstream gradient is known, and one after sums the loss, in a fixed order.
#include "list_sum.cuh"
#include "operations.h"
#include "rule_rows.cuh"
#include "runtime.h"

namespace logratio::device {
namespace {

template <class T, RuleForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    rule_rows(const LR_PARAMETER RuleCall call) {
  const OneBlock team{call.parts};
  take_all<T, kForm>(call, team, nullptr);
}

// ---- Before and after them ----

__global__ void __launch_bounds__(kListThreads) count_rows(const LR_PARAMETER RuleCall call) {
  LR_SHARED(BlockScratch, scratch, 1);
  const op::Labels& labels = call.args.labels;
  double count[1];
  const bool finishes =
      sum_list(call.rows, call.list, scratch, count, [&](int64_t r, double(&own)[1]) {
        own[0] += read_int(labels.values, r) != labels.ignore_index ? 1 : 0;
      });
  if (finishes && threadIdx.x == 0)
    *call.counted = count[0];
}

__global__ void __launch_bounds__(kListThreads) average_rows(const LR_PARAMETER RuleCall call) {
  LR_SHARED(BlockScratch, scratch, 1);
  double sum[1];
  const bool finishes = sum_list(call.rows, call.list, scratch, sum,
                                 [&](int64_t r, double(&own)[1]) { own[0] += call.values[r]; });
  if (finishes && threadIdx.x == 0)
    write(call.args.loss, 0, *call.counted == 0 ? 0 : sum[0] / *call.counted);
}

void launch_rules(const RuleCall& call, const Groups<RulePlaces>& groups, const Machine& machine) {
  if (call.parts.count > 1 && launch_rules_in_parts(call, groups, machine))
    return;
  with_type(call.args.logits.type, [&]<class T>(T) {
    with_form(call.args.options, [&]<RuleForm kForm>() {
      launch(rule_rows<T, kForm>, machine.blocks(call.rows), call.parts.stretches.count * kWarp, 0,
             machine.stream, call);
    });
  });
}

}  // namespace

lr_status scoring_rule(Execution* execution, const op::ScoringRule* rules) {
  return run(execution, [&] {
    const op::ScoringRule& args = *rules;
    Workspace workspace(*execution);
    const int64_t rows = args.labels.values.size();
    double* const values = workspace.take<double>(rows);
    double* const counted = workspace.take<double>(1);
    const Machine machine(*execution);
    const Parts parts = cut_parts(args.options.vocabulary);
    const Groups<RulePlaces> groups(parts, machine, workspace);
    const ListMemory list = take_list_memory(workspace, rows);
    if (!workspace.ready())
      return;
    const double order = args.options.alpha - 1;
    const RuleCall call{
        args,    rows,   parts, static_cast<float>(std::fmin(order * math::kLog2E, 1e30)),
        counted, values, list,  execution->bad_values};
    poison(args.values);
    poison(args.loss);
    if (args.wants_gradient && args.gradient.base != args.logits.base)
      poison(args.gradient, rows);
    const dim3 list_parts = grid_of(parts_of(rows));
    if (args.wants_gradient || args.loss.present) {
      prepare_list_sums(list, rows, machine.stream);
      launch(count_rows, list_parts, kListThreads, 0, machine.stream, call);
    }
    if (rows > 0)
      launch_rules(call, groups, machine);
    if (args.loss.present)
      launch(average_rows, list_parts, kListThreads, 0, machine.stream, call);
  });
}

}  // namespace logratio::device
