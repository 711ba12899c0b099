// A stretch of two vocabulary rows, by a warp: how it is loaded, and the sums of the first pass.
// What comes between the passes is in math/divergence.h.
#pragma once

#include "math/two_rows.h"
#include "row_stretches.cuh"

namespace logratio::device {

using math::TwoRowsForm;
using math::TwoRowsNorm;
using math::TwoRowsScale;
using math::TwoRowsSums;

constexpr int kRowVectors = 2;  // of each side that a thread has under way
constexpr float kLargest = 3.402823466e38f;
using math::deep_difference;
using math::kDeep;
using math::kDeepScale;

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

// Both sides of a chunk, b's as numbers: a's vectors stay packed until they are used. The last read
// of a row says so.
template <class T, bool kLast>
__device__ __forceinline__ void load_rows(const TwoRows<T>& rows, const RowChunk<T>& chunk,
                                          Vector* a, float* b) {
  constexpr int kWidth = T::kPerVector;
  load_stretch<kLast>(rows.a, chunk, a);
  if (rows.weights == nullptr) {
    Vector packed[kRowVectors];
    load_stretch<kLast>(rows.b, chunk, packed);
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

// Two rows of logits of which a warp keeps its stretch in shared memory, if there is a place for
// it: a chunk's vectors of one side and the other, each lane's own beside the next lane's.
template <class T>
struct CachedRows : TwoRows<T> {
  int64_t begin;  // of the stretch
  Vector* cache;

  __device__ __forceinline__ Vector* place(const RowChunk<T>& chunk) const {
    return cache + 2 * ((chunk.first - begin) / T::kPerVector) - lane_index();
  }
  // Asks for a chunk, which may lie behind the end of the stretch.
  __device__ __forceinline__ void fetch(int64_t column, int64_t end) const {
    if (column < end) {
      const RowChunk<T> chunk(column + lane_index() * T::kPerVector, end);
      fetch_stretch(this->a, chunk, place(chunk));
      fetch_stretch(this->b, chunk, place(chunk) + kRowVectors * kWarp);
    }
    end_copies();
  }
};

template <class T, bool kLast>
__device__ __forceinline__ void load_rows(const CachedRows<T>& rows, const RowChunk<T>& chunk,
                                          Vector* a, float* b) {
  const Vector* const there = rows.place(chunk);
#pragma unroll
  for (int j = 0; j < kRowVectors; ++j) {
    a[j] = there[j * kWarp];
    T::unpack(there[(kRowVectors + j) * kWarp], b + j * T::kPerVector);
  }
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
  float difference = 0, slip = 0;               // of the maxima, and what rounding took from it
  bool apart = kForm == TwoRowsForm::relative;  // the maxima
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
      apart = math::is_apart(max_a, max_b, scale.temperature);
    }
  }

  template <class T>
  __device__ __forceinline__ void add(const Vector* a, const float* y, const TwoRowsScale& scale) {
    constexpr int kColumns = kRowVectors * T::kPerVector;
    constexpr bool kMarks = kForm == TwoRowsForm::cross || kForm == TwoRowsForm::relative;
    float x[kColumns];
    unpack_all<T, kRowVectors>(a, x);
    float low = kInfinity, top_a = -kInfinity, top_b = -kInfinity;
#pragma unroll
    for (int k = 0; k < kColumns; ++k) {
      top_a = fmaxf(top_a, x[k]);
      top_b = fmaxf(top_b, y[k]);
      if constexpr (kMarks)
        low = fminf(low, fminf(x[k], y[k]));
    }
    if (top_a > max_a || top_b > max_b)
      rebase(fmaxf(top_a, max_a), fmaxf(top_b, max_b), scale);
    if constexpr (kMarks) {
      if (!(low - fmaxf(max_a, max_b) > -kDeep)) {
        const bool deep = mark<kColumns>(x, y);
        sums.deep |= deep;
        return deep || apart ? add_far<kColumns>(x, y, scale)
                             : add_columns<kColumns, true>(x, y, scale);
      }
      if (apart)
        return add_far<kColumns>(x, y, scale);
    }
    add_columns<kColumns, false>(x, y, scale);
  }

 private:
  // Marks columns that one side has alone. True if a logit is deep.
  template <int kColumns>
  __device__ __forceinline__ bool mark(const float* x, const float* y) {
    bool deep = false;
#pragma unroll
    for (int k = 0; k < kColumns; ++k) {
      sums.a_alone |= x[k] > -kInfinity && y[k] == -kInfinity;
      sums.b_alone |= y[k] > -kInfinity && x[k] == -kInfinity;
      deep |= (x[k] > -kInfinity && deep_difference(x[k], max_a) < -kDeep * kDeepScale) ||
              (y[k] > -kInfinity && deep_difference(y[k], max_b) < -kDeep * kDeepScale);
    }
    return deep;
  }

  // Columns of rows that lie apart, or are deep, by differences that are scaled.
  template <int kColumns>
  __device__ __forceinline__ void add_far(const float* x, const float* y,
                                          const TwoRowsScale& scale) {
    const float raw_a = finite(max_a), raw_b = finite(max_b);
    float sum_a = 0, sum_b = 0, s = 0, t = 0;
#pragma unroll
    for (int k = 0; k < kColumns; ++k) {
      const float ea = exponential(x[k] - raw_a, scale), eb = exponential(y[k] - raw_b, scale);
      const float deep_a = deep_difference(x[k], raw_a), deep_b = deep_difference(y[k], raw_b);
      sum_a += ea;
      sum_b += eb;
      s = fused(ea, kForm == TwoRowsForm::cross ? deep_b : deep_a - deep_b, s);
      t = fused(eb, kForm == TwoRowsForm::cross ? deep_a : deep_b - deep_a, t);
    }
    gather(sum_a, sum_b, s, t, 1 / double{kDeepScale});
  }

  // `kBottomless`: a logit may be -inf, and its products are not to become NaN.
  template <int kColumns, bool kBottomless>
  __device__ __forceinline__ void add_columns(const float* x, const float* y,
                                              const TwoRowsScale& scale) {
    const float raw_a = finite(max_a), raw_b = finite(max_b);
    float sum_a = 0, sum_b = 0, s = 0, t = 0, z = 0;
#pragma unroll
    for (int k = 0; k < kColumns; ++k) {
      const float da = x[k] - raw_a, db = y[k] - raw_b;
      const float ea = exponential(da, scale), eb = exponential(db, scale);
      sum_a += ea;
      sum_b += eb;
      if constexpr (kForm == TwoRowsForm::cross) {
        s = fused(ea, kBottomless ? fmaxf(db, -kLargest) : db, s);
        t = fused(eb, kBottomless ? fmaxf(da, -kLargest) : da, t);
      }
      if constexpr (kForm == TwoRowsForm::relative) {
        const float difference_here = (x[k] - y[k]) - difference;
        const float ratio = kBottomless ? math::within_deep(difference_here) : difference_here;
        s = fused(ea, ratio, s);
        t = fused(-eb, ratio, t);
      }
      if constexpr (kForm == TwoRowsForm::cosine) {
        s = fused(ea, eb, s);
        t = fused(ea, ea, t);
        z = fused(eb, eb, z);
      }
    }
    if constexpr (kForm == TwoRowsForm::relative) {
      s = fused(slip, sum_a, s);
      t = fused(-slip, sum_b, t);
    }
    if constexpr (kForm == TwoRowsForm::cosine)
      sums.z += z;
    gather(sum_a, sum_b, s, t, 1);
  }

  __device__ __forceinline__ void gather(float sum_a, float sum_b, float s, float t, double unit) {
    sums.sum_a += sum_a;
    sums.sum_b += sum_b;
    if constexpr (!math::needs_second_pass(kForm)) {
      sums.x += s * unit;
      sums.y += t * unit;
    }
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

// Before a pass that reads a stretch for the first time, and before each of its chunks.
template <class T>
__device__ __forceinline__ void begin_copies(const TwoRows<T>&, int64_t, int64_t) {}
template <class T>
__device__ __forceinline__ void go_on_copying(const TwoRows<T>&, int64_t, int64_t) {}
template <class T>
__device__ __forceinline__ void begin_copies(const CachedRows<T>& rows, int64_t begin,
                                             int64_t end) {
#pragma unroll
  for (int k = 0; k < kChunksAhead; ++k)
    rows.fetch(begin + k * kRowColumns<T>, end);
}
template <class T>
__device__ __forceinline__ void go_on_copying(const CachedRows<T>& rows, int64_t column,
                                              int64_t end) {
  wait_for_copies<kChunksAhead - 1>();
  rows.fetch(column + kChunksAhead * kRowColumns<T>, end);
}

template <class T, TwoRowsForm kForm, class Rows>
__device__ __forceinline__ TwoRowsSums first_pass(const Rows& rows, int64_t begin, int64_t end,
                                                  const TwoRowsScale& scale) {
  TwoRowsThread<kForm> thread;
  begin_copies<T>(rows, begin, end);
  for (int64_t column = begin; column < end; column += kRowColumns<T>) {
    const RowChunk<T> chunk(column + lane_index() * T::kPerVector, end);
    Vector a[kRowVectors];
    float b[kRowVectors * T::kPerVector];
    go_on_copying<T>(rows, column, end);
    load_rows<T, false>(rows, chunk, a, b);
    thread.template add<T>(a, b, scale);
  }
  return merge_lanes<kForm>(thread.sums, thread.max_a, thread.max_b, scale);
}

}  // namespace logratio::device
