// sequence_logps as a side runs it.
#pragma once

#include "logratio.h"
#include "op/tensor_view.h"

namespace logratio::op {

struct SequenceLogps {
  lr_sequence_options options;
  int64_t sequences;
  int64_t length;         // of each, or math::kPacked
  TensorView cu_seqlens;  // [sequences + 1], where they are packed; unchecked in device memory
  TensorView mask;        // of each token; weights in device memory are unchecked
  TensorView token_logps;
  TensorView grad_logps;  // present with grad_token_logps
  TensorView logps;
  TensorView counts;
  TensorView grad_token_logps;
};

}  // namespace logratio::op
