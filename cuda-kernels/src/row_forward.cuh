// The forward of one vocabulary row, or of one segment of it, by a team of threads: what
// token_logprobs and the step share.
#pragma once

#include "elements.cuh"
#include "team.cuh"
#include "transform.cuh"

namespace logratio::device {

constexpr float kInfinity = INFINITY;
constexpr int kChunkVectors = 4;  // 128-bit loads that a thread has under way
constexpr int kBlockThreads = 256;
constexpr int kMaxSegments = 32;
constexpr int64_t kSegmentColumns = 32768;

// A row is cut into equal segments by its length alone, whoever computes them.
struct Segments {
  int64_t count;
  int64_t columns;  // of each but the last; a multiple of every vector
};

inline Segments cut(int64_t columns) {
  int64_t count = (columns + kSegmentColumns - 1) / kSegmentColumns;
  if (count > kMaxSegments)
    count = kMaxSegments;
  const int64_t each = ((columns + count - 1) / count + 7) / 8 * 8;
  return {(columns + each - 1) / each, each};
}

// Sums over a part of a row, with d = softcap(x) - reference and e = exp(d / temperature). The
// exponentials of elements that equal the maximum are 1, and are kept apart from the others: where
// one token has nearly all of the probability, what the others have left would be lost beside it.
struct Partial {
  double ones;  // elements with d = 0; 0 if there is nothing but -inf, NaN if there is +inf or NaN
  double e;     // sum of e over the others
  double e2;    // sum of e * e over the others
  double ed;    // sum of e * d
  double z;     // sum of softcap(x) over the elements that are not -inf
  double raw;   // sum of x over these
  double finite;    // their number
  float maximum;    // of the raw logits; NaN is left out
  float reference;  // softcap(maximum); 0 where that is -inf
  int64_t argmax;   // its first column, or that of the first NaN
  bool has_nan;

  __device__ __forceinline__ double all() const { return ones + e; }
};

__device__ __forceinline__ Partial empty_partial() {
  return {0, 0, 0, 0, 0, 0, 0, -kInfinity, 0, 0, false};
}

// Values are summed in units of its inverse, so that no thread's sum overflows.
constexpr float kSmall = 0x1p-20f;

// What a thread gathers, in float32: some hundred elements of a segment at most.
struct ThreadSums {
  float maximum = -kInfinity;
  float reference = 0;
  float ones = 0;
  float e = 0, e2 = 0, ed = 0, z = 0, raw = 0;
  int finite = 0;
  int64_t chunk = 0;  // first column of the chunk in which the maximum was first met

  __device__ __forceinline__ void rebase(float to, const Transform& t) {
    const float all = ones + e;
    if (all != 0 && reference != to) {
      const float shift = max_nan(reference - to, t.lowest);
      const float factor = exp2_fast(shift * t.scale);
      ed = factor * fused(shift, all, ed);
      e = all * factor;
      e2 = (ones + e2) * (factor * factor);
      ones = 0;
    }
    reference = to;
  }
};

// Adds a chunk: its maximum first, then one rescaling, then the exponentials.
template <class T, class Cap, bool kEverything, int kStep>
__device__ __forceinline__ void add_chunk(const Vector* v,
                                          const Chunk<T, kChunkVectors, kStep>& chunk,
                                          const Transform& t, ThreadSums& sums) {
  float maximum = -kInfinity;
#pragma unroll
  for (int j = 0; j < kChunkVectors; ++j) {
    float x[T::kPerVector];
    T::unpack(v[j], x);
#pragma unroll
    for (int k = 0; k < T::kPerVector; ++k)
      maximum = fmaxf(maximum, x[k]);
  }
  if (maximum > sums.maximum) {
    sums.maximum = maximum;
    sums.chunk = chunk.first;
    sums.rebase(Cap::value(maximum, t), t);
  }
  float e0 = 0, e1 = 0;
#pragma unroll
  for (int j = 0; j < kChunkVectors; ++j) {
    float x[T::kPerVector];
    T::unpack(v[j], x);
#pragma unroll
    for (int k = 0; k < T::kPerVector; ++k) {
      const float z = Cap::value(x[k], t);
      const float d = kEverything ? max_nan(z - sums.reference, t.lowest) : z - sums.reference;
      const float e = exp2_fast(d * t.scale);
      if (d < 0) {
        (k % 2 == 0 ? e0 : e1) += e;
        if constexpr (kEverything)
          sums.e2 = fused(e, e, sums.e2);
      } else {
        sums.ones += e;
      }
      if constexpr (kEverything) {
        sums.ed = fused(e, d, sums.ed);
        const bool counts = x[k] > -kInfinity;  // nor is what fills up an end
        sums.finite += counts ? 1 : 0;
        sums.raw = fused(counts ? x[k] : 0, kSmall, sums.raw);
        if constexpr (Cap::kCaps)
          sums.z = fused(counts ? z : 0, kSmall, sums.z);
      }
    }
  }
  sums.e += e0 + e1;
}

// Orders candidates: a NaN goes before the maximum, and among equals the lower column.
constexpr unsigned long long kNotNan = 1ull << 62;
__device__ __forceinline__ unsigned long long argmax_key(bool is_nan, int64_t column) {
  return static_cast<unsigned long long>(column) + (is_nan ? 0 : kNotNan);
}
__device__ __forceinline__ void set_argmax(unsigned long long key, Partial* part) {
  part->has_nan = key < kNotNan;
  part->argmax = static_cast<int64_t>(key & (kNotNan - 1));
}

// The first column of this thread, in the chunk at sums.chunk, that holds the segment's maximum.
template <class T>
__device__ __forceinline__ int64_t find_maximum(const typename T::Element* row, int64_t chunk,
                                                int64_t step, int64_t end, float maximum) {
#pragma unroll 1
  for (int j = 0; j < kChunkVectors; ++j) {
    const int64_t column = chunk + j * step;
#pragma unroll 1
    for (int k = 0; k < T::kPerVector && column + k < end; ++k) {
      if (T::widen(row[column + k]) == maximum)
        return column + k;
    }
  }
  return end;
}

// The first column of this thread that holds NaN, or `end`.
template <class T>
__device__ __forceinline__ int64_t find_nan(const typename T::Element* row, int64_t first,
                                            int64_t step, int64_t end) {
#pragma unroll 1
  for (int64_t column = first; column < end; column += step) {
#pragma unroll 1
    for (int k = 0; k < T::kPerVector && column + k < end; ++k) {
      const float x = T::widen(row[column + k]);
      if (x != x)
        return column + k;
    }
  }
  return end;
}

enum RowSum { kOnes, kFinite, kE, kE2, kEd, kRaw, kZ, kRowSums };

// What the warps of a block tell each other. One is enough for any number of calls: each field is
// read before the barrier that comes before it is written again.
struct Scratch {
  float maximum[kBlockThreads / kWarp];
  double sums[kBlockThreads / kWarp][kRowSums];
  unsigned long long key[kBlockThreads / kWarp];
};

// Columns [begin, end) of a row by kThreads threads. The result is complete in the first warp of
// the team.
template <class T, class Cap, bool kEverything, int kThreads>
__device__ __forceinline__ Partial sum_segment(const typename T::Element* row, int64_t begin,
                                               int64_t end, bool wants_argmax, const Transform& t,
                                               Scratch* scratch) {
  const int thread = static_cast<int>(threadIdx.x) % kThreads;
  constexpr int kStep = kThreads * T::kPerVector;
  const uint32_t shift = misalignment(row);
  const int64_t mine = begin + thread * T::kPerVector;
  ThreadSums sums;
  sums.chunk = mine;
  for (int64_t first = mine; first < end; first += kChunkVectors * kStep) {
    const Chunk<T, kChunkVectors, kStep> chunk(first, end);
    Vector v[kChunkVectors];
    load_chunk<T, kChunkVectors, kStep, false>(row, chunk, shift, v);
    add_chunk<T, Cap, kEverything, kStep>(v, chunk, t, sums);
  }

  const int warp = thread / kWarp, lane = thread % kWarp;
  float maximum = warp_max(sums.maximum);
  if constexpr (kThreads > kWarp) {
    if (lane == 0)
      scratch->maximum[warp] = maximum;
    __syncthreads();
    maximum = scratch->maximum[0];
#pragma unroll
    for (int w = 1; w < kThreads / kWarp; ++w)
      maximum = fmaxf(maximum, scratch->maximum[w]);
  }
  unsigned long long key = ~0ull;
  if (kEverything && wants_argmax) {
    if (sums.ones != sums.ones) {
      const int64_t column = find_nan<T>(row, mine, kStep, end);
      if (column < end)
        key = argmax_key(true, column);
    }
    if (sums.maximum == maximum) {
      const int64_t column = find_maximum<T>(row, sums.chunk, kStep, end, maximum);
      const unsigned long long candidate = argmax_key(false, column);
      if (column < end && candidate < key)
        key = candidate;
    }
    key = warp_min(key);
  }
  Partial part = empty_partial();
  part.maximum = maximum;
  part.reference = maximum == -kInfinity ? 0 : Cap::value(maximum, t);
  sums.rebase(part.reference, t);
  // Counts are exact as float32. The sums from kWanted on are 0.
  constexpr int kWanted = !kEverything ? kE2 : Cap::kCaps ? kRowSums : kZ;
  const float finite = kEverything ? warp_sum(static_cast<float>(sums.finite)) : 0;
  double all[kRowSums] = {warp_sum(sums.ones), finite, sums.e, sums.e2, sums.ed, sums.raw, sums.z};
#pragma unroll
  for (int k = kE; k < kWanted; ++k)
    all[k] = warp_sum(all[k]);
  if constexpr (kThreads > kWarp) {
    if (lane == 0) {
#pragma unroll
      for (int k = 0; k < kWanted; ++k)
        scratch->sums[warp][k] = all[k];
      scratch->key[warp] = key;
    }
    __syncthreads();
    if (warp == 0) {
#pragma unroll
      for (int k = 0; k < kWanted; ++k)
        all[k] = scratch->sums[0][k];
      key = scratch->key[0];
#pragma unroll
      for (int w = 1; w < kThreads / kWarp; ++w) {
#pragma unroll
        for (int k = 0; k < kWanted; ++k)
          all[k] += scratch->sums[w][k];
        key = scratch->key[w] < key ? scratch->key[w] : key;
      }
    }
  }
  part.ones = all[kOnes];
  part.finite = all[kFinite];
  part.e = all[kE];
  part.e2 = all[kE2];
  part.ed = all[kEd];
  part.raw = all[kRaw] / kSmall;
  part.z = all[kZ] / kSmall;
  set_argmax(key, &part);
  return part;
}

// Lane s of a warp brings the partial of segment s, or an empty one; every lane gets their sum.
template <bool kEverything>
__device__ inline Partial merge_segments(Partial part, const Transform& t) {
  Partial all = empty_partial();
  all.maximum = warp_max(part.maximum);
  const double own = part.all();
  all.reference = warp_max(own == 0 ? -kInfinity : part.reference);
  if (own != 0 && part.reference != all.reference) {
    const double shift = static_cast<double>(part.reference) - all.reference;
    const double factor = exp(shift / t.temperature);
    part.ed = factor * (part.ed + shift * own);
    part.e = factor * own;
    part.e2 = factor * factor * (part.ones + part.e2);
    part.ones = 0;
  }
  all.ones = warp_sum(part.ones);
  all.e = warp_sum(part.e);
  if constexpr (kEverything) {
    all.e2 = warp_sum(part.e2);
    all.ed = warp_sum(part.ed);
    all.z = warp_sum(part.z);
    all.raw = warp_sum(part.raw);
    all.finite = warp_sum(part.finite);
    const bool candidate = part.has_nan || part.maximum == all.maximum;
    const unsigned long long key = candidate ? argmax_key(part.has_nan, part.argmax) : ~0ull;
    set_argmax(warp_min(key), &all);
  }
  return all;
}

// A whole row by kThreads threads, segment after segment. The result is complete in the first warp
// of the team.
template <class T, class Cap, bool kEverything, int kThreads>
__device__ __forceinline__ Partial sum_row(const typename T::Element* row, int64_t columns,
                                           const Segments& segments, bool wants_argmax,
                                           const Transform& t, Scratch* scratch,
                                           Partial* partials) {
  const int thread = static_cast<int>(threadIdx.x) % kThreads;
  Partial part;
  for (int64_t s = 0; s < segments.count; ++s) {
    const int64_t begin = s * segments.columns,
                  end = begin + segments.columns < columns ? begin + segments.columns : columns;
    part = sum_segment<T, Cap, kEverything, kThreads>(row, begin, end, wants_argmax, t, scratch);
    if (kThreads > kWarp && thread == 0 && segments.count > 1)
      partials[s] = part;
  }
  if (kThreads > kWarp && segments.count > 1) {
    __syncthreads();
    if (thread < kWarp)
      part = merge_segments<kEverything>(
          thread < segments.count ? partials[thread] : empty_partial(), t);
  }
  return part;
}

// Where one token is so certain that a float32 holds nothing of the others, their sums are taken
// once more, in double. By a warp, whose lanes all know the row's sums.
template <class T, class Cap>
__device__ inline void sum_far_others(const typename T::Element* row, int64_t columns,
                                      const Transform& t, Partial* part) {
  constexpr double kFloat32Holds = 1e-30;
  if (!(part->ones == 1 && part->e < kFloat32Holds))
    return;
  double e = 0, e2 = 0, ed = 0;
#pragma unroll 1
  for (int64_t column = threadIdx.x % kWarp; column < columns; column += kWarp) {
    const float x = T::widen(row[column]);
    if (!(x > -kInfinity && x < part->maximum))
      continue;
    const double d = static_cast<double>(Cap::value(x, t)) - part->reference,
                 p = exp(d / t.temperature);
    e += p;
    e2 += p * p;
    ed += p * d;
  }
  part->e = warp_sum(e);
  part->e2 = warp_sum(e2);
  part->ed = warp_sum(ed);
}

// What a row's probabilities are, and its label's: p = exp((softcap(x) - pivot) / temperature -
// log_sum).
struct RowNorm {
  double pivot, log_sum, logp;
};

// Figures of a whole row, in double. All but argmax are NaN for a row that holds +inf or NaN, or
// nothing but -inf.
struct RowFigures {
  RowNorm norm;
  double log_sum2;  // as log_sum, of 2 z; far from 0, lse and lse2 have no digits left for either
  double lse, lse2, entropy, mean_z, mean_raw;
  int64_t argmax;
};

// `x` is the logit of the label.
template <class Cap, bool kEverything>
__device__ inline RowFigures finish_row(const Partial& part, float x, const Transform& t) {
  RowFigures row{};
  row.argmax = part.argmax;
  if (!(part.all() > 0)) {
    row.norm.pivot = row.norm.log_sum = row.norm.logp = row.log_sum2 = nan("");
    row.lse = row.lse2 = row.entropy = row.mean_z = row.mean_raw = nan("");
    return row;
  }
  const double pivot = part.reference, log_sum = log1p((part.ones - 1) + part.e);
  row.norm = {pivot, log_sum,
              (static_cast<double>(Cap::value(x, t)) - pivot) / t.temperature - log_sum};
  row.lse = pivot / t.temperature + log_sum;
  if constexpr (kEverything) {
    row.log_sum2 = log1p((part.ones - 1) + part.e2);
    row.lse2 = 2 * (pivot / t.temperature) + row.log_sum2;
    row.entropy = log_sum - part.ed / part.all() / t.temperature;
    row.mean_raw = part.raw / part.finite;
    row.mean_z = (Cap::kCaps ? part.z : part.raw) / part.finite / t.temperature;
  }
  return row;
}

}  // namespace logratio::device
