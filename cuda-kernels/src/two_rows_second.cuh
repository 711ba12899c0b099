// The second pass over a stretch of two vocabulary rows, by a warp, and both gradients.
#pragma once

#include "transport.cuh"

namespace logratio::device {

using math::SideCoefficients;

// A norm that tells the compiler whether the rows are far. body(norm) is one of two loops' bodies.
struct NearNorm : TwoRowsNorm {
  static constexpr bool far = false;
};
struct FarNorm : TwoRowsNorm {
  static constexpr bool far = true;
};
template <class Body>
__device__ __forceinline__ void with_far(const TwoRowsNorm& norm, Body&& body) {
  if (norm.far) {
    body(FarNorm{norm});
  } else {
    body(NearNorm{norm});
  }
}

// p, q and log(p / m), log(q / m) with m = (p + q) / 2, from the larger of p and q: the smaller one
// is that times exp(-d), and its logarithm is d less. The special unit's logarithm has an absolute
// error of 2e-7: where d is small, and the logarithm next to 0, a series takes its place.
template <TwoRowsForm kForm>
struct Mixture {
  float p, q, log_p, log_q;

  template <class Norm>
  __device__ __forceinline__ Mixture(float x, float y, const Norm& norm,
                                     const TwoRowsScale& scale) {
    constexpr float kLog2 = 0.69314718056f;
    const float larger = fmaxf((y - norm.max_b) - norm.log_b, (x - norm.max_a) - norm.log_a);
    const float ratio = math::log_ratio(x, y, norm);
    // Of two; where the smaller one vanishes, and where both are 0 and it is NaN, the bound.
    const float size = fminf(fabsf(ratio) * scale.scale, 128);
    const float e = exponential(larger, scale), t = exp2_fast(-size);
    const bool p_is_larger = ratio >= 0;
    float log_larger, log_smaller;
    if constexpr (kForm == TwoRowsForm::mixture) {
      const float half = size * (0.5f * kLog2);
      const float near = math::log_of_larger_near(half),
                  far = fused(-kLog2, log2_fast(1 + t), kLog2);
      log_larger = half < math::kMixtureNear ? near : far;
      log_smaller = fused(-2, half, log_larger);
    } else {
      const math::MixtureLogs<float> logs = math::weighted_mixture_logs(
          size * kLog2, t, p_is_larger ? scale.weight_p : scale.weight_q,
          p_is_larger ? scale.weight_q : scale.weight_p,
          [](float x) { return kLog2 * log2_fast(x); });
      log_larger = logs.larger;
      log_smaller = logs.smaller;
    }
    const float smaller = e * t;
    p = p_is_larger ? e : smaller;
    q = p_is_larger ? smaller : e;
    log_p = p_is_larger ? log_larger : log_smaller;
    log_q = p_is_larger ? log_smaller : log_larger;
  }
};

// ---- Second pass ----

// A thread's sums over a chunk: of the value, and of p's and of q's gradient.
template <TwoRowsForm kForm>
struct SecondChunk {
  float value = 0, p = 0, q = 0;

  template <class Norm>
  __device__ __forceinline__ void add(float x, float y, const Norm& norm,
                                      const TwoRowsScale& scale) {
    if constexpr (math::is_mixture(kForm)) {
      const Mixture<kForm> m(x, y, norm, scale);
      p = fused(m.p, m.log_p, p);
      q = fused(m.q, m.log_q, q);
    } else {
      const float of_p = exponential(x - norm.max_a, scale) * norm.inverse_a,
                  of_q = exponential(y - norm.max_b, scale) * norm.inverse_b;
      const float d = of_p - of_q;
      const float weight = kForm == TwoRowsForm::squares
                               ? d
                               : sign_of(math::log_ratio(x, y, norm));  // exactly 0 at ties
      value = kForm == TwoRowsForm::squares ? fused(d, d, value) : value + fabsf(d);
      p = fused(of_p, weight, p);
      q = fused(of_q, weight, q);
    }
  }
};

template <class T, TwoRowsForm kForm, class Rows>
__device__ __forceinline__ SecondSums second_pass(const Rows& rows, const TwoRowsNorm& norm,
                                                  double start_distance, int64_t begin, int64_t end,
                                                  const TwoRowsScale& scale) {
  if constexpr (kForm == TwoRowsForm::transport) {
    return transport_sums<T>(rows, norm, start_distance, begin, end, scale);
  } else {
    constexpr int kColumns = kRowVectors * T::kPerVector;
    SecondSums sums{};
    for (int64_t column = begin; column < end; column += kRowColumns<T>) {
      const RowChunk<T> chunk(column + lane_index() * T::kPerVector, end);
      Vector a[kRowVectors];
      float x[kColumns], y[kColumns];
      load_rows<T, false>(rows, chunk, a, y);
      unpack_all<T, kRowVectors>(a, x);
      SecondChunk<kForm> own;
      with_far(norm, [&](const auto& known) {
#pragma unroll
        for (int k = 0; k < kColumns; ++k)
          own.add(x[k], y[k], known, scale);
      });
      if constexpr (!math::is_mixture(kForm))
        sums.value += own.value;
      sums.p += own.p;
      sums.q += own.q;
    }
    sums.value = warp_sum(sums.value);
    sums.p = warp_sum(sums.p);
    sums.q = warp_sum(sums.q);
    return sums;
  }
}

// ---- Gradient ----

// What both sides' gradients take of a pair of rows.
struct TwoRowsPlan {
  TwoRowsNorm norm;
  SideCoefficients a, b;
  TransportStart start;
};

// From logits x and y to gradients, of a thread's chunk.
template <TwoRowsForm kForm, int kColumns>
__device__ __forceinline__ void differentiate(const TwoRowsPlan& plan, const TwoRowsScale& scale,
                                              float* x, float* y) {
  const SideCoefficients &a = plan.a, &b = plan.b;
  with_far(plan.norm, [&](const auto& norm) {
#pragma unroll
    for (int k = 0; k < kColumns; ++k) {
      if constexpr (math::is_mixture(kForm)) {
        const Mixture<kForm> m(x[k], y[k], norm, scale);
        x[k] = m.p * fused(a.own, m.log_p, a.constant);
        y[k] = m.q * fused(b.own, m.log_q, b.constant);
      } else {
        math::differentiate<kForm>(x[k], y[k], exponential(x[k] - norm.max_a, scale),
                                   exponential(y[k] - norm.max_b, scale), norm, a, b, &x[k], &y[k]);
      }
    }
  });
}

// Either target may be NULL. A lane reads a chunk of both rows before it writes either, and has its
// neighbour's gradient before it writes the end of it, so that both may be written in place.
template <class T, TwoRowsForm kForm, class Rows>
__device__ __forceinline__ void write_gradients(const Rows& rows, const TwoRowsPlan& plan,
                                                typename T::Element* grad_a,
                                                typename T::Element* grad_b, int64_t begin,
                                                int64_t end, const TwoRowsScale& scale) {
  constexpr int kWidth = T::kPerVector, kColumns = kRowVectors * kWidth;
  Transport transport(plan.start);
  for (int64_t column = begin; column < end; column += kRowColumns<T>) {
    const RowChunk<T> chunk(column + lane_index() * kWidth, end);
    Vector a[kRowVectors];
    float x[kColumns], y[kColumns];
    load_rows<T, true>(rows, chunk, a, y);
    if constexpr (kForm == TwoRowsForm::transport) {
      TransportChunk<T> t(a, y, plan.norm, scale);
      transport.advance<T>(chunk, &t);
#pragma unroll
      for (int k = 0; k < kColumns; ++k) {
        const float count = t.count(k);
        x[k] = t.u[k] * fused(plan.a.own, count, plan.a.constant);
        y[k] = t.v[k] * fused(plan.b.own, count, plan.b.constant);
      }
    } else {
      unpack_all<T, kRowVectors>(a, x);
      differentiate<kForm, kColumns>(plan, scale, x, y);
    }
    if (grad_a != nullptr)
      store_stretch(grad_a, chunk, x);
    if (grad_b != nullptr)
      store_stretch(grad_b, chunk, y);
  }
}

}  // namespace logratio::device
