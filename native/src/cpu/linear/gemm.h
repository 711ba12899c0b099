// The matrix products of the fused linear operations, tile by tile: each is made by one thread, of
// one fixed shape, so that a row's bits depend neither on the rows around it nor on the threads.
#pragma once

#include <cstdint>
#include <string>

#include "op/element_type.h"

namespace logratio::cpu {

// A row-major matrix whose rows start `stride` elements apart.
struct Matrix {
  void* data;
  int64_t stride;
};

// How the two factors lie. c [rows,columns] is
enum class GemmForm {
  nt,  // a [rows,depth] * b [columns,depth]^T: logits
  nn,  // a [rows,depth] * b [depth,columns]: the gradient of hidden states
  tn,  // a [depth,rows]^T * b [depth,columns]: the gradient of the weight
};

struct GemmShape {
  GemmForm form;
  int64_t rows, columns, depth;  // at least 1 each
};

// A library, or the own products.
class Gemm {
 public:
  virtual ~Gemm() = default;

  // "oneDNN 3.13.0".
  virtual const std::string& name() const = 0;
  virtual const std::string& path() const = 0;  // "" of the own products
  // Rows of a tile, at which this library is near its speed on large matrices; a multiple of 32.
  virtual int64_t block_rows() const = 0;
  // Whether products of bf16 matrices are made as they are. Those of f32 always are.
  virtual bool takes_bfloat16() const = 0;

  // c = a b, or c += a b. a and b are of `type`, f32 or, where taken, bf16; c is f32, summed in f32.
  // The calling thread makes it alone, whatever the library would do otherwise.
  virtual void multiply(op::ElementType type, const GemmShape& shape, const Matrix& a,
                        const Matrix& b, bool accumulate, const Matrix& c) const = 0;
};

// What the process makes its products with; opened by the first call. Throws abi::Error
// (LR_UNAVAILABLE) where LOGRATIO_BLAS names what cannot serve.
const Gemm& gemm();

// See lr_gemm_offer.
void offer_gemm(const std::string& path);

}  // namespace logratio::cpu
