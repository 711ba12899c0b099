// Rows whose logits the caller holds.
#pragma once

#include "cpu/rows.h"
#include "op/logit_rows.h"

namespace logratio::cpu {

class LogitSource : public RowSource {
 public:
  // `gradient`: null where it is not wanted; of `count` rows, those that are not listed too.
  LogitSource(const op::LogitRows& logits, const op::RowTransform& transform, int64_t count,
              const op::LogitRows* gradient, bool wants_totals)
      : logits_(logits),
        transform_(transform),
        count_(count),
        gradient_(gradient),
        wants_totals_(wants_totals) {}

  bool prefers_companions() const override { return false; }
  GradientTotals run(const RowList& list, bool everything, math::RowFigures* figures,
                     RowUser& user) override;

 private:
  const op::LogitRows& logits_;
  const op::RowTransform& transform_;
  const int64_t count_;
  const op::LogitRows* const gradient_;
  const bool wants_totals_;
};

}  // namespace logratio::cpu
