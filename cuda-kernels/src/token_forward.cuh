// The forward of vocabulary rows, from its launches to the loop over a thread's chunks, which
// thread_sums.cuh goes on from: what is to be known of a row (math::RowFigures, the argmax) in one
// read of it, 2 (BF16, F16) or 4 (F32) bytes per element.
//
// The grid is what a GPU holds at once, and each team of threads gets a run of consecutive rows:
// rows up to 4 KiB belong to a warp (forward_short.cuh), longer ones to a block. Four blocks are on
// a multiprocessor, so that one's reductions hide behind the others' loads. The sums of 32 rows
// wait for a warp's lanes, which finish them all at once, in double; labels are read there, and
// their logits are still in L2. Long rows are cut into segments; where rows are so few that runs of
// whole rows would not end together, runs of segments do. A second launch then merges the partials
// of the rows that lie in several runs, in the same order and to the same bits.
#pragma once

#include "forward_short.cuh"

namespace logratio::device {

inline ForwardRows forward_rows_of(const op::LogitRows& logits, int64_t count,
                                   const op::RowTransform& transform, const op::Labels& labels,
                                   bool wants_argmax, int64_t* bad_values, const Machine& machine,
                                   int64_t begin = 0) {
  const Segments segments = cut(logits.columns);
  return {logits,
          begin,
          count,
          segments,
          machine.run(count, logits, segments.count, kForwardBlocks),
          make_transform(transform),
          labels,
          wants_argmax,
          bad_values};
}

inline bool are_cut_apart(const ForwardRows& rows) { return rows.run % rows.segments.count != 0; }

// One per segment of every row where runs cut rows apart, else null. Rows that come in blocks are
// as many as the most that a block has, or as the last one.
inline Partial* take_partials(const ForwardRows& rows, const ForwardRows& last,
                              Workspace& workspace) {
  return are_cut_apart(rows) || are_cut_apart(last)
             ? workspace.take<Partial>(rows.count * rows.segments.count)
             : nullptr;
}
inline Partial* take_partials(const ForwardRows& rows, Workspace& workspace) {
  return take_partials(rows, rows, workspace);
}

__device__ __forceinline__ Partial empty_partial() { return {{}, -kInfinity, kNoColumn}; }

// Each lane of a warp brings a part, and every lane gets them all together: of threads, of a
// block's warps, and of segments.
template <class Cap, Wanted kWanted>
__device__ __forceinline__ Partial merge(Partial part, const Transform& t) {
  math::RowSums &own = part.sums, all{};
  const float maximum = warp_max(part.maximum);
  all.pivot = warp_max(own.e() == 0 ? -kInfinity : static_cast<float>(own.pivot));
  if (own.pivot != all.pivot) {
    own.others.add({own.ones, own.ones, 0});
    own.ones = 0;
    own.others.move(own.pivot, all.pivot, t.temperature);
  }
  all.ones = warp_sum(static_cast<float>(own.ones));  // a number of columns
  all.others.e = warp_sum(own.others.e);
  if constexpr (kWanted != Wanted::logp)
    all.others.ed = warp_sum(own.others.ed);
  if constexpr (kWanted == Wanted::everything) {
    all.others.e2 = warp_sum(own.others.e2);
    all.raw = warp_sum(own.raw);
    all.z = Cap::kCaps ? warp_sum(own.z) : all.raw;
    all.finite = warp_sum(static_cast<int>(own.finite));
    const bool candidate = part.argmax < kNotNan || part.maximum == maximum;
    part.argmax = warp_min(candidate ? part.argmax : kNoColumn);
  }
  return {all, maximum, part.argmax};
}

// Lane k brings part k of `count`.
template <class Cap, Wanted kWanted>
__device__ __forceinline__ Partial merge(const Partial* parts, int64_t count, const Transform& t) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  return merge<Cap, kWanted>(lane < count ? parts[lane] : empty_partial(), t);
}

// ---- A row by a block ----

// What a warp's threads have of the segment that begins at column `begin` of its row.
template <class T, class Cap, Wanted kWanted, class Row>
__device__ __forceinline__ Partial sums_of_warp(ThreadSums* own, const Row& segment, int64_t begin,
                                                int end, bool wants_argmax, const Transform& t) {
  constexpr int kStep = kBlockThreads * T::kPerVector;
  ThreadSums& sums = *own;
  const float maximum = warp_max(sums.maximum);
  ArgmaxKey argmax = kNoColumn;
  if (kWanted == Wanted::everything && wants_argmax) {
    argmax = find_maximum<T, kChunkVectors, kStep>(segment, sums.first, end,
                                                   sums.maximum == maximum, maximum);
    if (const float all = sums.ones + sums.e; all != all)
      argmax = std::min(
          argmax, find_nan<T, kStep>(segment, static_cast<int>(threadIdx.x) * T::kPerVector, end));
    argmax += argmax == kNoColumn ? 0 : static_cast<ArgmaxKey>(begin);
  }
  sums.move(maximum == -kInfinity ? 0 : Cap::value(maximum, t), t);
  return merge<Cap, kWanted>({{sums.pivot,
                               sums.ones,
                               {sums.e, sums.e2, sums.et * t.inverse_scale},
                               sums.z / double{kSmall},
                               sums.raw / double{kSmall},
                               static_cast<double>(sums.finite)},
                              sums.maximum,
                              argmax},
                             t);
}

// The segment of the row that begins at column `begin`, of which a warp takes its share. Segments
// begin where vectors of the row do, so that all have its misalignment.
template <class T, class Cap, Wanted kWanted>
__device__ __forceinline__ Partial sum_columns(const ForwardRows& rows,
                                               const typename T::Element* row, int64_t begin) {
  constexpr int kStep = kBlockThreads * T::kPerVector, kColumns = kChunkVectors * kStep;
  const Transform& t = rows.transform;
  const typename T::Element* const segment = row + begin;
  const int end = static_cast<int>(std::min(rows.segments.columns, rows.logits.columns - begin));
  const uint32_t shift = misalignment(segment);
  const int mine = static_cast<int>(threadIdx.x) * T::kPerVector;
  ThreadSums sums;
  for (int first = mine; first < end; first += kColumns) {
    Vector v[kChunkVectors];
    load_chunk<T, kChunkVectors, kStep, false>(segment, {first, end}, shift, v);
    add_chunk<T, Cap, kWanted, kChunkVectors>(v, first, t, sums);
  }
  return sums_of_warp<T, Cap, kWanted>(&sums, segment, begin, end, rows.wants_argmax, t);
}

// What the warps of a block tell each other, its segments, and the rows that wait to be finished.
// The warps take turns between two places: who writes one of them again has met the others since
// they read it.
struct Scratch {
  Partial warps[2][kRowsPerBlock];
  Partial segments[kMaxSegments];
  Partial rows[kWarp];
};

// The parts of a block's warps. The result is complete in the first warp.
template <class Cap, Wanted kWanted>
__device__ __forceinline__ Partial merge_warps(const Partial& part, const Transform& t,
                                               Scratch* scratch, int* turn) {
  Partial* const of_warps = scratch->warps[*turn];
  *turn = 1 - *turn;
  if (threadIdx.x % kWarp == 0)
    of_warps[threadIdx.x / kWarp] = part;
  __syncthreads();
  return threadIdx.x < kWarp ? merge<Cap, kWanted>(of_warps, kRowsPerBlock, t) : part;
}

// Columns of segment s. The result is complete in the first warp.
template <class T, class Cap, Wanted kWanted>
__device__ __forceinline__ Partial sum_segment(const ForwardRows& rows,
                                               const typename T::Element* row, int64_t s,
                                               Scratch* scratch, int* turn) {
  const Partial part = sum_columns<T, Cap, kWanted>(rows, row, s * rows.segments.columns);
  return merge_warps<Cap, kWanted>(part, rows.transform, scratch, turn);
}

// ---- Kernels and launches ----

// A block's run is segments [first, last) of all rows' segments, one after the other. A lane reads
// from shared memory what it wrote itself, or what came before a barrier.
template <class T, class Cap, Wanted kWanted, class Sink>
__global__ void __launch_bounds__(kBlockThreads, kForwardBlocks)
    forward_rows(const LR_PARAMETER ForwardRows rows, const LR_PARAMETER Sink sink,
                 Partial* partials) {
  LR_SHARED(Scratch, scratch, 1);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const bool first_warp = threadIdx.x < kWarp;
  const int64_t segments = rows.segments.count;
  const int64_t first = rows.begin * segments + int64_t{blockIdx.x} * rows.run,
                last = std::min(first + rows.run, (rows.begin + rows.count) * segments);
  int turn = 0;
  int64_t r = first / segments;
  int from = static_cast<int>(first - r * segments);
  while (r * segments < last) {
    // The next 32 rows, or as many as there are; each lane of the first warp has one in the end.
    const int64_t batch = r;
    const bool exists = (batch + lane) * segments < last;
    uint32_t read = __ballot_sync(kAllLanes, exists && sink.reads(batch + lane)), whole = 0;
    for (; r < batch + kWarp && r * segments < last; ++r, from = 0) {
      const int to = static_cast<int>(std::min(segments, last - r * segments));
      const bool is_whole = from == 0 && to == segments;
      const int place = static_cast<int>(r - batch);
      whole |= is_whole ? 1u << place : 0;
      if ((read >> place & 1) == 0)
        continue;
      Partial part;
      for (int s = from; s < to; ++s) {
        part =
            sum_segment<T, Cap, kWanted>(rows, row_address<T>(rows.logits, r), s, scratch, &turn);
        if (segments > 1 && static_cast<int>(threadIdx.x) == s)
          *(is_whole ? scratch->segments + s : partials + r * segments + s) = part;
      }
      if (segments > 1 && is_whole && first_warp)
        part = merge<Cap, kWanted>(scratch->segments, segments, rows.transform);
      if (static_cast<int>(threadIdx.x) == place)
        scratch->rows[place] = part;
    }
    if (first_warp)
      finish_rows<T, Cap, kWanted>(rows, sink, batch + lane, (whole >> lane & 1) != 0,
                                   (whole & read) >> lane & 1, scratch->rows[lane]);
  }
}

// The rows that lie in several runs: a warp for each place where one run ends and the next begins.
template <class T, class Cap, Wanted kWanted, class Sink>
__global__ void __launch_bounds__(kWarp)
    forward_merge(const LR_PARAMETER ForwardRows rows, const LR_PARAMETER Sink sink,
                  const Partial* partials) {
  const int64_t segments = rows.segments.count,
                place = rows.begin * segments + (blockIdx.x + 1) * rows.run, r = place / segments,
                begin = r * segments;
  if (place == begin || place - rows.run > begin)
    return;  // no row lies in both, or it does so before, too
  const bool read = sink.reads(r);
  const Partial part =
      read ? merge<Cap, kWanted>(partials + begin, segments, rows.transform) : empty_partial();
  const bool own = threadIdx.x == 0;
  finish_rows<T, Cap, kWanted>(rows, sink, r, own, own && read, part);
}

// `partials` is not needed where rows are not cut apart.
template <class Sink>
void launch_forward(const ForwardRows& rows, const Sink& sink, Wanted wanted, Partial* partials,
                    const Machine& machine) {
  partials = are_cut_apart(rows) ? partials - rows.begin * rows.segments.count : nullptr;
  const int64_t runs = (rows.count * rows.segments.count + rows.run - 1) / rows.run;
  const auto start = [&]<class T, class Cap, Wanted kWanted>() {
    constexpr int64_t kChunkColumns = kWarp * kChunkVectors * T::kPerVector;
    if (is_warp_row(rows.logits)) {
      const int chunks = rows.logits.columns <= kChunkColumns ? 1 : 2;
      ForwardRows short_rows = rows;
      short_rows.run = machine.run(rows.count, rows.logits, 1, short_row_blocks(chunks, kWanted));
      const int64_t warps = (rows.count + short_rows.run - 1) / short_rows.run;
      launch(chunks == 1 ? forward_short_rows<T, Cap, kWanted, 1, Sink>
                         : forward_short_rows<T, Cap, kWanted, 2, Sink>,
             grid_of(blocks_of_warps(warps)), kBlockThreads, 0, machine.stream, short_rows, sink);
      return;
    }
    launch(forward_rows<T, Cap, kWanted, Sink>, grid_of(runs), kBlockThreads, 0, machine.stream,
           rows, sink, partials);
    if (partials != nullptr && runs > 1)
      launch(forward_merge<T, Cap, kWanted, Sink>, grid_of(runs - 1), kWarp, 0, machine.stream,
             rows, sink, partials);
  };
  const auto start_if_taken = [&]<class T, class Cap, Wanted kWanted>() {
    if constexpr (Sink::takes(kWanted))
      start.template operator()<T, Cap, kWanted>();
  };
  with_type(rows.logits.type, [&]<class T>(T) {
    constexpr Wanted kMost = Sink::takes(Wanted::everything) ? Wanted::everything : Wanted::logp;
    if (rows.transform.softcap != 0)  // which few models have: one instance serves
      return start.template operator()<T, Softcap, kMost>();
    switch (wanted) {
      case Wanted::logp:
        return start_if_taken.template operator()<T, NoSoftcap, Wanted::logp>();
      case Wanted::entropy:
        return start_if_taken.template operator()<T, NoSoftcap, Wanted::entropy>();
      case Wanted::everything:
        return start_if_taken.template operator()<T, NoSoftcap, Wanted::everything>();
    }
  });
}

}  // namespace logratio::device
