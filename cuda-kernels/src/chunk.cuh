// A thread's chunk of a row: its place, and how it is loaded and stored. Owns the alignment and the
// ends of rows, so that loops over columns see vectors of 16 bytes only, several under way at once.
#pragma once

#include "logits.cuh"

namespace logratio::device {

constexpr int kChunkVectors = 4;  // 128-bit loads that a thread has under way

// Vector j of kCount holds the columns from first + j * kStep on. `left` is how many columns of the
// row, or of its part, there are from `first` on, as far as that matters.
template <class T, int kCount, int kStep>
struct Chunk {
  static constexpr int kWhole =
      (kCount - 1) * kStep + T::kPerVector;  // columns that it reaches over

  int64_t first;
  int left;

  __device__ __forceinline__ Chunk(int64_t first_column, int64_t end)
      : first(first_column),
        left(end - first_column < 2 * kWhole ? static_cast<int>(end - first_column) : 2 * kWhole) {}

  // All of its vectors lie in the row.
  __device__ __forceinline__ bool whole() const { return first >= 0 && left >= kWhole; }
  // So do the aligned vectors that they are cut from, where they begin off a multiple of 16.
  __device__ __forceinline__ bool wide() const {
    return first >= T::kPerVector && left >= kWhole + T::kPerVector;
  }
  // All of vector j lies in the row; only the first one can begin before it.
  __device__ __forceinline__ bool whole(int j) const {
    return (j > 0 || first >= 0) && j * kStep + T::kPerVector <= left;
  }
  // So do the two aligned vectors that it is cut from.
  __device__ __forceinline__ bool wide(int j) const {
    return (j > 0 || first >= T::kPerVector) && j * kStep + 2 * T::kPerVector <= left;
  }
  // Some of vector j lies in the row.
  __device__ __forceinline__ bool exists(int j) const {
    return j * kStep < left && (j > 0 || first > -T::kPerVector);
  }
};

// How far an address lies past a multiple of 16.
__device__ __forceinline__ uint32_t misalignment(const void* address) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(address) & 15);
}

template <class T>
__device__ __forceinline__ Vector minus_infinities() {
  constexpr uint32_t kWord = T::kMinusInfinityWord;
  return {{kWord, kWord, kWord, kWord}};
}

// ---- Ends of a row, element by element: registers have no index, so a vector is pushed along ----

// Columns of a vector that begins at `column`; those outside, or from `left` on, are -inf.
template <class T>
__device__ __forceinline__ Vector load_elements(const typename T::Element* row, int64_t column,
                                                int left) {
  Vector v = minus_infinities<T>();
#pragma unroll 1
  for (int k = T::kPerVector - 1; k >= 0; --k) {
    const bool inside = column + k >= 0 && k < left;
    if constexpr (sizeof(typename T::Element) == 4) {
      v = {{inside ? float_to_bits(row[column + k]) : T::kMinusInfinityWord, v.word[0], v.word[1],
            v.word[2]}};
    } else {
      const uint32_t bits = inside ? row[column + k] : T::kMinusInfinityWord & 0xffff;
      v = {{v.word[0] << 16 | bits, funnel(v.word[0], v.word[1], 16),
            funnel(v.word[1], v.word[2], 16), funnel(v.word[2], v.word[3], 16)}};
    }
  }
  return v;
}

// Elements [from, to) of a vector that begins at `column`.
template <class T>
__device__ __forceinline__ void store_elements(typename T::Element* row, int64_t column, Vector v,
                                               int from, int to) {
#pragma unroll 1
  for (int k = 0; k < T::kPerVector; ++k) {
    const bool inside = k >= from && k < to;
    if constexpr (sizeof(typename T::Element) == 4) {
      if (inside)
        row[column + k] = bits_to_float(v.word[0]);
      v = {{v.word[1], v.word[2], v.word[3], 0}};
    } else {
      if (inside)
        row[column + k] = static_cast<uint16_t>(v.word[0]);
      v = {{funnel(v.word[0], v.word[1], 16), funnel(v.word[1], v.word[2], 16),
            funnel(v.word[2], v.word[3], 16), v.word[3] >> 16}};
    }
  }
}

// ---- Chunks ----

// Chunks that lie well within the row. A vector that begins off a multiple of 16 is put together
// from the two that it lies in: which thread gets which column, and with it the order of every sum,
// does not depend on the address.
template <class T, int kCount, int kStep, bool kWrittenLater>
__device__ __forceinline__ void load_whole(const typename T::Element* x, uint32_t shift,
                                           Vector* v) {
  constexpr int kVectors = kStep / T::kPerVector;
  const auto* low = reinterpret_cast<const Vector*>(reinterpret_cast<uintptr_t>(x) - shift);
  if (shift == 0) {
#pragma unroll
    for (int j = 0; j < kCount; ++j)
      v[j] = kWrittenLater ? load_before_write(low + j * kVectors) : load_once(low + j * kVectors);
    return;
  }
  Vector high[kCount];
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    const Vector* const address = low + j * kVectors;
    v[j] = kWrittenLater ? load_again(address) : load_shared_line(address);
    high[j] = kWrittenLater ? load_again(address + 1) : load_shared_line(address + 1);
  }
  shift_vectors<kCount>(v, high, shift);
}

// Columns outside the row read as -inf. `shift` is the misalignment of column `first`, the same for
// all of a row's threads and vectors. All loads are issued before the first value is used.
template <class T, int kCount, int kStep, bool kWrittenLater>
__device__ __forceinline__ void load_chunk(const typename T::Element* row,
                                           const Chunk<T, kCount, kStep>& chunk, uint32_t shift,
                                           Vector* v) {
  const typename T::Element* const x = row + chunk.first;
  if (shift == 0 ? chunk.whole() : chunk.wide()) {
    load_whole<T, kCount, kStep, kWrittenLater>(x, shift, v);
    return;
  }
  // An end of a row.
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    v[j] = minus_infinities<T>();
    if (shift == 0 ? chunk.whole(j) : chunk.wide(j)) {
      load_whole<T, 1, kStep, kWrittenLater>(x + j * kStep, shift, v + j);
    } else if (chunk.exists(j)) {
      v[j] = load_elements<T>(row, chunk.first + j * kStep, chunk.left - j * kStep);
    }
  }
}

// Vector j of a chunk, of which only columns in the row are written. Whole ones lie on a multiple
// of 16 bytes.
template <class T, int kCount, int kStep>
__device__ __forceinline__ void store_vector(typename T::Element* row,
                                             const Chunk<T, kCount, kStep>& chunk, int j,
                                             const Vector& v) {
  const int64_t column = chunk.first + j * kStep;
  if (chunk.whole(j)) {
    store_once(reinterpret_cast<Vector*>(row + column), v);
  } else {
    store_elements<T>(row, column, v, column < 0 ? -static_cast<int>(column) : 0,
                      chunk.left - j * kStep);
  }
}

template <class T, int kCount, int kStep>
__device__ __forceinline__ void store_chunk(typename T::Element* row,
                                            const Chunk<T, kCount, kStep>& chunk, const Vector* v) {
  if (chunk.whole()) {
#pragma unroll
    for (int j = 0; j < kCount; ++j)
      store_once(reinterpret_cast<Vector*>(row + chunk.first + j * kStep), v[j]);
    return;
  }
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    if (chunk.exists(j))
      store_vector(row, chunk, j, v[j]);
  }
}

// Calls body(x, k) for each number of a chunk, k columns after the chunk's first; those outside the
// row, which are -inf, included.
template <class T, int kCount, int kStep, class Body>
__device__ __forceinline__ void for_columns(const Vector* v, Body&& body) {
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    float x[T::kPerVector];
    T::unpack(v[j], x);
#pragma unroll
    for (int k = 0; k < T::kPerVector; ++k)
      body(x[k], j * kStep + k);
  }
}

// The largest and the smallest number of some vectors; NaN is left out.
template <class T, int kCount>
__device__ __forceinline__ float maximum_of(const Vector* v) {
  uint32_t word[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    word[k] = v[0].word[k];
#pragma unroll
    for (int j = 1; j < kCount; ++j)
      word[k] = T::larger(word[k], v[j].word[k]);
  }
  return T::largest(T::larger(T::larger(word[0], word[1]), T::larger(word[2], word[3])));
}
template <class T, int kCount>
__device__ __forceinline__ float minimum_of(const Vector* v) {
  uint32_t word[4];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    word[k] = v[0].word[k];
#pragma unroll
    for (int j = 1; j < kCount; ++j)
      word[k] = T::smaller(word[k], v[j].word[k]);
  }
  return T::smallest(T::smaller(T::smaller(word[0], word[1]), T::smaller(word[2], word[3])));
}

// The first column of this thread from `column` on that passes the test, or `end`.
template <class T, class Row, class Test>
__device__ __forceinline__ int64_t find_column(const Row& row, int64_t column, int64_t step,
                                               int64_t end, Test&& test) {
#pragma unroll 1
  for (; column < end; column += step) {
#pragma unroll 1
    for (int k = 0; k < T::kPerVector && column + k < end; ++k) {
      if (test(T::widen(row[column + k])))
        return column + k;
    }
  }
  return end;
}

}  // namespace logratio::device
