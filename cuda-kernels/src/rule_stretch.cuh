// The passes of scoring_rule over a stretch of a row, by a warp: its sums, those of masked columns,
// and the gradient.
#pragma once

#include "list_sum.cuh"
#include "math/scoring_rule.h"
#include "op/scoring_rule.h"
#include "parts.cuh"

namespace logratio::device {

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
  Parts parts;        // of the columns that take part
  float order_scale;  // (alpha - 1) log2(e), finite
  double* counted;    // rows that are not ignored
  double* values;     // of the rows, in double
  ListMemory list;    // of the rows
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

// A row of which a warp reads a stretch, several times.
template <class T>
struct RuleRow {
  const typename T::Element* address;

  // Before the first pass, and before each of its chunks.
  __device__ __forceinline__ void begin_copies(int64_t, int64_t) const {}
  __device__ __forceinline__ void go_on_copying(int64_t, int64_t) const {}
  template <bool kLast>
  __device__ __forceinline__ void load(const RuleChunk<T>& chunk, Vector* v) const {
    load_stretch<kLast>(address, chunk, v);
  }
};

// The same, kept in shared memory.
template <class T>
struct CachedRuleRow {
  const typename T::Element* address;
  int64_t begin;  // of the stretch
  Vector* cache;

  __device__ __forceinline__ Vector* place(const RuleChunk<T>& chunk) const {
    return cache + (chunk.first - begin) / T::kPerVector;
  }
  __device__ __forceinline__ void fetch(int64_t column, int64_t end) const {
    if (column < end) {
      const RuleChunk<T> chunk = chunk_at<T>(column, end);
      fetch_stretch(address, chunk, place(chunk));
    }
    end_copies();
  }
  __device__ __forceinline__ void begin_copies(int64_t first, int64_t end) const {
#pragma unroll
    for (int k = 0; k < kChunksAhead; ++k)
      fetch(first + k * kRuleColumns<T>, end);
  }
  __device__ __forceinline__ void go_on_copying(int64_t column, int64_t end) const {
    wait_for_copies<kChunksAhead - 1>();
    fetch(column + kChunksAhead * kRuleColumns<T>, end);
  }
  template <bool kLast>
  __device__ __forceinline__ void load(const RuleChunk<T>& chunk, Vector* v) const {
    const Vector* const there = place(chunk);
#pragma unroll
    for (int j = 0; j < kChunkVectors; ++j)
      v[j] = there[j * kWarp];
  }
};

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

template <class T, RuleForm kForm, class Row>
__device__ __forceinline__ RuleSums sum_stretch(const RuleCall& call, const Row& row, int64_t begin,
                                                int64_t end) {
  // Columns take part in the mean of logits only where the labels are smoothed.
  const bool averages = kForm == RuleForm::plain && call.args.options.epsilon > 0;
  float maximum = -kInfinity;
  int columns = 0;
  RuleSums sums = math::no_rule_sums();
  row.begin_copies(begin, end);
  for (int64_t column = begin; column < end; column += kRuleColumns<T>) {
    const RuleChunk<T> chunk = chunk_at<T>(column, end);
    Vector v[kChunkVectors];
    row.go_on_copying(column, end);
    row.template load<false>(chunk, v);
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

template <class T, class Row>
__device__ __forceinline__ MaskedSums mask_stretch(const RuleGradient& gradient, const Row& row,
                                                   int64_t begin, int64_t end) {
  double sum = 0;
  int count = 0;
  for (int64_t column = begin; column < end; column += kRuleColumns<T>) {
    const RuleChunk<T> chunk = chunk_at<T>(column, end);
    Vector v[kChunkVectors];
    row.template load<false>(chunk, v);
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

template <class T, RuleForm kForm, class Row>
__device__ __forceinline__ void write_stretch(const RuleCall& call, const RuleGradient& g,
                                              const Row& row, typename T::Element* target,
                                              int64_t begin, int64_t end) {
  const bool masks = math::has_mask(call.args.options);
  for (int64_t column = begin; column < end; column += kRuleColumns<T>) {
    const RuleChunk<T> chunk = chunk_at<T>(column, end);
    Vector v[kChunkVectors];
    row.template load<true>(chunk, v);
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

}  // namespace logratio::device
