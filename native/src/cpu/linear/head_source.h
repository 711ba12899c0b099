// Rows whose logits a head makes of hidden states, tile by tile.
#pragma once

#include "cpu/rows.h"
#include "op/linear.h"

namespace logratio::cpu {

class HeadSource : public RowSource {
 public:
  // `count` rows of a model in training; those that are not listed have a gradient, too.
  // `has_only_logps`: the upstream is of log-probs alone.
  HeadSource(const op::TrainedHead& head, const op::RowTransform& transform, int64_t count,
             bool has_only_logps, bool wants_totals)
      : head_(head),
        transform_(transform),
        count_(count),
        has_only_logps_(has_only_logps),
        wants_totals_(wants_totals) {}
  // Rows of a model whose figures alone are wanted; it has the training model's vocabulary.
  HeadSource(const op::Head& head, int64_t vocab, const op::RowTransform& transform)
      : head_{head, vocab}, transform_(transform) {}

  bool prefers_companions() const override { return true; }
  GradientTotals run(const RowList& list, bool everything, math::RowFigures* figures,
                     RowUser& user) override;

 private:
  const op::TrainedHead head_;
  const op::RowTransform& transform_;
  const int64_t count_ = 0;
  const bool has_only_logps_ = true;
  const bool wants_totals_ = false;
};

}  // namespace logratio::cpu
