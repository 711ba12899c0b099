// The shape of a matrix product. Kernels take it, too, so there is nothing of the standard library.
#pragma once

#include <cstdint>

namespace logratio::cpu {

// A row-major matrix whose rows start `stride` elements apart, at least as many as a row has.
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

}  // namespace logratio::cpu
