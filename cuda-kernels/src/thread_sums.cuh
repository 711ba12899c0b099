// The inner loop of the forward: how a thread adds a chunk of four vectors to its sums.
//
// A chunk without a new maximum, as nearly all of a long row's are, is added by one multiply-add,
// one exponential and one addition per column, and one more for each further sum. Only where the
// maximum is met are columns that equal it kept apart, so that what the others have is not lost
// beside them. Where the pivot is so large that a product with it would leave the exponents no
// digits, or a logit is so low that its exponent is not finite, differences are taken first.
#pragma once

#include "chunk.cuh"
#include "math/token_row.h"
#include "transform.cuh"

namespace logratio::device {

// Which figures of a row are wanted. Each step takes more sums.
enum class Wanted { logp, entropy, everything };

// In float32, of some hundred elements of a segment at most.
struct ThreadSums {
  static constexpr float kVanishes = -128;  // 2 to it is below the normal range

  float maximum = -kInfinity;   // of the raw logits; NaN is left out
  float below = -kInfinity;     // chunks below it have no new maximum and a near pivot
  float pivot = 0;              // softcap(maximum)
  float offset = 0;             // a near pivot's exponents are z * scale + offset ...
  float residue = 0;            // ... and this its own, which would be 0 but for rounding
  float unit = 1;               // 2^-residue
  float ones = 0;               // columns that equal the pivot; NaN if there is +inf
  float e = 0, e2 = 0, et = 0;  // of the others: exponentials, squares, products with exponents
  float z = 0, raw = 0;         // in units of 1 / kSmall
  int finite = 0;
  int first = 0;  // column of the chunk in which the maximum was first met

  // The exponentials' new reference.
  __device__ __forceinline__ void move(float to, const Transform& t) {
    const float all = ones + e;
    if (all != 0 && pivot != to) {
      const float shift = max_nan((pivot - to) * t.scale, kVanishes), factor = exp2_fast(shift);
      et = factor * fused(shift, all, et);
      e = all * factor;
      e2 = (ones + e2) * (factor * factor);
      ones = 0;
    }
    pivot = to;
  }
  // A chunk's sums, whose exponents have the residue.
  template <Wanted kWanted>
  __device__ __forceinline__ void fold(float chunk_e, float chunk_e2, float chunk_et) {
    e = fused(chunk_e, unit, e);
    if constexpr (kWanted != Wanted::logp)
      et = fused(fused(-residue, chunk_e, chunk_et), unit, et);
    if constexpr (kWanted == Wanted::everything)
      e2 = fused(chunk_e2, unit * unit, e2);
  }
  __device__ __forceinline__ void meet(float new_maximum, float new_pivot, const Transform& t) {
    move(new_pivot, t);
    const bool near = is_near(pivot, t);
    maximum = new_maximum;
    below = near ? maximum : -kInfinity;
    offset = -(pivot * t.scale);
    residue = near ? fused(pivot, t.scale, offset) : 0;
    unit = exp2_fast(-residue);
  }
};

// Finite exponents about a near pivot. kApart: the chunk may hold columns that equal it.
template <class T, class Cap, Wanted kWanted, int kCount, bool kApart>
__device__ __forceinline__ void add_near(const Vector* v, const Transform& t, ThreadSums& sums) {
  float e[2] = {0, 0}, e2 = 0, et = 0;
  for_columns<T, kCount, 0>(v, [&](float x, int k) {
    const float z = Cap::value(x, t), exponent = fused(z, t.scale, sums.offset);
    const float own = exp2_fast(exponent);
    if (kApart && z == sums.pivot) {
      sums.ones += 1;
    } else {
      e[k % 2] += own;
      if constexpr (kWanted != Wanted::logp)
        et = fused(own, exponent, et);
      if constexpr (kWanted == Wanted::everything)
        e2 = fused(own, own, e2);
    }
    if constexpr (kWanted == Wanted::everything) {
      sums.raw = fused(x, kSmall, sums.raw);
      if constexpr (Cap::kCaps)
        sums.z = fused(z, kSmall, sums.z);
    }
  });
  sums.fold<kWanted>(e[0] + e[1], e2, et);
  if constexpr (kWanted == Wanted::everything)
    sums.finite += kCount * T::kPerVector;
}

// Any columns about any pivot: to the same bits where add_near could do it, too. There are few such
// chunks, so that the code is that of a vector, and vectors are pushed along: registers have no
// index.
template <class T, class Cap, Wanted kWanted, int kCount>
__device__ __forceinline__ void add_any(Vector* v, const Transform& t, ThreadSums& sums) {
  const bool near = sums.below > -kInfinity;
  float e[2] = {0, 0}, e2 = 0, et = 0;
#pragma unroll 1
  for (int j = 0; j < kCount; ++j) {
    for_columns<T, 1, 0>(v, [&](float x, int k) {
      const float z = Cap::value(x, t);
      float exponent = near ? fused(z, t.scale, sums.offset) : (z - sums.pivot) * t.scale;
      if constexpr (kWanted != Wanted::logp)
        exponent = max_nan(exponent, ThreadSums::kVanishes);
      const float own = exp2_fast(exponent);
      if (z == sums.pivot) {
        sums.ones += z - z + 1;  // NaN for infinity
      } else {
        e[k % 2] += own;
        if constexpr (kWanted != Wanted::logp)
          et = fused(own, exponent, et);
        if constexpr (kWanted == Wanted::everything)
          e2 = fused(own, own, e2);
      }
      if constexpr (kWanted == Wanted::everything) {
        const bool counts = x > -kInfinity;  // nor is what fills up an end
        sums.finite += counts ? 1 : 0;
        sums.raw = fused(counts ? x : 0, kSmall, sums.raw);
        if constexpr (Cap::kCaps)
          sums.z = fused(counts ? z : 0, kSmall, sums.z);
      }
    });
#pragma unroll
    for (int k = 0; k + 1 < kCount; ++k)
      v[k] = v[k + 1];
  }
  sums.fold<kWanted>(e[0] + e[1], e2, et);
}

// Whether add_near serves, with a near pivot: exponents are finite where they are multiplied, and
// no logit comes near the softcap. `top` is the chunk's maximum.
template <class T, class Cap, Wanted kWanted, int kCount>
__device__ __forceinline__ bool is_plain(const Vector* v, float top, const Transform& t) {
  if (kWanted == Wanted::logp && !Cap::kCaps)
    return true;
  const float low = minimum_of<T, kCount>(v);
  return low >= t.floor && Cap::all_near(low, top, t);
}

// A chunk in which the maximum that the sums have met may lie.
template <class T, class Cap, Wanted kWanted, int kCount>
__device__ __forceinline__ void add_top_chunk(Vector* v, float top, const Transform& t,
                                              ThreadSums& sums) {
  if (sums.below > -kInfinity && is_plain<T, Cap, kWanted, kCount>(v, top, t)) {
    add_near<T, typename Cap::Near, kWanted, kCount, true>(v, t, sums);
  } else {
    add_any<T, Cap, kWanted, kCount>(v, t, sums);
  }
}

// The thread's chunk from column `first` on.
template <class T, class Cap, Wanted kWanted, int kCount>
__device__ __forceinline__ void add_chunk(Vector* v, int first, const Transform& t,
                                          ThreadSums& sums) {
  const float top = maximum_of<T, kCount>(v);
  if (top < sums.below && is_plain<T, Cap, kWanted, kCount>(v, top, t)) {
    add_near<T, typename Cap::Near, kWanted, kCount, false>(v, t, sums);
    return;
  }
  if (top > sums.maximum) {
    sums.meet(top, Cap::value(top, t), t);
    sums.first = first;
  }
  add_top_chunk<T, Cap, kWanted, kCount>(v, top, t, sums);
}

}  // namespace logratio::device
