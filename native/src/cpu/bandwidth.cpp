#include "cpu/bandwidth.h"

#include <atomic>
#include <chrono>
#include <cstring>

#include "cpu/isa.h"
#include "cpu/thread_pool.h"

namespace logratio::cpu {
namespace {

constexpr uint64_t kChunk = uint64_t{1} << 20;

}  // namespace

double bandwidth_probe(Bandwidth kind, void* source, void* destination, uint64_t bytes) {
  std::atomic<uint64_t> total{0};
  const auto start = std::chrono::steady_clock::now();
  parallel_for(static_cast<int64_t>((bytes + kChunk - 1) / kChunk), [&](int64_t chunk) {
    const uint64_t offset = static_cast<uint64_t>(chunk) * kChunk;
    const uint64_t length = bytes - offset < kChunk ? bytes - offset : kChunk;
    char* const from = static_cast<char*>(source) + offset;
    uint64_t sum = 0;
    switch (kind) {
      case Bandwidth::read:
        sum = kernels().read_memory(from, length);
        break;
      case Bandwidth::copy:
        std::memcpy(static_cast<char*>(destination) + offset, from, length);
        break;
      case Bandwidth::update:
        kernels().update_memory(from, length);
        break;
    }
    total.fetch_add(sum, std::memory_order_relaxed);
  });
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace logratio::cpu
