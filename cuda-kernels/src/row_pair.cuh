// The loops over a stretch of a pair of vocabulary rows, by a warp: the sums of the first and of
// the second pass, and both gradients. What comes before, between and after them is in
// math/divergence.h.
#pragma once

#include "math/divergence.h"
#include "row_stretches.cuh"

namespace logratio::device {

using math::PairForm;
using math::PairNorm;
using math::PairSums;
using math::SecondSums;
using math::SideCoefficients;
using math::TransportStart;

constexpr int kPairVectors = 2;  // of each side that a thread has under way
constexpr float kLargest = 3.402823466e38f;
using math::kDeep;
using math::kDeepScale;

template <class T>
constexpr int kPairStep = kWarp* T::kPerVector;
template <class T>
constexpr int kPairColumns = kPairVectors* kPairStep<T>;  // of a warp's chunk
template <class T>
using PairChunk = Chunk<T, kPairVectors, kPairStep<T>>;

// How logits become exponentials; made on the host.
struct PairScale {
  double temperature;
  float scale;  // log2(e) / temperature, finite so that 0 times it is 0
  float inverse_temperature;
};

__device__ __forceinline__ float exponential(float d, const PairScale& scale) {
  return exp2_fast(d * scale.scale);
}

// The two rows of a pair. q's are float32 weights where q_weights is given: as logits they are
// temperature * log(weight / scale), with the power of two next to the largest as scale.
template <class T>
struct RowsOfPair {
  const typename T::Element* a;
  const typename T::Element* b;
  const float* weights;
  int exponent;  // of the scale
  float temperature;
};

// log(w) = (exponent of w - `exponent`) log 2 + log(mantissa), the mantissa in [sqrt 1/2, sqrt 2).
// -inf for what is no weight.
__device__ __forceinline__ float log_weight(float w, int exponent) {
  const bool tiny = w < 0x1p-126f;
  const uint32_t bits = float_to_bits(tiny ? w * 0x1p64f : w) +
                        (0x3f800000u - 0x3f3504f3u);  // carries into the exponent at sqrt 1/2
  const int own = static_cast<int>(bits >> 23) - 127 - (tiny ? 64 : 0);
  const float mantissa = bits_to_float((bits & 0x007fffffu) + 0x3f3504f3u);
  const float log = fused(static_cast<float>(own - exponent), 0.693147181f, logf(mantissa));
  return w > 0 && w <= kLargest ? log : -kInfinity;
}

template <class T>
__device__ __forceinline__ float logit_of_q(const RowsOfPair<T>& rows, int64_t column) {
  return rows.weights == nullptr
             ? T::widen(rows.b[column])
             : rows.temperature * log_weight(rows.weights[column], rows.exponent);
}

// Both sides of a chunk, b's as numbers: a's vectors stay packed until they are used.
template <class T, bool kWrittenLater>
__device__ __forceinline__ void load_pair(const RowsOfPair<T>& rows, const PairChunk<T>& chunk,
                                          Vector* a, float* b) {
  constexpr int kWidth = T::kPerVector;
  load_chunk<T, kPairVectors, kPairStep<T>, kWrittenLater>(rows.a, chunk, misalignment(rows.a), a);
  if (rows.weights == nullptr) {
    Vector packed[kPairVectors];
    load_chunk<T, kPairVectors, kPairStep<T>, kWrittenLater>(rows.b, chunk, misalignment(rows.b),
                                                             packed);
#pragma unroll
    for (int j = 0; j < kPairVectors; ++j)
      T::unpack(packed[j], b + j * kWidth);
    return;
  }
  const bool aligned = misalignment(rows.weights) == 0;
#pragma unroll
  for (int j = 0; j < kPairVectors; ++j) {
    const float* const w = rows.weights + chunk.first + j * kPairStep<T>;
    if (aligned && chunk.whole(j)) {
#pragma unroll
      for (int k = 0; k < kWidth; k += 4)
        Float32::unpack(load_shared_line(reinterpret_cast<const Vector*>(w + k)),
                        b + j * kWidth + k);
    } else {
#pragma unroll
      for (int k = 0; k < kWidth; ++k)
        b[j * kWidth + k] = j * kPairStep<T> + k < chunk.left ? w[k] : 0;
    }
  }
#pragma unroll
  for (int k = 0; k < kPairVectors * kWidth; ++k)
    b[k] = rows.temperature * log_weight(b[k], rows.exponent);
}

// The largest weight of columns [begin, end); `bad` counts what is no weight.
__device__ __forceinline__ float largest_weight(const float* weights, int64_t begin, int64_t end,
                                                int* bad) {
  float largest = 0;
#pragma unroll 4
  for (int64_t k = begin + lane_index(); k < end; k += kWarp) {
    const float w = weights[k];
    const bool valid = w >= 0 && w <= kLargest;
    *bad += valid ? 0 : 1;
    largest = fmaxf(largest, valid ? w : 0);
  }
  return warp_max(largest);
}

// kDeepScale (x - maximum): finite for any x, so that 0 times it is 0.
__device__ __forceinline__ float deep_difference(float x, float maximum) {
  return fmaxf(x * kDeepScale - maximum * kDeepScale, -kLargest);
}

// ---- First pass ----

// What a thread gathers: a chunk in float32, and its chunks in double.
template <PairForm kForm>
struct ThreadPair {
  float max_a = -kInfinity, max_b = -kInfinity;
  float difference = 0, slip = 0;  // of the maxima, and what rounding took from it
  PairSums sums = math::no_sums();

  // A side that is nothing but -inf so far has no maximum; any finite number will do.
  static __device__ __forceinline__ float finite(float maximum) {
    return maximum == -kInfinity ? 0 : maximum;
  }

  __device__ __forceinline__ void rebase(float to_a, float to_b, const PairScale& scale) {
    const double shift_a = sums.sum_a == 0 || max_a == to_a ? 0 : static_cast<double>(max_a) - to_a;
    const double shift_b = sums.sum_b == 0 || max_b == to_b ? 0 : static_cast<double>(max_b) - to_b;
    if (shift_a != 0 || shift_b != 0) {
      const float factor_a = exponential(static_cast<float>(shift_a), scale),
                  factor_b = exponential(static_cast<float>(shift_b), scale);
      sums = math::shifted_sums(kForm, sums, shift_a, shift_b, factor_a, factor_b);
    }
    max_a = to_a;
    max_b = to_b;
    if constexpr (kForm == PairForm::relative) {
      const double exact = static_cast<double>(finite(max_a)) - finite(max_b);
      difference = static_cast<float>(exact);
      slip = static_cast<float>(difference - exact);
    }
  }

  template <class T>
  __device__ __forceinline__ void add(const Vector* a, const float* b, const PairScale& scale) {
    constexpr int kWidth = T::kPerVector;
    constexpr bool kMarks = kForm == PairForm::cross || kForm == PairForm::relative;
    float low = kInfinity, top_a = -kInfinity, top_b = -kInfinity;
#pragma unroll
    for (int j = 0; j < kPairVectors; ++j) {
      float x[kWidth];
      T::unpack(a[j], x);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const float y = b[j * kWidth + k];
        top_a = fmaxf(top_a, x[k]);
        top_b = fmaxf(top_b, y);
        if constexpr (kMarks)
          low = fminf(low, fminf(x[k], y));
      }
    }
    if (top_a > max_a || top_b > max_b)
      rebase(fmaxf(top_a, max_a), fmaxf(top_b, max_b), scale);
    bool deep = false;
    if (kMarks && !(low - fmaxf(max_a, max_b) > -kDeep)) {
#pragma unroll
      for (int j = 0; j < kPairVectors; ++j) {
        float x[kWidth];
        T::unpack(a[j], x);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          const float y = b[j * kWidth + k];
          sums.a_alone |= x[k] > -kInfinity && y == -kInfinity;
          sums.b_alone |= y > -kInfinity && x[k] == -kInfinity;
          deep |= (x[k] > -kInfinity && deep_difference(x[k], max_a) < -kDeep * kDeepScale) ||
                  (y > -kInfinity && deep_difference(y, max_b) < -kDeep * kDeepScale);
        }
      }
    }
    sums.deep |= deep;
    const bool far =
        deep || (kForm == PairForm::relative && math::is_apart(max_a, max_b, scale.temperature));
    const float raw_a = finite(max_a), raw_b = finite(max_b);
    float sum_a = 0, sum_b = 0, s = 0, t = 0, z = 0;
#pragma unroll
    for (int j = 0; j < kPairVectors; ++j) {
      float x[kWidth];
      T::unpack(a[j], x);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const float y = b[j * kWidth + k];
        const float da = x[k] - raw_a, db = y - raw_b;
        const float ea = exponential(da, scale), eb = exponential(db, scale);
        sum_a += ea;
        sum_b += eb;
        if constexpr (kForm == PairForm::cross) {
          s = fused(ea, far ? deep_difference(y, raw_b) : fmaxf(db, -kLargest), s);
          t = fused(eb, far ? deep_difference(x[k], raw_a) : fmaxf(da, -kLargest), t);
        }
        if constexpr (kForm == PairForm::relative) {
          const float near_ratio = fminf(fmaxf((x[k] - y) - difference, -kDeep), kDeep);
          const float ratio =
              far ? deep_difference(x[k], raw_a) - deep_difference(y, raw_b) : near_ratio;
          s = fused(ea, ratio, s);
          t = fused(-eb, ratio, t);
        }
        if constexpr (kForm == PairForm::cosine) {
          s = fused(ea, eb, s);
          t = fused(ea, ea, t);
          z = fused(eb, eb, z);
        }
      }
    }
    if (kForm == PairForm::relative && !far) {
      s = fused(slip, sum_a, s);
      t = fused(-slip, sum_b, t);
    }
    const double unit = far ? kDeepScale : 1;
    sums.sum_a += sum_a;
    sums.sum_b += sum_b;
    sums.x += s / unit;
    sums.y += t / unit;
    sums.z += z;
  }
};

// The sums of all lanes, in every lane.
template <PairForm kForm>
__device__ __forceinline__ PairSums merge_lanes(PairSums own, float max_a, float max_b,
                                                const PairScale& scale) {
  own.max_a = max_a;
  own.max_b = max_b;
  PairSums all = math::rebased(kForm, own, warp_max(max_a), warp_max(max_b), scale.temperature);
  all.sum_a = warp_sum(all.sum_a);
  all.sum_b = warp_sum(all.sum_b);
  if constexpr (!math::needs_second_pass(kForm)) {
    all.x = warp_sum(all.x);
    all.y = warp_sum(all.y);
  }
  if constexpr (kForm == PairForm::cosine)
    all.z = warp_sum(all.z);
  all.a_alone = __any_sync(kAllLanes, all.a_alone) != 0;
  all.b_alone = __any_sync(kAllLanes, all.b_alone) != 0;
  all.deep = __any_sync(kAllLanes, all.deep) != 0;
  return all;
}

template <class T, PairForm kForm>
__device__ __forceinline__ PairSums first_pass(const RowsOfPair<T>& rows, int64_t begin,
                                               int64_t end, const PairScale& scale) {
  ThreadPair<kForm> thread;
  for (int64_t column = begin; column < end; column += kPairColumns<T>) {
    const PairChunk<T> chunk(column + lane_index() * T::kPerVector, end);
    Vector a[kPairVectors];
    float b[kPairVectors * T::kPerVector];
    load_pair<T, false>(rows, chunk, a, b);
    thread.template add<T>(a, b, scale);
  }
  return merge_lanes<kForm>(thread.sums, thread.max_a, thread.max_b, scale);
}

// ---- What second pass and gradient share ----

__device__ __forceinline__ float exponential_of_a(float x, const PairNorm& norm,
                                                  const PairScale& scale) {
  return exponential(x - norm.max_a, scale);
}
__device__ __forceinline__ float exponential_of_b(float y, const PairNorm& norm,
                                                  const PairScale& scale) {
  return exponential(y - norm.max_b, scale);
}
// p - q, times the sum of exponentials of a, from exponentials. The ratio's rounding would add up
// along the row.
__device__ __forceinline__ float scaled_difference(float u, float v, const PairNorm& norm) {
  return fused(-v, norm.ratio_rest, fused(-v, norm.ratio, u));
}
// temperature * log(p / q), in the form relative as far as it differs between columns; NaN where
// both are 0.
__device__ __forceinline__ float log_ratio(float x, float y, const PairNorm& norm) {
  const float difference = norm.far ? (x - norm.max_a) - (y - norm.max_b) : x - y;
  return (difference - norm.offset) - norm.offset_rest;
}
__device__ __forceinline__ float sign_of(float x) {
  return (x > 0 ? 1.0f : 0.0f) - (x < 0 ? 1.0f : 0.0f);
}  // 0 for NaN

// p, q and log(p / m), log(q / m) with m = (p + q) / 2. With d = |log(p / q)|, the larger
// probability's is log 2 - log1p(exp(-d)), or d/2 - log cosh(d/2) where d is small and log 2 would
// cancel; the smaller one's is that less d, and the smaller probability is the larger times
// exp(-d).
struct Mixture {
  float p, q, log_p, log_q;

  __device__ __forceinline__ Mixture(float x, float y, const PairNorm& norm,
                                     const PairScale& scale) {
    const float larger = fmaxf((y - norm.max_b) - norm.log_b, (x - norm.max_a) - norm.log_a);
    const float ratio = log_ratio(x, y, norm);
    const float size =
        fminf(fmaxf(fabsf(ratio), 0), kDeep);  // NaN, of -inf on both sides, becomes 0
    const float e = exponential(larger, scale), t = exponential(-size, scale);
    const float d = size * scale.inverse_temperature, half = 0.5f * d, s = half * half;
    float near = 31.0f / 14175;  // the series of log cosh
    near = fused(near, s, -17.0f / 2520);
    near = fused(near, s, 1.0f / 45);
    near = fused(near, s, -1.0f / 12);
    near = fused(near, s, 0.5f);
    near = fused(-near, s, half);
    float far = 0.03468160703778267f;  // log1p(t) / t on [0, exp(-0.6)]
    far = fused(far, t, -0.10793755203485489f);
    far = fused(far, t, 0.18141129612922668f);
    far = fused(far, t, -0.24676084518432617f);
    far = fused(far, t, 0.3330548405647278f);
    far = fused(far, t, -0.499990850687027f);
    far = fused(far, t, 0.9999999403953552f);
    far = fused(-far, t, 0.69314718056f);
    const float log_larger = half < 0.3f ? near : far, log_smaller = log_larger - d;
    const float smaller = e * t;
    const bool p_is_larger = ratio >= 0;
    p = p_is_larger ? e : smaller;
    q = p_is_larger ? smaller : e;
    log_p = p_is_larger ? log_larger : log_smaller;
    log_q = p_is_larger ? log_smaller : log_larger;
  }
};

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

// The running sums of transport: C of p - q, times a's sum of exponentials, and N of the signs of C
// in the columns before.
struct Transport {
  double distance;  // C up to the vectors of this step
  float signs;

  __device__ __forceinline__ explicit Transport(const TransportStart& start)
      : distance(start.distance), signs(static_cast<float>(start.signs)) {}

  // A vector of every lane: `c` holds the differences and becomes C, `n` becomes N. Columns from
  // `live` on have no sign.
  template <int kWidth>
  __device__ __forceinline__ void advance(float* c, float* n, int live) {
    float own = 0;
#pragma unroll
    for (int k = 0; k < kWidth; ++k)
      c[k] = own += c[k];
    const float all = running_sum(own);
    const float before = static_cast<float>(distance) + (all - own);
    float own_signs = 0;
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      c[k] += before;
      n[k] = own_signs;
      own_signs += k < live ? sign_of(c[k]) : 0;
    }
    const float all_signs = running_sum(own_signs);
    const float signs_before = signs + (all_signs - own_signs);
#pragma unroll
    for (int k = 0; k < kWidth; ++k)
      n[k] += signs_before;
    distance += __shfl_sync(kAllLanes, all, kWarp - 1);
    signs += __shfl_sync(kAllLanes, all_signs, kWarp - 1);
  }
};

// ---- Second pass ----

template <class T, PairForm kForm>
__device__ __forceinline__ SecondSums second_pass(const RowsOfPair<T>& rows, const PairNorm& norm,
                                                  double start_distance, int64_t begin, int64_t end,
                                                  const PairScale& scale) {
  constexpr int kWidth = T::kPerVector;
  SecondSums sums{};
  Transport transport({start_distance, 0});
  for (int64_t column = begin; column < end; column += kPairColumns<T>) {
    const PairChunk<T> chunk(column + lane_index() * kWidth, end);
    Vector a[kPairVectors];
    float b[kPairVectors * kWidth];
    load_pair<T, false>(rows, chunk, a, b);
    float value = 0, sum_p = 0, sum_q = 0;
#pragma unroll
    for (int j = 0; j < kPairVectors; ++j) {
      float x[kWidth];
      T::unpack(a[j], x);
      const float* const y = b + j * kWidth;
      if constexpr (kForm == PairForm::transport) {
        float v[kWidth], c[kWidth], n[kWidth];
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          x[k] = exponential_of_a(x[k], norm, scale);
          v[k] = exponential_of_b(y[k], norm, scale);
          c[k] = scaled_difference(x[k], v[k], norm);
        }
        const int live = chunk.left - j * kPairStep<T>;
        transport.advance<kWidth>(c, n, live);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          value += k < live ? fabsf(c[k]) : 0;
          // Counts are as large as the row is long: float32 would leave a gradient next to nothing
          // of a confident row.
          const double count = n[k];
          sums.p = fma(static_cast<double>(x[k]), count, sums.p);
          sums.q = fma(static_cast<double>(v[k]), count, sums.q);
          sums.mass_p += x[k];
          sums.mass_q += v[k];
        }
      } else {
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          if constexpr (kForm == PairForm::mixture) {
            const Mixture m(x[k], y[k], norm, scale);
            sum_p = fused(m.p, m.log_p, sum_p);
            sum_q = fused(m.q, m.log_q, sum_q);
          } else {
            const float p = exponential_of_a(x[k], norm, scale) * norm.inverse_a,
                        q = exponential_of_b(y[k], norm, scale) * norm.inverse_b;
            const float d = p - q;
            const float weight =
                kForm == PairForm::squares
                    ? d
                    : sign_of(log_ratio(x[k], y[k], norm));  // which is exactly 0 at ties
            value += kForm == PairForm::squares ? d * d : fabsf(d);
            sum_p = fused(p, weight, sum_p);
            sum_q = fused(q, weight, sum_q);
          }
        }
      }
    }
    sums.value += value;
    sums.p += sum_p;
    sums.q += sum_q;
  }
  sums.value = warp_sum(sums.value);
  sums.p = warp_sum(sums.p);
  sums.q = warp_sum(sums.q);
  if constexpr (kForm == PairForm::transport) {  // from exponentials to probabilities
    sums.value *= norm.inverse_a;
    sums.p *= norm.inverse_a;
    sums.q *= norm.inverse_b;
    sums.signs = transport.signs;
    sums.mass_p = warp_sum(sums.mass_p) * norm.inverse_a;
    sums.mass_q = warp_sum(sums.mass_q) * norm.inverse_b;
  }
  return sums;
}

// ---- Gradient ----

template <PairForm kForm>
__device__ __forceinline__ void differentiate(float x, float y, const PairNorm& norm,
                                              const SideCoefficients& a, const SideCoefficients& b,
                                              const PairScale& scale, float* grad_x,
                                              float* grad_y) {
  if constexpr (kForm == PairForm::mixture) {
    const Mixture m(x, y, norm, scale);
    *grad_x = m.p * fused(a.own, m.log_p, a.constant);
    *grad_y = m.q * fused(b.own, m.log_q, b.constant);
    return;
  }
  const float dx = x - norm.max_a, dy = y - norm.max_b;
  const float u = exponential(dx, scale), v = exponential(dy, scale);
  if constexpr (kForm == PairForm::cross || kForm == PairForm::relative) {
    const float other_x = x > -kInfinity ? a.other * v : 0,
                other_y = y > -kInfinity ? b.other * u : 0;
    if (norm.far) {
      const float deep_x = deep_difference(x, norm.max_a), deep_y = deep_difference(y, norm.max_b);
      const float t = deep_x - deep_y;
      const float of_x = kForm == PairForm::cross ? deep_y : t,
                  of_y = kForm == PairForm::cross ? deep_x : -t;
      *grad_x = fused(fused(u * a.own, of_x, u * a.constant), 1 / kDeepScale, other_x);
      *grad_y = fused(fused(v * b.own, of_y, v * b.constant), 1 / kDeepScale, other_y);
    } else if constexpr (kForm == PairForm::cross) {
      *grad_x = fused(u, fused(a.own, fmaxf(dy, -kDeep), a.constant), other_x);
      *grad_y = fused(v, fused(b.own, fmaxf(dx, -kDeep), b.constant), other_y);
    } else {
      const float t = fminf(fmaxf(log_ratio(x, y, norm), -kDeep), kDeep);
      *grad_x = fused(u, fused(a.own, t, a.constant), other_x);
      *grad_y = fused(v, fused(-b.own, t, b.constant), other_y);
    }
  }
  if constexpr (kForm == PairForm::cosine || kForm == PairForm::squares) {
    *grad_x = u * fused(a.own, u, fused(a.other, v, a.constant));
    *grad_y = v * fused(b.own, v, fused(b.other, u, b.constant));
  }
  if constexpr (kForm == PairForm::signs) {
    const float sign = sign_of(log_ratio(x, y, norm));
    *grad_x = u * fused(a.own, sign, a.constant);
    *grad_y = v * fused(-b.own, sign, b.constant);
  }
}

// Either target may be NULL. A lane reads a chunk of both rows before it writes either, and has its
// neighbour's gradient before it writes the end of it, so that both may be written in place.
template <class T, PairForm kForm>
__device__ __forceinline__ void write_gradients(
    const RowsOfPair<T>& rows, const PairNorm& norm, const TransportStart& start,
    const SideCoefficients& a_side, const SideCoefficients& b_side, typename T::Element* grad_a,
    typename T::Element* grad_b, int64_t begin, int64_t end, const PairScale& scale) {
  constexpr int kWidth = T::kPerVector;
  Transport transport(start);
  const uint32_t shift_a = misalignment(grad_a), shift_b = misalignment(grad_b);
  for (int64_t column = begin; column < end; column += kPairColumns<T>) {
    const PairChunk<T> chunk(column + lane_index() * kWidth, end);
    Vector a[kPairVectors];
    float b[kPairVectors * kWidth];
    load_pair<T, true>(rows, chunk, a, b);
#pragma unroll
    for (int j = 0; j < kPairVectors; ++j) {
      float x[kWidth];
      T::unpack(a[j], x);
      float* const y = b + j * kWidth;
      if constexpr (kForm == PairForm::transport) {
        float c[kWidth], n[kWidth];
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          x[k] = exponential_of_a(x[k], norm, scale);
          y[k] = exponential_of_b(y[k], norm, scale);
          c[k] = scaled_difference(x[k], y[k], norm);
        }
        transport.advance<kWidth>(c, n, chunk.left - j * kPairStep<T>);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          x[k] *= fused(a_side.own, n[k], a_side.constant);
          y[k] *= fused(b_side.own, n[k], b_side.constant);
        }
      } else {
#pragma unroll
        for (int k = 0; k < kWidth; ++k)
          differentiate<kForm>(x[k], y[k], norm, a_side, b_side, scale, &x[k], &y[k]);
      }
      if (grad_a != nullptr)
        store_columns(grad_a, chunk, j, T::pack(x), shift_a);
      if (grad_b != nullptr)
        store_columns(grad_b, chunk, j, T::pack(y), shift_b);
    }
  }
}

}  // namespace logratio::device
