// The backward of the columns that rows keep: their logits and ids are read, and the whole row of
// the gradient is written once, 2 (BF16, F16) or 4 (F32) bytes per element, in place if the two
// views are one.
//
// A block has a run of consecutive tiles of rows. A tile is zeros in shared memory, into which the
// gradient of the kept columns is put, and goes out in vectors. Ids ascend, so that those of a tile
// follow those of the tile before. Nothing of a tile is written before its logits have been read,
// nor is it used by another tile, except the label's, on which only the tile that it lies in
// depends.
#pragma once

#include "kept_columns.cuh"
#include "token_backward.cuh"

namespace logratio::device {

constexpr int kKeptBlocks = 4;  // on a multiprocessor
constexpr int kTileVectors = kBlockThreads * kChunkVectors;

struct KeptBackward {
  op::LogitRows logits;
  op::LogitRows gradient;
  op::TensorView ids;
  int64_t count;
  int64_t tiles;  // of a row
  int64_t run;    // consecutive tiles of a block
  const KeptSet* sets;
  Transform transform;
  bool has_entropy;
};

struct KeptUpstream {
  enum Tensor { kGradLogp, kGradEntropy, kGradLse, kLse, kEntropy, kTensors };

  op::TensorView of[kTensors];
  double lse_epsilon;  // spacing next to 1 of the type that lse was rounded to
  const KeptSet* sets;
  const math::RowNorm* norms;

  __device__ double value(int tensor, int64_t r) const {
    return of[tensor].present ? read_double(of[tensor], r) : 0;
  }
  __device__ math::RowUpstream without_norm(int64_t r) const {
    return {sets[r].label,          {},
            value(kEntropy, r),     sets[r].is_outside ? 0 : value(kGradLogp, r),
            value(kGradEntropy, r), value(kGradLse, r)};
  }
  __device__ __forceinline__ math::RowUpstream upstream(int64_t r) const {
    math::RowUpstream up = without_norm(r);
    if (!up.is_zero())
      up.norm = norms[r];
    return up;
  }
};

// What take_norms does for whole rows. A thread per row.
template <class T, class Cap>
__global__ void __launch_bounds__(kBlockThreads)
    kept_norms(const LR_PARAMETER KeptBackward rows, const LR_PARAMETER KeptUpstream source,
               math::RowNorm* norms) {
  for (int64_t r = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; r < rows.count;
       r += int64_t{gridDim.x} * kBlockThreads) {
    const math::RowUpstream up = source.without_norm(r);
    math::RowNorm norm{};
    if (!up.is_zero()) {
      const double lse = source.value(KeptUpstream::kLse, r);
      const float x = T::widen(row_address<T>(rows.logits, r)[up.label]);
      norm = math::norm_of_lse(lse, Cap::value(x, rows.transform), rows.transform.temperature);
      if (!math::lse_serves(lse, source.lse_epsilon, norm.logp))
        norm.log_sum = math::kNaN;
    }
    norms[r] = norm;
  }
}

template <class T>
__device__ __forceinline__ typename T::Element rounded(float value) {
  const float only[T::kPerVector] = {value};
  const uint32_t word = T::pack(only).word[0];
  if constexpr (sizeof(typename T::Element) == 4) {
    return bits_to_float(word);
  } else {
    return static_cast<uint16_t>(word);
  }
}

// The first of the ids of a set that is not below a column.
__device__ __forceinline__ int64_t first_id(const op::TensorView& ids, const KeptSet& set,
                                            int64_t column) {
  int64_t low = set.begin, high = set.begin + set.count;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (read_int(ids, middle) < column) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Called by a block: puts the gradient of the kept columns in [begin, end) into the tile, and
// returns where the ids go on.
template <class T, class Cap, bool kEntropy>
__device__ __forceinline__ int64_t fill_tile(const KeptBackward& rows,
                                             const typename T::Element* logits, const KeptSet& set,
                                             int64_t from, int64_t begin, int64_t end,
                                             const RowPlan& plan, typename T::Element* tile) {
  constexpr int kEach = 4;  // ids of a thread that are under way
  const bool near = is_near(plan.pivot, rows.transform);
  const int64_t stop = set.begin + set.count;
  for (int count = kEach * kBlockThreads; count == kEach * kBlockThreads; from += count) {
    int64_t ids[kEach];
    typename T::Element x[kEach];
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const int64_t k = from + j * kBlockThreads + threadIdx.x;
      ids[j] = k < stop ? read_int(rows.ids, k) : end;
    }
#pragma unroll
    for (int j = 0; j < kEach; ++j)
      x[j] = ids[j] < end ? logits[ids[j]] : typename T::Element{};
    count = 0;
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      if (ids[j] < end) {
        const float y = differentiate<Cap, kEntropy>(T::widen(x[j]), near, plan, rows.transform);
        tile[ids[j] - begin] = rounded<T>(kEntropy ? y : y * plan.scale);
      }
      count += __syncthreads_count(ids[j] < end);
    }
  }
  return from;
}

// The tile, which begins `begin` columns after the row does, or before.
template <class T>
__device__ __forceinline__ void store_tile(typename T::Element* row, int64_t begin, int64_t columns,
                                           const Vector* tile) {
#pragma unroll
  for (int j = 0; j < kTileVectors; j += kBlockThreads) {
    const int place = j + static_cast<int>(threadIdx.x);
    const int64_t column = begin + place * T::kPerVector;
    if (column >= 0 && column + T::kPerVector <= columns) {
      store_once(reinterpret_cast<Vector*>(row + column), tile[place]);
    } else if (column < columns) {
      store_elements<T>(
          row, column, tile[place], column < 0 ? -static_cast<int>(column) : 0,
          columns - column < T::kPerVector ? static_cast<int>(columns - column) : T::kPerVector);
    }
  }
}

template <class T, class Cap>
__global__ void __launch_bounds__(kBlockThreads, kKeptBlocks)
    kept_gradient(const LR_PARAMETER KeptBackward rows, const LR_PARAMETER KeptUpstream source) {
  LR_SHARED(Vector, tile, kTileVectors);
  LR_SHARED(RowPlan, plan, 1);
  auto* const elements = reinterpret_cast<typename T::Element*>(tile);
  const int64_t columns = rows.gradient.columns, first = int64_t{blockIdx.x} * rows.run,
                last = std::min(first + rows.run, rows.count * rows.tiles);
  int64_t row = -1, next = 0;
  for (int64_t unit = first; unit < last; ++unit) {
    const int64_t r = unit / rows.tiles;
    const auto* const logits = row_address<T>(rows.logits, r);
    auto* const gradient = row_address<T>(rows.gradient, r);
    const KeptSet set = rows.sets[r];
    const int64_t begin = (unit - r * rows.tiles) * kTileVectors * T::kPerVector -
                          misalignment(gradient) / static_cast<int64_t>(sizeof *gradient),
                  end = std::min(begin + kTileVectors * T::kPerVector, columns);
    __syncthreads();  // the tile before has been stored
    for (int k = static_cast<int>(threadIdx.x); k < kTileVectors; k += kBlockThreads)
      tile[k] = {};
    if (r != row) {
      row = r;
      next = first_id(rows.ids, set, begin);
      if (threadIdx.x == 0)
        *plan = Cap::kCaps || rows.has_entropy
                    ? plan_row<T, Cap, true>(rows.transform, source, logits, r)
                    : plan_row<T, Cap, false>(rows.transform, source, logits, r);
    }
    __syncthreads();
    const RowPlan of_row = *plan;
    if (of_row.label >= 0) {
      next = Cap::kCaps || rows.has_entropy
                 ? fill_tile<T, Cap, true>(rows, logits, set, next, begin, end, of_row, elements)
                 : fill_tile<T, Cap, false>(rows, logits, set, next, begin, end, of_row, elements);
      if (threadIdx.x == 0 && of_row.label >= begin && of_row.label < end)
        elements[of_row.label - begin] = T::narrow(of_row.label_value);
      __syncthreads();
    }
    store_tile<T>(gradient, begin, columns, tile);
  }
}

inline void launch_kept_norms(const KeptBackward& rows, const KeptUpstream& source,
                              math::RowNorm* norms, const Machine& machine) {
  with_type(rows.logits.type, [&]<class T>(T) {
    launch(rows.transform.softcap != 0 ? kept_norms<T, Softcap> : kept_norms<T, NoSoftcap>,
           machine.blocks((rows.count + kBlockThreads - 1) / kBlockThreads), kBlockThreads, 0,
           machine.stream, rows, source, norms);
  });
}

inline void launch_kept_gradient(KeptBackward rows, const KeptUpstream& source,
                                 const Machine& machine) {
  constexpr int64_t kTileBytes = kTileVectors * sizeof(Vector);
  // A row that begins within a vector may reach into one more.
  rows.tiles = (rows.gradient.columns * op::bytes_of(rows.gradient.type) + int64_t{sizeof(Vector)} +
                kTileBytes - 1) /
               kTileBytes;
  rows.run = Machine::run_of(rows.count, rows.tiles, machine.multiprocessors * kKeptBlocks);
  const int64_t runs = (rows.count * rows.tiles + rows.run - 1) / rows.run;
  with_type(rows.logits.type, [&]<class T>(T) {
    launch(rows.transform.softcap != 0 ? kept_gradient<T, Softcap> : kept_gradient<T, NoSoftcap>,
           grid_of(runs), kBlockThreads, 0, machine.stream, rows, source);
  });
}

}  // namespace logratio::device
