// The backward of vocabulary rows, from its launch to its inner loop: the logits are read and the
// gradient is written once each, 4 (BF16, F16) or 8 (F32) bytes per element, in place if the two
// views are one. What a row's elements share is computed once, in double, by one warp. A source
// says what comes from upstream, and may watch what is written:
//   math::RowUpstream upstream(row)    by a warp, whose lanes all get it
//   Watch                              sees each vector of the gradient
//   void watched(piece, watch)         by all threads of a team, after a piece of a row
//
// Rows up to 4 KiB belong to a warp, longer ones to a block; a long row is cut into pieces, each a
// block's, where rows are few. As loads and stores of a chunk are independent of all others, cuts
// lie where stores are whole.
#pragma once

#include "chunk.cuh"
#include "math/token_row.h"
#include "row_launch.cuh"
#include "transform.cuh"

namespace logratio::device {

struct BackwardRows {
  op::LogitRows logits;
  op::LogitRows gradient;
  int64_t count;
  Pieces pieces;
  Transform transform;
};

// A row's gradient as its loop takes it: e * (scale + entropy_scale * d) * slope of the softcap,
// with d = softcap(x) - pivot and e = exp(d / temperature); the label's is apart.
struct RowPlan {
  int64_t label;  // < 0: the gradient is 0
  float pivot;
  float scale;
  float entropy_scale;
  double label_value;
};

// Called by a warp, whose lanes all get the plan.
template <class T, class Cap, bool kEntropy, class Source>
__device__ __forceinline__ RowPlan plan_row(const BackwardRows& rows, const Source& source,
                                            const typename T::Element* logits, int64_t r) {
  math::RowUpstream up = source.upstream(r);
  if (!kEntropy)
    up.grad_entropy = 0;
  if (up.is_zero())
    return {-1, 0, 0, 0, 0};
  const Transform& t = rows.transform;
  const math::RowScale fitted = math::row_scale(up, t.temperature);
  const float pivot = static_cast<float>(fitted.pivot),
              slope = Cap::kCaps ? Cap::slope(T::widen(logits[up.label]), t) : 1;
  const math::RowGradient gradient = math::row_gradient(up, fitted, pivot, t.temperature, slope);
  return {up.label, pivot, static_cast<float>(gradient.scale),
          static_cast<float>(gradient.entropy_scale), gradient.label_value};
}

// Who does not look.
struct Unwatched {
  __device__ Unwatched(const RowPlan&, int64_t) {}
  // A vector before and after rounding, and its first column.
  template <class T>
  __device__ __forceinline__ void see(const float*, const Vector&, int64_t) {}
  // The label's value, which replaces the one that was seen.
  template <class T>
  __device__ __forceinline__ void see_label(double) {}
};

// The inner loop.
template <class T, class Cap, bool kEntropy>
__device__ __forceinline__ void differentiate(float* x, const RowPlan& plan, const Transform& t) {
#pragma unroll
  for (int k = 0; k < T::kPerVector; ++k) {
    const float difference = Cap::value(x[k], t) - plan.pivot;
    const float d = kEntropy ? max_nan(difference, t.lowest) : difference;
    const float e = exp2_fast(d * t.scale);
    float gradient = e * (kEntropy ? fused(plan.entropy_scale, d, plan.scale) : plan.scale);
    if constexpr (Cap::kCaps)
      gradient *= Cap::slope(x[k], t);
    x[k] = gradient;
  }
}

// A piece of a row, by a team. Its vectors are counted from the multiple of 16 bytes at or before
// the start of the gradient, so that stores are whole. Loads are whole too where the logits lie
// alike, as they do in place.
template <class T, class Cap, bool kEntropy, int kThreads, class Watch>
__device__ __forceinline__ void write_piece(const BackwardRows& rows,
                                            const typename T::Element* logits,
                                            typename T::Element* gradient, int64_t piece,
                                            const RowPlan& plan, Watch& watch) {
  constexpr int kStep = kThreads * T::kPerVector;
  const int64_t before = misalignment(gradient) / static_cast<int64_t>(sizeof(typename T::Element));
  const uint32_t shift = (misalignment(logits) - misalignment(gradient)) & 15;
  const int64_t begin = piece * rows.pieces.vectors + static_cast<int>(threadIdx.x) % kThreads;
  const int64_t end =
      std::min((piece + 1) * rows.pieces.vectors * T::kPerVector - before, rows.logits.columns);
  for (int64_t first = begin * T::kPerVector - before; first < end;
       first += kChunkVectors * kStep) {
    const Chunk<T, kChunkVectors, kStep> chunk(first, end);
    Vector v[kChunkVectors] = {};
    if (plan.label >= 0) {
      load_chunk<T, kChunkVectors, kStep, true>(logits, chunk, shift, v);
#pragma unroll
      for (int j = 0; j < kChunkVectors; ++j) {
        float x[T::kPerVector];
        T::unpack(v[j], x);
        differentiate<T, Cap, kEntropy>(x, plan, rows.transform);
        v[j] = T::pack(x);
        if (chunk.exists(j))
          watch.template see<T>(x, v[j], first + j * kStep);
      }
    }
#pragma unroll
    for (int j = 0; j < kChunkVectors; ++j) {
      if (chunk.exists(j))
        store_vector(gradient, chunk, j, v[j]);
    }
    // After the vector that it lies in, by the thread that wrote that.
    const int64_t at = plan.label - first;
    if (plan.label >= 0 && at >= 0 && at < chunk.left && at < kChunkVectors * kStep &&
        static_cast<int>(at) % kStep < T::kPerVector) {
      gradient[plan.label] = T::narrow(plan.label_value);
      watch.template see_label<T>(plan.label_value);
    }
  }
}

template <class T, class Cap, bool kEntropy, int kThreads, class Source>
__global__ void __launch_bounds__(kBlockThreads, kBlocksAtOnce)
    backward_rows(const LR_PARAMETER BackwardRows rows, const LR_PARAMETER Source source) {
  LR_SHARED(RowPlan, of_block, 1);
  constexpr int kTeams = kBlockThreads / kThreads;
  const int64_t pieces = kThreads == kWarp ? 1 : rows.pieces.count;
  for (int64_t b = int64_t{blockIdx.x} * kTeams + threadIdx.x / kThreads; b < rows.count * pieces;
       b += int64_t{gridDim.x} * kTeams) {
    const int64_t r = pieces == 1 ? b : b / pieces, piece = b - r * pieces;
    const typename T::Element* const logits = row_address<T>(rows.logits, r);
    const auto write = [&](const RowPlan& plan) {
      typename Source::Watch watch(plan, rows.logits.columns);
      write_piece<T, Cap, kEntropy, kThreads>(rows, logits, row_address<T>(rows.gradient, r), piece,
                                              plan, watch);
      source.template watched<kThreads>(b, watch);
    };
    if constexpr (kThreads == kWarp) {
      // No barrier: in place, the lane that overwrites the label's logit is the only one that uses
      // what it read there.
      write(plan_row<T, Cap, kEntropy>(rows, source, logits, r));
    } else {
      __syncthreads();  // the row before has been read
      if (threadIdx.x < kWarp) {
        const RowPlan plan = plan_row<T, Cap, kEntropy>(rows, source, logits, r);
        if (threadIdx.x == 0)
          *of_block = plan;
      }
      __syncthreads();
      write(RowPlan(*of_block));  // in registers
    }
  }
}

// `entropy`: there may be a gradient by it. A source without any says so.
template <class Source>
void launch_backward(const BackwardRows& rows, const Source& source, bool entropy,
                     const Machine& machine) {
  const auto start = [&]<class T, class Cap, bool kEntropy>() {
    if (is_warp_row(rows.logits)) {
      launch(backward_rows<T, Cap, kEntropy, kWarp, Source>,
             machine.blocks(blocks_of_warps(rows.count)), kBlockThreads, 0, machine.stream, rows,
             source);
    } else {
      launch(backward_rows<T, Cap, kEntropy, kBlockThreads, Source>,
             machine.blocks(rows.count * rows.pieces.count), kBlockThreads, 0, machine.stream, rows,
             source);
    }
  };
  with_type(rows.logits.type, [&]<class T>(T) {
    constexpr bool kEntropy = Source::kHasEntropy;
    rows.transform.softcap != 0 ? start.template operator()<T, Softcap, kEntropy>()
    : entropy                   ? start.template operator()<T, NoSoftcap, kEntropy>()
                                : start.template operator()<T, NoSoftcap, false>();
  });
}

}  // namespace logratio::device
