// The forward of short vocabulary rows: a warp has a row, and needs no barrier. All of a row is in
// registers and its maximum is known before its first exponential, so that lanes only add. While
// the sums of one row are put together, the next row is loaded. What 32 rows gave waits for the
// lanes, a row each, which finish all of them at once, in double.
#pragma once

#include "forward_row.cuh"

namespace logratio::device {

// A row's sums, in float32: there are some thousand columns at most.
struct ShortRow {
  enum Sum { kE, kEt, kE2, kRaw, kSums };

  float sums[kSums] = {};  // raw in units of 1 / kSmall
  float z = 0;             // likewise
  float maximum = -kInfinity;
  float ones = 0;
  int finite = 0;
  int argmax = 0;

  template <class Cap>
  __device__ __forceinline__ Partial widened(const Transform& t) const {
    const double of_raw = sums[kRaw] / double{kSmall};
    return {{maximum == -kInfinity ? 0 : Cap::value(maximum, t),
             ones,
             {sums[kE], sums[kE2], sums[kEt] * t.inverse_scale},
             Cap::kCaps ? z / double{kSmall} : of_raw,
             of_raw,
             static_cast<double>(finite)},
            maximum,
            static_cast<ArgmaxKey>(argmax)};
  }
};

// A row of up to kChunks chunks per lane.
template <class T, int kChunks>
struct RowInLanes {
  static constexpr int kVectors = kChunks * kChunkVectors, kStep = kWarp * T::kPerVector;

  const typename T::Element* row;
  Vector v[kVectors];

  __device__ __forceinline__ static int first() {
    return static_cast<int>(threadIdx.x) % kWarp * T::kPerVector;
  }
  __device__ __forceinline__ void load(const typename T::Element* from, int64_t columns) {
    row = from;
    load_chunk<T, kVectors, kStep, false>(row, {first(), columns}, misalignment(row), v);
  }
};

// The column of the maximum, or of the first NaN, which the row has if its sums are NaN.
template <class T, int kChunks, class Row>
__device__ __forceinline__ int find_argmax(const Row& row, int columns, bool has, float maximum,
                                           bool is_nan) {
  using Lanes = RowInLanes<T, kChunks>;
  ArgmaxKey key =
      find_maximum<T, Lanes::kVectors, Lanes::kStep>(row, Lanes::first(), columns, has, maximum);
  if (is_nan)
    key = warp_min(find_nan<T, Lanes::kStep>(row, Lanes::first(), columns));
  return static_cast<int>(key % kNotNan);
}

// The row is in the lanes, and in memory for a look at single columns. `then` loads what comes
// next. The result is complete in every lane.
template <class T, class Cap, Wanted kWanted, int kChunks, class Row, class Then>
__device__ __forceinline__ ShortRow sum_short_row(const Transform& t, bool wants_argmax, Row row,
                                                  int columns, RowInLanes<T, kChunks>* lanes,
                                                  Then&& then) {
  using Lanes = RowInLanes<T, kChunks>;
  const float top = maximum_of<T, Lanes::kVectors>(lanes->v);
  ShortRow all;
  all.maximum = warp_max(top);
  ThreadSums sums;
  if (all.maximum > -kInfinity)
    sums.meet(all.maximum, Cap::value(all.maximum, t), t);
#pragma unroll
  for (int c = 0; c < kChunks; ++c)
    add_top_chunk<T, Cap, kWanted, kChunkVectors>(lanes->v + c * kChunkVectors, top, t, sums);
  then();
  constexpr int kSums = kWanted == Wanted::everything ? ShortRow::kSums
                        : kWanted == Wanted::entropy  ? 2
                                                      : 1;
  const float own[] = {sums.e, sums.et, sums.e2, sums.raw};
  const float of_lane = warp_sums<kSums>(own);
#pragma unroll
  for (int k = 0; k < kSums; ++k)
    all.sums[k] = kSums == 1 ? of_lane : __shfl_sync(kAllLanes, of_lane, k);
  const bool infinite = all.maximum == kInfinity;
  const int ones = warp_sum(static_cast<int>(infinite ? 0 : sums.ones));
  all.ones = infinite ? NAN : static_cast<float>(ones);
  if constexpr (kWanted == Wanted::everything) {
    all.finite = warp_sum(sums.finite);
    if constexpr (Cap::kCaps)
      all.z = warp_sum(sums.z);
    if (wants_argmax)
      all.argmax = find_argmax<T, kChunks>(row, columns, top == all.maximum, all.maximum,
                                           all.sums[ShortRow::kE] != all.sums[ShortRow::kE]);
  }
  return all;
}

// How many blocks a multiprocessor has: as many as leave a thread the registers for its chunks.
constexpr int short_row_blocks(int chunks, Wanted wanted) {
  return chunks == 1 ? kForwardBlocks : wanted == Wanted::everything ? 2 : 3;
}

// A warp's run is rows [first, last).
template <class T, class Cap, Wanted kWanted, int kChunks, class Sink>
__global__ void __launch_bounds__(kBlockThreads, short_row_blocks(kChunks, kWanted))
    forward_short_rows(const LR_PARAMETER ForwardRows rows, const LR_PARAMETER Sink sink) {
  LR_SHARED(ShortRow, of_rows, kBlockThreads);
  const int warp = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t columns = rows.logits.columns;
  const int64_t first = rows.begin + (int64_t{blockIdx.x} * kRowsPerBlock + warp) * rows.run,
                last = std::min(first + rows.run, rows.begin + rows.count);
  ShortRow& own = of_rows[threadIdx.x];  // not a register for each of its fields
  for (int64_t batch = first; batch < last; batch += kWarp) {
    const int64_t r = batch + lane;
    const bool exists = r < last, read = exists && sink.reads(r);
    const auto* const address = exists ? row_address<T>(rows.logits, r) : nullptr;
    RowInLanes<T, kChunks> lanes;
    uint32_t left = __ballot_sync(kAllLanes, read);
    if (left != 0)
      lanes.load(address_of_lane(address, first_bit(left)), columns);
    while (left != 0) {
      const int place = first_bit(left);
      left &= left - 1;
      const ShortRow sums = sum_short_row<T, Cap, kWanted>(
          rows.transform, rows.wants_argmax, lanes.row, static_cast<int>(columns), &lanes, [&] {
            if (left != 0)
              lanes.load(address_of_lane(address, first_bit(left)), columns);
          });
      if (lane == place)
        own = sums;
    }
    finish_rows<T, Cap, kWanted>(rows, sink, r, exists, read,
                                 own.template widened<Cap>(rows.transform));
  }
}

}  // namespace logratio::device
