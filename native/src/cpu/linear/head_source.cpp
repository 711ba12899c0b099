// The forward runs ahead of the backward: by as many blocks as there are threads or room for their
// logits, and as far as it takes for the rows of a block to have their upstream.
#include "cpu/linear/head_source.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cpu/linear/online.h"
#include "cpu/linear/plan.h"
#include "cpu/linear/sweep.h"
#include "cpu/row_tasks.h"

namespace logratio::cpu {
namespace {

using math::RowUpstream;

class Run {
 public:
  Run(const op::TrainedHead& head, const op::RowTransform& transform, const RowList& list,
      bool everything, bool has_only_logps, bool wants_totals)
      : head_(head),
        tiles_(head, head.vocab, list),
        plan_(plan_head(
            head, tiles_,
            has_only_logps && head.wants_hidden && !head.wants_weight && !head.grad_bias)),
        workers_(tiles_),
        kept_(plan_.kept_tiles, tiles_),
        sweep_(tiles_, workers_, transform, everything, kept_),
        online_(tiles_, workers_, transform, everything, wants_totals),
        weight_gradient_(head, tiles_),
        totals_(static_cast<size_t>(wants_totals ? list.size() : 0)) {}

  GradientTotals operator()(math::RowFigures* figures, RowUser& user) {
    const bool has_gradient = head_.wants_gradient();
    int64_t forward = 0, backward = 0;  // blocks that are done
    while (backward < tiles_.blocks()) {
      const int64_t ahead = std::max({needed(backward), backward + plan_.ahead, forward});
      const int64_t target = std::min(tiles_.blocks(), ahead);
      if (plan_.method == LR_LINEAR_ONLINE) {
        online_.forward(forward, target, figures);
      } else {
        sweep_.forward(forward, target, figures);
      }
      user.take(tiles_.first(forward), std::min(tiles_.first(target), tiles_.list().size()));
      forward = target;
      int64_t complete = has_gradient ? backward : forward;
      while (complete < forward && needed(complete) <= forward)
        ++complete;
      if (has_gradient)
        hand_back(backward, complete, user);
      backward = complete;
    }
    if (weight_gradient_.is_wanted())
      weight_gradient_.finish();
    tell_plan();
    GradientTotals sum{0, 0};
    for (const GradientTotals& row : totals_)
      sum.add(row);
    return sum;
  }

 private:
  // The blocks that have to be taken before the block's rows have their upstream.
  int64_t needed(int64_t block) const {
    const int64_t last = tiles_.first(block) + tiles_.rows(block) - 1;
    return (tiles_.list().complete[last] + tiles_.block_rows() - 1) / tiles_.block_rows();
  }

  void hand_back(int64_t first, int64_t last, RowUser& user) {
    std::vector<RowUpstream> upstream(static_cast<size_t>((last - first) * tiles_.block_rows()),
                                      {-1, {}, 0, 0, 0});
    if (first == last)
      return;
    user.hand_back(tiles_.first(first), tiles_.first(last - 1) + tiles_.rows(last - 1),
                   upstream.data());
    GradientTotals* const totals = totals_.empty() ? nullptr : totals_.data();
    if (plan_.method == LR_LINEAR_ONLINE)
      return online_.backward(first, last, upstream.data(), head_, totals);
    for (int64_t block = first; block < last; ++block) {
      const double share =
          static_cast<double>(kept_.count(block)) / static_cast<double>(tiles_.windows());
      kept_rows_ += share * static_cast<double>(tiles_.rows(block));
    }
    hidden_sums_ = std::max(hidden_sums_, sweep_.backward(first, last, upstream.data(), head_,
                                                          weight_gradient_, totals));
  }

  void tell_plan() const {
    if (head_.plan == nullptr)
      return;
    lr_linear_plan& plan = *head_.plan;
    const auto rows = static_cast<double>(tiles_.list().size());
    const int64_t products = (head_.wants_hidden ? 1 : 0) + (head_.wants_weight ? 1 : 0);
    plan = {};
    plan.method = plan_.method;
    plan.rows = tiles_.list().size();
    const bool sweeps = plan_.method == LR_LINEAR_SWEEP;
    plan.kept_rows = sweeps ? static_cast<int64_t>(kept_rows_) : 0;
    plan.recomputed_rows = sweeps ? plan.rows - plan.kept_rows : 0;
    plan.block_rows = tiles_.block_rows();
    plan.block_columns = kWindow;
    plan.operations = 2.0 * static_cast<double>(1 + products);
    if (sweeps && rows > 0)
      plan.operations += 2 * (rows - kept_rows_) / rows;
    plan.kept_bytes = static_cast<uint64_t>(kept_.most_bytes());
    plan.accumulator_bytes = static_cast<uint64_t>(weight_gradient_.accumulator_bytes() +
                                                   hidden_sums_ + online_.most_bytes());
    plan.scratch_bytes = static_cast<uint64_t>(thread_count() * tiles_.space_bytes());
    std::snprintf(plan.gemm, sizeof plan.gemm, "%s", tiles_.products().name().c_str());
  }

  const op::TrainedHead& head_;
  const Tiles tiles_;
  const HeadPlan plan_;
  const Workers workers_;
  KeptTiles kept_;
  const Sweep sweep_;
  Online online_;
  WeightGradient weight_gradient_;
  std::vector<GradientTotals> totals_;
  double kept_rows_ = 0;
  int64_t hidden_sums_ = 0;  // bytes, at most
};

}  // namespace

GradientTotals HeadSource::run(const RowList& list, bool everything, math::RowFigures* figures,
                               RowUser& user) {
  if (head_.wants_hidden) {
    const auto bytes =
        static_cast<size_t>(head_.hidden.columns * op::bytes_of(head_.grad_hidden.type));
    for (int64_t row = 0; row < count_; ++row)
      std::memset(row_address(head_.grad_hidden, row), 0, bytes);
  }
  return Run(head_, transform_, list, everything, has_only_logps_, wants_totals_)(figures, user);
}

}  // namespace logratio::cpu
