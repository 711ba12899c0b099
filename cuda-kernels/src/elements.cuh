// Elements in device memory: logits of each type by 16 bytes at a time, and token-sized tensors of
// any type as double.
#pragma once

#include "intrinsics.h"

namespace logratio::device {

// ---- Logits ----

struct Float32 {
  using Element = float;
  static constexpr int kPerVector = 4;
  static constexpr uint32_t kMinusInfinityWord = 0xff800000u;
  static __device__ __forceinline__ float widen(Element x) { return x; }
  static __device__ __forceinline__ Element narrow(double x) { return static_cast<float>(x); }
  static __device__ __forceinline__ void unpack(const Vector& v, float* x) {
#pragma unroll
    for (int k = 0; k < 4; ++k)
      x[k] = bits_to_float(v.word[k]);
  }
  static __device__ __forceinline__ Vector pack(const float* x) {
    Vector v;
#pragma unroll
    for (int k = 0; k < 4; ++k)
      v.word[k] = float_to_bits(x[k]);
    return v;
  }
};

struct BFloat16 {
  using Element = uint16_t;
  static constexpr int kPerVector = 8;
  static constexpr uint32_t kMinusInfinityWord = 0xff80ff80u;
  static __device__ __forceinline__ float widen(Element x) {
    return bits_to_float(static_cast<uint32_t>(x) << 16);
  }
  static __device__ __forceinline__ Element narrow(double x) { return math::Bfloat16::narrow(x); }
  static __device__ __forceinline__ void unpack(const Vector& v, float* x) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      x[2 * k] = bits_to_float(v.word[k] << 16);
      x[2 * k + 1] = bits_to_float(v.word[k] & 0xffff0000u);
    }
  }
  static __device__ __forceinline__ Vector pack(const float* x) {
    Vector v;
#pragma unroll
    for (int k = 0; k < 4; ++k)
      v.word[k] = to_bfloat16_pair(x[2 * k], x[2 * k + 1]);
    return v;
  }
};

struct Float16 {
  using Element = uint16_t;
  static constexpr int kPerVector = 8;
  static constexpr uint32_t kMinusInfinityWord = 0xfc00fc00u;
  static __device__ __forceinline__ float widen(Element x) { return from_float16(x); }
  static __device__ __forceinline__ Element narrow(double x) { return math::Float16::narrow(x); }
  static __device__ __forceinline__ void unpack(const Vector& v, float* x) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      x[2 * k] = from_float16(static_cast<uint16_t>(v.word[k]));
      x[2 * k + 1] = from_float16(static_cast<uint16_t>(v.word[k] >> 16));
    }
  }
  static __device__ __forceinline__ Vector pack(const float* x) {
    Vector v;
#pragma unroll
    for (int k = 0; k < 4; ++k)
      v.word[k] = to_float16_pair(x[2 * k], x[2 * k + 1]);
    return v;
  }
};

// First element of row r, in 64-bit arithmetic.
template <class T>
__device__ __forceinline__ typename T::Element* row_address(const op::LogitRows& rows, int64_t r) {
  const int64_t outer = r < rows.inner ? 0 : r / rows.inner;
  return static_cast<typename T::Element*>(rows.base) + outer * rows.outer_stride +
         (r - outer * rows.inner) * rows.inner_stride;
}

// How far an address lies past a multiple of 16.
__device__ __forceinline__ uint32_t misalignment(const void* address) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(address) & 15);
}

template <class T>
__device__ __forceinline__ Vector minus_infinities() {
  Vector v;
#pragma unroll
  for (int k = 0; k < 4; ++k)
    v.word[k] = T::kMinusInfinityWord;
  return v;
}

// The 16 bytes from `shift` bytes into `low` on, 0 <= shift < 16.
__device__ __forceinline__ Vector shifted(const Vector& low, const Vector& high, uint32_t shift) {
  uint32_t w[8];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    w[k] = low.word[k];
    w[4 + k] = high.word[k];
  }
  if ((shift & 8) != 0) {
#pragma unroll
    for (int k = 0; k < 6; ++k)
      w[k] = w[k + 2];
  }
  if ((shift & 4) != 0) {
#pragma unroll
    for (int k = 0; k < 5; ++k)
      w[k] = w[k + 1];
  }
  Vector v;
#pragma unroll
  for (int k = 0; k < 4; ++k)
    v.word[k] = funnel(w[k], w[k + 1], (shift & 3) * 8);
  return v;
}

// Where a thread's chunk of kCount vectors lies: vector j holds the columns from first + j * kStep
// on. `left` is how many columns of the row, or of its part, there are from `first` on, as far as
// that matters.
template <class T, int kCount, int kStep>
struct Chunk {
  static constexpr int kWhole =
      (kCount - 1) * kStep + T::kPerVector;  // columns that it reaches over

  int64_t first;
  int left;

  __device__ __forceinline__ Chunk(int64_t first_column, int64_t end)
      : first(first_column),
        left(end - first_column < 2 * kWhole ? static_cast<int>(end - first_column) : 2 * kWhole) {}

  __device__ __forceinline__ bool whole() const { return first >= 0 && left >= kWhole; }
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

// The columns of an end of a row, one by one.
template <class T>
__device__ __forceinline__ Vector load_elements(const typename T::Element* row, int64_t column,
                                                int left) {
  Vector v = minus_infinities<T>();
#pragma unroll 1
  for (int k = T::kPerVector - 1; k >= 0; --k) {  // each pushes the later ones up
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

// A chunk of a row; columns outside read as -inf. `shift` is the misalignment of column `first`,
// the same for all of a row's threads and vectors. All loads are issued before the first value is
// used. A vector that begins off a multiple of 16 is put together from the two that it lies in:
// which thread gets which column, and with it the order of every sum, does not depend on the
// address.
template <class T, int kCount, int kStep, bool kWrittenLater>
__device__ __forceinline__ void load_chunk(const typename T::Element* row,
                                           const Chunk<T, kCount, kStep>& chunk, uint32_t shift,
                                           Vector* v) {
  const typename T::Element* const x = row + chunk.first;
  if (shift == 0) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      v[j] = minus_infinities<T>();
      const auto* address = reinterpret_cast<const Vector*>(x + j * kStep);
      if (chunk.whole(j))
        v[j] = kWrittenLater ? load_before_write(address) : load_once(address);
    }
    if (chunk.whole())
      return;
  } else {
    Vector high[kCount];
    const auto* low = reinterpret_cast<const Vector*>(reinterpret_cast<uintptr_t>(x) - shift);
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      v[j] = high[j] = minus_infinities<T>();
      const Vector* address = low + j * (kStep / T::kPerVector);
      if (chunk.wide(j)) {
        v[j] = load_shared_line(address);
        high[j] = load_shared_line(address + 1);
      }
    }
#pragma unroll
    for (int j = 0; j < kCount; ++j)
      v[j] = shifted(v[j], high[j], shift);
  }
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    const bool loaded = shift == 0 ? chunk.whole(j) : chunk.wide(j);
    if (!loaded && chunk.exists(j))
      v[j] = load_elements<T>(row, chunk.first + j * kStep, chunk.left - j * kStep);
  }
}

// Vector j of a chunk, of which only columns in the row are written. Whole ones lie on a multiple
// of 16 bytes.
template <class T, int kCount, int kStep>
__device__ __forceinline__ void store_vector(typename T::Element* row,
                                             const Chunk<T, kCount, kStep>& chunk, int j,
                                             Vector v) {
  const int64_t column = chunk.first + j * kStep;
  if (chunk.whole(j)) {
    store_once(reinterpret_cast<Vector*>(row + column), v);
    return;
  }
#pragma unroll 1
  for (int k = 0; k < T::kPerVector; ++k) {
    const bool inside = column + k >= 0 && j * kStep + k < chunk.left;
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

// ---- Token-sized tensors ----

__device__ __forceinline__ int64_t element_offset(const op::TensorView& grid, int64_t k) {
  if (grid.outer == 1)
    return k * grid.inner_stride;
  const int64_t outer = k / grid.inner;
  return outer * grid.outer_stride + (k - outer * grid.inner) * grid.inner_stride;
}

__device__ inline double read_double(const op::TensorView& grid, int64_t k) {
  const int64_t at = element_offset(grid, k);
  switch (grid.type) {
    case op::ElementType::f64:
      return static_cast<const double*>(grid.data)[at];
    case op::ElementType::f32:
      return static_cast<const float*>(grid.data)[at];
    case op::ElementType::bf16:
      return BFloat16::widen(static_cast<const uint16_t*>(grid.data)[at]);
    case op::ElementType::f16:
      return from_float16(static_cast<const uint16_t*>(grid.data)[at]);
    case op::ElementType::i64:
      return static_cast<double>(static_cast<const int64_t*>(grid.data)[at]);
    case op::ElementType::i32:
      return static_cast<const int32_t*>(grid.data)[at];
    case op::ElementType::flag:
      return static_cast<const uint8_t*>(grid.data)[at] != 0 ? 1.0 : 0.0;
  }
  return 0;
}

__device__ inline int64_t read_int(const op::TensorView& grid, int64_t k) {
  const int64_t at = element_offset(grid, k);
  return grid.type == op::ElementType::i32 ? static_cast<const int32_t*>(grid.data)[at]
                                           : static_cast<const int64_t*>(grid.data)[at];
}

// Rounds once, to nearest even. Absent outputs are left alone.
__device__ inline void write(const op::TensorView& grid, int64_t k, double value) {
  if (!grid.present)
    return;
  const int64_t at = element_offset(grid, k);
  switch (grid.type) {
    case op::ElementType::f32:
      static_cast<float*>(grid.data)[at] = static_cast<float>(value);
      break;
    case op::ElementType::bf16:
      static_cast<uint16_t*>(grid.data)[at] = math::Bfloat16::narrow(value);
      break;
    case op::ElementType::f16:
      static_cast<uint16_t*>(grid.data)[at] = math::Float16::narrow(value);
      break;
    default:
      static_cast<double*>(grid.data)[at] = value;
      break;
  }
}

__device__ inline void write(const op::TensorView& grid, int64_t k, int64_t value) {
  if (!grid.present)
    return;
  const int64_t at = element_offset(grid, k);
  if (grid.type == op::ElementType::i32) {
    static_cast<int32_t*>(grid.data)[at] = static_cast<int32_t>(value);
  } else {
    static_cast<int64_t*>(grid.data)[at] = value;
  }
}

// Any number may stand in device memory. What is no weight counts as 0.
__device__ inline bool is_weight(double value) {
  return value >= 0 && value < static_cast<double>(INFINITY);
}

// A label in device memory: its column, or one of the two below.
constexpr int64_t kIgnored = -1;
constexpr int64_t kBadLabel = -2;

__device__ inline int64_t read_label(const op::Labels& labels, int64_t row, int64_t columns) {
  const int64_t label = read_int(labels.values, row);
  if (label == labels.ignore_index)
    return kIgnored;
  return label >= 0 && label < columns ? label : kBadLabel;
}

}  // namespace logratio::device
