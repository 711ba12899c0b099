// Bandwidth probes: what a read, and an update in place, of all of the memory can reach.
#include "cpu/kernels/kernels.h"
#include "cpu/simd/vectors.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {

uint64_t read_memory(const void* source, uint64_t bytes) {
  const auto* x = static_cast<const uint32_t*>(source);
  const auto n = static_cast<int64_t>(bytes / sizeof(uint32_t));
  auto s0 = hn::Zero(kU), s1 = s0, s2 = s0, s3 = s0;
  for (int64_t i = 0; i + 4 * kLanes <= n; i += 4 * kLanes) {
    s0 = hn::Add(s0, hn::LoadU(kU, x + i));
    s1 = hn::Add(s1, hn::LoadU(kU, x + i + kLanes));
    s2 = hn::Add(s2, hn::LoadU(kU, x + i + 2 * kLanes));
    s3 = hn::Add(s3, hn::LoadU(kU, x + i + 3 * kLanes));
  }
  return hn::GetLane(hn::SumOfLanes(kU, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3))));
}

// Writes back what it read: the zero that it adds is one that the compiler cannot see through.
void update_memory(void* memory, uint64_t bytes) {
  uint32_t hidden_zero = 0;
  asm volatile("" : "+r"(hidden_zero));
  const auto zero = hn::Set(kU, hidden_zero);
  auto* x = static_cast<uint32_t*>(memory);
  const auto n = static_cast<int64_t>(bytes / sizeof(uint32_t));
  for (int64_t i = 0; i + 2 * kLanes <= n; i += 2 * kLanes) {
    const auto a = hn::Add(hn::LoadU(kU, x + i), zero);
    const auto b = hn::Add(hn::LoadU(kU, x + i + kLanes), zero);
    hn::StoreU(a, kU, x + i);
    hn::StoreU(b, kU, x + i + kLanes);
  }
}

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
