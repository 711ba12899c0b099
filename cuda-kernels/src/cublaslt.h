// What the library calls of cuBLASLt, whose header it is built without: types and numbers as
// cublasLt.h of CUDA 12 and 13 has them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace logratio::device::cublaslt {

using Handle = void*;
using MatmulDescription = void*;
using MatrixLayout = void*;
using Preference = void*;
using Status = int32_t;

inline constexpr Status kSuccess = 0;

// cudaDataType_t
inline constexpr int32_t kFloat32 = 0, kFloat16 = 2, kBfloat16 = 14;
// cublasComputeType_t
inline constexpr int32_t kComputeFloat32 = 68, kComputeTf32 = 77;
// cublasOperation_t
inline constexpr int32_t kPlain = 0, kTransposed = 1;
// cublasLtEpilogue_t
inline constexpr uint32_t kAddBias = 4;

// cublasLtMatmulDescAttributes_t
inline constexpr int32_t kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8;
// cublasLtMatmulPreferenceAttributes_t
inline constexpr int32_t kMaxWorkspaceBytes = 1, kReductionSchemes = 3, kAlignmentA = 5,
                         kAlignmentB = 6, kAlignmentC = 7, kAlignmentD = 8;
inline constexpr uint32_t kNoReduction = 0;  // of cublasLtReductionScheme_t

struct Algorithm {
  uint64_t data[8];
};

struct HeuristicResult {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status status;
  float waves;
  int32_t reserved[4];
};

using GetVersion = size_t();
using Create = Status(Handle* handle);
using MatmulDescCreate = Status(MatmulDescription* made, int32_t compute, int32_t scale);
using MatmulDescDestroy = Status(MatmulDescription description);
using MatmulDescSetAttribute = Status(MatmulDescription description, int32_t attribute,
                                      const void* value, size_t bytes);
using MatrixLayoutCreate = Status(MatrixLayout* made, int32_t type, uint64_t rows, uint64_t columns,
                                  int64_t leading);
using MatrixLayoutDestroy = Status(MatrixLayout layout);
using MatmulPreferenceCreate = Status(Preference* made);
using MatmulPreferenceDestroy = Status(Preference preference);
using MatmulPreferenceSetAttribute = Status(Preference preference, int32_t attribute,
                                            const void* value, size_t bytes);
using MatmulAlgoGetHeuristic = Status(Handle handle, MatmulDescription description, MatrixLayout a,
                                      MatrixLayout b, MatrixLayout c, MatrixLayout d,
                                      Preference preference, int requested,
                                      HeuristicResult* results, int* returned);
using Matmul = Status(Handle handle, MatmulDescription description, const void* alpha,
                      const void* a, MatrixLayout layout_a, const void* b, MatrixLayout layout_b,
                      const void* beta, const void* c, MatrixLayout layout_c, void* d,
                      MatrixLayout layout_d, const Algorithm* algorithm, void* workspace,
                      size_t workspace_bytes, void* stream);

}  // namespace logratio::device::cublaslt
