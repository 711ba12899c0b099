// The backward of one vocabulary row, or of a piece of it, by a team of threads: one read and one
// write, in place if the two views are one.
#pragma once

#include "elements.cuh"
#include "math/token_row.h"
#include "row_forward.cuh"
#include "team.cuh"
#include "transform.cuh"

namespace logratio::device {

// Upstream of a row.
struct RowUpstream {
  int64_t label;
  RowNorm norm;
  double entropy;  // used where grad_entropy is not 0
  double grad_logp;
  double grad_entropy;
};

// gradient = e * (scale + entropy_scale * d) * slope, with d = softcap(x) - reference and e = exp(d
// / temperature); the label's is apart.
struct RowGradient {
  float reference;
  float scale;
  float entropy_scale;
  double label_value;
};

// `label_logit` is used where there is a softcap.
template <class Cap>
__device__ inline RowGradient prepare_gradient(const RowUpstream& up, float label_logit,
                                               const Transform& t) {
  const double g = up.grad_logp, h = up.grad_entropy;
  const double entropy = h == 0 ? 0 : up.entropy;
  // p = exp((softcap(x) - reference) / temperature) times what the rest of the norm comes to.
  const math::RowScale fitted =
      h == 0 ? math::row_scale(up.norm.pivot, up.norm.log_sum, g, t.temperature,
                               math::is_certain(up.norm.logp) ? -expm1(up.norm.logp) : 1)
             : math::RowScale{up.norm.pivot, g, false};
  const float reference = static_cast<float>(fitted.pivot);
  const double rest = fitted.pivot - reference + up.norm.log_sum * t.temperature;
  const double factor = exp(-rest / t.temperature) / t.temperature;
  RowGradient row{
      reference,
      static_cast<float>(-(fitted.upstream + h * (entropy - rest / t.temperature)) * factor),
      static_cast<float>(-h * factor / t.temperature), 0};
  const double logp = up.norm.logp;
  if (logp != -static_cast<double>(kInfinity)) {
    const double p = exp(logp);
    const double slope = Cap::kCaps ? static_cast<double>(Cap::slope(label_logit, t)) : 1;
    row.label_value =
        (math::vanishing_product(-g, expm1(logp)) - (h == 0 ? 0 : h * p * (logp + entropy))) /
        t.temperature * slope;
  }
  return row;
}

// Who looks at a row's gradient while it is written: see() gets each vector, before and after
// rounding, and its first column. This one does not.
struct Unwatched {
  template <class T>
  __device__ __forceinline__ void see(const float*, const Vector&, int64_t) {}
};

template <class T, class Cap, bool kEntropy, class Watch>
__device__ __forceinline__ Vector gradient_of(const Vector& logits, const RowGradient& row,
                                              const Transform& t, int64_t column, bool exists,
                                              Watch& watch) {
  float x[T::kPerVector];
  T::unpack(logits, x);
#pragma unroll
  for (int k = 0; k < T::kPerVector; ++k) {
    const float difference = Cap::value(x[k], t) - row.reference;
    const float d = kEntropy ? max_nan(difference, t.lowest) : difference;
    const float e = exp2_fast(d * t.scale);
    float gradient = e * (kEntropy ? fused(row.entropy_scale, d, row.scale) : row.scale);
    if constexpr (Cap::kCaps)
      gradient *= Cap::slope(x[k], t);
    x[k] = gradient;
  }
  const Vector packed = T::pack(x);
  if (exists)
    watch.template see<T>(x, packed, column);
  return packed;
}

// Vectors [begin, end) of a row's gradient, counted from the multiple of 16 bytes at or before its
// start, so that stores are whole. Loads are whole too where the logits lie alike, as they do in
// place.
template <class T, class Cap, bool kEntropy, int kThreads, class Watch = Unwatched>
__device__ __forceinline__ void write_gradient(const typename T::Element* logits,
                                               typename T::Element* gradient, int64_t columns,
                                               int64_t begin, int64_t end, bool zero, int64_t label,
                                               const RowGradient& row, const Transform& t,
                                               Watch&& watch = {}) {
  const int thread = static_cast<int>(threadIdx.x) % kThreads;
  const int64_t before = misalignment(gradient) / static_cast<int64_t>(sizeof(typename T::Element));
  const auto shift = static_cast<uint32_t>(
      (reinterpret_cast<uintptr_t>(logits) - reinterpret_cast<uintptr_t>(gradient)) & 15);
  constexpr int kStep = kThreads * T::kPerVector;
  const int64_t limit = end * T::kPerVector - before;
  const int64_t stop = limit < columns ? limit : columns;
  for (int64_t first = (begin + thread) * T::kPerVector - before; first < stop;
       first += kChunkVectors * kStep) {
    const Chunk<T, kChunkVectors, kStep> chunk(first, stop);
    Vector v[kChunkVectors];
    if (zero) {
#pragma unroll
      for (int j = 0; j < kChunkVectors; ++j)
        v[j] = Vector{{0, 0, 0, 0}};
    } else {
      load_chunk<T, kChunkVectors, kStep, true>(logits, chunk, shift, v);
#pragma unroll
      for (int j = 0; j < kChunkVectors; ++j)
        v[j] =
            gradient_of<T, Cap, kEntropy>(v[j], row, t, first + j * kStep, chunk.exists(j), watch);
    }
#pragma unroll
    for (int j = 0; j < kChunkVectors; ++j) {
      if (chunk.exists(j))
        store_vector(gradient, chunk, j, v[j]);
    }
    // After the vector that it lies in, by the thread that wrote that.
    const int64_t at = label - first;
    if (!zero && at >= 0 && at < chunk.left && at < kChunkVectors * kStep &&
        static_cast<int>(at) % kStep < T::kPerVector) {
      gradient[label] = T::narrow(row.label_value);
    }
  }
}

}  // namespace logratio::device
