// Stands in for libcublasLt where there is no GPU: the functions that gemm_cublas.cpp calls, over
// host memory and by columns, as cuBLASLt has them. What a call asks for that the real library
// would refuse, or that splits sums, is an error.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "cublaslt.h"
#include "math/narrow_floats.h"

#define FAKE extern "C" __attribute__((visibility("default")))

namespace logratio::device::cublaslt {
namespace {

constexpr Status kInvalid = 7, kNotSupported = 15;

struct Description {
  int32_t compute, scale, transpose_a = kPlain, transpose_b = kPlain;
  uint32_t epilogue = 1;
  const float* bias = nullptr;
};
struct Layout {
  int32_t type;
  int64_t rows, columns, leading;
};
struct Preferences {
  uint64_t workspace = 0;
  uint32_t reductions = 7, alignments[4] = {256, 256, 256, 256};
};

int64_t width(int32_t type) { return type == kFloat32 ? 4 : 2; }

float element(const void* data, const Layout& layout, int64_t row, int64_t column) {
  const int64_t at = row + column * layout.leading;
  switch (layout.type) {
    case kBfloat16:
      return static_cast<float>(math::Bfloat16::widen(static_cast<const uint16_t*>(data)[at]));
    case kFloat16:
      return static_cast<float>(math::Float16::widen(static_cast<const uint16_t*>(data)[at]));
    default:
      return static_cast<const float*>(data)[at];
  }
}

bool fits(const Description& d, const Layout& a, const Layout& b, const Layout& c) {
  const int64_t m = d.transpose_a == kPlain ? a.rows : a.columns,
                k = d.transpose_a == kPlain ? a.columns : a.rows,
                n = d.transpose_b == kPlain ? b.columns : b.rows;
  return (d.transpose_b == kPlain ? b.rows : b.columns) == k && c.rows == m && c.columns == n &&
         a.type == b.type && c.type == kFloat32 && a.leading >= a.rows && b.leading >= b.rows &&
         c.leading >= c.rows && d.scale == kFloat32 &&
         (d.compute == kComputeFloat32 || (d.compute == kComputeTf32 && a.type == kFloat32));
}

template <class Value>
Status take(Value* to, const void* value, size_t bytes) {
  if (bytes != sizeof(Value))
    return kInvalid;
  std::memcpy(to, value, bytes);
  return kSuccess;
}

template <class T>
Status destroy(void* made) {
  delete static_cast<T*>(made);
  return kSuccess;
}

}  // namespace

// For tests: how often an algorithm was asked for, and the compute type and least alignment of the
// last product.
extern "C" {
__attribute__((visibility("default"))) int fake_asked = 0;
__attribute__((visibility("default"))) int fake_compute = 0;
__attribute__((visibility("default"))) unsigned fake_alignment = 0;
}

#ifdef FAKE_OLD
FAKE size_t cublasLtGetVersion() { return 110904; }
#else
FAKE size_t cublasLtGetVersion() { return 130102; }
#endif
FAKE Status cublasLtCreate(Handle* handle) {
  if (std::getenv("FAKE_NO_GPU") != nullptr)
    return 1;
  static int only;
  *handle = &only;
  return kSuccess;
}
FAKE Status cublasLtMatmulDescCreate(MatmulDescription* made, int32_t compute, int32_t scale) {
  *made = new Description{compute, scale};
  return kSuccess;
}
FAKE Status cublasLtMatmulDescDestroy(MatmulDescription made) { return destroy<Description>(made); }
FAKE Status cublasLtMatmulDescSetAttribute(MatmulDescription made, int32_t attribute,
                                           const void* value, size_t bytes) {
  auto& d = *static_cast<Description*>(made);
  switch (attribute) {
    case kTransposeA:
      return take(&d.transpose_a, value, bytes);
    case kTransposeB:
      return take(&d.transpose_b, value, bytes);
    case kEpilogue:
      return take(&d.epilogue, value, bytes);
    case kBiasPointer:
      return take(&d.bias, value, bytes);
    default:
      return kInvalid;
  }
}
FAKE Status cublasLtMatrixLayoutCreate(MatrixLayout* made, int32_t type, uint64_t rows,
                                       uint64_t columns, int64_t leading) {
  *made = new Layout{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading};
  return kSuccess;
}
FAKE Status cublasLtMatrixLayoutDestroy(MatrixLayout made) { return destroy<Layout>(made); }
FAKE Status cublasLtMatmulPreferenceCreate(Preference* made) {
  *made = new Preferences;
  return kSuccess;
}
FAKE Status cublasLtMatmulPreferenceDestroy(Preference made) { return destroy<Preferences>(made); }
FAKE Status cublasLtMatmulPreferenceSetAttribute(Preference made, int32_t attribute,
                                                 const void* value, size_t bytes) {
  auto& p = *static_cast<Preferences*>(made);
  if (attribute == kMaxWorkspaceBytes)
    return take(&p.workspace, value, bytes);
  if (attribute == kReductionSchemes)
    return take(&p.reductions, value, bytes);
  if (attribute >= kAlignmentA && attribute <= kAlignmentD)
    return take(&p.alignments[attribute - kAlignmentA], value, bytes);
  return kInvalid;
}
FAKE Status cublasLtMatmulAlgoGetHeuristic(Handle, MatmulDescription description, MatrixLayout a,
                                           MatrixLayout b, MatrixLayout c, MatrixLayout,
                                           Preference preference, int requested,
                                           HeuristicResult* results, int* returned) {
  const auto& p = *static_cast<Preferences*>(preference);
  *returned = 0;
  if (!fits(*static_cast<Description*>(description), *static_cast<Layout*>(a),
            *static_cast<Layout*>(b), *static_cast<Layout*>(c)) ||
      requested < 1 || p.reductions != kNoReduction || p.workspace == 0)
    return kNotSupported;
  ++fake_asked;
  fake_alignment = *std::min_element(p.alignments, p.alignments + 4);
  results[0] = {};
  results[0].algorithm.data[0] = 42;
  *returned = 1;
  return kSuccess;
}
FAKE Status cublasLtMatmul(Handle, MatmulDescription description, const void* alpha, const void* a,
                           MatrixLayout layout_a, const void* b, MatrixLayout layout_b,
                           const void* beta, const void* c, MatrixLayout layout_c, void* d,
                           MatrixLayout layout_d, const Algorithm* algorithm, void* workspace,
                           size_t workspace_bytes, void*) {
  const auto& of = *static_cast<Description*>(description);
  const auto &la = *static_cast<Layout*>(layout_a), &lb = *static_cast<Layout*>(layout_b),
             &lc = *static_cast<Layout*>(layout_c);
  const float scale = *static_cast<const float*>(alpha), kept = *static_cast<const float*>(beta);
  const bool has_bias = of.epilogue == kAddBias;
  if (!fits(of, la, lb, lc) || c != d || layout_c != layout_d || algorithm->data[0] != 42 ||
      workspace == nullptr || workspace_bytes == 0 || has_bias != (of.bias != nullptr) ||
      reinterpret_cast<uintptr_t>(a) % static_cast<uintptr_t>(width(la.type)) != 0)
    return kInvalid;
  fake_compute = of.compute;
  const int64_t depth = of.transpose_a == kPlain ? la.columns : la.rows;
  for (int64_t i = 0; i < lc.rows; ++i) {
    for (int64_t j = 0; j < lc.columns; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < depth; ++k) {
        sum += double{of.transpose_a == kPlain ? element(a, la, i, k) : element(a, la, k, i)} *
               double{of.transpose_b == kPlain ? element(b, lb, k, j) : element(b, lb, j, k)};
      }
      float& out = static_cast<float*>(d)[i + j * lc.leading];
      out = static_cast<float>(scale * sum + (kept == 0 ? 0 : kept * out) +
                               (has_bias ? of.bias[i] : 0));
    }
  }
  return kSuccess;
}

// Each function has the type that it is called by.
static_assert(std::is_same_v<decltype(cublasLtGetVersion), GetVersion>);
static_assert(std::is_same_v<decltype(cublasLtMatmulAlgoGetHeuristic), MatmulAlgoGetHeuristic>);
static_assert(std::is_same_v<decltype(cublasLtMatmul), Matmul>);

}  // namespace logratio::device::cublaslt
