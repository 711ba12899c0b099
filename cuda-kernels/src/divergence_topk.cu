// divergence from rows of which some columns' log-probabilities are known: values and p's gradient.
//
// A block takes a row of p: one read forward, 2 (BF16, F16) or 4 (F32) bytes per element, for the
// sum of the exponentials of all columns but the known ones, which a bit each in shared memory
// leaves out; a few float64 for each known column, by a thread each; one read and one write for the
// gradient, a column's share of what all the others have together; then the known columns get
// theirs. The row is in the L2 when it is read again, as far as the rows under way fit there.
#include "divergence_rows.cuh"
#include "math/topk.h"
#include "operations.h"

namespace logratio::device {
namespace {

constexpr int64_t kWindow = 65536;  // columns that have a bit at a time
constexpr int64_t kTopkBlocks = 8;  // to a multiprocessor, at most
static_assert(kWindow % kRowColumns<BFloat16> == 0 && kWindow % kRowColumns<Float32> == 0);
static_assert(kStretchThreads == kListThreads);

struct TopkScratch {
  uint32_t known[kWindow / 32];  // a bit for each column of a window
  float largest[kListWarps];
  BlockScratch sums;
};

// The largest value of a block, called by all of its threads. NaN is left out.
__device__ inline float block_max(float value, float* of_warps) {
  __syncthreads();  // the maximum before has been read
  const float own = warp_max(value);
  if (lane_index() == 0)
    of_warps[warp_index()] = own;
  __syncthreads();
  float largest = of_warps[0];
  for (int w = 1; w < kListWarps; ++w)
    largest = fmaxf(largest, of_warps[w]);
  return largest;
}

// A row of p and what is known of the row that it meets, by a block.
template <class T>
struct TopkRow {
  static constexpr int kWidth = T::kPerVector, kColumns = kRowVectors * kWidth;
  using Element = typename T::Element;

  const DivergenceCall& call;
  TopkScratch* scratch;
  double* log_p;  // of the known columns, each thread's its own
  const Element* row;
  int64_t row_q;
  int64_t columns;
  math::OutcomeNorm norm;
  double log_left;
  math::OutcomeSums sums;

  __device__ __forceinline__ int64_t id(int64_t j) const {
    return read_int(call.args.topk_ids, row_q * call.args.known() + j);
  }
  __device__ __forceinline__ double log_q(int64_t j) const {
    return read_double(call.args.topk_logps, row_q * call.args.known() + j);
  }
  // Calls body(j) with this thread's known columns.
  template <class Body>
  __device__ __forceinline__ void for_known(Body&& body) const {
    for (int64_t j = threadIdx.x; j < call.args.known(); j += kListThreads)
      body(j);
  }

  // False if a column is out of range or named twice, or the probabilities sum to more than 1.
  __device__ __forceinline__ bool find_norm() {
    const double temperature = call.scale.temperature;
    float top = -kInfinity;
    double own[2] = {0, 0};  // the sum, and how many columns are bad
    sum_others(&top, &own[0], &own[1]);
    const float max_others = block_max(top, scratch->largest);
    if (own[0] != 0)
      own[0] *= ::exp((static_cast<double>(top) - max_others) / temperature);
    block_sum(own, &scratch->sums);
    if (own[1] > 0)
      return false;
    float top_known = -kInfinity;
    for_known([&](int64_t j) {
      const float x = T::widen(row[id(j)]);
      log_p[j] = x;
      top_known = fmaxf(top_known, x);
    });
    const float largest = fmaxf(max_others, block_max(top_known, scratch->largest));
    double known[2] = {0, 0};  // p's exponentials, and q's probabilities
    for_known([&](int64_t j) {
      known[0] += ::exp((log_p[j] - largest) / temperature);
      known[1] += ::exp(log_q(j));
    });
    block_sum(known, &scratch->sums);
    norm = {max_others, own[0], largest, known[0], temperature};
    log_left = math::log_mass_left(known[1], call.args.known() == columns);
    return known[1] <= math::kMostMass;
  }

  __device__ __forceinline__ double value() {
    const double log_sum = norm.log_sum();
    math::OutcomeSums own{0, 0, 0};
    for_known([&](int64_t j) {
      log_p[j] = (log_p[j] - norm.largest) / norm.temperature - log_sum;
      own = sum_of(own, math::outcome_terms(call.args.options, log_p[j], log_q(j)));
    });
    sums = sum_of(block_sum_of(own, &scratch->sums),
                  math::outcome_terms(call.args.options, norm.log_others(), log_left));
    return norm.is_defined() ? math::outcome_value(call.args.options, sums) : nan("");
  }

  __device__ __forceinline__ double gradient(double log_of_p, double log_of_q,
                                             double upstream) const {
    const double own = math::outcome_gradient(call.args.options, sums, log_of_p, log_of_q);
    return !norm.is_defined() ? nan("") : own == 0 ? 0 : own * upstream;
  }

  __device__ __forceinline__ void write_gradient(Element* target, double upstream) const {
    const double of_others = gradient(norm.log_others(), log_left, upstream);
    const float share = math::quiet_float(of_others == 0 ? 0 : of_others / norm.sum_others);
    const float from = norm.max_others > -kInfinity ? static_cast<float>(norm.max_others) : 0;
    for_chunks(0, columns, [&](const RowChunk<T>& chunk) {
      Vector v[kRowVectors];
      float x[kColumns];
      load_stretch<true>(row, chunk, v);
      unpack_all<T, kRowVectors>(v, x);
#pragma unroll
      for (int i = 0; i < kColumns; ++i)
        x[i] = exponential(x[i] - from, call.scale) * share;
      store_stretch(target, chunk, x);
    });
    __syncthreads();  // the known columns have been written with the others
    for_known(
        [&](int64_t j) { target[id(j)] = T::narrow(gradient(log_p[j], log_q(j), upstream)); });
  }

 private:
  // Calls body(chunk) with this warp's chunks.
  template <class Body>
  __device__ __forceinline__ void for_chunks(int64_t begin, int64_t end, Body&& body) const {
    for (int64_t column = begin + warp_index() * kRowColumns<T>; column < end;
         column += kListWarps * kRowColumns<T>)
      body(RowChunk<T>(column + lane_index() * kWidth, end));
  }

  // This thread's sum of exponentials about its maximum.
  __device__ __forceinline__ void sum_others(float* top, double* sum, double* bad) const {
    for (int64_t begin = 0; begin < columns; begin += kWindow) {
      const int64_t end = begin + kWindow < columns ? begin + kWindow : columns;
      mark_known(begin, end, bad);
      for_chunks(begin, end, [&](const RowChunk<T>& chunk) {
        Vector v[kRowVectors];
        float x[kColumns];
        load_stretch<false>(row, chunk, v);
        unpack_all<T, kRowVectors>(v, x);
        float largest = *top;
#pragma unroll
        for (int j = 0; j < kRowVectors; ++j) {
          const auto at = static_cast<uint32_t>(chunk.first + j * kRowStep<T> - begin);
          const uint32_t known = scratch->known[at / 32] >> at % 32;  // a vector is in one word
#pragma unroll
          for (int i = 0; i < kWidth; ++i) {
            float* const own = &x[j * kWidth + i];
            *own = (known >> i & 1) != 0 ? -kInfinity : *own;
            largest = fmaxf(largest, *own);
          }
        }
        if (largest > *top) {
          if (*sum != 0)
            *sum *= ::exp((static_cast<double>(*top) - largest) / call.scale.temperature);
          *top = largest;
        }
        const float from = *top > -kInfinity ? *top : 0;
        float part = 0;
#pragma unroll
        for (int i = 0; i < kColumns; ++i)
          part += exponential(x[i] - from, call.scale);
        *sum += part;
      });
    }
  }

  __device__ __forceinline__ void mark_known(int64_t begin, int64_t end, double* bad) const {
    __syncthreads();  // the window before has been read
    for (int64_t w = threadIdx.x; w < kWindow / 32; w += kListThreads)
      scratch->known[w] = 0;
    __syncthreads();
    for_known([&](int64_t j) {
      const int64_t column = id(j);
      if (begin == 0 && (column < 0 || column >= columns))
        *bad += 1;
      if (column < begin || column >= end)
        return;
      const auto at = static_cast<uint32_t>(column - begin);
      const uint32_t bit = uint32_t{1} << at % 32;
      if ((set_bits(&scratch->known[at / 32], bit) & bit) != 0)
        *bad += 1;
    });
    __syncthreads();
  }
};

template <class T>
__global__ void __launch_bounds__(kListThreads, kStretchBlocks)
    divergence_topk(const LR_PARAMETER DivergenceCall call, double* log_p) {
  LR_SHARED(TopkScratch, scratch, 1);
  const op::Divergence& args = call.args;
  const int64_t rows_p = args.wants_p && call.owners_p != nullptr ? args.p_count : 0;
  for (int64_t unit = blockIdx.x; unit < args.count + rows_p; unit += gridDim.x) {
    if (unit >= args.count) {
      const int64_t row = unit - args.count;
      if (call.owners_p[row] == kNobody)
        clear_columns<T>(row_address<T>(args.grad_p, row), 0, args.grad_p.columns);
      continue;
    }
    const Met met = rows_of_pair(call, unit);
    bool is_good = met.owns_p && met.owns_q;
    double value = nan(""), upstream = 0;
    TopkRow<T> row{call,    scratch, log_p + blockIdx.x * args.known(),
                   nullptr, met.q,   args.p.columns,
                   {},      0,       {}};
    if (is_good) {
      row.row = row_address<T>(args.p, met.p);
      is_good = row.find_norm();
    }
    if (is_good) {
      value = row.value();
      upstream = upstream_of(call, unit);
    }
    if (threadIdx.x == 0) {
      if (!is_good)
        call.count_bad();
      call.values[unit] = value;
      write(args.values, unit, value);
    }
    if (!args.wants_p || !met.owns_p)
      continue;
    if (upstream == 0) {
      clear_columns<T>(row_address<T>(args.grad_p, met.p), 0, args.grad_p.columns);
    } else {
      row.write_gradient(row_address<T>(args.grad_p, met.p), upstream);
    }
  }
}

}  // namespace

int64_t topk_blocks(const op::Divergence& call, const Machine& machine) {
  const int64_t units = call.count + (call.wants_p && call.p_rows.present ? call.p_count : 0);
  return std::clamp<int64_t>(units, 1, kTopkBlocks * machine.multiprocessors);
}

void launch_topk(const DivergenceCall& call, double* log_p, const Machine& machine) {
  const op::Divergence& args = call.args;
  if (args.count == 0 && (!args.wants_p || args.p_count == 0))
    return;
  with_type(args.p.type, [&]<class T>(T) {
    launch(divergence_topk<T>, grid_of(topk_blocks(args, machine)), kListThreads, 0, machine.stream,
           call, log_p);
  });
}

}  // namespace logratio::device
