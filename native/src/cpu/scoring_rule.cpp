#include "cpu/scoring_rule.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/logit_rows.h"
#include "cpu/thread_pool.h"

namespace logratio::cpu {
namespace {

using math::MaskedSums;
using math::RuleSums;

struct Call {
  const LogitRows& logits;
  const LogitRows* gradient;
  const math::RuleOptions& options;
  const RuleKernels& kernels;
  RuleSpec spec;
  int64_t segments;  // of the columns that take part
};

// One row on its way: each pass goes over its segments, in any order, and is then finished once.
class RowRun {
 public:
  explicit RowRun(const Call& call)
      : call_(call), sums_(static_cast<size_t>(call.segments)), masked_(sums_.size()) {}

  void begin(int64_t r, int64_t label, double upstream) {
    label_ = label;
    upstream_ = upstream;
    row_ = row_address(call_.logits, r);
    target_ = call_.gradient == nullptr ? nullptr : row_address(*call_.gradient, r);
  }
  bool ignored() const { return label_ < 0; }

  void sum(int64_t s) {
    call_.kernels.sums(call_.spec, row_, begin_of(s), end_of(s), &sums_[static_cast<size_t>(s)]);
  }

  void finish_sums() {
    all_ = math::no_rule_sums();
    for (const RuleSums& part : sums_)
      all_ = math::merged(all_, part, call_.options.alpha);
    gradient_ = math::begin_rule_gradient(call_.options, all_);
    if (!ignored())
      row_sums_ = sums_of_row();
  }

  void mask(int64_t s) {
    call_.kernels.masked(call_.logits.type, gradient_.maximum, gradient_.threshold, row_,
                         begin_of(s), end_of(s), &masked_[static_cast<size_t>(s)]);
  }

  // Returns the value, and readies the gradient.
  double finish() {
    MaskedSums masked{0, 0};
    if (math::has_mask(call_.options)) {
      for (const MaskedSums& part : masked_)
        masked = {masked.d + part.d, masked.count + part.count};
    }
    const math::RuleResult result = math::rule_result(call_.options, row_sums_, masked);
    math::finish_rule_gradient(call_.options, result, upstream_, &gradient_);
    label_gradient_ = upstream_ * result.label;
    return result.value;
  }

  // Segment s of the gradient. The columns that take no part belong to the last one.
  void differentiate(int64_t s) const {
    const int64_t bytes = bytes_of(call_.logits.type);
    const bool zero = ignored() || upstream_ == 0;
    const int64_t begin = begin_of(s),
                  end = s + 1 == call_.segments ? call_.logits.columns : end_of(s);
    const int64_t live = zero ? begin : end_of(s);
    if (!zero)
      call_.kernels.gradient(call_.spec, gradient_, row_, target_, begin, live);
    std::memset(target_ + live * bytes, 0, static_cast<size_t>((end - live) * bytes));
  }
  void store_label() const {
    if (!ignored() && upstream_ != 0)
      store(call_.logits.type, target_, label_, label_gradient_);
  }

 private:
  // Reads the label's logit, which an in-place run overwrites.
  math::RowRuleSums sums_of_row() const {
    const ElementType type = call_.logits.type;
    const double alpha = call_.options.alpha;
    math::RowRuleSums sums =
        math::without_label(all_, load(type, row_, label_) - all_.maximum, alpha);
    if (!math::is_small(sums))
      return sums;
    std::vector<char> others(row_, row_ + call_.options.vocabulary * bytes_of(type));
    store(type, others.data(), label_, -std::numeric_limits<double>::infinity());
    RuleSums all = math::no_rule_sums();
    for (int64_t s = 0; s < call_.segments; ++s) {
      RuleSums part;
      call_.kernels.sums(call_.spec, others.data(), begin_of(s), end_of(s), &part);
      all = math::merged(all, part, alpha);
    }
    all = math::rebased(all, all_.maximum, alpha);
    sums.others_e = all.e;
    sums.others_alpha = all.e_alpha;
    sums.others_less = all.e_less;
    return sums;
  }

  int64_t begin_of(int64_t s) const { return s * kSegment; }
  int64_t end_of(int64_t s) const { return std::min((s + 1) * kSegment, call_.options.vocabulary); }
  const Call& call_;
  int64_t label_ = -1;
  double upstream_ = 0;
  const char* row_ = nullptr;
  char* target_ = nullptr;
  std::vector<RuleSums> sums_;
  std::vector<MaskedSums> masked_;
  RuleSums all_{};
  math::RowRuleSums row_sums_{};
  RuleGradient gradient_{};
  double label_gradient_ = 0;
};

// Whole rows, each through all of its passes while it is in the cache. Every task has a run of its
// own.
void by_row(const Call& call, const std::vector<int64_t>& labels, const double* upstream,
            double* values) {
  const auto count = static_cast<int64_t>(labels.size());
  const int64_t run_rows = rows_per_task(count, call.logits.columns * bytes_of(call.logits.type));
  const int64_t tasks = (count + run_rows - 1) / run_rows;
  const int64_t workers = std::min<int64_t>(thread_count(), tasks);
  std::vector<RowRun> runs(static_cast<size_t>(workers), RowRun(call));
  std::atomic<int64_t> next{0};
  parallel_for(workers, [&](int64_t worker) {
    RowRun& run = runs[static_cast<size_t>(worker)];
    for (int64_t at; (at = next.fetch_add(run_rows)) < count;) {
      for (int64_t r = at; r < std::min(at + run_rows, count); ++r) {
        run.begin(r, labels[static_cast<size_t>(r)], upstream == nullptr ? 0 : upstream[r]);
        if (!run.ignored()) {
          for (int64_t s = 0; s < call.segments; ++s)
            run.sum(s);
          run.finish_sums();
          for (int64_t s = 0; math::has_mask(call.options) && s < call.segments; ++s)
            run.mask(s);
          values[r] = run.finish();
        }
        if (call.gradient == nullptr)
          continue;
        for (int64_t s = 0; s < call.segments; ++s)
          run.differentiate(s);
        run.store_label();
      }
    }
  });
}

// Few rows of several segments: all rows go through a pass together, a segment a task.
void by_segment(const Call& call, const std::vector<int64_t>& labels, const double* upstream,
                double* values) {
  std::vector<RowRun> runs(labels.size(), RowRun(call));
  const auto each_segment = [&](auto&& pass) {
    parallel_for(static_cast<int64_t>(runs.size()) * call.segments, [&](int64_t i) {
      pass(runs[static_cast<size_t>(i / call.segments)], i % call.segments);
    });
  };
  for (size_t r = 0; r < runs.size(); ++r)
    runs[r].begin(static_cast<int64_t>(r), labels[r], upstream == nullptr ? 0 : upstream[r]);
  each_segment([](RowRun& run, int64_t s) {
    if (!run.ignored())
      run.sum(s);
  });
  for (RowRun& run : runs)
    run.finish_sums();
  if (math::has_mask(call.options))
    each_segment([](RowRun& run, int64_t s) {
      if (!run.ignored())
        run.mask(s);
    });
  for (size_t r = 0; r < runs.size(); ++r)
    values[r] = runs[r].ignored() ? 0 : runs[r].finish();
  if (call.gradient == nullptr)
    return;
  each_segment([](RowRun& run, int64_t s) { run.differentiate(s); });
  for (const RowRun& run : runs)
    run.store_label();
}

std::vector<double> rule_values(const LogitRows& logits, const math::RuleOptions& options,
                                const std::vector<int64_t>& labels, const double* upstream,
                                const LogitRows* gradient) {
  const math::RuleForm form = math::form_of(options);
  const Call call{logits,
                  gradient,
                  options,
                  *row_kernels()->rule,
                  {logits.type, form, form == math::RuleForm::plain && options.epsilon > 0,
                   options.alpha, exp2_scale(1 / (options.alpha - 1))},
                  (options.vocabulary + kSegment - 1) / kSegment};
  std::vector<double> values(labels.size());
  if (call.segments > 1 && static_cast<int64_t>(labels.size()) < 2 * thread_count()) {
    by_segment(call, labels, upstream, values.data());
  } else {
    by_row(call, labels, upstream, values.data());
  }
  return values;
}

}  // namespace

void scoring_rule(const op::ScoringRule& call) {
  const std::vector<int64_t> labels = read_labels(call.labels);
  int64_t counted = 0;
  for (const int64_t label : labels)
    counted += label >= 0;
  std::vector<double> upstream(labels.size(),
                               counted == 0 ? 0.0 : 1.0 / static_cast<double>(counted));
  if (call.grad_loss)
    read(call.grad_loss, 0, call.rows(), upstream.data());
  const std::vector<double> results = rule_values(call.logits, call.options, labels,
                                                  call.wants_gradient ? upstream.data() : nullptr,
                                                  call.wants_gradient ? &call.gradient : nullptr);
  if (call.values)
    write(call.values, 0, call.rows(), results.data());
  if (call.loss) {
    double sum = 0;
    for (const double value : results)
      sum += value;
    const double mean = counted == 0 ? 0 : sum / static_cast<double>(counted);
    write(call.loss, 0, 1, &mean);
  }
}

}  // namespace logratio::cpu
