// The form transport: the running sums C of p - q, times a's sum of exponentials, and N of the
// signs of C in the columns before, over a warp's stretch of the columns.
//
// A warp's chunk needs one running sum over its lanes for each vector's C, both at once. Nearly all
// chunks have one sign: N is then known without another sum. N is a whole number below 2^24, so
// that every way to it gives the same one.
#pragma once

#include "two_rows.cuh"

namespace logratio::device {

using math::scaled_difference;
using math::SecondSums;
using math::sign_of;
using math::TransportStart;

// The sum over this lane and those before it.
__device__ __forceinline__ float running_sum(float value) {
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const float before = __shfl_up_sync(kAllLanes, value, distance);
    if (lane_index() >= distance)
      value += before;
  }
  return value;
}

template <class T>
struct TransportChunk {
  static constexpr int kWidth = T::kPerVector, kColumns = kRowVectors * kWidth;

  float u[kColumns], v[kColumns];  // exponentials
  float c[kColumns];               // C
  float before[kRowVectors];       // N before this lane's columns of each vector
  float within[kColumns];          // and from there on

  __device__ __forceinline__ TransportChunk(const Vector* a, const float* b,
                                            const TwoRowsNorm& norm, const TwoRowsScale& scale) {
    unpack_all<T, kRowVectors>(a, u);
#pragma unroll
    for (int k = 0; k < kColumns; ++k) {
      u[k] = exponential(u[k] - norm.max_a, scale);
      v[k] = exponential(b[k] - norm.max_b, scale);
      c[k] = scaled_difference(u[k], v[k], norm);
    }
  }
  __device__ __forceinline__ float count(int k) const { return before[k / kWidth] + within[k]; }
};

// The running sums from one chunk of the stretch to the next.
struct Transport {
  double distance;  // C
  float signs;      // N

  __device__ __forceinline__ explicit Transport(const TransportStart& start)
      : distance(start.distance), signs(static_cast<float>(start.signs)) {}

  template <class T>
  __device__ __forceinline__ void advance(const RowChunk<T>& chunk, TransportChunk<T>* t) {
    constexpr int kWidth = T::kPerVector, kColumns = kRowVectors * kWidth;
    add_up(t);
    const bool whole = chunk.left >= chunk.kWhole;
    if (!whole) {  // columns outside have no sign
#pragma unroll
      for (int k = 0; k < kColumns; ++k)
        t->c[k] = k / kWidth * kRowStep<T> + k % kWidth < chunk.left ? t->c[k] : 0;
    }
    float low = kInfinity, high = -kInfinity;
#pragma unroll
    for (int k = 0; k < kColumns; ++k) {
      low = fminf(low, t->c[k]);
      high = fmaxf(high, t->c[k]);
    }
    if (__all_sync(kAllLanes, whole && low > 0)) {
      count_one_sign(1, t);
    } else if (__all_sync(kAllLanes, whole && high < 0)) {
      count_one_sign(-1, t);
    } else {
      count_signs(t);
    }
  }

 private:
  // From differences to C.
  template <class T>
  __device__ __forceinline__ void add_up(TransportChunk<T>* t) {
    constexpr int kWidth = T::kPerVector;
    float own[kRowVectors], upto[kRowVectors];
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j) {
      own[j] = 0;
#pragma unroll
      for (int k = j * kWidth; k < (j + 1) * kWidth; ++k)
        t->c[k] = own[j] += t->c[k];
      upto[j] = running_sum(own[j]);
    }
    const float start = static_cast<float>(distance);
    float passed = 0;  // of the chunk
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j) {
      const float there = start + (passed + (upto[j] - own[j]));
#pragma unroll
      for (int k = j * kWidth; k < (j + 1) * kWidth; ++k)
        t->c[k] += there;
      passed += __shfl_sync(kAllLanes, upto[j], kWarp - 1);
    }
    distance += passed;
  }

  template <class T>
  __device__ __forceinline__ void count_one_sign(float sign, TransportChunk<T>* t) {
    constexpr int kWidth = T::kPerVector;
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j) {
      t->before[j] =
          fused(sign, static_cast<float>(j * kRowStep<T> + lane_index() * kWidth), signs);
#pragma unroll
      for (int k = 0; k < kWidth; ++k)
        t->within[j * kWidth + k] = sign * static_cast<float>(k);
    }
    signs = fused(sign, kRowColumns<T>, signs);
  }

  // Both vectors' counts are a running sum of one number, which has them in its upper and its lower
  // digits.
  template <class T>
  __device__ __forceinline__ void count_signs(TransportChunk<T>* t) {
    static_assert(kRowVectors == 2);
    constexpr int kWidth = T::kPerVector;
    constexpr float kUpper = 0x1p10f;
    static_assert(kRowStep<T> < kUpper / 2);
    float own[kRowVectors];
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j) {
      own[j] = 0;
#pragma unroll
      for (int k = j * kWidth; k < (j + 1) * kWidth; ++k) {
        t->within[k] = own[j];
        own[j] += sign_of(t->c[k]);
      }
    }
    const float upto = running_sum(fused(own[1], kUpper, own[0]));
    const float all = __shfl_sync(kAllLanes, upto, kWarp - 1);
    const float second = rintf(upto / kUpper), all_of_second = rintf(all / kUpper);
    const float first = fused(-kUpper, second, upto);
    const float all_of_first = fused(-kUpper, all_of_second, all);
    t->before[0] = signs + (first - own[0]);
    t->before[1] = signs + all_of_first + (second - own[1]);
    signs += all_of_first + all_of_second;
  }
};

// The second pass, up to the last column that has a probability.
template <class T, class Rows>
__device__ __forceinline__ SecondSums transport_sums(const Rows& rows, const TwoRowsNorm& norm,
                                                     double start_distance, int64_t begin,
                                                     int64_t end, const TwoRowsScale& scale) {
  constexpr int kWidth = T::kPerVector;
  SecondSums sums{};
  Transport transport({start_distance, 0});
  for (int64_t column = begin; column < end; column += kRowColumns<T>) {
    const RowChunk<T> chunk(column + lane_index() * kWidth, end);
    Vector a[kRowVectors];
    float b[kRowVectors * kWidth];
    load_rows<T, false>(rows, chunk, a, b);
    TransportChunk<T> t(a, b, norm, scale);
    transport.advance<T>(chunk, &t);
    // Counts are as large as the row is long: float32 would leave a gradient next to nothing of a
    // confident row. Those within a vector are small.
    float value = 0, within_p = 0, within_q = 0;
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j) {
      float mass_p = 0, mass_q = 0;
#pragma unroll
      for (int k = j * kWidth; k < (j + 1) * kWidth; ++k) {
        value += fabsf(t.c[k]);
        mass_p += t.u[k];
        mass_q += t.v[k];
        within_p = fused(t.u[k], t.within[k], within_p);
        within_q = fused(t.v[k], t.within[k], within_q);
      }
      const double before = t.before[j];
      sums.p = fma(static_cast<double>(mass_p), before, sums.p);
      sums.q = fma(static_cast<double>(mass_q), before, sums.q);
      sums.mass_p += mass_p;
      sums.mass_q += mass_q;
    }
    sums.value += value;
    sums.p += within_p;
    sums.q += within_q;
  }
  // From exponentials to probabilities.
  return {warp_sum(sums.value) * norm.inverse_a,  warp_sum(sums.p) * norm.inverse_a,
          warp_sum(sums.q) * norm.inverse_b,      transport.signs,
          warp_sum(sums.mass_p) * norm.inverse_a, warp_sum(sums.mass_q) * norm.inverse_b};
}

}  // namespace logratio::device
