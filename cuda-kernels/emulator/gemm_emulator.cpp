// Matrix products on the emulator: a thread has four neighbouring columns of a row and goes along
// the depth by itself, as a thread that meets no other costs the emulator next to nothing.
#include "gemm.h"

#include <algorithm>
#include <cstdio>

#include "logits.cuh"
#include "team.cuh"

namespace logratio::device::gemm {
namespace {

constexpr int kThreads = 32;
constexpr int kColumns = 4;  // of a thread

template <class T, Form kForm>
__global__ void multiply_plainly(const LR_PARAMETER Product product) {
  const auto* const a = static_cast<const typename T::Element*>(product.a.data);
  const auto* const b = static_cast<const typename T::Element*>(product.b.data);
  const int64_t teams = (product.columns + kColumns - 1) / kColumns;
  const int64_t place = int64_t{blockIdx.x} * kThreads + threadIdx.x, row = place / teams,
                first = place % teams * kColumns,
                count = std::min<int64_t>(kColumns, product.columns - first);
  if (row >= product.rows)
    return;
  float sums[kColumns] = {};
  for (int64_t k = 0; k < product.depth; ++k) {
    const float x =
        T::widen(kForm == Form::tn ? a[k * product.a.stride + row] : a[row * product.a.stride + k]);
    for (int64_t j = 0; j < count; ++j) {
      sums[j] += x * T::widen(kForm == Form::nt ? b[(first + j) * product.b.stride + k]
                                                : b[k * product.b.stride + first + j]);
    }
  }
  auto* const c = static_cast<float*>(product.c.data) + row * product.c.stride + first;
  for (int64_t j = 0; j < count; ++j) {
    c[j] = product.accumulate        ? c[j] + sums[j]
           : product.bias != nullptr ? sums[j] + product.bias[first + j]
                                     : sums[j];
  }
}

}  // namespace

void describe(int32_t, lr_gemm_info* info) {
  std::snprintf(info->library, sizeof info->library, "Logratio");
  info->bfloat16 = 1;
}

int64_t block_rows() { return 16; }

uint64_t workspace_bytes() { return 0; }

void multiply(const Execution& execution, void*, const Product& product) {
  const int64_t threads = product.rows * ((product.columns + kColumns - 1) / kColumns);
  with_type(product.type, [&]<class T>(T) {
    launch(product.form == Form::nt   ? multiply_plainly<T, Form::nt>
           : product.form == Form::nn ? multiply_plainly<T, Form::nn>
                                      : multiply_plainly<T, Form::tn>,
           grid_of((threads + kThreads - 1) / kThreads), kThreads, 0, execution.stream, product);
  });
}

}  // namespace logratio::device::gemm
