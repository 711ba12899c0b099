// The exponential of the loops over columns, for its test: compiled once per instruction set, as
// the kernels are (LR_ISA_NAMESPACE and LR_ISA_NAME say which).
#include "exp_probe.h"

#include "cpu/simd/exp.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

template <class Function>
void map(const float* x, int64_t count, float* y, Function&& function) {
  const FlushSubnormals flush;
  for (int64_t i = 0; i < count; i += kLanes)
    hn::StoreU(function(hn::LoadU(kF, x + i)), kF, y + i);
}

void exp(float scale, float pivot, float amplitude, const float* x, int64_t count, float* y) {
  const Exp exp(scale, pivot, amplitude);
  map(x, count, y, [exp](V v) { return exp(v); });
}

void fine(float scale, float pivot, float amplitude, const float* x, int64_t count, float* y) {
  const FineExp exp(scale, pivot, amplitude);
  map(x, count, y, [exp](V v) { return exp(v); });
}

void limited(float scale, float pivot, float amplitude, const float* x, int64_t count, float* y) {
  const Exp exp(scale, pivot, amplitude);
  map(x, count, y, [exp](V v) { return exp.limited(v); });
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE

namespace logratio::test {
extern const ExpProbe LR_ISA_PROBE = {
    LR_ISA_NAME,
    cpu::LR_ISA_NAMESPACE::exp,
    cpu::LR_ISA_NAMESPACE::fine,
    cpu::LR_ISA_NAMESPACE::limited,
#if HWY_TARGET <= HWY_AVX3
    2.8e-7,
    2.8e-7,
    4.5e-8,
#elif HWY_NATIVE_FMA
    6.1e-7,
    1.8e-7,
    0,
#else
    6.5e-7,
    2.4e-7,
    9e-8,
#endif
};
}  // namespace logratio::test
