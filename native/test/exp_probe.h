// What a test calls of simd/exp.h, by instruction set.
#pragma once

#include <cstdint>

namespace logratio::test {

// y = amplitude * 2^(x * scale - pivot) for `count` numbers, a multiple of 16.
using ExpFunction = void (*)(float scale, float pivot, float amplitude, const float* x,
                             int64_t count, float* y);

struct ExpProbe {
  const char* name;
  ExpFunction exp, fine, limited;
  double error;               // relative, next to the pivot
  double fine_error;          // that of FineExp
  double error_per_exponent;  // and more for each power of two from there
};

extern const ExpProbe kExpProbeBaseline;
extern const ExpProbe kExpProbeAvx2;
extern const ExpProbe kExpProbeAvx512;
extern const ExpProbe kExpProbeAvx512Bf16;

}  // namespace logratio::test
