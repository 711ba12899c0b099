// divergence: values, loss and both gradients.
//
// One kernel takes two rows that meet through everything: the log-sum-exps of both sides and, where
// the kind's value follows from sums about the running maxima (sce, jeffreys, kl, cosine), the
// value, in one read of each side; the second read that the others need (js, l2, tvd,
// wasserstein1); and one read and one write of each live side for the gradients. p and q are never
// stored. Memory itself is to be read once and written once: 2 (BF16, F16) or 4 (F32) bytes per
// element and side forward, as many again backward. Short rows belong to a block, and are in the L2
// when they are read again. Rows of 65536 columns and more have eight parts: where the GPU has
// clusters, each is a block's, which keeps it in shared memory; elsewhere a block does one after
// the other, to the same bits.
//
// Each warp has a stretch of the columns: no barrier within a pass, and Wasserstein's running sums
// need only to know what the stretches before add up to. Where the mean is weighted, or rows meet
// by number, a small launch comes first: it sums the weights, so that the upstream
// gradient is known, and finds which row meets which. A last one sums the loss, in a fixed
// order.
#include "divergence_rows.cuh"
#include "list_sum.cuh"
#include "operations.h"
#include "runtime.h"

namespace logratio::device {
namespace {

// ---- Before the rows ----

__device__ inline void claim(const op::TensorView& rows, int64_t k, int64_t count,
                             int64_t* owners) {
  const int64_t row = read_int(rows, k);
  if (row >= 0 && row < count)
    lower_to(&owners[row], k);
}

// The owners are nobody before.
__global__ void __launch_bounds__(kListThreads)
    prepare_rows(const LR_PARAMETER DivergenceCall call) {
  LR_SHARED(BlockScratch, scratch, 1);
  const op::Divergence& args = call.args;
  double sums[2];  // of weights, and how many are bad
  const bool finishes =
      sum_list(args.count, call.list, scratch, sums, [&](int64_t k, double(&own)[2]) {
        if (call.owners_p != nullptr) {
          claim(args.p_rows, k, args.p_count, call.owners_p);
          claim(args.q_rows, k, args.q_count, call.owners_q);
        }
        const double weight = call.weight_as_given(k);
        const bool is_good = math::is_weight(weight);
        own[0] += is_good ? weight : 0;
        own[1] += is_good ? 0 : 1;
      });
  if (!finishes || threadIdx.x != 0)
    return;
  *call.total = sums[0];
  if (sums[1] > 0 && call.bad_values != nullptr)
    count_up(call.bad_values, static_cast<int64_t>(sums[1]));
}

// ---- Rows ----

template <class T, TwoRowsForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    divergence_rows(const LR_PARAMETER DivergenceCall call) {
  const OneBlock team{call.parts};
  take_all<T, kForm>(call, team, nullptr);
}

// ---- After them ----

__global__ void __launch_bounds__(kListThreads) sum_values(const LR_PARAMETER DivergenceCall call) {
  LR_SHARED(BlockScratch, scratch, 1);
  double sum[1];
  const bool finishes =
      sum_list(call.args.count, call.list, scratch, sum, [&](int64_t k, double(&own)[1]) {
        const double share = call.share(k);
        if (share != 0)
          own[0] += share * call.values[k];
      });
  if (finishes && threadIdx.x == 0)
    write(call.args.loss, 0, sum[0]);
}

// Columns of a gradient's rows from `begin` up to `end`, which lie behind the vocabulary, become 0:
// halves of a float32, or 2-byte elements, so that one kernel does for all types.
__global__ void __launch_bounds__(kListThreads)
    clear_padding(const LR_PARAMETER op::LogitRows rows, int64_t count, int64_t begin,
                  int64_t end) {
  const int64_t units = rows.type == op::ElementType::f32 ? 2 : 1;
  for (int64_t r = blockIdx.x; r < count; r += gridDim.x) {
    const int64_t first = r / rows.inner * rows.outer_stride + r % rows.inner * rows.inner_stride;
    uint16_t* const row = static_cast<uint16_t*>(rows.base) + first * units;
    for (int64_t k = begin * units + threadIdx.x; k < end * units; k += blockDim.x)
      row[k] = 0;
  }
}

void launch_clear_padding(const op::LogitRows& gradient, bool wanted, int64_t count,
                          int64_t columns, const Machine& machine) {
  if (wanted && count > 0 && gradient.columns < columns) {
    launch(clear_padding, machine.blocks(count), kListThreads, 0, machine.stream, gradient, count,
           gradient.columns, columns);
  }
}

void launch_rows(const DivergenceCall& call, const Groups<PairPlaces>& groups,
                 const Machine& machine) {
  const op::Divergence& args = call.args;
  const bool by_index = call.owners_p != nullptr;
  const int64_t units = args.count * call.models + (by_index && args.wants_p ? args.p_count : 0) +
                        (by_index && args.wants_q ? args.q_count : 0);
  if (units == 0)
    return;
  if (call.parts.count > 1 && !args.q_is_weights &&
      launch_pairs_in_parts(call, units, groups, machine))
    return;
  with_type(args.p.type, [&]<class T>(T) {
    with_form(args.options, [&]<TwoRowsForm kForm>() {
      launch(divergence_rows<T, kForm>, machine.blocks(units), call.parts.stretches.count * kWarp,
             0, machine.stream, call);
    });
  });
}

}  // namespace

lr_status divergence(Execution* execution, const op::Divergence* divergences) {
  return run(execution, [&] {
    const op::Divergence& args = *divergences;
    Workspace workspace(*execution);
    const bool several = args.model_weights.present;
    const int64_t models = several ? args.models : 1;
    double* const values = workspace.take<double>(args.count);
    double* const total = workspace.take<double>(1);
    const bool by_index = args.p_rows.present;
    int64_t* const owners_p = workspace.take<int64_t>(by_index ? args.p_count : 0);
    int64_t* const owners_q = workspace.take<int64_t>(by_index ? args.q_count : 0);
    const ListMemory list = take_list_memory(workspace, args.count);
    const Machine machine(*execution);
    // A side without rows has no columns either, but the other side's gradient has.
    const Parts parts = cut_parts(std::max(args.p.columns, args.q.columns));
    const Groups<PairPlaces> groups(parts, machine, workspace);
    const int64_t plans = several ? args.count * models : 0;
    double* const model_values = workspace.take<double>(plans);
    double* const model_shares = workspace.take<double>(several ? models : 0);
    ModelPlan* const model_plans = workspace.take<ModelPlan>(plans);
    const bool transports = math::form_of(args.options) == TwoRowsForm::transport;
    TransportStart* const model_starts =
        workspace.take<TransportStart>(transports ? plans * kMaxParts * kStretchWarps : 0);
    double* const log_p = workspace.take<double>(
        args.topk_ids.present ? topk_blocks(args, machine) * args.known() : 0);
    if (!workspace.ready())
      return;
    const DivergenceCall call{args,
                              math::two_rows_scale(args.options),
                              parts,
                              by_index ? owners_p : nullptr,
                              by_index ? owners_q : nullptr,
                              args.row_weights.present ? total : nullptr,
                              values,
                              list,
                              execution->bad_values,
                              1,
                              nullptr,
                              nullptr,
                              nullptr};
    poison(args.values);
    poison(args.loss);
    if (args.wants_p && args.grad_p.base != args.p.base)
      poison(args.grad_p, args.p_count);
    if (args.wants_q && args.grad_q.base != args.q.base)
      poison(args.grad_q, args.q_count * models);
    const bool prepares = by_index || args.row_weights.present;
    const dim3 list_parts = grid_of(parts_of(args.count));
    if (prepares || args.loss.present)
      prepare_list_sums(list, args.count, machine.stream);
    if (by_index) {
      fill(owners_p, kNobodyByte, args.p_count * sizeof *owners_p, machine.stream);
      fill(owners_q, kNobodyByte, args.q_count * sizeof *owners_q, machine.stream);
    }
    if (prepares) {
      DivergenceCall prepared = call;
      prepared.total = total;
      launch(prepare_rows, list_parts, kListThreads, 0, machine.stream, prepared);
    }
    if (args.topk_ids.present) {
      launch_topk(call, log_p, machine);
    } else if (several) {
      DivergenceCall of_models = call;
      of_models.values = model_values;
      of_models.models = models;
      of_models.plans = model_plans;
      of_models.model_starts = model_starts;
      of_models.model_shares = model_shares;
      launch_model_shares(of_models, model_shares, machine);
      DivergenceCall forward = of_models;
      forward.args.wants_p = forward.args.wants_q = false;
      launch_rows(forward, groups, machine);
      launch_models(of_models, values, machine);
    } else {
      launch_rows(call, groups, machine);
    }
    launch_clear_padding(args.grad_p, args.wants_p, args.p_count, args.columns, machine);
    launch_clear_padding(args.grad_q, args.wants_q, args.q_count * models, args.columns, machine);
    if (args.loss.present)
      launch(sum_values, list_parts, kListThreads, 0, machine.stream, call);
  });
}

}  // namespace logratio::device
