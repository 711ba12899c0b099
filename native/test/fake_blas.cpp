// A BLAS for the tests, with OpenBLAS's number of threads for the process.
#include "fake_gemm.h"

namespace {
int threads = 4;
}

extern "C" {

const char* openblas_get_config() { return "OpenBLAS 9.8.7 FAKE"; }
int openblas_get_parallel() { return 1; }
int openblas_get_num_threads() { return threads; }
void openblas_set_num_threads(int number) { threads = number; }

void cblas_sgemm(int, int transpose_a, int transpose_b, int rows, int columns, int depth, float,
                 const float* a, int a_stride, const float* b, int b_stride, float beta, float* c,
                 int c_stride) {
  fake_multiply(transpose_a == 112, transpose_b == 112, rows, columns, depth, a, a_stride, b,
                b_stride, beta, c, c_stride, threads == 1);
}
}
