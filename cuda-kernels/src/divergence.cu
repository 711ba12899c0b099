// divergence: values, loss and both gradients.
//
// One kernel takes two rows that meet through everything: the log-sum-exps of both sides and, where
// the kind's value follows from sums about the running maxima (sce, jeffreys, kl, cosine), the
// value, in one read of each side; the second read that the others need (js, l2, tvd,
// wasserstein1); and one read and one write of each live side for the gradients. p and q are never
// stored. A block has its rows for itself, so that all reads after the first find the rows in L2,
// and memory itself is read once and written once: 2 (BF16, F16) or 4 (F32) bytes per element and
// side forward, as many again backward.
//
// Each warp has a stretch of the columns: no barrier within a pass, and Wasserstein's running sums
// need only to know what the stretches before add up to. Where the mean is weighted, or rows meet
// by number, a small launch comes first: it sums the weights, so that the upstream
// gradient is known, and finds which row meets which. A last one sums the loss, in a fixed
// order.
#include "block.cuh"
#include "math/sequence.h"
#include "operations.h"
#include "two_rows_second.cuh"
#include "runtime.h"

namespace logratio::device {
namespace {

constexpr int64_t kNobody = INT64_MAX;

struct DivergenceCall {
  op::Divergence args;
  TwoRowsScale scale;
  Stretches stretches;
  int64_t* owners_p;  // by row: the first k that names it, or kNobody. NULL where row k meets row k
  int64_t* owners_q;
  double* total;   // of the weights; NULL: the number of rows that meet
  double* values;  // in double
  int64_t* bad_values;

  __device__ void count_bad() const {
    if (bad_values != nullptr)
      count_up(bad_values);
  }
  // What is no weight counts as 0.
  __device__ double weight(int64_t k) const {
    if (!args.row_weights.present)
      return 1;
    const double weight = read_double(args.row_weights, k);
    return math::is_weight(weight) ? weight : 0;
  }
  // The weight of value k in the loss.
  __device__ double share(int64_t k) const {
    const double all = total == nullptr ? static_cast<double>(args.count) : *total;
    const double own = weight(k);
    return own == 0 ? 0 : own / (args.mean && all != 0 ? all : 1);
  }
};

// ---- Before the rows ----

__device__ inline void claim(const op::TensorView& rows, int64_t k, int64_t count,
                             int64_t* owners) {
  const int64_t row = read_int(rows, k);
  if (row >= 0 && row < count)
    lower_to(&owners[row], k);
}

// Called by one block.
__global__ void __launch_bounds__(kListThreads)
    prepare_rows(const LR_PARAMETER DivergenceCall call) {
  LR_SHARED(BlockScratch, scratch, 1);
  const op::Divergence& args = call.args;
  if (call.owners_p != nullptr) {
    for (int64_t r = threadIdx.x; r < args.p_count; r += kListThreads)
      call.owners_p[r] = kNobody;
    for (int64_t r = threadIdx.x; r < args.q_count; r += kListThreads)
      call.owners_q[r] = kNobody;
    make_visible();
    __syncthreads();
    for (int64_t k = threadIdx.x; k < args.count; k += kListThreads) {
      claim(args.p_rows, k, args.p_count, call.owners_p);
      claim(args.q_rows, k, args.q_count, call.owners_q);
    }
  }
  double sum[1] = {0};
  for (int64_t k = threadIdx.x; k < args.count; k += kListThreads) {
    if (args.row_weights.present && !math::is_weight(read_double(args.row_weights, k)))
      call.count_bad();
    sum[0] += call.weight(k);
  }
  block_sum(sum, scratch);
  if (threadIdx.x == 0)
    *call.total = sum[0];
}

// ---- Two rows that meet ----

// What the warps of a block tell each other.
struct TwoRowsScratch {
  TwoRowsSums first[kStretchWarps];
  SecondSums second[kStretchWarps];
  TransportStart starts[kStretchWarps];
  float largest[kStretchWarps];  // weight
  TwoRowsSums sums;
  TwoRowsNorm norm;
  SideCoefficients a, b;
  int64_t live;  // columns up to the last that has a probability
};

// Neither side has a probability in the column.
template <class T>
__device__ inline bool vanishes(const TwoRows<T>& rows, int64_t column, const TwoRowsSums& sums,
                                const TwoRowsScale& scale) {
  constexpr float kUnderflow = -88;
  return (T::widen(rows.a[column]) - static_cast<float>(sums.max_a)) * scale.inverse_temperature <
             kUnderflow &&
         (logit_of_q(rows, column) - static_cast<float>(sums.max_b)) * scale.inverse_temperature <
             kUnderflow;
}

// Transport's running sum is 0 behind the last column that has a probability; the rounding left of
// it would count once for every column of a padded vocabulary. By a warp.
template <class T>
__device__ inline int64_t count_live(const TwoRows<T>& rows, int64_t columns,
                                     const TwoRowsSums& sums, const TwoRowsScale& scale) {
#pragma unroll 1
  for (int64_t end = columns; end > 0; end -= kWarp) {
    const int64_t column = end - 1 - lane_index();
    const uint32_t live =
        __ballot_sync(kAllLanes, column >= 0 && !vanishes(rows, column, sums, scale));
    if (live != 0)
      return end - bit_count((live & (0u - live)) - 1);  // the lowest lane has the last column
  }
  return 1;
}

// Called by the first warp, of which lane w has warp w's sums.
template <class T, TwoRowsForm kForm>
__device__ inline void finish_first(const DivergenceCall& call, const TwoRows<T>& rows,
                                    TwoRowsScratch* scratch) {
  const int lane = lane_index();
  const double temperature = call.scale.temperature;
  const TwoRowsSums own = lane < call.stretches.count ? scratch->first[lane] : math::no_sums();
  const TwoRowsSums sums = merge_lanes<kForm>(own, static_cast<float>(own.max_a),
                                              static_cast<float>(own.max_b), call.scale);
  if (lane == 0) {
    scratch->sums = sums;
    scratch->norm = math::two_rows_norm(kForm, sums, temperature);
  }
  if constexpr (kForm == TwoRowsForm::transport) {
    const int64_t columns = call.args.p.columns;
    const int64_t live =
        math::is_defined(sums) ? count_live(rows, columns, sums, call.scale) : columns;
    const double moved = sums.sum_a * (math::share_of_p(own, sums, temperature) -
                                       math::share_of_q(own, sums, temperature));
    double before = 0;
    for (int w = 0; w < kStretchWarps; ++w) {
      const double there = __shfl_sync(kAllLanes, moved, w);
      if (w < lane)
        before += there;
    }
    if (lane < call.stretches.count)
      scratch->starts[lane].distance = before;
    if (lane == 0)
      scratch->live = live;
  }
}

// Called by one thread.
template <TwoRowsForm kForm>
__device__ inline void finish_second(const DivergenceCall& call, int64_t k, double upstream,
                                     TwoRowsScratch* scratch) {
  SecondSums second{};
  if constexpr (math::needs_second_pass(kForm)) {
    for (int w = 0; w < call.stretches.count; ++w) {
      if constexpr (kForm == TwoRowsForm::transport)
        scratch->starts[w].signs = second.signs;
      math::append(&second, scratch->second[w]);
    }
  }
  const TwoRowsSums& sums = scratch->sums;
  math::TwoRowsResult result = math::two_rows_result(call.args.options, sums, second);
  if constexpr (kForm == TwoRowsForm::transport) {
    const double middle = math::count_from_mean(&result);
    for (int w = 0; w < call.stretches.count; ++w)
      scratch->starts[w].signs -= middle;
  }
  scratch->a =
      math::side_coefficients(kForm, scratch->norm.far, result.a, upstream, sums.sum_a, sums.sum_b);
  scratch->b =
      math::side_coefficients(kForm, scratch->norm.far, result.b, upstream, sums.sum_b, sums.sum_a);
  call.values[k] = result.value;
  write(call.args.values, k, result.value);
}

template <class T>
__device__ inline void clear_row(bool wanted, const op::LogitRows& gradient, int64_t row) {
  if (wanted)
    clear_columns<T>(row_address<T>(gradient, row), 0, gradient.columns);
}

// Rows that meet each other alone, by a block.
template <class T, TwoRowsForm kForm>
__device__ __forceinline__ void take_rows(const DivergenceCall& call, int64_t k, int64_t row_p,
                                          int64_t row_q, TwoRowsScratch* scratch) {
  const op::Divergence& args = call.args;
  const int64_t columns = args.p.columns, begin = warp_index() * call.stretches.columns;
  const int64_t stretch_end = begin + call.stretches.columns,
                end = stretch_end < columns ? stretch_end : columns;
  const int lane = lane_index();
  TwoRows<T> rows{row_address<T>(args.p, row_p), nullptr, nullptr, 0,
                  static_cast<float>(call.scale.temperature)};
  if (args.q_is_weights) {
    rows.weights = row_address<Float32>(args.q, row_q);
    int bad = 0;
    float largest = largest_weight(rows.weights, begin, end, &bad);
    for (; bad > 0; --bad)
      call.count_bad();
    if (lane == 0)
      scratch->largest[warp_index()] = largest;
    __syncthreads();
    for (int w = 0; w < call.stretches.count; ++w)
      largest = fmaxf(largest, scratch->largest[w]);
    rows.exponent = static_cast<int>(float_to_bits(largest) >> 23) - 127;
  } else {
    rows.b = row_address<T>(args.q, row_q);
  }

  const TwoRowsSums first = first_pass<T, kForm>(rows, begin, end, call.scale);
  if (lane == 0)
    scratch->first[warp_index()] = first;
  __syncthreads();
  if (warp_index() == 0)
    finish_first<T, kForm>(call, rows, scratch);
  __syncthreads();

  if constexpr (math::needs_second_pass(kForm)) {
    const int64_t live =
        kForm == TwoRowsForm::transport && scratch->live < end ? scratch->live : end;
    const SecondSums second = second_pass<T, kForm>(
        rows, TwoRowsNorm(scratch->norm),  // in registers
        kForm == TwoRowsForm::transport ? scratch->starts[warp_index()].distance : 0, begin, live,
        call.scale);
    if (lane == 0)
      scratch->second[warp_index()] = second;
    __syncthreads();
  }
  const double share = call.share(k);
  const double upstream =
      share == 0 ? 0 : share * (args.grad_loss.present ? read_double(args.grad_loss, 0) : 1);
  if (threadIdx.x == 0)
    finish_second<kForm>(call, k, upstream, scratch);
  if (!args.wants_p && !args.wants_q)
    return;
  if (upstream == 0) {
    clear_row<T>(args.wants_p, args.grad_p, row_p);
    clear_row<T>(args.wants_q, args.grad_q, row_q);
    return;
  }
  __syncthreads();
  const TwoRowsPlan plan{
      scratch->norm, scratch->a, scratch->b,
      kForm == TwoRowsForm::transport ? scratch->starts[warp_index()] : TransportStart{0, 0}};
  write_gradients<T, kForm>(rows, plan, args.wants_p ? row_address<T>(args.grad_p, row_p) : nullptr,
                            args.wants_q ? row_address<T>(args.grad_q, row_q) : nullptr, begin, end,
                            call.scale);
}

// First the rows that meet, then the rows of either side that take no part: their gradient is 0.
template <class T, TwoRowsForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    divergence_rows(const LR_PARAMETER DivergenceCall call) {
  LR_SHARED(TwoRowsScratch, scratch, 1);
  const op::Divergence& args = call.args;
  const int64_t rows_p = args.wants_p && call.owners_p != nullptr ? args.p_count : 0;
  const int64_t rows_q = args.wants_q && call.owners_q != nullptr ? args.q_count : 0;
  for (int64_t unit = blockIdx.x; unit < args.count + rows_p + rows_q; unit += gridDim.x) {
    if (unit >= args.count) {
      const bool is_p = unit < args.count + rows_p;
      const int64_t row = unit - args.count - (is_p ? 0 : rows_p);
      if ((is_p ? call.owners_p : call.owners_q)[row] == kNobody)
        clear_row<T>(true, is_p ? args.grad_p : args.grad_q, row);
      continue;
    }
    __syncthreads();  // the rows before have been read
    int64_t row_p = unit, row_q = unit;
    if (call.owners_p != nullptr) {
      row_p = read_int(args.p_rows, unit);
      row_q = read_int(args.q_rows, unit);
      const bool owns_p = row_p >= 0 && row_p < args.p_count && call.owners_p[row_p] == unit;
      const bool owns_q = row_q >= 0 && row_q < args.q_count && call.owners_q[row_q] == unit;
      if (!owns_p || !owns_q) {
        if (owns_p)
          clear_row<T>(args.wants_p, args.grad_p, row_p);
        if (owns_q)
          clear_row<T>(args.wants_q, args.grad_q, row_q);
        if (threadIdx.x == 0) {
          call.count_bad();
          call.values[unit] = nan("");
          write(args.values, unit, nan(""));
        }
        continue;
      }
    }
    take_rows<T, kForm>(call, unit, row_p, row_q,
                        scratch);  // here alone: it is most of the kernel, and inlined
  }
}

// ---- After them ----

// Called by one block.
__global__ void __launch_bounds__(kListThreads) sum_values(const LR_PARAMETER DivergenceCall call) {
  LR_SHARED(BlockScratch, scratch, 1);
  double sum[1] = {0};
  for (int64_t k = threadIdx.x; k < call.args.count; k += kListThreads) {
    const double share = call.share(k);
    if (share != 0)
      sum[0] += share * call.values[k];
  }
  block_sum(sum, scratch);
  if (threadIdx.x == 0)
    write(call.args.loss, 0, sum[0]);
}

template <class T>
void launch_rows(const DivergenceCall& call, const Machine& machine) {
  const op::Divergence& args = call.args;
  const bool by_index = call.owners_p != nullptr;
  const int64_t units = args.count + (by_index && args.wants_p ? args.p_count : 0) +
                        (by_index && args.wants_q ? args.q_count : 0);
  if (units == 0)
    return;
  const auto start = [&](auto kernel) {
    launch(kernel, machine.blocks(units), call.stretches.count * kWarp, 0, machine.stream, call);
  };
  switch (math::form_of(args.options.kind)) {
    case TwoRowsForm::cross:
      return start(divergence_rows<T, TwoRowsForm::cross>);
    case TwoRowsForm::relative:
      return start(divergence_rows<T, TwoRowsForm::relative>);
    case TwoRowsForm::cosine:
      return start(divergence_rows<T, TwoRowsForm::cosine>);
    case TwoRowsForm::squares:
      return start(divergence_rows<T, TwoRowsForm::squares>);
    case TwoRowsForm::signs:
      return start(divergence_rows<T, TwoRowsForm::signs>);
    case TwoRowsForm::transport:
      return start(divergence_rows<T, TwoRowsForm::transport>);
    case TwoRowsForm::mixture:
      return start(divergence_rows<T, TwoRowsForm::mixture>);
  }
}

}  // namespace

lr_status divergence(Execution* execution, const op::Divergence* divergences) {
  return run(execution, [&] {
    const op::Divergence& args = *divergences;
    Workspace workspace(*execution);
    double* const values = workspace.take<double>(args.count);
    double* const total = workspace.take<double>(1);
    const bool by_index = args.p_rows.present;
    int64_t* const owners_p = workspace.take<int64_t>(by_index ? args.p_count : 0);
    int64_t* const owners_q = workspace.take<int64_t>(by_index ? args.q_count : 0);
    if (!workspace.ready())
      return;
    const Machine machine(*execution);
    const DivergenceCall call{args,
                              math::two_rows_scale(args.options.temperature),
                              cut_stretches(args.p.columns),
                              by_index ? owners_p : nullptr,
                              by_index ? owners_q : nullptr,
                              args.row_weights.present ? total : nullptr,
                              values,
                              execution->bad_values};
    poison(args.values);
    poison(args.loss);
    if (args.wants_p && args.grad_p.base != args.p.base)
      poison(args.grad_p, args.p_count);
    if (args.wants_q && args.grad_q.base != args.q.base)
      poison(args.grad_q, args.q_count);
    if (by_index || args.row_weights.present) {
      DivergenceCall prepared = call;
      prepared.total = total;
      launch(prepare_rows, 1, kListThreads, 0, machine.stream, prepared);
    }
    with_type(args.p.type, [&]<class T>(T) { launch_rows<T>(call, machine); });
    if (args.loss.present)
      launch(sum_values, 1, kListThreads, 0, machine.stream, call);
  });
}

}  // namespace logratio::device
