// Matrix products on a device, for the fused linear operations: by cuBLASLt on CUDA
// (gemm_cublas.cpp), by a plain kernel on the emulator (gemm_emulator.cpp). Sums are float32, and
// no sum is split between threads that meet later: its order depends on the product's shape alone.
// A failure is thrown as Failure.
#pragma once

#include <cstdint>

#include "op/device_table.h"
#include "op/element_type.h"

namespace logratio::device::gemm {

// How the two factors lie, all of them row by row. c [rows,columns] is
enum class Form {
  nt,  // a [rows,depth] * b [columns,depth]^T: logits
  nn,  // a [rows,depth] * b [depth,columns]: the gradient of hidden states
  tn,  // a [depth,rows]^T * b [depth,columns]: the gradient of the weight
};

struct Matrix {
  void* data;
  int64_t stride;  // elements from one row to the next
};

// c = a b + bias, or c += a b.
struct Product {
  Form form;
  op::ElementType type;          // of a and b: f32, bf16 or f16
  int64_t rows, columns, depth;  // at least 1 each
  Matrix a, b;
  const float* bias;  // [columns], as f32 and without a gap; null: none, as where c is added to
  bool accumulate;
  Matrix c;  // f32
};

// What makes the products. Opened here if it is not yet.
void describe(int32_t device, lr_gemm_info* info);

// Rows of hidden states that are multiplied at once: always as many, so that no row's bits depend
// on those around it.
int64_t block_rows();

// What multiply() needs for itself, at a multiple of LR_DEVICE_ALIGNMENT.
uint64_t workspace_bytes();

// Queues a product on the execution's stream. The device is current.
void multiply(const Execution& execution, void* workspace, const Product& product);

}  // namespace logratio::device::gemm
