// divergence from several models: what comes after each of them has met p's rows by itself.
//
// The kernels of one model find the values and what the gradients take of them, of each model in
// turn: the models of a row of p come one after the other, so that it is in the L2 when the others
// read it. Here a part of p's row is read once, meets the same part of every model's row, and is
// written once: per element of p's row 2 (BF16, F16) or 4 (F32) bytes read and written, and as much
// for each model's.
#include "divergence_rows.cuh"
#include "operations.h"

namespace logratio::device {
namespace {

// ---- Values ----

__global__ void __launch_bounds__(kWarp)
    share_models(const LR_PARAMETER DivergenceCall call, double* shares) {
  if (threadIdx.x != 0)
    return;
  const op::TensorView& weights = call.args.model_weights;
  double sum = 0;
  for (int64_t m = 0; m < call.models; ++m) {
    const double weight = read_double(weights, m);
    const bool is_good = math::is_weight(weight);
    if (!is_good)
      call.count_bad();
    sum += shares[m] = is_good ? weight : 0;
  }
  if (sum == 0)
    call.count_bad();
  for (int64_t m = 0; m < call.models; ++m)
    shares[m] /= sum;  // NaN of none
}

__global__ void __launch_bounds__(kListThreads)
    average_models(const LR_PARAMETER DivergenceCall call, double* pair_values) {
  const int64_t k = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (k >= call.args.count)
    return;
  double value = 0;
  for (int64_t m = 0; m < call.models; ++m) {
    if (call.model_shares[m] != 0)
      value += call.model_shares[m] * call.values[k * call.models + m];
  }
  pair_values[k] = value;
  write(call.args.values, k, value);
}

// ---- Gradients ----

// The columns of a part of a row of p and of the models' rows that meet it. Either side's gradient
// may not be wanted.
template <class T, TwoRowsForm kForm>
struct RowsOfModels {
  static constexpr int kWidth = T::kPerVector, kColumns = kRowVectors * kWidth;
  using Element = typename T::Element;

  const DivergenceCall& call;
  int64_t k;
  Met met;
  int part;

  __device__ __forceinline__ int64_t row_of_q(int64_t model) const {
    return met.q + model * call.args.q_count;
  }

  __device__ __forceinline__ void clear(bool of_p, bool of_q) const {
    const op::Divergence& args = call.args;
    const int64_t begin = call.parts.begin(part, 0),
                  end = call.parts.end(part, call.parts.stretches.count - 1, args.p.columns);
    if (of_p && args.wants_p)
      clear_columns<T>(row_address<T>(args.grad_p, met.p), begin, end);
    for (int64_t m = 0; of_q && args.wants_q && m < call.models; ++m)
      clear_columns<T>(row_address<T>(args.grad_q, row_of_q(m)), begin, end);
  }

  __device__ __forceinline__ void differentiate_all() const {
    const op::Divergence& args = call.args;
    const Element* const row_p = row_address<T>(args.p, met.p);
    const int64_t begin = call.parts.begin(part, warp_index()),
                  end = call.parts.end(part, warp_index(), args.p.columns);
    for (int64_t column = begin; column < end; column += kRowColumns<T>) {
      const RowChunk<T> chunk(column + lane_index() * kWidth, end);
      Vector a[kRowVectors];
      float sum[kColumns];
      load_stretch<true>(row_p, chunk, a);
#pragma unroll
      for (int i = 0; i < kColumns; ++i)
        sum[i] = 0;
#pragma unroll 1
      for (int64_t m = 0; m < call.models; ++m)
        add_model(m, chunk, a, sum);
      if (args.wants_p)
        store_stretch(row_address<T>(args.grad_p, met.p), chunk, sum);
    }
  }

 private:
  __device__ __forceinline__ void add_model(int64_t m, const RowChunk<T>& chunk, const Vector* a,
                                            float* sum) const {
    const op::Divergence& args = call.args;
    const int64_t unit = k * call.models + m;
    Vector b[kRowVectors];
    float x[kColumns], y[kColumns];
    load_stretch<true>(row_address<T>(args.q, row_of_q(m)), chunk, b);
    unpack_all<T, kRowVectors>(b, y);
    if (call.model_shares[m] == 0) {  // whatever its value
#pragma unroll
      for (int i = 0; i < kColumns; ++i)
        x[i] = y[i] = 0;
    } else {
      const ModelPlan& kept = call.plans[unit];
      const TwoRowsPlan plan{kept.norm, kept.a, kept.b, {0, 0}};
      if constexpr (kForm == TwoRowsForm::transport) {
        transport(unit, chunk, a, plan, x, y);
      } else {
        unpack_all<T, kRowVectors>(a, x);
        differentiate<kForm, kColumns>(plan, call.scale, x, y);
      }
    }
#pragma unroll
    for (int i = 0; i < kColumns; ++i)
      sum[i] += x[i];
    if (args.wants_q)
      store_stretch(row_address<T>(args.grad_q, row_of_q(m)), chunk, y);
  }

  // The running sums of each model wait where they began.
  __device__ __forceinline__ void transport(int64_t unit, const RowChunk<T>& chunk, const Vector* a,
                                            const TwoRowsPlan& plan, float* x, float* y) const {
    TransportStart* const start =
        &call.model_starts[(unit * kMaxParts + part) * kStretchWarps + warp_index()];
    Transport running(*start);
    TransportChunk<T> t(a, y, plan.norm, call.scale);
    running.template advance<T>(chunk, &t);
    __syncwarp();
    if (lane_index() == 0)
      *start = {running.distance, running.signs};
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
      const float count = t.count(i);
      x[i] = t.u[i] * fused(plan.a.own, count, plan.a.constant);
      y[i] = t.v[i] * fused(plan.b.own, count, plan.b.constant);
    }
  }
};

// A part of a pair's rows is a block's; then the rows that take no part.
template <class T, TwoRowsForm kForm>
__global__ void __launch_bounds__(kStretchThreads, kStretchBlocks)
    divergence_models(const LR_PARAMETER DivergenceCall call) {
  const op::Divergence& args = call.args;
  const int64_t parts = call.parts.count, of_pairs = args.count * parts;
  const bool by_index = call.owners_p != nullptr;
  const int64_t rows_p = by_index && args.wants_p ? args.p_count : 0;
  const int64_t rows_q = by_index && args.wants_q ? args.q_count * call.models : 0;
  for (int64_t unit = blockIdx.x; unit < of_pairs + rows_p + rows_q; unit += gridDim.x) {
    if (unit >= of_pairs) {
      const bool is_p = unit < of_pairs + rows_p;
      const int64_t row = unit - of_pairs - (is_p ? 0 : rows_p);
      const op::LogitRows& gradient = is_p ? args.grad_p : args.grad_q;
      if ((is_p ? call.owners_p[row] : call.owners_q[row % args.q_count]) == kNobody)
        clear_columns<T>(row_address<T>(gradient, row), 0, gradient.columns);
      continue;
    }
    const int64_t k = unit / parts;
    const RowsOfModels<T, kForm> rows{call, k, rows_of_pair(call, k),
                                      static_cast<int>(unit - k * parts)};
    if (!rows.met.owns_p || !rows.met.owns_q) {
      rows.clear(rows.met.owns_p, rows.met.owns_q);
    } else if (upstream_of(call, k) == 0) {
      rows.clear(true, true);
    } else {
      rows.differentiate_all();
    }
  }
}

}  // namespace

void launch_model_shares(const DivergenceCall& call, double* shares, const Machine& machine) {
  launch(share_models, grid_of(1), kWarp, 0, machine.stream, call, shares);
}

void launch_models(const DivergenceCall& call, double* pair_values, const Machine& machine) {
  const op::Divergence& args = call.args;
  if (args.count > 0) {
    launch(average_models, grid_of((args.count + kListThreads - 1) / kListThreads), kListThreads, 0,
           machine.stream, call, pair_values);
  }
  const int64_t units = args.count * call.parts.count +
                        (call.owners_p == nullptr ? 0 : args.p_count + args.q_count * call.models);
  if (units == 0 || (!args.wants_p && !args.wants_q))
    return;
  with_type(args.p.type, [&]<class T>(T) {
    with_form(args.options, [&]<TwoRowsForm kForm>() {
      launch(divergence_models<T, kForm>, machine.blocks(units), call.parts.stretches.count * kWarp,
             0, machine.stream, call);
    });
  });
}

}  // namespace logratio::device
