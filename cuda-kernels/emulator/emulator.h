// CUDA's execution model on the host, for tests: a block's threads are fibers of one host thread,
// and every barrier, shuffle and vote is a point where they meet. Which runnable thread goes next
// is drawn from a seed, so that a missing barrier shows; shared memory starts as NaN and has red
// zones around it. A block whose threads cannot all meet is reported, not waited for.
//
// Blocks run one after the other, those of a cluster together, and so do launches: kernels see
// plain globals where CUDA has special registers.
#pragma once

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <tuple>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_size = 1, unsigned y_size = 1, unsigned z_size = 1)
      : x(x_size), y(y_size), z(z_size) {}
};
struct uint3 {
  unsigned x, y, z;
};

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace logratio::emulator {

using Site = std::source_location;

enum class Meeting : uint8_t { none, barrier, shuffle, ballot, warp_barrier, cluster_barrier };

// All threads of the block meet; returns how many brought a true predicate.
int meet_block(bool predicate, Site site);
// The lanes of the mask meet. A shuffle returns what lane `source` brought, a ballot the set of
// lanes that brought something other than 0.
uint64_t meet_warp(Meeting meeting, uint32_t mask, uint64_t value, int source, Site site);

// Shared memory of the running block: one piece a key, the same for all its threads.
void* shared(const void* key, size_t bytes, size_t alignment);
void* dynamic_shared();

// How often kernels have added to a counter in global memory, each time by itself. For tests.
extern uint64_t counts;
// How often a stream has waited for the work of another that used the same workspace, and whether
// streams are to look as if they were being captured. For tests.
extern std::atomic<uint64_t> waits;
extern std::atomic<bool> capturing;

// All threads of the cluster meet.
void meet_cluster(Site site);
int cluster_rank();
// Where block `rank` of the cluster has what this one has at an address of its shared memory.
void* shared_of(unsigned rank, const void* address);

// A kernel reads 16 bytes as if nobody wrote them while it runs, through the cache that is not kept
// coherent. A kernel after which they are others fails.
void read_as_constant(const void* address);

// Where the order of threads comes from. The same seed gives the same order.
void set_seed(uint64_t seed);

using Thread = void (*)(void* arguments);
// Throws std::runtime_error where the threads of a block cannot meet, write beside their shared
// memory, or write what was read as constant. Blocks come in clusters of `cluster` along x.
void run_grid(dim3 grid, dim3 block, size_t shared_bytes, unsigned cluster, Thread thread,
              void* arguments);

// So far, of more than one block.
uint64_t clusters_run();

template <class T>
T shuffle(uint32_t mask, T value, int source, Site site) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = meet_warp(Meeting::shuffle, mask, bits, source, site);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline int lane() { return static_cast<int>(threadIdx.x & 31); }

}  // namespace logratio::emulator

// Shared memory is declared by these, in kernels and in device functions; the CUDA build has its
// own.
#define LR_SHARED(type, name, count)     \
  static char name##_key;                \
  type* const name = static_cast<type*>( \
      logratio::emulator::shared(&name##_key, sizeof(type) * (count), alignof(type)))
#define LR_DYNAMIC_SHARED(type, name) \
  type* const name = static_cast<type*>(logratio::emulator::dynamic_shared())

inline void __syncthreads(logratio::emulator::Site site = std::source_location::current()) {
  logratio::emulator::meet_block(false, site);
}
inline int __syncthreads_or(int predicate,
                            logratio::emulator::Site site = std::source_location::current()) {
  return logratio::emulator::meet_block(predicate != 0, site) != 0;
}
inline int __syncthreads_and(int predicate,
                             logratio::emulator::Site site = std::source_location::current()) {
  return logratio::emulator::meet_block(predicate == 0, site) == 0;
}
inline int __syncthreads_count(int predicate,
                               logratio::emulator::Site site = std::source_location::current()) {
  return logratio::emulator::meet_block(predicate != 0, site);
}
inline void __syncwarp(uint32_t mask = 0xffffffffu,
                       logratio::emulator::Site site = std::source_location::current()) {
  logratio::emulator::meet_warp(logratio::emulator::Meeting::warp_barrier, mask, 0, 0, site);
}
template <class T>
T __shfl_sync(uint32_t mask, T value, int source, int width = 32,
              logratio::emulator::Site site = std::source_location::current()) {
  const int first = logratio::emulator::lane() & ~(width - 1);
  return logratio::emulator::shuffle(mask, value, first + (source & (width - 1)), site);
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int lane_mask, int width = 32,
                  logratio::emulator::Site site = std::source_location::current()) {
  const int lane = logratio::emulator::lane(), source = lane ^ lane_mask;
  return logratio::emulator::shuffle(mask, value,
                                     source < (lane & ~(width - 1)) + width ? source : lane, site);
}
// All lanes' sum, which wraps around as that of the hardware does, or maximum.
inline int __reduce_add_sync(uint32_t mask, int value,
                             logratio::emulator::Site site = std::source_location::current()) {
  auto sum = static_cast<uint32_t>(value);
  for (int distance = 16; distance > 0; distance /= 2)
    sum += __shfl_xor_sync(mask, sum, distance, 32, site);
  return static_cast<int>(sum);
}
inline int __reduce_max_sync(uint32_t mask, int value,
                             logratio::emulator::Site site = std::source_location::current()) {
  for (int distance = 16; distance > 0; distance /= 2) {
    const int other = __shfl_xor_sync(mask, value, distance, 32, site);
    value = other > value ? other : value;
  }
  return value;
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, unsigned delta, int width = 32,
                   logratio::emulator::Site site = std::source_location::current()) {
  const int lane = logratio::emulator::lane(), source = lane + static_cast<int>(delta);
  return logratio::emulator::shuffle(mask, value,
                                     source < (lane & ~(width - 1)) + width ? source : lane, site);
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, unsigned delta, int width = 32,
                 logratio::emulator::Site site = std::source_location::current()) {
  const int lane = logratio::emulator::lane(), source = lane - static_cast<int>(delta);
  return logratio::emulator::shuffle(mask, value, source >= (lane & ~(width - 1)) ? source : lane,
                                     site);
}
inline uint32_t __ballot_sync(uint32_t mask, int predicate,
                              logratio::emulator::Site site = std::source_location::current()) {
  return static_cast<uint32_t>(logratio::emulator::meet_warp(logratio::emulator::Meeting::ballot,
                                                             mask, predicate != 0, 0, site));
}
inline int __any_sync(uint32_t mask, int predicate,
                      logratio::emulator::Site site = std::source_location::current()) {
  return __ballot_sync(mask, predicate, site) != 0;
}
inline int __all_sync(uint32_t mask, int predicate,
                      logratio::emulator::Site site = std::source_location::current()) {
  return __ballot_sync(mask, predicate == 0, site) == 0;
}
