// A oneDNN for the tests, with OpenMP's number of threads for each thread.
#include "fake_gemm.h"

namespace {
thread_local int threads = 3;

struct Version {
  int major, minor, patch;
  const char* hash;
  unsigned cpu_runtime, gpu_runtime;
};
constexpr unsigned kOpenMp = 2, kTbb = 4;
constexpr Version version{3, 99, 1, "", LR_FAULT == kForeignThreads ? kTbb : kOpenMp, 0};

template <class T>
int multiply(char transpose_a, char transpose_b, int64_t rows, int64_t columns, int64_t depth,
             const T* a, int64_t a_stride, const T* b, int64_t b_stride, float beta, float* c,
             int64_t c_stride) {
  fake_multiply(transpose_a == 'T', transpose_b == 'T', rows, columns, depth, a, a_stride, b,
                b_stride, beta, c, c_stride, threads == 1);
  return 0;
}
}  // namespace

extern "C" {

int omp_get_max_threads() { return threads; }
void omp_set_num_threads(int number) { threads = number; }

const Version* dnnl_version() { return &version; }
int dnnl_get_effective_cpu_isa() { return 0xe7; }  // AVX-512 with bfloat16

int dnnl_sgemm(char transpose_a, char transpose_b, int64_t rows, int64_t columns, int64_t depth,
               float, const float* a, int64_t a_stride, const float* b, int64_t b_stride,
               float beta, float* c, int64_t c_stride) {
  return multiply(transpose_a, transpose_b, rows, columns, depth, a, a_stride, b, b_stride, beta, c,
                  c_stride);
}

int dnnl_gemm_bf16bf16f32(char transpose_a, char transpose_b, int64_t rows, int64_t columns,
                          int64_t depth, float, const uint16_t* a, int64_t a_stride,
                          const uint16_t* b, int64_t b_stride, float beta, float* c,
                          int64_t c_stride) {
  return multiply(transpose_a, transpose_b, rows, columns, depth, a, a_stride, b, b_stride, beta, c,
                  c_stride);
}
}
