// Elements in device memory: logits of each type by 16 bytes at a time, and token-sized tensors of any type as double.
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
    for (int k = 0; k < 4; ++k) x[k] = bits_to_float(v.word[k]);
  }
  static __device__ __forceinline__ Vector pack(const float* x) {
    Vector v;
#pragma unroll
    for (int k = 0; k < 4; ++k) v.word[k] = float_to_bits(x[k]);
    return v;
  }
};

struct BFloat16 {
  using Element = uint16_t;
  static constexpr int kPerVector = 8;
  static constexpr uint32_t kMinusInfinityWord = 0xff80ff80u;
  static __device__ __forceinline__ float widen(Element x) { return bits_to_float(static_cast<uint32_t>(x) << 16); }
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
    for (int k = 0; k < 4; ++k) v.word[k] = to_bfloat16_pair(x[2 * k], x[2 * k + 1]);
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
    for (int k = 0; k < 4; ++k) v.word[k] = to_float16_pair(x[2 * k], x[2 * k + 1]);
    return v;
  }
};

// First element of row r, in 64-bit arithmetic.
template <class T>
__device__ __forceinline__ typename T::Element* row_address(const cpu::LogitRows& rows, int64_t r) {
  const int64_t outer = r < rows.inner ? 0 : r / rows.inner;
  return static_cast<typename T::Element*>(rows.base) + outer * rows.outer_stride + (r - outer * rows.inner) * rows.inner_stride;
}

// How far an address lies past a multiple of 16.
__device__ __forceinline__ uint32_t misalignment(const void* address) { return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(address) & 15); }

template <class T>
__device__ __forceinline__ Vector minus_infinities() {
  Vector v;
#pragma unroll
  for (int k = 0; k < 4; ++k) v.word[k] = T::kMinusInfinityWord;
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
    for (int k = 0; k < 6; ++k) w[k] = w[k + 2];
  }
  if ((shift & 4) != 0) {
#pragma unroll
    for (int k = 0; k < 5; ++k) w[k] = w[k + 1];
  }
  Vector v;
#pragma unroll
  for (int k = 0; k < 4; ++k) v.word[k] = funnel(w[k], w[k + 1], (shift & 3) * 8);
  return v;
}

// kCount vectors of a row, vector j holding the columns from first + j * step on; columns outside [0, columns) read as -inf. `shift` is
// the misalignment of the address of column `first`, the same for all threads of the row and for every j. All loads are issued before
// the first value is used. A vector that starts off a multiple of 16 is put together from the two that it lies in: which thread gets
// which column, and with it the order of every sum, does not depend on the address.
template <class T, int kCount, bool kWrittenLater>
__device__ __forceinline__ void load_vectors(const typename T::Element* row, int64_t first, int64_t step, int64_t columns, uint32_t shift, Vector* v) {
  const auto inside = [&](int64_t column) { return column >= 0 && column + T::kPerVector <= columns; };
  if (shift == 0) {
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      const int64_t column = first + j * step;
      v[j] = minus_infinities<T>();
      if (inside(column)) {
        const auto* address = reinterpret_cast<const Vector*>(row + column);
        v[j] = kWrittenLater ? load_before_write(address) : load_once(address);
      }
    }
  } else {
    constexpr int kSlack = T::kPerVector;  // whole vectors around a column must lie inside the row
    Vector high[kCount];
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      const int64_t column = first + j * step;
      v[j] = high[j] = minus_infinities<T>();
      if (column >= kSlack && column + 2 * kSlack <= columns) {
        const auto* address = reinterpret_cast<const Vector*>(reinterpret_cast<uintptr_t>(row + column) & ~uintptr_t{15});
        v[j] = load_shared_line(address);
        high[j] = load_shared_line(address + 1);
      }
    }
#pragma unroll
    for (int j = 0; j < kCount; ++j) v[j] = shifted(v[j], high[j], shift);
  }
#pragma unroll
  for (int j = 0; j < kCount; ++j) {  // the ends of a row, element by element
    const int64_t column = first + j * step;
    const bool done = shift == 0 ? inside(column) : column >= T::kPerVector && column + 2 * T::kPerVector <= columns;
    if (done || column + T::kPerVector <= 0 || column >= columns) continue;
    constexpr int kPerWord = T::kPerVector / 4;
    constexpr int kBits = 32 / kPerWord;
#pragma unroll
    for (int k = 0; k < T::kPerVector; ++k) {
      const int64_t c = column + k;
      if (c < 0 || c >= columns) continue;
      uint32_t bits;
      if constexpr (kPerWord == 1) {
        bits = float_to_bits(row[c]);
      } else {
        bits = row[c];
      }
      const uint32_t mask = kPerWord == 1 ? 0xffffffffu : 0xffffu << (k % kPerWord * kBits);
      v[j].word[k / kPerWord] = (v[j].word[k / kPerWord] & ~mask) | bits << (k % kPerWord * kBits);
    }
  }
}

// ---- Token-sized tensors ----

__device__ __forceinline__ int64_t element_offset(const cpu::Grid& grid, int64_t k) {
  if (grid.outer == 1) return k * grid.inner_stride;
  const int64_t outer = k / grid.inner;
  return outer * grid.outer_stride + (k - outer * grid.inner) * grid.inner_stride;
}

__device__ inline double read_double(const cpu::Grid& grid, int64_t k) {
  const int64_t at = element_offset(grid, k);
  switch (grid.type) {
    case cpu::ElementType::f64: return static_cast<const double*>(grid.data)[at];
    case cpu::ElementType::f32: return static_cast<const float*>(grid.data)[at];
    case cpu::ElementType::bf16: return BFloat16::widen(static_cast<const uint16_t*>(grid.data)[at]);
    case cpu::ElementType::f16: return from_float16(static_cast<const uint16_t*>(grid.data)[at]);
    case cpu::ElementType::i64: return static_cast<double>(static_cast<const int64_t*>(grid.data)[at]);
    case cpu::ElementType::i32: return static_cast<const int32_t*>(grid.data)[at];
    case cpu::ElementType::flag: return static_cast<const uint8_t*>(grid.data)[at] != 0 ? 1.0 : 0.0;
  }
  return 0;
}

__device__ inline int64_t read_int(const cpu::Grid& grid, int64_t k) {
  const int64_t at = element_offset(grid, k);
  return grid.type == cpu::ElementType::i32 ? static_cast<const int32_t*>(grid.data)[at] : static_cast<const int64_t*>(grid.data)[at];
}

// Rounds once, to nearest even. Absent outputs are left alone.
__device__ inline void write(const cpu::Grid& grid, int64_t k, double value) {
  if (!grid.present) return;
  const int64_t at = element_offset(grid, k);
  switch (grid.type) {
    case cpu::ElementType::f32: static_cast<float*>(grid.data)[at] = static_cast<float>(value); break;
    case cpu::ElementType::bf16: static_cast<uint16_t*>(grid.data)[at] = math::Bfloat16::narrow(value); break;
    case cpu::ElementType::f16: static_cast<uint16_t*>(grid.data)[at] = math::Float16::narrow(value); break;
    default: static_cast<double*>(grid.data)[at] = value; break;
  }
}

__device__ inline void write(const cpu::Grid& grid, int64_t k, int64_t value) {
  if (!grid.present) return;
  const int64_t at = element_offset(grid, k);
  if (grid.type == cpu::ElementType::i32) {
    static_cast<int32_t*>(grid.data)[at] = static_cast<int32_t>(value);
  } else {
    static_cast<int64_t*>(grid.data)[at] = value;
  }
}

// A label in device memory: its column, or one of the two below.
constexpr int64_t kIgnored = -1;
constexpr int64_t kBadLabel = -2;

__device__ inline int64_t read_label(const Labels& labels, int64_t row, int64_t columns) {
  const int64_t label = read_int(labels.values, row);
  if (label == labels.ignore_index) return kIgnored;
  return label >= 0 && label < columns ? label : kBadLabel;
}

}  // namespace logratio::device
