// The fused linear operations as a side runs them: those on logits, with a head before them.
#pragma once

#include "math/token_row.h"
#include "op/logit_rows.h"
#include "op/preference_step.h"
#include "op/tensor_view.h"
#include "op/unpaired_step.h"

namespace logratio::op {

// A row of logits is weight * (a row of hidden) + bias.
struct Head {
  bool present;
  LogitRows hidden;  // columns: H
  LogitRows weight;  // of the same type, [V,H]
  TensorView bias;   // [V]; may be absent

  explicit operator bool() const { return present; }
};

// The head of a model in training. Gradients have the type of what they are of, or f32.
struct TrainedHead : Head {
  int64_t vocab;              // columns of the logits; the weight's rows beyond have gradient 0
  bool wants_hidden = false;  // its gradient
  bool wants_weight = false;
  LogitRows grad_hidden = {};
  LogitRows grad_weight = {};
  TensorView grad_bias = {};
  bool accumulate = false;  // adds to the gradients of weight and bias
  uint64_t budget_bytes = 0;
  lr_linear_plan* plan = nullptr;  // in host memory; null: not wanted

  bool wants_gradient() const { return wants_hidden || wants_weight || grad_bias; }
};

struct LinearTokenLogprobs {
  TrainedHead head;
  RowTransform transform;
  Labels labels;
  TensorView grad_logp;
  TensorView grad_entropy;
  TensorView grad_lse;
  TensorView outputs[math::kTokenOutputs];

  int64_t rows() const { return labels.values.size(); }
};

// Their steps have no logits and no gradient of them.
struct LinearPreferenceStep : PreferenceStep {
  TrainedHead head;
  Head reference_head;  // in place of the two references; may be absent
};

struct LinearUnpairedStep : UnpairedStep {
  TrainedHead head;
};

}  // namespace logratio::op
