// The types of logits: how a vector of 16 bytes becomes numbers, and numbers a vector.
#pragma once

#include "intrinsics.h"
#include "op/logit_rows.h"

namespace logratio::device {

constexpr float kInfinity = INFINITY;
// Logits are summed in units of its inverse, so that no thread's float32 sum overflows.
constexpr float kSmall = 0x1p-20f;

struct Float32 {
  using Element = float;
  static constexpr int kPerVector = 4;
  static constexpr uint32_t kMinusInfinityWord = 0xff800000u;
  static __device__ __forceinline__ float widen(Element x) { return x; }
  // The larger and the smaller numbers of two words, and of all that is in one word; NaN is left
  // out.
  static __device__ __forceinline__ uint32_t larger(uint32_t a, uint32_t b) {
    return float_to_bits(fmaxf(bits_to_float(a), bits_to_float(b)));
  }
  static __device__ __forceinline__ uint32_t smaller(uint32_t a, uint32_t b) {
    return float_to_bits(fminf(bits_to_float(a), bits_to_float(b)));
  }
  static __device__ __forceinline__ float largest(uint32_t word) { return bits_to_float(word); }
  static __device__ __forceinline__ float smallest(uint32_t word) { return bits_to_float(word); }
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
  static __device__ __forceinline__ uint32_t larger(uint32_t a, uint32_t b) {
    return max_bfloat16_pair(a, b);
  }
  static __device__ __forceinline__ uint32_t smaller(uint32_t a, uint32_t b) {
    return min_bfloat16_pair(a, b);
  }
  static __device__ __forceinline__ float largest(uint32_t word) {
    return fmaxf(widen(static_cast<uint16_t>(word)), widen(static_cast<uint16_t>(word >> 16)));
  }
  static __device__ __forceinline__ float smallest(uint32_t word) {
    return fminf(widen(static_cast<uint16_t>(word)), widen(static_cast<uint16_t>(word >> 16)));
  }
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
  static __device__ __forceinline__ uint32_t larger(uint32_t a, uint32_t b) {
    return max_float16_pair(a, b);
  }
  static __device__ __forceinline__ uint32_t smaller(uint32_t a, uint32_t b) {
    return min_float16_pair(a, b);
  }
  static __device__ __forceinline__ float largest(uint32_t word) {
    return fmaxf(widen(static_cast<uint16_t>(word)), widen(static_cast<uint16_t>(word >> 16)));
  }
  static __device__ __forceinline__ float smallest(uint32_t word) {
    return fminf(widen(static_cast<uint16_t>(word)), widen(static_cast<uint16_t>(word >> 16)));
  }
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

// Calls body(T{}) with the loads and stores of the logits' type.
template <class Body>
void with_type(op::ElementType type, Body&& body) {
  switch (type) {
    case op::ElementType::bf16:
      return body(BFloat16{});
    case op::ElementType::f16:
      return body(Float16{});
    default:
      return body(Float32{});
  }
}

}  // namespace logratio::device
