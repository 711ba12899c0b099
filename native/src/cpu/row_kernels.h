// What an instruction set provides: the loops over one vocabulary row. Each is compiled once per
// instruction set from row_kernels.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/divergence_kernels.h"
#include "cpu/rule_kernels.h"
#include "cpu/token_rows.h"

namespace logratio::cpu {

// What a row's exponents are taken from, so that they are rounded once: near a value, what scales
// to a float32.
struct ScaledReference {
  float scaled;
  double reference;
  bool is_near;  // not so where float32s lie too far apart, and for NaN
};

// Inlined, as the files that are compiled once per instruction set may share no function.
[[gnu::always_inline]] inline ScaledReference scaled_reference(double value,
                                                               float temperature_scale) {
  const float scaled = static_cast<float>(value * temperature_scale);
  return {scaled, static_cast<double>(scaled) / temperature_scale,
          __builtin_fabsf(scaled) < 0x1p20f};
}

struct ForwardSpec {
  ElementType type;
  bool everything;          // false: only what logp and lse need
  float temperature_scale;  // log2(e) / temperature
  float softcap;            // 0: off
};

// Sums of exponentials, with d = softcap(x) - reference and e = exp(d / temperature). Its functions
// are inlined, as the files that are compiled once per instruction set may share none.
struct ExponentialSums {
  double e;   // sum of e
  double e2;  // sum of e * e
  double ed;  // sum of e * d

  [[gnu::always_inline]] inline void add(const ExponentialSums& other) {
    e += other.e;
    e2 += other.e2;
    ed += other.ed;
  }
  // Moves the sums to a new reference, d' = d + shift; `factor` is exp(shift / temperature).
  [[gnu::always_inline]] inline void rebase(double shift, double factor) {
    ed = factor * (ed + shift * e);
    e *= factor;
    e2 *= factor * factor;
  }
};

// Sums over a part of a row. Without `everything` only e is meant, and there is no maximum. The
// tile that may hold nearly all of the probability is kept apart: beside it, what the other tiles
// have would be lost.
struct Partial {
  double maximum;          // of the raw logits; -inf if all are
  double reference;        // not far from the largest softcap(x)
  ExponentialSums top;     // of the tile that leads: it holds the first maximum, or without
                           // `everything` has the largest sum
  ExponentialSums others;  // of all other tiles
  double z;                // sum of softcap(x) over the columns where it is not -inf
  double raw;              // sum of x over these columns
  int64_t infinite;        // number of columns with -inf; counted with `everything`
  int64_t tile;            // first column of the tile that leads

  [[gnu::always_inline]] inline double e() const { return top.e + others.e; }
};

constexpr int64_t kTile = 2048;  // columns that a row's float32 sums go over
static_assert(kSegment % kTile == 0);

// logp: one product and difference gives the exponent, x * temperature_scale - reference. any: it
// is taken of softcap(x) - reference.
enum class BackwardMode : uint8_t { logp, logp_with_totals, any };

// One row of gradient: p * scale * dsoftcap/dx, with d = softcap(x) - r and p = exp(d /
// temperature); in mode `any`, p * (scale + entropy_scale * d) * dsoftcap/dx.
struct BackwardSpec {
  ElementType type;
  BackwardMode mode;
  float temperature_scale;
  float softcap;
  float reference;  // r; in the other modes r * temperature_scale, as ScaledReference has it
  float scale;
  float entropy_scale;  // unused but in mode `any`
  int64_t skip;  // column to write 0 to and leave out of the sum (the label's, whose value the
                 // caller writes), or -1
};

struct RowKernels {
  const char* name;
  // Columns [begin, end) of a row, begin a multiple of kSegment; one Partial a segment.
  void (*forward)(const ForwardSpec& spec, const void* row, int64_t begin, int64_t end,
                  Partial* partials);
  // The sums of columns [begin, end), at most a tile, without column `skip`, about a reference of
  // the caller's.
  ExponentialSums (*without)(const ForwardSpec& spec, const void* row, int64_t begin, int64_t end,
                             int64_t skip, float reference);
  // softcap * tanh(x / softcap) as the loops compute it; x when softcap is 0.
  float (*softcap)(float x, float softcap);
  // First column at or after `from` whose logit equals `value`, or `columns`.
  int64_t (*find)(ElementType type, const void* row, int64_t from, int64_t columns, float value);
  // Columns [begin, end); returns the sum of squares of p * dsoftcap/dx, but 0 in mode logp.
  double (*backward)(const BackwardSpec& spec, const void* row, void* gradient, int64_t begin,
                     int64_t end);
  void (*read)(const void* source, size_t bytes, uint64_t* sum);
  void (*copy)(const void* source, void* destination, size_t bytes);
  void (*update)(void* memory, size_t bytes);
  const DivergenceKernels* divergence;
  const RuleKernels* rule;
};

extern const RowKernels kRowKernelsBaseline;
extern const RowKernels kRowKernelsAvx2;
extern const RowKernels kRowKernelsAvx512;
extern const RowKernels kRowKernelsAvx512Bf16;

}  // namespace logratio::cpu
