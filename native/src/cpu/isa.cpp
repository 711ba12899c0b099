#include "cpu/isa.h"

#include <cpuid.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace logratio::cpu {
namespace {

// The order is the preference.
constexpr const Kernels* kLevels[] = {
#define LR_SET(name) &kKernels##name,
    LR_INSTRUCTION_SETS(LR_SET)
#undef LR_SET
};
constexpr int kLevelCount = sizeof kLevels / sizeof *kLevels;

bool has_avx512_bf16() {  // gcc 12's __builtin_cpu_supports does not know it by this name
                          // everywhere
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & (1u << 5));
}

// __builtin_cpu_supports also asks the operating system whether it saves the wide registers.
void list_supported(bool (&supported)[kLevelCount]) {
  __builtin_cpu_init();
  supported[0] = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul") &&
                 __builtin_cpu_supports("aes");
  supported[1] = supported[0] && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                 __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  supported[2] = supported[1] && __builtin_cpu_supports("avx512f") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  supported[3] = supported[2] && has_avx512_bf16();
}

using ErrorText = char[256];
constexpr int kNone = -1;

// The number of a level, or kNone and why.
int choose(ErrorText& error) {
  bool supported[kLevelCount];
  list_supported(supported);
  const char* cap = std::getenv("LOGRATIO_CPU");
  const bool capped = cap != nullptr && *cap != '\0';
  int best = kNone;
  for (int level = 0; level < kLevelCount; ++level) {
    if (supported[level])
      best = level;
    if (!capped || std::strcmp(cap, kLevels[level]->name) != 0)
      continue;
    if (supported[level])
      return level;
    std::snprintf(error, sizeof error, "LOGRATIO_CPU is %s, which this processor does not have",
                  cap);
    return kNone;
  }
  if (capped) {
    std::snprintf(error, sizeof error,
                  "LOGRATIO_CPU is \"%.64s\", expected baseline, avx2, avx512 or avx512_bf16", cap);
    return kNone;
  }
  if (best == kNone) {
    std::snprintf(error, sizeof error,
                  "this processor lacks SSE4.2, PCLMUL or AES, which the CPU kernels need");
  }
  return best;
}

// Chosen when it is first needed, perhaps by several threads at once, which choose the same. It is
// no static local variable: a child of fork() would wait for ever where another thread was about to
// initialise it.
constexpr int kUnchosen = -2;
std::atomic<int> g_level{kUnchosen};

int chosen() {
  int level = g_level.load(std::memory_order_relaxed);
  if (level == kUnchosen) {
    ErrorText unread;
    g_level.store(level = choose(unread), std::memory_order_relaxed);
  }
  return level;
}

}  // namespace

const Kernels& kernels() { return *kLevels[chosen()]; }

const char* instruction_set_name() { return chosen() == kNone ? nullptr : kernels().name; }

const char* instruction_set_error() {
  if (chosen() != kNone)
    return nullptr;
  thread_local ErrorText error;
  choose(error);
  return error;
}

}  // namespace logratio::cpu
