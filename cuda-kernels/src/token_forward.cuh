// The forward of vocabulary rows, from its launches to its inner loop: all that is to be known of a
// row (math::RowFigures, the argmax) in one read of it, 2 (BF16, F16) or 4 (F32) bytes per element.
// A sink says which rows are read, and what becomes of their figures:
//   bool reads(row)
//   void take<kEverything>(row, label, figures, argmax)    by a warp, whose lanes all know them
//
// Each thread has four 128-bit loads under way, takes their maximum, rescales its sums once and
// adds the exponentials. Rows up to 4 KiB belong to a warp, which needs no barrier; longer ones to
// a block, and three blocks are on a multiprocessor at once, so that one's reductions hide behind
// the others' loads. Long rows are cut into segments; where rows are few their segments go to
// blocks of their own, and a second launch merges the partials, in the same order and to the same
// bits.
#pragma once

#include "chunk.cuh"
#include "elements.cuh"
#include "math/token_row.h"
#include "row_launch.cuh"
#include "transform.cuh"

namespace logratio::device {

struct ForwardRows {
  op::LogitRows logits;
  int64_t count;
  Segments segments;
  Transform transform;
  op::Labels labels;
  bool wants_argmax;
  int64_t* bad_values;
  uint32_t* cleared;  // becomes 0 where there is a row; may be null
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

__device__ __forceinline__ Partial empty_partial() { return {{}, -kInfinity, kNoColumn}; }

// Each lane of a warp brings a part, and every lane gets them all together: of threads, of a
// block's warps, and of segments.
template <class Cap, bool kEverything>
__device__ __forceinline__ Partial merge(Partial part, const Transform& t) {
  math::RowSums &own = part.sums, all{};
  const float maximum = warp_max(part.maximum);
  all.pivot = warp_max(own.e() == 0 ? -kInfinity : static_cast<float>(own.pivot));
  if (own.pivot != all.pivot) {
    own.others.add({own.ones, own.ones, 0});
    own.ones = 0;
    own.others.move(own.pivot, all.pivot, t.temperature);
  }
  all.ones = warp_sum(own.ones);
  all.others.e = warp_sum(own.others.e);
  if constexpr (kEverything) {
    all.others.e2 = warp_sum(own.others.e2);
    all.others.ed = warp_sum(own.others.ed);
    all.raw = warp_sum(own.raw);
    all.z = Cap::kCaps ? warp_sum(own.z) : all.raw;
    all.finite = warp_sum(own.finite);
    const bool candidate = part.argmax < kNotNan || part.maximum == maximum;
    part.argmax = warp_min(candidate ? part.argmax : kNoColumn);
  }
  return {all, maximum, part.argmax};
}

// Lane k brings part k of `count`.
template <class Cap, bool kEverything>
__device__ __forceinline__ Partial merge(const Partial* parts, int64_t count, const Transform& t) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  return merge<Cap, kEverything>(lane < count ? parts[lane] : empty_partial(), t);
}

// ---- A thread's columns ----

// In float32, of some hundred elements of a segment at most.
struct ThreadSums {
  float maximum = -kInfinity;
  float pivot = 0;
  float ones = 0;  // exponentials of columns that equal the pivot; NaN if there is +inf or NaN
  float e = 0, e2 = 0, ed = 0;  // of the others
  float z = 0, raw = 0;
  int finite = 0;
  int64_t chunk;  // first column of the chunk in which the maximum was first met

  __device__ __forceinline__ void move(float to, const Transform& t) {
    const float all = ones + e;
    if (all != 0 && pivot != to) {
      const float shift = max_nan(pivot - to, t.lowest), factor = exp2_fast(shift * t.scale);
      ed = factor * fused(shift, all, ed);
      e = all * factor;
      e2 = (ones + e2) * (factor * factor);
      ones = 0;
    }
    pivot = to;
  }
};

// The inner loop.
template <class T, class Cap, bool kEverything, int kStep>
__device__ __forceinline__ void add_chunk(const Vector* v, int64_t first, const Transform& t,
                                          ThreadSums& sums) {
  float maximum = -kInfinity;
  for_columns<T, kChunkVectors, kStep>(v, [&](float x, int) { maximum = fmaxf(maximum, x); });
  if (maximum > sums.maximum) {
    sums.maximum = maximum;
    sums.chunk = first;
    sums.move(Cap::value(maximum, t), t);
  }
  float even = 0, odd = 0;
  for_columns<T, kChunkVectors, kStep>(v, [&](float x, int k) {
    const float z = Cap::value(x, t);
    const float d = kEverything ? max_nan(z - sums.pivot, t.lowest) : z - sums.pivot;
    const float e = exp2_fast(d * t.scale);
    if (d < 0) {
      (k % 2 == 0 ? even : odd) += e;
      if constexpr (kEverything)
        sums.e2 = fused(e, e, sums.e2);
    } else {
      sums.ones += e;
    }
    if constexpr (kEverything) {
      sums.ed = fused(e, d, sums.ed);
      const bool counts = x > -kInfinity;  // nor is what fills up an end
      sums.finite += counts ? 1 : 0;
      sums.raw = fused(counts ? x : 0, kSmall, sums.raw);
      if constexpr (Cap::kCaps)
        sums.z = fused(counts ? z : 0, kSmall, sums.z);
    }
  });
  sums.e += even + odd;
}

// ---- A row by a team of threads, a warp or a block ----

// Columns [begin, end) of the row, of which a warp of the team takes its share.
template <class T, class Cap, bool kEverything, int kThreads>
__device__ __forceinline__ Partial sum_columns(const ForwardRows& rows,
                                               const typename T::Element* row, int64_t begin,
                                               int64_t end) {
  constexpr int kStep = kThreads * T::kPerVector;
  const Transform& t = rows.transform;
  const uint32_t shift = misalignment(row);
  const int64_t mine = begin + static_cast<int>(threadIdx.x) % kThreads * T::kPerVector;
  ThreadSums sums;
  sums.chunk = mine;
  for (int64_t first = mine; first < end; first += kChunkVectors * kStep) {
    Vector v[kChunkVectors];
    load_chunk<T, kChunkVectors, kStep, false>(row, {first, end}, shift, v);
    add_chunk<T, Cap, kEverything, kStep>(v, first, t, sums);
  }
  const float maximum = warp_max(sums.maximum);
  ArgmaxKey argmax = kNoColumn;
  if (kEverything && rows.wants_argmax) {
    if (sums.maximum == maximum) {
      const int64_t stop = std::min<int64_t>(sums.chunk + kChunkVectors * kStep, end);
      const int64_t column =
          find_column<T>(row, sums.chunk, kStep, stop, [&](float x) { return x == maximum; });
      argmax = column < stop ? kNotNan + static_cast<ArgmaxKey>(column) : kNoColumn;
    }
    if (sums.ones != sums.ones) {
      const int64_t column = find_column<T>(row, mine, kStep, end, [](float x) { return x != x; });
      argmax = column < end ? static_cast<ArgmaxKey>(column) : argmax;
    }
  }
  sums.move(maximum == -kInfinity ? 0 : Cap::value(maximum, t), t);
  return merge<Cap, kEverything>({{sums.pivot,
                                   sums.ones,
                                   {sums.e, sums.e2, sums.ed},
                                   sums.z / double{kSmall},
                                   sums.raw / double{kSmall},
                                   static_cast<double>(sums.finite)},
                                  sums.maximum,
                                  argmax},
                                 t);
}

// What the warps of a block tell each other, and its segments. The warps take turns between two
// places: who writes one of them again has met the others since they read it.
struct Scratch {
  Partial warps[2][kRowsPerBlock];
  Partial segments[kMaxSegments];
};

// Columns of segment s by a block. The result is complete in its first warp.
template <class T, class Cap, bool kEverything>
__device__ __forceinline__ Partial sum_segment(const ForwardRows& rows,
                                               const typename T::Element* row, int64_t s,
                                               Partial* of_warps) {
  const int64_t begin = s * rows.segments.columns,
                end = std::min(begin + rows.segments.columns, rows.logits.columns);
  Partial part = sum_columns<T, Cap, kEverything, kBlockThreads>(rows, row, begin, end);
  if (threadIdx.x % kWarp == 0)
    of_warps[threadIdx.x / kWarp] = part;
  __syncthreads();
  if (threadIdx.x < kWarp)
    part = merge<Cap, kEverything>(of_warps, kRowsPerBlock, rows.transform);
  return part;
}

// Segment after segment. The result is complete in the first warp of the team.
template <class T, class Cap, bool kEverything, int kThreads>
__device__ __forceinline__ Partial sum_row(const ForwardRows& rows, const typename T::Element* row,
                                           Scratch* scratch, int* turn) {
  if constexpr (kThreads == kWarp) {
    return sum_columns<T, Cap, kEverything, kWarp>(rows, row, 0, rows.logits.columns);
  } else {
    const int64_t count = rows.segments.count;
    Partial part;
    for (int64_t s = 0; s < count; ++s) {
      part = sum_segment<T, Cap, kEverything>(rows, row, s, scratch->warps[*turn]);
      *turn = 1 - *turn;
      if (threadIdx.x == s && count > 1)
        scratch->segments[s] = part;  // read by the same thread
    }
    if (threadIdx.x < kWarp && count > 1)
      part = merge<Cap, kEverything>(scratch->segments, count, rows.transform);
    return part;
  }
}

// Called by a warp, whose lanes all know the row's sums. Where one token is so certain that a
// float32 holds nothing of the others, their sums are taken once more, in double.
template <class T, class Cap>
__device__ inline math::RowFigures finish(const ForwardRows& rows, const typename T::Element* row,
                                          const Partial& part, float label_logit) {
  const Transform& t = rows.transform;
  math::RowSums sums = part.sums;
  if (sums.ones == 1 && sums.others.e < math::kFloat32Holds) {
    math::ExponentialSums others{};
#pragma unroll 1
    for (int64_t column = threadIdx.x % kWarp; column < rows.logits.columns; column += kWarp) {
      const float x = T::widen(row[column]);
      if (!(x > -kInfinity && x < part.maximum))
        continue;
      const double d = static_cast<double>(Cap::value(x, t)) - sums.pivot,
                   e = exp(d / t.temperature);
      others.add({e, e * e, e * d});
    }
    sums.others = {warp_sum(others.e), warp_sum(others.e2), warp_sum(others.ed)};
  }
  return math::finish_row(sums, Cap::value(label_logit, t), t.temperature);
}

// ---- Kernels and launches ----

// A row as the first warp of its team sees it. The label and its logit are read before the row, so
// that the two loads, one after the other, hide behind it.
template <class T>
struct LabelledRow {
  int64_t r;
  int64_t label = kIgnored;
  float label_logit = 0;

  __device__ __forceinline__ void meet(const ForwardRows& rows, bool is_read) {
    label = read_label(rows.labels, r, rows.logits.columns);
    if (is_read && label >= 0)
      label_logit = T::widen(row_address<T>(rows.logits, r)[label]);
    if (threadIdx.x % kWarp != 0)
      return;
    if (label == kBadLabel && rows.bad_values != nullptr)
      count_up(rows.bad_values);
    if (r == 0 && rows.cleared != nullptr)
      *rows.cleared = 0;
  }
  template <class Cap, bool kEverything, class Sink>
  __device__ __forceinline__ void finish(const ForwardRows& rows, const Sink& sink,
                                         const Partial& part) const {
    sink.template take<kEverything>(
        r, label, device::finish<T, Cap>(rows, row_address<T>(rows.logits, r), part, label_logit),
        static_cast<int64_t>(part.argmax % kNotNan));
  }
};

template <class T, class Cap, bool kEverything, int kThreads, class Sink>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    forward_rows(const LR_PARAMETER ForwardRows rows, const LR_PARAMETER Sink sink) {
  LR_SHARED(Scratch, scratch, 1);
  constexpr int kTeams = kBlockThreads / kThreads;
  const bool first_warp = threadIdx.x % kThreads < kWarp;
  int turn = 0;
  for (int64_t r = int64_t{blockIdx.x} * kTeams + threadIdx.x / kThreads; r < rows.count;
       r += int64_t{gridDim.x} * kTeams) {
    LabelledRow<T> row{r};
    const bool is_read = sink.reads(r);
    if (first_warp)
      row.meet(rows, is_read);
    if (!is_read)
      continue;
    const Partial part = sum_row<T, Cap, kEverything, kThreads>(
        rows, row_address<T>(rows.logits, r), scratch, &turn);
    if (first_warp)
      row.template finish<Cap, kEverything>(rows, sink, part);
  }
}

// A block a segment: there are few.
template <class T, class Cap, bool kEverything, class Sink>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    forward_segments(const LR_PARAMETER ForwardRows rows, const LR_PARAMETER Sink sink,
                     Partial* partials) {
  LR_SHARED(Partial, of_warps, kRowsPerBlock);
  const int64_t r = blockIdx.x, s = blockIdx.y;
  if (!sink.reads(r))
    return;
  const Partial part =
      sum_segment<T, Cap, kEverything>(rows, row_address<T>(rows.logits, r), s, of_warps);
  if (threadIdx.x == 0)
    partials[r * rows.segments.count + s] = part;
}

template <class T, class Cap, bool kEverything, class Sink>
__global__ void __launch_bounds__(kWarp)
    forward_merge(const LR_PARAMETER ForwardRows rows, const LR_PARAMETER Sink sink,
                  const Partial* partials) {
  LabelledRow<T> row{blockIdx.x};
  const bool is_read = sink.reads(row.r);
  row.meet(rows, is_read);
  if (!is_read)
    return;
  const int64_t count = rows.segments.count;
  row.template finish<Cap, kEverything>(
      rows, sink, merge<Cap, kEverything>(partials + row.r * count, count, rows.transform));
}

// `partials` holds one per segment of every row where segments are shared out, and is null
// elsewhere. Unless `everything` is wanted, logp and lse are, which cost the least.
template <class Sink>
void launch_forward(const ForwardRows& rows, const Sink& sink, bool everything, Partial* partials,
                    const Machine& machine) {
  const auto start = [&]<class T, class Cap, bool kEverything>() {
    const auto count = static_cast<unsigned>(rows.count),
               segments = static_cast<unsigned>(rows.segments.count);
    if (partials != nullptr) {
      launch(forward_segments<T, Cap, kEverything, Sink>, dim3(count, segments), kBlockThreads, 0,
             machine.stream, rows, sink, partials);
      launch(forward_merge<T, Cap, kEverything, Sink>, count, kWarp, 0, machine.stream, rows, sink,
             partials);
    } else if (is_warp_row(rows.logits)) {
      launch(forward_rows<T, Cap, kEverything, kWarp, Sink>,
             machine.blocks(blocks_of_warps(rows.count)), kBlockThreads, 0, machine.stream, rows,
             sink);
    } else {
      launch(forward_rows<T, Cap, kEverything, kBlockThreads, Sink>, machine.blocks(rows.count),
             kBlockThreads, 0, machine.stream, rows, sink);
    }
  };
  with_type(rows.logits.type, [&]<class T>(T) {
    rows.transform.softcap != 0 ? start.template operator()<T, Softcap, true>()
    : everything                ? start.template operator()<T, NoSoftcap, true>()
                                : start.template operator()<T, NoSoftcap, false>();
  });
}

}  // namespace logratio::device
