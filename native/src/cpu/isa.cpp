#include "cpu/isa.h"

#include <cpuid.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace logratio::cpu {
namespace {

struct Level {
  const RowKernels* rows;
  const PairKernels* pairs;
  bool supported;
};

struct Choice {
  const RowKernels* rows = nullptr;
  const PairKernels* pairs = nullptr;
  char error[256] = "";
};

bool has_avx512_bf16() {  // gcc 12's __builtin_cpu_supports does not know it by this name everywhere
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax & (1u << 5));
}

// The order is the preference. __builtin_cpu_supports also asks the operating system whether it saves the wide registers.
void list_levels(Level (&levels)[4]) {
  __builtin_cpu_init();
  const bool baseline = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("aes");
  const bool avx2 = baseline && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  levels[0] = {&kRowKernelsBaseline, &kPairKernelsBaseline, baseline};
  levels[1] = {&kRowKernelsAvx2, &kPairKernelsAvx2, avx2};
  levels[2] = {&kRowKernelsAvx512, &kPairKernelsAvx512, avx512};
  levels[3] = {&kRowKernelsAvx512Bf16, &kPairKernelsAvx512Bf16, avx512 && has_avx512_bf16()};
}

Choice choose() {
  Level levels[4];
  list_levels(levels);
  Choice choice;
  const char* cap = std::getenv("LOGRATIO_CPU");
  const bool capped = cap != nullptr && *cap != '\0';
  bool known = !capped;
  for (const Level& level : levels) {
    if (level.supported) {
      choice.rows = level.rows;
      choice.pairs = level.pairs;
    }
    if (capped && std::strcmp(cap, level.rows->name) == 0) {
      known = true;
      if (!level.supported) {
        choice.rows = nullptr;
        std::snprintf(choice.error, sizeof choice.error, "LOGRATIO_CPU is %s, which this processor does not have", cap);
      }
      break;
    }
  }
  if (!known) {
    choice.rows = nullptr;
    std::snprintf(choice.error, sizeof choice.error,
                  "LOGRATIO_CPU is \"%.64s\", expected baseline, avx2, avx512 or avx512_bf16", cap);
  } else if (choice.rows == nullptr && choice.error[0] == '\0') {
    std::snprintf(choice.error, sizeof choice.error, "this processor lacks SSE4.2, PCLMUL or AES, which the CPU kernels need");
  }
  return choice;
}

const Choice& chosen() {
  static const Choice choice = choose();
  return choice;
}

}  // namespace

const RowKernels* row_kernels() { return chosen().rows; }

const PairKernels* pair_kernels() { return chosen().pairs; }

const char* instruction_set_name() { return chosen().rows == nullptr ? nullptr : chosen().rows->name; }

const char* instruction_set_error() { return chosen().rows == nullptr ? chosen().error : nullptr; }

}  // namespace logratio::cpu
