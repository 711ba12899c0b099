// The instructions that C++ has no word for: 128-bit loads and stores with hints, the hardware's
// exponential and conversions, NaN-keeping maxima. All PTX is here, and each function has a
// portable twin below, which the emulator runs.
#pragma once

#include <cmath>
#include <cstdint>

#include "math/narrow_floats.h"
#include "math/scalar.h"
#include "runtime.h"

namespace logratio::device {

struct alignas(16) Vector {  // what one access moves: 4 floats, or 8 halves
  uint32_t word[4];
};

#ifndef LR_EMULATOR

// Read once and by nobody else during the kernel.
__device__ __forceinline__ Vector load_once(const Vector* address) {
  Vector v;
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
      : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
      : "l"(address));
  return v;
}
// Read by two neighbouring threads, in turn.
__device__ __forceinline__ Vector load_shared_line(const Vector* address) {
  Vector v;
  asm("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];"
      : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
      : "l"(address));
  return v;
}
// Read again by the same kernel, which may write there after that.
__device__ __forceinline__ Vector load_again(const Vector* address) {
  Vector v;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
               : "l"(address));
  return v;
}
// Read once, from memory that the kernel writes later.
__device__ __forceinline__ Vector load_before_write(const Vector* address) {
  Vector v;
  asm volatile("ld.global.cs.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
               : "l"(address));
  return v;
}
// Written once and not read again here.
__device__ __forceinline__ void store_once(Vector* address, const Vector& v) {
  asm volatile("st.global.cs.v4.u32 [%0], {%1,%2,%3,%4};" ::"l"(address), "r"(v.word[0]),
               "r"(v.word[1]), "r"(v.word[2]), "r"(v.word[3])
               : "memory");
}
// 2^x to two units in the last place; 0 below the normal range, NaN for NaN.
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// log2(x) with an absolute error of 2^-22 for x in [0.5, 2].
__device__ __forceinline__ float log2_fast(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// 1 / x to one unit in the last place.
__device__ __forceinline__ float reciprocal_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// NaN if one of the two is.
__device__ __forceinline__ float max_nan(float a, float b) {
  float y;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(y) : "f"(a), "f"(b));
  return y;
}
__device__ __forceinline__ float bits_to_float(uint32_t bits) { return __uint_as_float(bits); }
__device__ __forceinline__ uint32_t float_to_bits(float value) { return __float_as_uint(value); }
// Rounded to nearest even, NaN kept; `low` in the lower half.
__device__ __forceinline__ uint32_t to_bfloat16_pair(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
__device__ __forceinline__ uint32_t to_float16_pair(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
// The larger and the smaller of each half by itself; NaN is left out.
__device__ __forceinline__ uint32_t max_bfloat16_pair(uint32_t a, uint32_t b) {
  uint32_t pair;
  asm("max.bf16x2 %0, %1, %2;" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}
__device__ __forceinline__ uint32_t min_bfloat16_pair(uint32_t a, uint32_t b) {
  uint32_t pair;
  asm("min.bf16x2 %0, %1, %2;" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}
__device__ __forceinline__ uint32_t max_float16_pair(uint32_t a, uint32_t b) {
  uint32_t pair;
  asm("max.f16x2 %0, %1, %2;" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}
__device__ __forceinline__ uint32_t min_float16_pair(uint32_t a, uint32_t b) {
  uint32_t pair;
  asm("min.f16x2 %0, %1, %2;" : "=r"(pair) : "r"(a), "r"(b));
  return pair;
}
__device__ __forceinline__ float from_float16(uint16_t half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}
// Threads that have several to count add them up first: atomics to one address go one by one.
__device__ __forceinline__ void count_up(int64_t* counter, int64_t count = 1) {
  atomicAdd(reinterpret_cast<unsigned long long*>(counter), static_cast<unsigned long long>(count));
}
__device__ __forceinline__ void lower_to(int64_t* target, int64_t value) {
  atomicMin(reinterpret_cast<long long*>(target), static_cast<long long>(value));
}
// The bits that were set before.
__device__ __forceinline__ uint32_t set_bits(uint32_t* target, uint32_t bits) {
  return atomicOr(target, bits);
}
// How many came before. What this thread wrote or knows of is seen by whoever comes after it, and
// this thread sees what those before it did.
__device__ __forceinline__ uint32_t count_arrival(uint32_t* counter) {
  uint32_t before;
  asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], 1;"
               : "=r"(before)
               : "l"(counter)
               : "memory");
  return before;
}
__device__ __forceinline__ int bit_count(uint32_t bits) { return __popc(bits); }
__device__ __forceinline__ int first_bit(uint32_t bits) {
  return __ffs(static_cast<int>(bits)) - 1;
}

// Clusters: from compute capability 9.0 on. All threads of the cluster meet; what they wrote
// before, shared memory and global, is seen by all after it.
__device__ __forceinline__ void cluster_barrier() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release;\n\tbarrier.cluster.wait.acquire;" ::: "memory");
#endif
}
__device__ __forceinline__ int cluster_rank() {
  uint32_t rank = 0;
#if __CUDA_ARCH__ >= 900
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
  return static_cast<int>(rank);
}
// Where block `rank` of the cluster has what this one has at an address of its shared memory.
template <class T>
__device__ __forceinline__ const T* shared_of(int rank, const T* address) {
  uint64_t there = reinterpret_cast<uint64_t>(address);
#if __CUDA_ARCH__ >= 900
  asm("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"(there), "r"(rank));
#endif
  return reinterpret_cast<const T*>(there);
}

// Groups of `blocks` blocks that are resident together: all threads of the group meet; what they
// wrote before is seen by all after it. `arrivals` was 0 before the launch.
__device__ __forceinline__ void group_barrier(uint32_t* arrivals, uint32_t blocks) {
  __syncthreads();
  if (threadIdx.x == 0) {
    const uint32_t target = (count_arrival(arrivals) / blocks + 1) * blocks;
    uint32_t seen;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(seen) : "l"(arrivals) : "memory");
    } while (seen < target);
  }
  __syncthreads();
}

// Copies 16 bytes to shared memory, to be waited for by the thread that asked for them.
__device__ __forceinline__ void copy_ahead(Vector* shared, const Vector* global) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(shared))),
               "l"(global)
               : "memory");
}
// Ends a group of this thread's copies.
__device__ __forceinline__ void end_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits for all groups but the last kLeft.
template <int kLeft>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

// The 32 bits from `bits` into `low` on, 0 <= bits < 32.
__device__ __forceinline__ uint32_t funnel(uint32_t low, uint32_t high, uint32_t bits) {
  return __funnelshift_r(low, high, bits);
}

#else

inline Vector load_once(const Vector* address) {
  emulator::read_as_constant(address);
  return *address;
}
inline Vector load_shared_line(const Vector* address) { return load_once(address); }
inline Vector load_again(const Vector* address) { return *address; }
inline Vector load_before_write(const Vector* address) { return *address; }
inline void store_once(Vector* address, const Vector& v) { *address = v; }
inline float exp2_fast(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
}
inline float log2_fast(float x) { return std::log2(x); }
inline float reciprocal_fast(float x) { return 1 / x; }
inline float max_nan(float a, float b) { return a != a || b != b ? std::nanf("") : a > b ? a : b; }
inline float bits_to_float(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t float_to_bits(float value) { return std::bit_cast<uint32_t>(value); }
inline uint32_t to_bfloat16_pair(float low, float high) {
  return math::Bfloat16::narrow(low) | uint32_t{math::Bfloat16::narrow(high)} << 16;
}
inline uint32_t to_float16_pair(float low, float high) {
  return math::Float16::narrow(low) | uint32_t{math::Float16::narrow(high)} << 16;
}
template <class Half, class Choose>
uint32_t choose_pair(uint32_t a, uint32_t b, Choose&& choose) {
  const auto half = [&](uint32_t shift) {
    const double x = Half::widen(static_cast<uint16_t>(a >> shift)),
                 y = Half::widen(static_cast<uint16_t>(b >> shift));
    return uint32_t{Half::narrow(choose(x, y))} << shift;
  };
  return half(0) | half(16);
}
inline double larger(double x, double y) { return std::fmax(x, y); }
inline double smaller(double x, double y) { return std::fmin(x, y); }
inline uint32_t max_bfloat16_pair(uint32_t a, uint32_t b) {
  return choose_pair<math::Bfloat16>(a, b, larger);
}
inline uint32_t min_bfloat16_pair(uint32_t a, uint32_t b) {
  return choose_pair<math::Bfloat16>(a, b, smaller);
}
inline uint32_t max_float16_pair(uint32_t a, uint32_t b) {
  return choose_pair<math::Float16>(a, b, larger);
}
inline uint32_t min_float16_pair(uint32_t a, uint32_t b) {
  return choose_pair<math::Float16>(a, b, smaller);
}
inline float from_float16(uint16_t half) { return static_cast<float>(math::Float16::widen(half)); }
inline void count_up(int64_t* counter, int64_t count = 1) {
  ++emulator::counts;
  *counter += count;
}
inline void lower_to(int64_t* target, int64_t value) {
  *target = value < *target ? value : *target;
}
inline uint32_t set_bits(uint32_t* target, uint32_t bits) {
  const uint32_t before = *target;
  *target |= bits;
  return before;
}
inline uint32_t count_arrival(uint32_t* counter) { return (*counter)++; }
inline int bit_count(uint32_t bits) { return std::popcount(bits); }
inline int first_bit(uint32_t bits) { return std::countr_zero(bits); }
inline void cluster_barrier(emulator::Site site = emulator::Site::current()) {
  emulator::meet_cluster(site);
}
inline void group_barrier(uint32_t*, uint32_t, emulator::Site site = emulator::Site::current()) {
  emulator::meet_cluster(site);
}
inline int cluster_rank() { return emulator::cluster_rank(); }
template <class T>
const T* shared_of(int rank, const T* address) {
  return static_cast<const T*>(emulator::shared_of(static_cast<unsigned>(rank), address));
}
inline void copy_ahead(Vector* shared, const Vector* global) { *shared = *global; }
inline void end_copies() {}
template <int kLeft>
void wait_for_copies() {}
inline uint32_t funnel(uint32_t low, uint32_t high, uint32_t bits) {
  return static_cast<uint32_t>((uint64_t{high} << 32 | low) >> (bits & 31));
}

#endif

template <int kWords, int kCount>
__device__ __forceinline__ void shift_words(Vector* low, const Vector* high, uint32_t bits) {
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    Vector v;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int from = k + kWords, to = from + 1;
      v.word[k] = funnel(from < 4 ? low[j].word[from] : high[j].word[from - 4],
                         to < 4 ? low[j].word[to] : high[j].word[to - 4], bits);
    }
    low[j] = v;
  }
}

// low[j] becomes the 16 bytes from `shift` bytes into it on, 0 <= shift < 16, that go on in
// high[j]. All lanes of a row have one shift, so that they take one way.
template <int kCount>
__device__ __forceinline__ void shift_vectors(Vector* low, const Vector* high, uint32_t shift) {
  const uint32_t bits = shift % 4 * 8;
  switch (shift / 4) {
    case 0:
      return shift_words<0, kCount>(low, high, bits);
    case 1:
      return shift_words<1, kCount>(low, high, bits);
    case 2:
      return shift_words<2, kCount>(low, high, bits);
    default:
      return shift_words<3, kCount>(low, high, bits);
  }
}

// The same of one vector, without a branch.
__device__ __forceinline__ Vector shifted(const Vector& low, const Vector& high, uint32_t shift) {
  uint32_t w[8];
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    w[k] = low.word[k];
    w[4 + k] = high.word[k];
  }
#pragma unroll
  for (int words = 2; words > 0; --words) {
#pragma unroll
    for (int k = 0; k + words < 8; ++k)
      w[k] = (shift & (4 * words)) != 0 ? w[k + words] : w[k];
  }
  Vector v;
#pragma unroll
  for (int k = 0; k < 4; ++k)
    v.word[k] = funnel(w[k], w[k + 1], shift % 4 * 8);
  return v;
}

// a * b + c, rounded once.
__device__ __forceinline__ float fused(float a, float b, float c) {
  return math::multiply_add(a, b, c);
}

}  // namespace logratio::device
