// The loops over a stretch of two vocabulary rows, by a warp: the sums of the first and of
// the second pass, and both gradients. What comes before, between and after them is in
// math/divergence.h.
#pragma once

#include "math/two_rows.h"
#include "row_stretches.cuh"

namespace logratio::device {

using math::SecondSums;
using math::SideCoefficients;
using math::TransportStart;
using math::TwoRowsForm;
using math::TwoRowsNorm;
using math::TwoRowsScale;
using math::TwoRowsSums;

constexpr int kRowVectors = 2;  // of each side that a thread has under way
constexpr float kLargest = 3.402823466e38f;
using math::deep_difference;
using math::kDeep;
using math::kDeepScale;
using math::log_ratio;
using math::scaled_difference;
using math::sign_of;

template <class T>
constexpr int kRowStep = kWarp* T::kPerVector;
template <class T>
constexpr int kRowColumns = kRowVectors* kRowStep<T>;  // of a warp's chunk
template <class T>
using RowChunk = Chunk<T, kRowVectors, kRowStep<T>>;

__device__ __forceinline__ float exponential(float d, const TwoRowsScale& scale) {
  return exp2_fast(d * scale.scale);
}

// Two rows. q's are float32 weights where `weights` is given: as logits they are
// temperature * log(weight / scale), with the power of two next to the largest as scale.
template <class T>
struct TwoRows {
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
  const float log = math::log_of(static_cast<float>(own - exponent), mantissa);
  return w > 0 && w <= kLargest ? log : -kInfinity;
}

template <class T>
__device__ __forceinline__ float logit_of_q(const TwoRows<T>& rows, int64_t column) {
  return rows.weights == nullptr
             ? T::widen(rows.b[column])
             : rows.temperature * log_weight(rows.weights[column], rows.exponent);
}

// Both sides of a chunk, b's as numbers: a's vectors stay packed until they are used.
template <class T, bool kWrittenLater>
__device__ __forceinline__ void load_rows(const TwoRows<T>& rows, const RowChunk<T>& chunk,
                                          Vector* a, float* b) {
  constexpr int kWidth = T::kPerVector;
  load_chunk<T, kRowVectors, kRowStep<T>, kWrittenLater>(rows.a, chunk, misalignment(rows.a), a);
  if (rows.weights == nullptr) {
    Vector packed[kRowVectors];
    load_chunk<T, kRowVectors, kRowStep<T>, kWrittenLater>(rows.b, chunk, misalignment(rows.b),
                                                           packed);
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j)
      T::unpack(packed[j], b + j * kWidth);
    return;
  }
  const bool aligned = misalignment(rows.weights) == 0;
#pragma unroll
  for (int j = 0; j < kRowVectors; ++j) {
    const float* const w = rows.weights + chunk.first + j * kRowStep<T>;
    if (aligned && chunk.whole(j)) {
#pragma unroll
      for (int k = 0; k < kWidth; k += 4)
        Float32::unpack(load_shared_line(reinterpret_cast<const Vector*>(w + k)),
                        b + j * kWidth + k);
    } else {
#pragma unroll
      for (int k = 0; k < kWidth; ++k)
        b[j * kWidth + k] = j * kRowStep<T> + k < chunk.left ? w[k] : 0;
    }
  }
#pragma unroll
  for (int k = 0; k < kRowVectors * kWidth; ++k)
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

// ---- First pass ----

// What a thread gathers: a chunk in float32, and its chunks in double.
template <TwoRowsForm kForm>
struct TwoRowsThread {
  float max_a = -kInfinity, max_b = -kInfinity;
  float difference = 0, slip = 0;  // of the maxima, and what rounding took from it
  TwoRowsSums sums = math::no_sums();

  // A side that is nothing but -inf so far has no maximum; any finite number will do.
  static __device__ __forceinline__ float finite(float maximum) {
    return maximum == -kInfinity ? 0 : maximum;
  }

  __device__ __forceinline__ void rebase(float to_a, float to_b, const TwoRowsScale& scale) {
    const double shift_a = sums.sum_a == 0 || max_a == to_a ? 0 : static_cast<double>(max_a) - to_a;
    const double shift_b = sums.sum_b == 0 || max_b == to_b ? 0 : static_cast<double>(max_b) - to_b;
    if (shift_a != 0 || shift_b != 0) {
      const float factor_a = exponential(static_cast<float>(shift_a), scale),
                  factor_b = exponential(static_cast<float>(shift_b), scale);
      sums = math::shifted_sums(kForm, sums, shift_a, shift_b, factor_a, factor_b);
    }
    max_a = to_a;
    max_b = to_b;
    if constexpr (kForm == TwoRowsForm::relative) {
      const double exact = static_cast<double>(finite(max_a)) - finite(max_b);
      difference = static_cast<float>(exact);
      slip = static_cast<float>(difference - exact);
    }
  }

  template <class T>
  __device__ __forceinline__ void add(const Vector* a, const float* b, const TwoRowsScale& scale) {
    constexpr int kWidth = T::kPerVector;
    constexpr bool kMarks = kForm == TwoRowsForm::cross || kForm == TwoRowsForm::relative;
    float low = kInfinity, top_a = -kInfinity, top_b = -kInfinity;
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j) {
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
      for (int j = 0; j < kRowVectors; ++j) {
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
        deep || (kForm == TwoRowsForm::relative && math::is_apart(max_a, max_b, scale.temperature));
    const float raw_a = finite(max_a), raw_b = finite(max_b);
    float sum_a = 0, sum_b = 0, s = 0, t = 0, z = 0;
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j) {
      float x[kWidth];
      T::unpack(a[j], x);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const float y = b[j * kWidth + k];
        const float da = x[k] - raw_a, db = y - raw_b;
        const float ea = exponential(da, scale), eb = exponential(db, scale);
        sum_a += ea;
        sum_b += eb;
        if constexpr (kForm == TwoRowsForm::cross) {
          s = fused(ea, far ? deep_difference(y, raw_b) : fmaxf(db, -kLargest), s);
          t = fused(eb, far ? deep_difference(x[k], raw_a) : fmaxf(da, -kLargest), t);
        }
        if constexpr (kForm == TwoRowsForm::relative) {
          const float near_ratio = math::within_deep((x[k] - y) - difference);
          const float ratio =
              far ? deep_difference(x[k], raw_a) - deep_difference(y, raw_b) : near_ratio;
          s = fused(ea, ratio, s);
          t = fused(-eb, ratio, t);
        }
        if constexpr (kForm == TwoRowsForm::cosine) {
          s = fused(ea, eb, s);
          t = fused(ea, ea, t);
          z = fused(eb, eb, z);
        }
      }
    }
    if (kForm == TwoRowsForm::relative && !far) {
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
template <TwoRowsForm kForm>
__device__ __forceinline__ TwoRowsSums merge_lanes(TwoRowsSums own, float max_a, float max_b,
                                                   const TwoRowsScale& scale) {
  own.max_a = max_a;
  own.max_b = max_b;
  TwoRowsSums all = math::rebased(kForm, own, warp_max(max_a), warp_max(max_b), scale.temperature);
  all.sum_a = warp_sum(all.sum_a);
  all.sum_b = warp_sum(all.sum_b);
  if constexpr (!math::needs_second_pass(kForm)) {
    all.x = warp_sum(all.x);
    all.y = warp_sum(all.y);
  }
  if constexpr (kForm == TwoRowsForm::cosine)
    all.z = warp_sum(all.z);
  all.a_alone = __any_sync(kAllLanes, all.a_alone) != 0;
  all.b_alone = __any_sync(kAllLanes, all.b_alone) != 0;
  all.deep = __any_sync(kAllLanes, all.deep) != 0;
  return all;
}

template <class T, TwoRowsForm kForm>
__device__ __forceinline__ TwoRowsSums first_pass(const TwoRows<T>& rows, int64_t begin,
                                                  int64_t end, const TwoRowsScale& scale) {
  TwoRowsThread<kForm> thread;
  for (int64_t column = begin; column < end; column += kRowColumns<T>) {
    const RowChunk<T> chunk(column + lane_index() * T::kPerVector, end);
    Vector a[kRowVectors];
    float b[kRowVectors * T::kPerVector];
    load_rows<T, false>(rows, chunk, a, b);
    thread.template add<T>(a, b, scale);
  }
  return merge_lanes<kForm>(thread.sums, thread.max_a, thread.max_b, scale);
}

// ---- What second pass and gradient share ----

__device__ __forceinline__ float exponential_of_a(float x, const TwoRowsNorm& norm,
                                                  const TwoRowsScale& scale) {
  return exponential(x - norm.max_a, scale);
}
__device__ __forceinline__ float exponential_of_b(float y, const TwoRowsNorm& norm,
                                                  const TwoRowsScale& scale) {
  return exponential(y - norm.max_b, scale);
}
// p, q and log(p / m), log(q / m) with m = (p + q) / 2, from the larger of p and q: the smaller one
// is that times exp(-d), and its logarithm is d less.
struct Mixture {
  float p, q, log_p, log_q;

  __device__ __forceinline__ Mixture(float x, float y, const TwoRowsNorm& norm,
                                     const TwoRowsScale& scale) {
    const float larger = fmaxf((y - norm.max_b) - norm.log_b, (x - norm.max_a) - norm.log_a);
    const float ratio = log_ratio(x, y, norm);
    const float size =
        fminf(fmaxf(fabsf(ratio), 0), kDeep);  // NaN, of -inf on both sides, becomes 0
    const float e = exponential(larger, scale), t = exponential(-size, scale);
    const float minus_d = -size * scale.inverse_temperature;
    const float log_larger = math::log_of_larger(minus_d, t), log_smaller = log_larger + minus_d;
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

template <class T, TwoRowsForm kForm>
__device__ __forceinline__ SecondSums second_pass(const TwoRows<T>& rows, const TwoRowsNorm& norm,
                                                  double start_distance, int64_t begin, int64_t end,
                                                  const TwoRowsScale& scale) {
  constexpr int kWidth = T::kPerVector;
  SecondSums sums{};
  Transport transport({start_distance, 0});
  for (int64_t column = begin; column < end; column += kRowColumns<T>) {
    const RowChunk<T> chunk(column + lane_index() * kWidth, end);
    Vector a[kRowVectors];
    float b[kRowVectors * kWidth];
    load_rows<T, false>(rows, chunk, a, b);
    float value = 0, sum_p = 0, sum_q = 0;
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j) {
      float x[kWidth];
      T::unpack(a[j], x);
      const float* const y = b + j * kWidth;
      if constexpr (kForm == TwoRowsForm::transport) {
        float v[kWidth], c[kWidth], n[kWidth];
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          x[k] = exponential_of_a(x[k], norm, scale);
          v[k] = exponential_of_b(y[k], norm, scale);
          c[k] = scaled_difference(x[k], v[k], norm);
        }
        const int live = chunk.left - j * kRowStep<T>;
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
          if constexpr (kForm == TwoRowsForm::mixture) {
            const Mixture m(x[k], y[k], norm, scale);
            sum_p = fused(m.p, m.log_p, sum_p);
            sum_q = fused(m.q, m.log_q, sum_q);
          } else {
            const float p = exponential_of_a(x[k], norm, scale) * norm.inverse_a,
                        q = exponential_of_b(y[k], norm, scale) * norm.inverse_b;
            const float d = p - q;
            const float weight =
                kForm == TwoRowsForm::squares
                    ? d
                    : sign_of(log_ratio(x[k], y[k], norm));  // which is exactly 0 at ties
            value += kForm == TwoRowsForm::squares ? d * d : fabsf(d);
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
  if constexpr (kForm == TwoRowsForm::transport) {  // from exponentials to probabilities
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

template <TwoRowsForm kForm>
__device__ __forceinline__ void differentiate(float x, float y, const TwoRowsNorm& norm,
                                              const SideCoefficients& a, const SideCoefficients& b,
                                              const TwoRowsScale& scale, float* grad_x,
                                              float* grad_y) {
  if constexpr (kForm == TwoRowsForm::mixture) {
    const Mixture m(x, y, norm, scale);
    *grad_x = m.p * fused(a.own, m.log_p, a.constant);
    *grad_y = m.q * fused(b.own, m.log_q, b.constant);
    return;
  }
  math::differentiate<kForm>(x, y, exponential_of_a(x, norm, scale),
                             exponential_of_b(y, norm, scale), norm, a, b, grad_x, grad_y);
}

// Either target may be NULL. A lane reads a chunk of both rows before it writes either, and has its
// neighbour's gradient before it writes the end of it, so that both may be written in place.
template <class T, TwoRowsForm kForm>
__device__ __forceinline__ void write_gradients(
    const TwoRows<T>& rows, const TwoRowsNorm& norm, const TransportStart& start,
    const SideCoefficients& a_side, const SideCoefficients& b_side, typename T::Element* grad_a,
    typename T::Element* grad_b, int64_t begin, int64_t end, const TwoRowsScale& scale) {
  constexpr int kWidth = T::kPerVector;
  Transport transport(start);
  const uint32_t shift_a = misalignment(grad_a), shift_b = misalignment(grad_b);
  for (int64_t column = begin; column < end; column += kRowColumns<T>) {
    const RowChunk<T> chunk(column + lane_index() * kWidth, end);
    Vector a[kRowVectors];
    float b[kRowVectors * kWidth];
    load_rows<T, true>(rows, chunk, a, b);
#pragma unroll
    for (int j = 0; j < kRowVectors; ++j) {
      float x[kWidth];
      T::unpack(a[j], x);
      float* const y = b + j * kWidth;
      if constexpr (kForm == TwoRowsForm::transport) {
        float c[kWidth], n[kWidth];
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          x[k] = exponential_of_a(x[k], norm, scale);
          y[k] = exponential_of_b(y[k], norm, scale);
          c[k] = scaled_difference(x[k], y[k], norm);
        }
        transport.advance<kWidth>(c, n, chunk.left - j * kRowStep<T>);
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
