// scoring_rule: values, loss and gradient of strictly proper scoring rules.
//
// One kernel takes a row through everything: log-sum-exp and the sum of powers in one read, the sum
// over the masked columns in a second where the masked log term is wanted, and one read and one
// write for the gradient. A block has its row for itself, so that all reads after the first find it
// in L2, and memory itself is read once and written once: 2 (BF16, F16) or 4 (F32) bytes per
// element forward, as many again twice backward. Each warp has a stretch of the columns and meets
// the others between passes only.
//
// The mean is over the rows that are not ignored: a small launch before counts them, so that the
// upstream gradient is known, and one after sums the loss, in a fixed order.
#include "list_sum.cuh"
#include "math/scoring_rule.h"
#include "operations.h"
#include "row_stretches.cuh"
#include "runtime.h"

namespace logratio::device {
namespace {

using math::MaskedSums;
using math::RuleForm;
using math::RuleGradient;
using math::RuleSums;

constexpr auto kLog2E = static_cast<float>(math::kLog2E);
template <class T>
constexpr int kRuleStep = kWarp* T::kPerVector;
template <class T>
constexpr int kRuleColumns = kChunkVectors* kRuleStep<T>;  // of a warp's chunk
template <class T>
using RuleChunk = Chunk<T, kChunkVectors, kRuleStep<T>>;

struct RuleCall {
  op::ScoringRule args;
  int64_t rows;
  Stretches stretches;  // of the columns that take part
  float order_scale;    // (alpha - 1) log2(e), finite
  double* counted;      // rows that are not ignored
  double* values;       // of the rows, in double
  ListMemory list;      // of the rows
  int64_t* bad_values;
};

__device__ __forceinline__ float exponential(float d) { return exp2_fast(d * kLog2E); }
__device__ __forceinline__ float power_of(float d, const RuleCall& call) {
  return exp2_fast(d * call.order_scale);
}

template <class T>
__device__ __forceinline__ RuleChunk<T> chunk_at(int64_t column, int64_t end) {
  return RuleChunk<T>(column + lane_index() * T::kPerVector, end);
}

// Calls body(x) for each number of a chunk but those outside the row.
template <class T, class Body>
__device__ __forceinline__ void for_inside(const RuleChunk<T>& chunk, const Vector* v,
                                           Body&& body) {
  if (chunk.left >= chunk.kWhole) {
    for_columns<T, kChunkVectors, kRuleStep<T>>(v, [&](float x, int) { body(x); });
  } else {
    for_columns<T, kChunkVectors, kRuleStep<T>>(v, [&](float x, int k) {
      if (k < chunk.left)
        body(x);
    });
  }
}

// ---- The passes over a stretch, by a warp ----

template <RuleForm kForm>
__device__ __forceinline__ RuleSums merge_lanes(const RuleSums& own, double alpha) {
  RuleSums all = math::rebased(own, warp_max(static_cast<float>(own.maximum)), alpha);
  all.e = warp_sum(all.e);
  if constexpr (kForm == RuleForm::plain) {
    all.d = warp_sum(all.d);
    all.columns = warp_sum(all.columns);
  }
  if constexpr (kForm != RuleForm::plain)
    all.e_alpha = warp_sum(all.e_alpha);
  if constexpr (kForm == RuleForm::power)
    all.e_less = warp_sum(all.e_less);
  return all;
}

template <class T, RuleForm kForm>
__device__ __forceinline__ RuleSums sum_stretch(const RuleCall& call,
                                                const typename T::Element* row, int64_t begin,
                                                int64_t end) {
  // Columns take part in the mean of logits only where the labels are smoothed.
  const bool averages = kForm == RuleForm::plain && call.args.options.epsilon > 0;
  float maximum = -kInfinity;
  int columns = 0;
  RuleSums sums = math::no_rule_sums();
  for (int64_t column = begin; column < end; column += kRuleColumns<T>) {
    const RuleChunk<T> chunk = chunk_at<T>(column, end);
    Vector v[kChunkVectors];
    load_stretch<false>(row, chunk, v);
    float top = -kInfinity;
    for_columns<T, kChunkVectors, kRuleStep<T>>(v, [&](float x, int) { top = fmaxf(top, x); });
    if (top > maximum) {
      if (sums.e != 0) {
        const float shift = maximum - top, less = power_of(shift, call), e = exponential(shift);
        sums.e *= e;
        sums.e_alpha *= kForm == RuleForm::square ? e * e : e * less;
        sums.e_less *= less;
        sums.d += columns * (static_cast<double>(maximum) - top);
      }
      maximum = top;
    }
    const float pivot = maximum == -kInfinity ? 0 : maximum;
    float e_sum = 0, alpha_sum = 0, less_sum = 0;
    for_columns<T, kChunkVectors, kRuleStep<T>>(v, [&](float x, int) {
      const float d = x - pivot, e = exponential(d);
      e_sum += e;
      if constexpr (kForm == RuleForm::square)
        alpha_sum = fused(e, e, alpha_sum);
      if constexpr (kForm == RuleForm::power) {
        const float less = power_of(d, call);
        less_sum += less;
        alpha_sum = fused(e, less, alpha_sum);
      }
    });
    sums.e += e_sum;
    if constexpr (kForm != RuleForm::plain)
      sums.e_alpha += alpha_sum;
    if constexpr (kForm == RuleForm::power)
      sums.e_less += less_sum;
    if (averages) {
      float differences = 0;
      for_inside<T>(chunk, v, [&](float x) {
        differences += fused(x, kSmall, -pivot * kSmall);
        ++columns;
      });
      sums.d += differences * (1 / double{kSmall});
    }
  }
  sums.maximum = maximum;
  sums.columns = columns;
  return merge_lanes<kForm>(sums, call.args.options.alpha);
}

template <class T>
__device__ __forceinline__ MaskedSums mask_stretch(const RuleGradient& gradient,
                                                   const typename T::Element* row, int64_t begin,
                                                   int64_t end) {
  double sum = 0;
  int count = 0;
  for (int64_t column = begin; column < end; column += kRuleColumns<T>) {
    const RuleChunk<T> chunk = chunk_at<T>(column, end);
    Vector v[kChunkVectors];
    load_stretch<false>(row, chunk, v);
    float all = 0;
    for_inside<T>(chunk, v, [&](float x) {
      const float d = x - gradient.maximum;
      const bool masked = d < gradient.threshold;
      all = fused(masked ? d : 0, kSmall, all);
      count += masked ? 1 : 0;
    });
    sum += all * (1 / double{kSmall});
  }
  return {warp_sum(sum), warp_sum(static_cast<double>(count))};
}

// From a logit to its gradient. `kMasks`: the constant is another one below the threshold.
template <RuleForm kForm, bool kMasks>
__device__ __forceinline__ float differentiate(float x, const RuleCall& call,
                                               const RuleGradient& g) {
  const float d = x - g.maximum, e = exponential(d);
  const float everywhere = kMasks && d < g.threshold ? g.constant + g.masked : g.constant;
  const float constant = x > -kInfinity ? everywhere : 0;
  if constexpr (kForm == RuleForm::plain)
    return fused(e, g.linear, constant);
  if constexpr (kForm == RuleForm::square)
    return fused(e, fused(g.product, e, g.linear), constant);
  const float u = power_of(d, call);
  return fused(e, fused(g.product, u, g.linear), fused(g.less, u, constant));
}

template <RuleForm kForm, bool kMasks, int kColumns>
__device__ __forceinline__ void differentiate_all(const RuleCall& call, const RuleGradient& g,
                                                  float (&x)[kColumns]) {
#pragma unroll
  for (int k = 0; k < kColumns; ++k)
    x[k] = differentiate<kForm, kMasks>(x[k], call, g);
}

template <class T, RuleForm kForm>
__device__ __forceinline__ void write_stretch(const RuleCall& call, const RuleGradient& g,
                                              const typename T::Element* row,
                                              typename T::Element* target, int64_t begin,
                                              int64_t end) {
  const bool masks = math::has_mask(call.args.options);
  for (int64_t column = begin; column < end; column += kRuleColumns<T>) {
    const RuleChunk<T> chunk = chunk_at<T>(column, end);
    Vector v[kChunkVectors];
    load_stretch<true>(row, chunk, v);
    float x[kChunkVectors * T::kPerVector];
    unpack_all<T, kChunkVectors>(v, x);
    if (masks) {
      differentiate_all<kForm, true>(call, g, x);
    } else {
      differentiate_all<kForm, false>(call, g, x);
    }
    store_stretch(target, chunk, x);
  }
}

// ---- Rows ----

// What the warps of a block tell each other.
struct RuleScratch {
  RuleSums sums[kStretchWarps];
  MaskedSums masked[kStretchWarps];
  math::RowRuleSums row;
  double others[kStretchWarps][3];  // where the label is certain: e, e_alpha and e_less without it
  RuleGradient gradient;
};

// Called by a block that has met: the sums without the label, which is certain.
template <class T, RuleForm kForm>
__device__ inline void sum_others(const RuleCall& call, const typename T::Element* row,
                                  int64_t label, int64_t begin, int64_t end, RuleScratch* scratch) {
  const float maximum = static_cast<float>(scratch->row.all.maximum);
  double e = 0, alpha = 0, less = 0;
#pragma unroll 1
  for (int64_t column = begin + lane_index(); column < end; column += kWarp) {
    if (column == label)
      continue;
    const float d = T::widen(row[column]) - maximum, own = exponential(d);
    e += own;
    if constexpr (kForm == RuleForm::square)
      alpha += own * own;
    if constexpr (kForm == RuleForm::power) {
      const float power = power_of(d, call);
      alpha += own * power;
      less += power;
    }
  }
  e = warp_sum(e);
  alpha = warp_sum(alpha);
  less = warp_sum(less);
  if (lane_index() == 0) {
    scratch->others[warp_index()][0] = e;
    scratch->others[warp_index()][1] = alpha;
    scratch->others[warp_index()][2] = less;
  }
  __syncthreads();
  if (threadIdx.x != 0)
    return;
  scratch->row.others_e = scratch->row.others_alpha = scratch->row.others_less = 0;
  for (int w = 0; w < call.stretches.count; ++w) {
    scratch->row.others_e += scratch->others[w][0];
    scratch->row.others_alpha += scratch->others[w][1];
    scratch->row.others_less += scratch->others[w][2];
  }
}

// Called by one thread, which gets the label's gradient.
__device__ inline double finish_row(const RuleCall& call, int64_t r, double upstream,
                                    RuleScratch* scratch) {
  const math::RuleOptions& options = call.args.options;
  MaskedSums masked{0, 0};
  if (math::has_mask(options)) {
    for (int w = 0; w < call.stretches.count; ++w) {
      masked.d += scratch->masked[w].d;
      masked.count += scratch->masked[w].count;
    }
  }
  const math::RuleResult result = math::rule_result(options, scratch->row, masked);
  math::finish_rule_gradient(options, result, upstream, &scratch->gradient);
  call.values[r] = result.value;
  write(call.args.values, r, result.value);
  return upstream * result.label;
}

// Called by a whole block. `label` is a column.
template <class T, RuleForm kForm>
__device__ __forceinline__ void take_row(const RuleCall& call, int64_t r, int64_t label,
                                         double upstream, RuleScratch* scratch) {
  const op::ScoringRule& args = call.args;
  const int64_t columns = args.options.vocabulary, begin = warp_index() * call.stretches.columns;
  const int64_t stretch_end = begin + call.stretches.columns,
                end = stretch_end < columns ? stretch_end : columns;
  const typename T::Element* row = row_address<T>(args.logits, r);
  const RuleSums sums = sum_stretch<T, kForm>(call, row, begin, end);
  if (lane_index() == 0)
    scratch->sums[warp_index()] = sums;
  __syncthreads();
  if (warp_index() == 0) {
    const RuleSums own =
        lane_index() < call.stretches.count ? scratch->sums[lane_index()] : math::no_rule_sums();
    const RuleSums all = merge_lanes<kForm>(own, args.options.alpha);
    if (lane_index() == 0) {  // the label's logit is read here: an in-place run overwrites it
      scratch->row =
          math::without_label(all, T::widen(row[label]) - all.maximum, args.options.alpha);
      scratch->gradient = math::begin_rule_gradient(args.options, all);
    }
  }
  __syncthreads();
  if (math::is_small(scratch->row)) {
    sum_others<T, kForm>(call, row, label, begin, end, scratch);
    __syncthreads();
  }
  if (math::has_mask(args.options)) {
    const MaskedSums masked = mask_stretch<T>(RuleGradient(scratch->gradient), row, begin, end);
    if (lane_index() == 0)
      scratch->masked[warp_index()] = masked;
    __syncthreads();
  }
  double label_gradient = 0;
  if (threadIdx.x == 0)
    label_gradient = finish_row(call, r, upstream, scratch);
  if (!args.wants_gradient)
    return;
  typename T::Element* target = row_address<T>(args.gradient, r);
  if (upstream == 0) {
    __syncthreads();  // the label's logit has been read
    clear_columns<T>(target, 0, args.gradient.columns);
    return;
  }
  __syncthreads();
  write_stretch<T, kForm>(call, RuleGradient(scratch->gradient), row, target, begin, end);
  clear_columns<T>(target, columns, args.gradient.columns);
  __syncthreads();
  if (threadIdx.x == 0)
    target[label] = T::narrow(label_gradient);
}

template <class T, RuleForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    rule_rows(const LR_PARAMETER RuleCall call) {
  LR_SHARED(RuleScratch, scratch, 1);
  const op::ScoringRule& args = call.args;
  for (int64_t r = blockIdx.x; r < call.rows; r += gridDim.x) {
    const int64_t label = read_label(args.labels, r, args.options.vocabulary);
    __syncthreads();  // the row before has been read
    if (label >= 0) {
      const double upstream = !args.wants_gradient     ? 0
                              : args.grad_loss.present ? read_double(args.grad_loss, r)
                                                       : 1 / *call.counted;
      take_row<T, kForm>(call, r, label, upstream, scratch);
      continue;
    }
    if (args.wants_gradient)
      clear_columns<T>(row_address<T>(args.gradient, r), 0, args.gradient.columns);
    if (threadIdx.x == 0) {
      if (label == kBadLabel && call.bad_values != nullptr)
        count_up(call.bad_values);
      call.values[r] = label == kIgnored ? 0 : nan("");
      write(args.values, r, call.values[r]);
    }
  }
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

template <class T>
void launch_rule(const RuleCall& call, const Machine& machine) {
  const auto start = [&](auto kernel) {
    launch(kernel, machine.blocks(call.rows), call.stretches.count * kWarp, 0, machine.stream,
           call);
  };
  switch (math::form_of(call.args.options)) {
    case RuleForm::plain:
      return start(rule_rows<T, RuleForm::plain>);
    case RuleForm::square:
      return start(rule_rows<T, RuleForm::square>);
    case RuleForm::power:
      return start(rule_rows<T, RuleForm::power>);
  }
}

}  // namespace

lr_status scoring_rule(Execution* execution, const op::ScoringRule* rules) {
  return run(execution, [&] {
    const op::ScoringRule& args = *rules;
    Workspace workspace(*execution);
    const int64_t rows = args.labels.values.size();
    double* const values = workspace.take<double>(rows);
    double* const counted = workspace.take<double>(1);
    const ListMemory list = take_list_memory(workspace, rows);
    if (!workspace.ready())
      return;
    const Machine machine(*execution);
    const double order = args.options.alpha - 1;
    const RuleCall call{args,
                        rows,
                        cut_stretches(args.options.vocabulary),
                        static_cast<float>(std::fmin(order * math::kLog2E, 1e30)),
                        counted,
                        values,
                        list,
                        execution->bad_values};
    poison(args.values);
    poison(args.loss);
    if (args.wants_gradient && args.gradient.base != args.logits.base)
      poison(args.gradient, rows);
    const dim3 parts = grid_of(parts_of(rows));
    if (args.wants_gradient || args.loss.present) {
      prepare_list_sums(list, rows, machine.stream);
      launch(count_rows, parts, kListThreads, 0, machine.stream, call);
    }
    if (rows > 0)
      with_type(args.logits.type, [&]<class T>(T) { launch_rule<T>(call, machine); });
    if (args.loss.present)
      launch(average_rows, parts, kListThreads, 0, machine.stream, call);
  });
}

}  // namespace logratio::device
