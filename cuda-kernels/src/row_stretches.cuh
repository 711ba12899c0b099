// What divergence and scoring_rule share: a block takes a row, and each of its warps one stretch of
// the columns. A warp needs no barrier within a stretch; the block meets between passes only. Which
// lane gets which column depends on the length of the row alone.
#pragma once

#include "chunk.cuh"
#include "elements.cuh"
#include "row_launch.cuh"
#include "team.cuh"

namespace logratio::device {

constexpr int kStretchWarps = 8;
constexpr int kStretchThreads = kStretchWarps * kWarp;
constexpr int kStretchBlocks =
    2;  // on a multiprocessor, 32 KiB of loads under way: a third would leave too few registers
constexpr int64_t kStretchColumns = 1024;  // fewer are not worth a warp
constexpr int kChunksAhead = 4;            // of a warp, on their way to shared memory
constexpr int64_t kStretchUnit = 512;  // stretches begin at multiples of it: of every warp's chunk

struct Stretches {
  int count;        // of a row, each a warp's
  int64_t columns;  // of each but the last
};

inline Stretches cut_stretches(int64_t columns) {
  const int64_t warps =
      std::clamp<int64_t>((columns + kStretchColumns - 1) / kStretchColumns, 1, kStretchWarps);
  const int64_t each =
      ((columns + warps - 1) / warps + kStretchUnit - 1) / kStretchUnit * kStretchUnit;
  return {static_cast<int>((columns + each - 1) / each), each};
}

__device__ __forceinline__ int warp_index() { return static_cast<int>(threadIdx.x) / kWarp; }
__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) % kWarp; }

// A lane's chunk, of which those of a warp lie one after the other. Nearly all chunks are whole and
// aligned: the others are loaded out of the way. Rows may be written where they are read; their
// last read says so.
template <bool kLast, class T, int kCount, int kStep>
__device__ __forceinline__ void load_stretch(const typename T::Element* row,
                                             const Chunk<T, kCount, kStep>& chunk, Vector* v) {
  const uint32_t shift = misalignment(row);
  if (shift == 0 && chunk.left >= chunk.kWhole) {
    const auto* const address = reinterpret_cast<const Vector*>(row + chunk.first);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      const Vector* const own = address + j * (kStep / T::kPerVector);
      v[j] = kLast ? load_before_write(own) : load_again(own);
    }
    return;
  }
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    v[j] = minus_infinities<T>();
    const int64_t column = chunk.first + j * kStep;
    if (chunk.wide(j)) {
      const auto* const low =
          reinterpret_cast<const Vector*>(reinterpret_cast<uintptr_t>(row + column) - shift);
      v[j] = shifted(load_again(low), load_again(low + 1), shift);
    } else if (chunk.exists(j)) {
      v[j] = load_elements<T>(row, column, chunk.left - j * kStep);
    }
  }
}

// Copies such a chunk to shared memory, each lane's vectors beside the next lane's. A lane waits
// for its own copies alone.
template <class T, int kCount, int kStep>
__device__ __forceinline__ void fetch_stretch(const typename T::Element* row,
                                              const Chunk<T, kCount, kStep>& chunk, Vector* there) {
  if (misalignment(row) == 0 && chunk.left >= chunk.kWhole) {
    const auto* const address = reinterpret_cast<const Vector*>(row + chunk.first);
#pragma unroll
    for (int j = 0; j < kCount; ++j)
      copy_ahead(there + j * kWarp, address + j * kWarp);
    return;
  }
  Vector v[kCount];
  load_stretch<false>(row, chunk, v);
#pragma unroll
  for (int j = 0; j < kCount; ++j)
    there[j * kWarp] = v[j];
}

template <class T, int kCount>
__device__ __forceinline__ void unpack_all(const Vector* v, float* x) {
#pragma unroll
  for (int j = 0; j < kCount; ++j)
    T::unpack(v[j], x + j * T::kPerVector);
}

// Vector j of such chunks, by a whole warp. Where the
// row begins off a multiple of 16, by `shift` bytes, a lane writes what its left neighbour has of
// the aligned vector together with its own, so that stores are whole there, too.
template <class T, int kCount, int kStep>
__device__ __forceinline__ void store_columns(typename T::Element* row,
                                              const Chunk<T, kCount, kStep>& chunk, int j,
                                              const Vector& v, uint32_t shift) {
  if (shift == 0) {
    if (chunk.exists(j))
      store_vector(row, chunk, j, v);
    return;
  }
  Vector left;
#pragma unroll
  for (int k = 0; k < 4; ++k)
    left.word[k] = __shfl_up_sync(kAllLanes, v.word[k], 1);
  const int lane = lane_index(),
            kept = static_cast<int>(
                shift / sizeof(typename T::Element));  // at the end, for the right neighbour
  const int64_t column = chunk.first + j * kStep;
  const int here = chunk.left - j * kStep < T::kPerVector ? chunk.left - j * kStep : T::kPerVector;
  int from = 0, to = here;
  if (here == T::kPerVector && lane > 0) {
    store_once(reinterpret_cast<Vector*>(reinterpret_cast<uintptr_t>(row + column) - shift),
               shifted(left, v, 16 - shift));
    from = T::kPerVector - kept;
  }
  if (lane < kWarp - 1 && j * kStep + 2 * T::kPerVector <= chunk.left)
    to = T::kPerVector - kept;
  if (from < to)
    store_elements<T>(row, column, v, from, to);
}

// The same of whole chunks of numbers.
template <class T, int kCount, int kStep>
__device__ __forceinline__ void store_stretch(typename T::Element* row,
                                              const Chunk<T, kCount, kStep>& chunk,
                                              const float* x) {
  const uint32_t shift = misalignment(row);
  if (shift == 0 && chunk.left >= chunk.kWhole) {
    auto* const address = reinterpret_cast<Vector*>(row + chunk.first);
#pragma unroll
    for (int j = 0; j < kCount; ++j)
      store_once(address + j * (kStep / T::kPerVector), T::pack(x + j * T::kPerVector));
    return;
  }
#pragma unroll
  for (int j = 0; j < kCount; ++j)
    store_columns(row, chunk, j, T::pack(x + j * T::kPerVector), shift);
}

// Columns [begin, end) of a row become 0, by the whole block.
template <class T>
__device__ inline void clear_columns(typename T::Element* row, int64_t begin, int64_t end) {
  const int threads = static_cast<int>(blockDim.x);
  const int64_t skew =
      static_cast<int64_t>((16 - misalignment(row + begin)) % 16 / sizeof(typename T::Element));
  const int64_t aligned = begin + skew < end ? begin + skew : end;
  const int64_t vectors = (end - aligned) / T::kPerVector;
  const int64_t rest = aligned + vectors * T::kPerVector;
  for (int64_t k = begin + threadIdx.x; k < aligned; k += threads)
    row[k] = typename T::Element{};
  for (int64_t k = threadIdx.x; k < vectors; k += threads) {
    store_once(reinterpret_cast<Vector*>(row + aligned + k * T::kPerVector), Vector{{0, 0, 0, 0}});
  }
  for (int64_t k = rest + threadIdx.x; k < end; k += threads)
    row[k] = typename T::Element{};
}

}  // namespace logratio::device
