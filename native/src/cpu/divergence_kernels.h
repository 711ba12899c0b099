// What an instruction set provides for divergences: the loops over a pair of vocabulary rows,
// compiled once per instruction set from divergence_kernels.cpp. Each call takes one segment,
// columns [begin, end) with begin a multiple of kSegment and end at most kSegment later, so that
// the order of every reduction depends on V alone.
#pragma once

#include <cstdint>

#include "cpu/token_rows.h"
#include "math/divergence.h"

namespace logratio::cpu {

struct PairSpec {
  ElementType type;  // of a; and of b, unless it is float32
  bool b_is_f32;     // log-weights beside logits of another type
  math::PairForm form;
  double temperature;
  float temperature_scale;  // log2(e) / temperature
  float inverse_temperature;
};

using math::PairNorm;
using math::SideCoefficients;

struct PairGradients {
  SideCoefficients a, b;
  void* grad_a;  // NULL: not wanted
  void* grad_b;
};

constexpr int64_t kKeptPadding =
    32;  // floats behind the last column's that the second pass may write

struct DivergenceKernels {
  // temperature * log(weight / scale), scale being the power of two next to `largest`: what weights
  // are as logits. -inf where they are 0.
  void (*log_weights)(const float* weights, float largest, float temperature, float* logs,
                      int64_t columns);
  void (*first)(const PairSpec& spec, const void* a, const void* b, int64_t begin, int64_t end,
                math::PairSums* sums);
  // For transport, `distance` is C before the segment times a's sum of exponentials; the N of the
  // result counts from 0. `kept`, which may be NULL where no gradient follows, receives what
  // transport and mixture keep of each column; it is written in whole vectors.
  void (*second)(const PairSpec& spec, const PairNorm& norm, double distance, const void* a,
                 const void* b, int64_t begin, int64_t end, float* kept, math::SecondSums* sums);
  // For transport, `signs` is N before the segment.
  void (*gradient)(const PairSpec& spec, const PairNorm& norm, double signs,
                   const PairGradients& gradients, const void* a, const void* b, const float* kept,
                   int64_t begin, int64_t end);
};

}  // namespace logratio::cpu
