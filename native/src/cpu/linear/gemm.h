// The matrix products of the fused linear operations, tile by tile: each is made by one thread, of
// one fixed shape, so that a row's bits depend neither on the rows around it nor on the threads.
#pragma once

#include <cstdint>
#include <string>

#include "cpu/linear/gemm_shape.h"
#include "op/element_type.h"

namespace logratio::cpu {

// A library, or the own products.
class Gemm {
 public:
  virtual ~Gemm() = default;

  // "oneDNN 3.13.0".
  virtual const std::string& name() const = 0;
  virtual const std::string& path() const = 0;  // "" of the own products
  // Rows of a tile of factors of this type, at which this library is near its speed on large
  // matrices; a multiple of 32.
  virtual int64_t block_rows(op::ElementType type) const = 0;
  // Whether products of bf16 matrices are made as they are. Those of f32 always are.
  virtual bool takes_bfloat16() const = 0;

  // c = a b, or c += a b. a and b are of `type`, f32 or, where taken, bf16; c is f32, summed in
  // f32. The calling thread makes it alone, whatever the library would do otherwise.
  virtual void multiply(op::ElementType type, const GemmShape& shape, const Matrix& a,
                        const Matrix& b, bool accumulate, const Matrix& c) const = 0;
};

// What the process makes its products with; opened by the first call. Throws abi::Error
// (LR_UNAVAILABLE) where LOGRATIO_BLAS names what cannot serve.
const Gemm& gemm();

// See lr_gemm_offer.
void offer_gemm(const std::string& path);

}  // namespace logratio::cpu
