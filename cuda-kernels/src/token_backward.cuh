// The backward of vocabulary rows, from its launch to its inner loop: the logits are read and the
// gradient is written once each, 4 (BF16, F16) or 8 (F32) bytes per element, in place if the two
// views are one. A source says what comes from upstream, and may watch what is written:
//   math::RowUpstream upstream(row)    by a lane per row
//   Watch                              sees the gradient, chunk by chunk
//   void watched(part, watch)          by a warp, after its part of a row's piece
//
// The grid is what a GPU holds at once, and each team of threads, a warp for rows up to 4 KiB and a
// block for longer ones, gets a run of consecutive pieces of rows. It walks them backward: what the
// forward read last is still in L2. What a row's elements share is computed in double, for 32 rows
// at once by the lanes of each warp: warps never wait for each other. Loads and stores of a chunk
// are independent of all others, so cuts lie where stores are whole.
#pragma once

#include "chunk.cuh"
#include "math/token_row.h"
#include "row_launch.cuh"
#include "transform.cuh"

namespace logratio::device {

// On a multiprocessor, with 48 KiB of loads under way, and as much to be written. A fourth would
// leave a thread too few registers.
constexpr int kBackwardBlocks = 3;

struct BackwardRows {
  op::LogitRows logits;
  op::LogitRows gradient;
  int64_t begin, count;  // rows of both views
  Pieces pieces;         // of a row
  int64_t run;           // consecutive pieces, of one row and the next, that a team writes
  Transform transform;

  // Warps that write a part each of every piece.
  int64_t parts_per_row() const { return pieces.count * (is_warp_row(logits) ? 1 : kRowsPerBlock); }
};

inline BackwardRows backward_rows_of(const op::LogitRows& logits, const op::LogitRows& gradient,
                                     int64_t count, const Transform& transform,
                                     const Machine& machine, int64_t begin = 0) {
  const Pieces pieces = cut_backward(logits);
  return {logits,   gradient, begin,
          count,    pieces,   machine.run(count, logits, pieces.count, kBackwardBlocks),
          transform};
}

// A row's gradient as its loop takes it: e * (scale + entropy_scale * exponent) * slope of the
// softcap, with e = 2^exponent; the label's is apart.
struct RowPlan {
  int64_t label = -1;  // < 0: the gradient is 0
  float pivot = 0;
  float scale = 0;
  float entropy_scale = 0;
  double label_value = 0;

  // That of a lane, for all.
  __device__ __forceinline__ RowPlan of_lane(int lane) const {
    const auto get = [lane](auto mine) { return __shfl_sync(kAllLanes, mine, lane); };
    return {get(label), get(pivot), get(scale), get(entropy_scale), get(label_value)};
  }
};

// In place, a lane that has overwritten the label's logit has used it before: its own warp's plan
// is the only one whose label_value is used.
template <class T, class Cap, bool kEntropy, class Source>
__device__ __forceinline__ RowPlan plan_row(const Transform& t, const Source& source,
                                            const typename T::Element* logits, int64_t r) {
  math::RowUpstream up = source.upstream(r);
  if (!kEntropy)
    up.grad_entropy = 0;
  if (up.is_zero())
    return {};
  const math::RowScale fitted = math::row_scale(up, t.temperature);
  const float pivot = static_cast<float>(fitted.pivot);
  float slope;
  Cap::value(T::widen(logits[up.label]), t, &slope);
  const math::RowGradient gradient = math::row_gradient(up, fitted, pivot, t.temperature, slope);
  // What rounding leaves of the pivot's own exponent, which is 0, all columns have.
  const double residue = is_near(pivot, t) ? fused(pivot, t.scale, -(pivot * t.scale)) : 0,
               unit = exp2(-residue), entropy_scale = gradient.entropy_scale * t.inverse_scale;
  return {up.label, pivot, static_cast<float>((gradient.scale - entropy_scale * residue) * unit),
          static_cast<float>(entropy_scale * unit), gradient.label_value};
}

// Who does not look.
struct Unwatched {
  __device__ explicit Unwatched(const RowPlan&) {}
  // A vector's gradient over the row's scale; `label` is its element of the label's, if it has one.
  template <class T>
  __device__ __forceinline__ void see(const float*, int) {}
  // A chunk as it is written.
  template <class T, class Chunk>
  __device__ __forceinline__ void see_stored(const Vector*, const Chunk&, int64_t) {}
  // The label's value, which replaces the one that was seen.
  template <class T>
  __device__ __forceinline__ void see_label(double) {}
};

// A logit becomes its gradient; without kEntropy, that over the row's scale. With a near pivot the
// exponent is one multiply-add.
template <class Cap, bool kEntropy>
__device__ __forceinline__ float differentiate(float x, bool near, const RowPlan& plan,
                                               const Transform& t) {
  constexpr float kVanishes = -128;  // 2 to it is below the normal range
  const float offset = -(plan.pivot * t.scale);
  float slope;
  const float z = Cap::value(x, t, &slope);
  float exponent = near ? fused(z, t.scale, offset) : (z - plan.pivot) * t.scale;
  if (kEntropy)
    exponent = max_nan(exponent, kVanishes);
  float y = exp2_fast(exponent);
  if (kEntropy)
    y *= fused(plan.entropy_scale, exponent, plan.scale);
  return Cap::kCaps ? y * slope : y;
}

// The inner loop: a vector of logits becomes one of the gradient.
template <class T, class Cap, bool kEntropy, class Watch>
__device__ __forceinline__ Vector differentiate(const Vector& v, bool near, const RowPlan& plan,
                                                const Transform& t, int label, Watch& watch) {
  float x[T::kPerVector];
  T::unpack(v, x);
#pragma unroll
  for (int k = 0; k < T::kPerVector; ++k)
    x[k] = differentiate<Cap, kEntropy>(x[k], near, plan, t);
  watch.template see<T>(x, label);
#pragma unroll
  for (int k = 0; k < T::kPerVector; ++k)
    x[k] = kEntropy ? x[k] : x[k] * plan.scale;
  return T::pack(x);
}

template <class T, class Cap>
__device__ __forceinline__ bool is_near_softcap(const Vector* v, const Transform& t) {
  return !Cap::kCaps ||
         Cap::all_near(minimum_of<T, kChunkVectors>(v), maximum_of<T, kChunkVectors>(v), t);
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
  const bool near = is_near(plan.pivot, rows.transform);
#pragma unroll 1
  for (int64_t first = begin * T::kPerVector - before; first < end;
       first += kChunkVectors * kStep) {
    const Chunk<T, kChunkVectors, kStep> chunk(first, end);
    Vector v[kChunkVectors] = {};
    const int64_t away = plan.label - first;
    const int label =
        plan.label >= 0 && away >= 0 && away < chunk.left ? static_cast<int>(away) : -1;
    if (plan.label >= 0) {
      load_chunk<T, kChunkVectors, kStep, true>(logits, chunk, shift, v);
      if (near && is_near_softcap<T, Cap>(v, rows.transform)) {
#pragma unroll
        for (int j = 0; j < kChunkVectors; ++j)
          v[j] = differentiate<T, typename Cap::Near, kEntropy>(v[j], true, plan, rows.transform,
                                                                label - j * kStep, watch);
      } else {
#pragma unroll 1
        for (int j = 0; j < kChunkVectors; ++j) {  // registers have no index
          const Vector done = differentiate<T, Cap, kEntropy>(v[0], near, plan, rows.transform,
                                                              label - j * kStep, watch);
#pragma unroll
          for (int k = 0; k + 1 < kChunkVectors; ++k)
            v[k] = v[k + 1];
          v[kChunkVectors - 1] = done;
        }
      }
      watch.template see_stored<T>(v, chunk, plan.label);
    }
    store_chunk(gradient, chunk, v);
    // After the vector that it lies in, by the thread that wrote that.
    if (label >= 0 && label < kChunkVectors * kStep && label % kStep < T::kPerVector) {
      gradient[plan.label] = T::narrow(plan.label_value);
      watch.template see_label<T>(plan.label_value);
    }
  }
}

template <class T, class Cap, bool kEntropy, int kThreads, class Source>
__global__ void __launch_bounds__(kBlockThreads, kBackwardBlocks)
    backward_rows(const LR_PARAMETER BackwardRows rows, const LR_PARAMETER Source source) {
  constexpr int kTeams = kBlockThreads / kThreads;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t pieces = kThreads == kWarp ? 1 : rows.pieces.count;
  const int64_t first = rows.begin * pieces +
                        (int64_t{blockIdx.x} * kTeams + threadIdx.x / kThreads) * rows.run,
                last = std::min(first + rows.run, (rows.begin + rows.count) * pieces);
  if (first >= last)
    return;
  int64_t r = (last - 1) / pieces;
  int64_t piece = last - 1 - r * pieces;
  for (int64_t left = last - first; left > 0;) {
    // A lane each for row r and those before it.
    const int64_t mine = r - lane;
    RowPlan plan;
    const typename T::Element* logits = nullptr;
    typename T::Element* gradient = nullptr;
    if ((mine + 1) * pieces > first) {
      logits = row_address<T>(rows.logits, mine);
      gradient = row_address<T>(rows.gradient, mine);
      plan = plan_row<T, Cap, kEntropy>(rows.transform, source, logits, mine);
    }
    for (int k = 0; k < kWarp && left > 0; ++k, --r, piece = pieces - 1) {
      const RowPlan of_row = plan.of_lane(k);
      const auto* const x = address_of_lane(logits, k);
      auto* const target = address_of_lane(gradient, k);
      for (; piece >= 0 && left > 0; --piece, --left) {
        typename Source::Watch watch(of_row);
        write_piece<T, Cap, kEntropy, kThreads>(rows, x, target, piece, of_row, watch);
        source.watched((r * pieces + piece) * (kThreads / kWarp) +
                           static_cast<int>(threadIdx.x) % kThreads / kWarp,
                       watch);
      }
    }
  }
}

// Columns of the gradient that take no part get 0: a launch of its own, of padded rows alone. A
// warp a row.
template <class T>
__global__ void __launch_bounds__(kBlockThreads)
    clear_padding(const LR_PARAMETER op::LogitRows gradient, int64_t count, int64_t begin) {
  const int64_t warps = int64_t{gridDim.x} * kRowsPerBlock;
  for (int64_t r = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / kWarp; r < count;
       r += warps) {
    typename T::Element* const row = row_address<T>(gradient, r);
    for (int64_t column = begin + threadIdx.x % kWarp; column < gradient.columns; column += kWarp)
      row[column] = {};
  }
}

// `entropy`: there may be a gradient by it. A source without any says so.
template <class Source>
void launch_backward(const BackwardRows& rows, const Source& source, bool entropy,
                     const Machine& machine) {
  const auto start = [&]<class T, class Cap, bool kEntropy>() {
    const int64_t runs = (rows.count * rows.pieces.count + rows.run - 1) / rows.run;
    if (is_warp_row(rows.logits)) {
      launch(backward_rows<T, Cap, kEntropy, kWarp, Source>, grid_of(blocks_of_warps(runs)),
             kBlockThreads, 0, machine.stream, rows, source);
    } else {
      launch(backward_rows<T, Cap, kEntropy, kBlockThreads, Source>, grid_of(runs), kBlockThreads,
             0, machine.stream, rows, source);
    }
  };
  with_type(rows.logits.type, [&]<class T>(T) {
    constexpr bool kEntropy = Source::kHasEntropy;
    rows.transform.softcap != 0 ? start.template operator()<T, Softcap, kEntropy>()
    : entropy                   ? start.template operator()<T, NoSoftcap, kEntropy>()
                                : start.template operator()<T, NoSoftcap, false>();
    if (rows.gradient.columns > rows.logits.columns)
      launch(clear_padding<T>, machine.blocks(blocks_of_warps(rows.count)), kBlockThreads, 0,
             machine.stream, rows.gradient, rows.count, rows.logits.columns);
  });
}

}  // namespace logratio::device
