// The chain of a step on the CPU, rows to gradient and metrics, around a middle layer that makes
// losses of sequences: of pairs in preference_step, of examples in unpaired_step.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/rows.h"
#include "math/step.h"
#include "op/step.h"

namespace logratio::cpu {

// What the rows tell a middle layer.
struct StepSequences {
  std::vector<math::SequenceFigures> figures;
  std::vector<double> full_counts;  // sums of the mask's weights, before the tail weight
};

// What a middle layer makes of the sequences.
struct StepLosses {
  std::vector<double> loss;      // of each pair or example
  std::vector<double> gradient;  // of the mean loss, by each sequence's log-prob
};

class StepLayer {
 public:
  virtual ~StepLayer() = default;
  virtual bool is_chosen(int64_t sequence) const = 0;
  // Sequences k, k + n, ... make a loss together, n the number of all over this.
  virtual int64_t companions() const = 0;
  // Whether a gradient by one of them looks at the log-probs of others than these.
  virtual bool is_coupled() const = 0;
  // Tokens that the layer sees for itself, whether or not the mask counts them.
  virtual bool covers(int64_t /*row*/) const { return false; }
  virtual void see(int64_t /*sequence*/, int64_t /*row*/, double /*logp*/) {}
  // Called again when more sequences have their log-probs.
  virtual void evaluate(StepSequences& sequences) = 0;
  // After that.
  virtual const StepLosses& losses() const = 0;
  // The gradient by a chosen token's log-prob, beside what its sequence hands on.
  virtual double own_gradient(int64_t /*sequence*/, int64_t /*row*/) const { return 0; }
  virtual lr_step_metrics metrics(const math::StepSums& sums) const = 0;  // but the gradient's
};

// Which rows are read, and for what, beyond the losses themselves and the call's metrics.
struct StepNeeds {
  bool every_token = false;  // those of weight 0 after the tail weight, too
  bool every_figure = false;
};

// On the call's logits.
void run_step(const op::Step& call, StepNeeds needs, StepLayer& layer);
// On a source's rows; the token log-probs of `reference`, if there is one, take the place of the
// call's references.
void run_step(const op::Step& call, StepNeeds needs, StepLayer& layer, RowSource& source,
              RowSource* reference);

// Elements of memory as a tensor.
inline op::TensorView view_of(double* values, int64_t count, int64_t stride = 1) {
  return {true, op::ElementType::f64, values, 1, count, 0, stride};
}

// A field of `count` sequences' figures from the first one on.
inline op::TensorView field_of(std::vector<math::SequenceFigures>& sequences,
                               double math::SequenceFigures::*member, int64_t first,
                               int64_t count) {
  constexpr int64_t kStride = sizeof(math::SequenceFigures) / sizeof(double);
  double* const data = sequences.empty() ? nullptr : &(sequences[first % sequences.size()].*member);
  return view_of(data, count, kStride);
}

}  // namespace logratio::cpu
