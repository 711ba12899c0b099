// The forward of the columns that rows keep: the sums of token_forward.cuh and forward_short.cuh
// over columns that are gathered into shared memory, an element by each thread, and read from there
// as vectors. What is read is the kept logits, 32 bytes each where they lie far apart, and their
// ids.
//
// The number of kept columns alone says how a row is summed, as V does where there is nothing else:
// up to 4 KiB of them belong to a warp, more to a block. Both launches look at every row, and take
// those that are theirs.
#pragma once

#include "kept_columns.cuh"
#include "token_forward.cuh"

namespace logratio::device {

struct KeptForward {
  op::LogitRows logits;
  op::TensorView ids;
  int64_t count;
  int64_t run;  // consecutive rows of a warp, of which it takes the short ones
  const KeptSet* sets;
  Transform transform;
  bool wants_argmax;
  op::TensorView of[math::kTokenOutputs];
  math::RowNorm* norms;  // null, or where the backward's rows whose log-sum is missing get theirs

  __device__ bool reads(int64_t r) const {
    return norms == nullptr || math::is_nan(norms[r].log_sum);
  }
};

template <class T>
__device__ __forceinline__ bool is_short(const KeptSet& set) {
  return set.count <= kWarpRowBytes / int64_t{sizeof(typename T::Element)};
}

template <class T>
__device__ __forceinline__ KeptRow<T> kept_row(const KeptForward& rows, int64_t r, int64_t begin) {
  return {row_address<T>(rows.logits, r), rows.ids, begin};
}

// Called by kThreads threads: the columns from `first` on, of those before `end`, and -inf after.
template <class T, int kThreads, int kVectors>
__device__ __forceinline__ void gather(const KeptRow<T>& row, int64_t first, int64_t end,
                                       Vector* tile) {
  constexpr int kColumns = kThreads * kVectors * T::kPerVector;
  auto* const elements = reinterpret_cast<typename T::Element*>(tile);
  const Vector none = minus_infinities<T>();
  typename T::Element minus_infinity;
  if constexpr (sizeof minus_infinity == 4) {
    minus_infinity = bits_to_float(none.word[0]);
  } else {
    minus_infinity = static_cast<uint16_t>(none.word[0]);
  }
#pragma unroll 4
  for (int k = static_cast<int>(threadIdx.x) % kThreads; k < kColumns; k += kThreads)
    elements[k] = first + k < end ? row[first + k] : minus_infinity;
}

// Called by a warp: each lane finishes its row where `own`.
template <class T, class Cap>
__device__ __forceinline__ void finish_kept(const KeptForward& rows, int64_t r, bool own,
                                            const KeptSet& set, Partial part) {
  const bool certain = own && part.sums.ones == 1 && part.sums.others.e < math::kFloat32Holds;
  for (uint32_t left = __ballot_sync(kAllLanes, certain); left != 0; left &= left - 1) {
    const int lane = first_bit(left);
    const auto get = [lane](auto mine) { return __shfl_sync(kAllLanes, mine, lane); };
    const KeptRow<T> row = kept_row<T>(rows, get(r), get(set.begin));
    const math::ExponentialSums others = sum_below<T, Cap>(row, get(set.count), get(part.maximum),
                                                           get(part.sums.pivot), rows.transform);
    if (threadIdx.x % kWarp == static_cast<unsigned>(lane))
      part.sums.others = others;
  }
  if (!own)
    return;
  // For the backward any kept column serves in the place of a label that is none.
  const float logit = set.label < 0 ? 0
                      : set.is_outside && rows.norms == nullptr
                          ? -kInfinity
                          : T::widen(row_address<T>(rows.logits, r)[set.label]);
  const math::RowFigures row =
      math::finish_row(part.sums, Cap::value(logit, rows.transform), rows.transform.temperature);
  if (rows.norms != nullptr) {
    rows.norms[r] = row.norm;
    return;
  }
  write(rows.of[math::kLogp], r,
        set.label == kIgnored    ? 0
        : set.label == kBadLabel ? math::kNaN
                                 : row.norm.logp);
  for (int output = math::kLse; output <= math::kMeanLogit; ++output)
    write(rows.of[output], r, row.of[output]);
  if (rows.wants_argmax)
    write(rows.of[math::kArgmax], r,
          set.count == 0
              ? int64_t{0}
              : read_int(rows.ids, set.begin + static_cast<int64_t>(part.argmax % kNotNan)));
}

// ---- Rows of a warp ----

template <class T, class Cap>
__global__ void __launch_bounds__(kBlockThreads, 2)
    kept_short_rows(const LR_PARAMETER KeptForward rows) {
  constexpr int kChunks = 2, kVectors = kChunks * kChunkVectors;
  static_assert(kWarp * kVectors * sizeof(Vector) == kWarpRowBytes);
  LR_SHARED(Vector, tiles, kRowsPerBlock * kWarp * kVectors);
  LR_SHARED(ShortRow, of_rows, kBlockThreads);
  const int warp = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  Vector* const tile = tiles + warp * kWarp * kVectors;
  const auto* const elements = reinterpret_cast<const typename T::Element*>(tile);
  const int64_t first = (int64_t{blockIdx.x} * kRowsPerBlock + warp) * rows.run,
                last = std::min(first + rows.run, rows.count);
  ShortRow& own = of_rows[threadIdx.x];
  for (int64_t batch = first; batch < last; batch += kWarp) {
    const int64_t r = batch + lane;
    const bool exists = r < last && rows.reads(r);
    const KeptSet set = exists ? rows.sets[r] : KeptSet{};
    const bool mine = exists && is_short<T>(set);
    own = ShortRow{};
    for (uint32_t left = __ballot_sync(kAllLanes, mine && set.count > 0); left != 0;
         left &= left - 1) {
      const int place = first_bit(left);
      const auto get = [place](auto of_lane) { return __shfl_sync(kAllLanes, of_lane, place); };
      const int columns = static_cast<int>(get(set.count));
      gather<T, kWarp, kVectors>(kept_row<T>(rows, batch + place, get(set.begin)), 0, columns,
                                 tile);
      __syncwarp();
      RowInLanes<T, kChunks> lanes;
#pragma unroll
      for (int j = 0; j < kVectors; ++j)
        lanes.v[j] = tile[j * kWarp + lane];
      const ShortRow sums = sum_short_row<T, Cap, Wanted::everything>(
          rows.transform, rows.wants_argmax, elements, columns, &lanes, [] {});
      __syncwarp();
      if (lane == place)
        own = sums;
    }
    finish_kept<T, Cap>(rows, r, mine, set, own.template widened<Cap>(rows.transform));
  }
}

// ---- Rows of a block ----

// Segment s; complete in the first warp.
template <class T, class Cap>
__device__ __forceinline__ Partial sum_kept_segment(const KeptForward& rows, int64_t r,
                                                    const KeptSet& set, const Segments& segments,
                                                    int64_t s, Vector* tile, Scratch* scratch,
                                                    int* turn) {
  constexpr int kColumns = kBlockThreads * kChunkVectors * T::kPerVector;
  const int64_t begin = s * segments.columns;
  const int end = static_cast<int>(std::min(segments.columns, set.count - begin));
  const KeptRow<T> segment = kept_row<T>(rows, r, set.begin + begin);
  const int mine = static_cast<int>(threadIdx.x) * T::kPerVector;
  ThreadSums sums;
  for (int first = 0; first < end; first += kColumns) {
    __syncthreads();  // the tile has been read
    gather<T, kBlockThreads, kChunkVectors>(segment, first, end, tile);
    __syncthreads();
    if (first + mine >= end)
      continue;
    Vector v[kChunkVectors];
#pragma unroll
    for (int j = 0; j < kChunkVectors; ++j)
      v[j] = tile[j * kBlockThreads + threadIdx.x];
    add_chunk<T, Cap, Wanted::everything, kChunkVectors>(v, first + mine, rows.transform, sums);
  }
  const Partial part = sums_of_warp<T, Cap, Wanted::everything>(&sums, segment, begin, end,
                                                                rows.wants_argmax, rows.transform);
  return merge_warps<Cap, Wanted::everything>(part, rows.transform, scratch, turn);
}

template <class T, class Cap>
__global__ void __launch_bounds__(kBlockThreads, kForwardBlocks)
    kept_long_rows(const LR_PARAMETER KeptForward rows) {
  LR_SHARED(Vector, tile, kBlockThreads * kChunkVectors);
  LR_SHARED(Scratch, scratch, 1);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t blocks = gridDim.x;
  int turn = 0;
  for (int64_t batch = blockIdx.x; batch < rows.count; batch += kWarp * blocks) {
    const int64_t mine = batch + lane * blocks;
    const bool is_long = mine < rows.count && rows.reads(mine) && !is_short<T>(rows.sets[mine]);
    for (uint32_t left = __ballot_sync(kAllLanes, is_long); left != 0; left &= left - 1) {
      const int64_t r = batch + first_bit(left) * blocks;
      const KeptSet set = rows.sets[r];
      const Segments segments = cut(set.count);
      Partial part;
      for (int64_t s = 0; s < segments.count; ++s) {
        part = sum_kept_segment<T, Cap>(rows, r, set, segments, s, tile, scratch, &turn);
        if (segments.count > 1 && static_cast<int64_t>(threadIdx.x) == s)
          scratch->segments[s] = part;
      }
      if (threadIdx.x >= kWarp)
        continue;
      if (segments.count > 1)
        part = merge<Cap, Wanted::everything>(scratch->segments, segments.count, rows.transform);
      finish_kept<T, Cap>(rows, r, lane == 0, set, part);
    }
  }
}

inline void launch_kept_forward(KeptForward rows, const Machine& machine) {
  const auto start = [&]<class T, class Cap>() {
    const int64_t teams = machine.multiprocessors * 2 * kRowsPerBlock;
    rows.run = Machine::run_of(rows.count, 1, teams);
    launch(kept_short_rows<T, Cap>,
           grid_of(blocks_of_warps((rows.count + rows.run - 1) / rows.run)), kBlockThreads, 0,
           machine.stream, rows);
    if (!is_warp_row(rows.logits))
      launch(kept_long_rows<T, Cap>,
             grid_of(std::min(rows.count, machine.multiprocessors * kForwardBlocks)), kBlockThreads,
             0, machine.stream, rows);
  };
  with_type(rows.logits.type, [&]<class T>(T) {
    rows.transform.softcap != 0 ? start.template operator()<T, Softcap>()
                                : start.template operator()<T, NoSoftcap>();
  });
}

}  // namespace logratio::device
