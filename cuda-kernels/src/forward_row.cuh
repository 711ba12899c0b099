// What the forward's kernels share: what is known of a part of a vocabulary row, where its maximum
// lies, and what follows from the sums of a whole one. A sink says which rows are read, and what
// becomes of their figures:
//   constexpr bool takes(wanted)                       whether that is ever asked for
//   bool reads(row)
//   bool has_label(row, reads)                         whether its label is looked at
//   void take<kWanted>(row, label, figures, argmax)    by a lane per row
#pragma once

#include "elements.cuh"
#include "row_launch.cuh"
#include "thread_sums.cuh"

namespace logratio::device {

constexpr int kForwardBlocks = 4;  // on a multiprocessor: 64 KiB of loads under way

struct ForwardRows {
  op::LogitRows logits;
  int64_t begin, count;  // rows of the view
  Segments segments;
  int64_t run;  // consecutive segments, of one row and the next, that a team sums
  Transform transform;
  op::Labels labels;
  bool wants_argmax;
  int64_t* bad_values;
};

// The argmax of a part of a row is the least of its candidates' keys: a NaN goes before the
// maximum, and among equals the lower column.
using ArgmaxKey = unsigned long long;
constexpr ArgmaxKey kNoColumn = ~0ull, kNotNan = 1ull << 62;

// What is known of a part of a row.
struct Partial {
  math::RowSums sums;  // about softcap(maximum), 0 where that is -inf
  float maximum;       // of the raw logits; NaN is left out
  ArgmaxKey argmax;
};

// ---- The maximum's column ----

// Called by a warp: the key of the first column, of those before `end`, that holds the maximum. A
// lane has met it in its chunk from `first` on if it `has` it. For each such lane, others look at a
// column each: it is one lane, as a rule.
template <class T, int kVectors, int kStep, class Row>
__device__ __forceinline__ ArgmaxKey find_maximum(const Row& row, int64_t first, int64_t end,
                                                  bool has, float maximum) {
  constexpr int kElements = kVectors * T::kPerVector;
  const auto place_of = [](int k) { return k / T::kPerVector * kStep + k % T::kPerVector; };
  int64_t column = end;
  for (uint32_t lanes = __ballot_sync(kAllLanes, has); lanes != 0; lanes &= lanes - 1) {
    const int64_t start = __shfl_sync(kAllLanes, first, first_bit(lanes));
#pragma unroll
    for (int k = 0; k < kElements; k += kWarp) {
      const int own = k + static_cast<int>(threadIdx.x) % kWarp;
      const int64_t at = start + place_of(own);
      const bool found = own < kElements && at < end && T::widen(row[at]) == maximum;
      const uint32_t there = __ballot_sync(kAllLanes, found);
      if (there != 0)
        column = std::min(column, start + place_of(k + first_bit(there)));
    }
  }
  return column < end ? kNotNan + static_cast<ArgmaxKey>(column) : kNoColumn;
}

// The key of this thread's first NaN from `column` on.
template <class T, int kStep, class Row>
__device__ __forceinline__ ArgmaxKey find_nan(const Row& row, int64_t column, int64_t end) {
  const int64_t found = find_column<T>(row, column, kStep, end, [](float x) { return x != x; });
  return found < end ? static_cast<ArgmaxKey>(found) : kNoColumn;
}

// ---- From sums to figures ----

// Called by a warp: the sums about the pivot of all columns below the maximum, in double.
template <class T, class Cap, class Row>
__device__ __forceinline__ math::ExponentialSums sum_below(const Row& row, int64_t columns,
                                                           float maximum, double pivot,
                                                           const Transform& t) {
  math::ExponentialSums others{};
#pragma unroll 1
  for (int64_t column = threadIdx.x % kWarp; column < columns; column += kWarp) {
    const float x = T::widen(row[column]);
    if (!(x > -kInfinity && x < maximum))
      continue;
    const double d = static_cast<double>(Cap::value(x, t)) - pivot, e = exp(d / t.temperature);
    others.add({e, e * e, e * d});
  }
  return {warp_sum(others.e), warp_sum(others.e2), warp_sum(others.ed)};
}

// Called by a warp: lane k brings the row and its sums where bit k of `certain` is set. One token
// is so certain there that a float32 holds nothing of the others; their sums are taken once more,
// in double, by all lanes.
template <class T, class Cap>
__device__ __forceinline__ void sum_others(const ForwardRows& rows, int64_t r, uint32_t certain,
                                           Partial* part) {
  for (; certain != 0; certain &= certain - 1) {
    const int lane = first_bit(certain);
    const typename T::Element* const row =
        row_address<T>(rows.logits, __shfl_sync(kAllLanes, r, lane));
    const float maximum = __shfl_sync(kAllLanes, part->maximum, lane);
    const double pivot = __shfl_sync(kAllLanes, part->sums.pivot, lane);
    const math::ExponentialSums others =
        sum_below<T, Cap>(row, rows.logits.columns, maximum, pivot, rows.transform);
    if (threadIdx.x % kWarp == static_cast<unsigned>(lane))
      part->sums.others = others;
  }
}

// Called by a warp: a lane finishes row r where `own`, from its sums where `summed`.
template <class T, class Cap, Wanted kWanted, class Sink>
__device__ __forceinline__ void finish_rows(const ForwardRows& rows, const Sink& sink, int64_t r,
                                            bool own, bool summed, Partial part) {
  const int64_t label =
      own && sink.has_label(r, summed) ? read_label(rows.labels, r, rows.logits.columns) : kIgnored;
  const uint32_t bad = __ballot_sync(kAllLanes, label == kBadLabel);
  if (threadIdx.x % kWarp == 0 && bad != 0 && rows.bad_values != nullptr)
    count_up(rows.bad_values, bit_count(bad));
  const bool certain = summed && part.sums.ones == 1 && part.sums.others.e < math::kFloat32Holds;
  sum_others<T, Cap>(rows, r, __ballot_sync(kAllLanes, certain), &part);
  if (!summed)
    return;
  const float logit = label < 0 ? 0 : T::widen(row_address<T>(rows.logits, r)[label]);
  sink.template take<kWanted>(
      r, label,
      math::finish_row(part.sums, Cap::value(logit, rows.transform), rows.transform.temperature),
      static_cast<int64_t>(part.argmax % kNotNan));
}

}  // namespace logratio::device
