// Strictly proper scoring rules of vocabulary rows, forward and backward.
//
// Forward: one read of the row, 4 (F32) or 2 (BF16, F16) bytes per element, for log-sum-exp and the
// sums of powers; the masked log term needs the log-sum-exp first, and reads once more. Gradient:
// one read and one write. A row goes through all of it while it is in a cache. Sums are float32
// over a tile and float64 beyond. Exponentials are computed again for the gradient: two of them
// cost less than writing and reading two float32 per column.
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/passes.h"
#include "cpu/kernels/rule_loops.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

enum Pass { kSums, kMasked, kGradient, kPasses };

struct Shared {
  const ScoringRule& call;
  RuleScale scale;
  int64_t segments;  // of the columns that take part
};

// One row on its way.
template <class T, Loop kLoop>
class Run {
  using Element = typename T::Element;

 public:
  HWY_INLINE Run(const Shared& shared, Scratch& scratch)
      : shared_(&shared),
        sums_(scratch.array<RuleSums>(shared.segments)),
        masked_(scratch.array<MaskedSums>(shared.segments)),
        others_(scratch.array<Element>(segment_end(options().vocabulary, 0))) {}

  void begin(int64_t k) {
    const ScoringRule& call = shared_->call;
    k_ = k;
    label_ = call.labels[k];
    row_ = reinterpret_cast<const Element*>(row_address(call.logits, k));
    if (call.gradient != nullptr)
      target_ = reinterpret_cast<Element*>(row_address(*call.gradient, k));
    if (ignored())
      call.values[k] = 0;
  }

  bool wants(int pass) const {
    return pass == kGradient ? shared_->call.gradient != nullptr
                             : !ignored() && (pass == kSums || math::has_mask(options()));
  }

  void segment(int pass, int64_t s) {
    const FlushSubnormals flush;
    const int64_t begin = s * kSegment, end = segment_end(options().vocabulary, begin);
    switch (pass) {
      case kSums:
        sums_[s] = sum_columns<T, kLoop>(shared_->scale, row_, begin, end);
        break;
      case kMasked:
        masked_[s] = sum_masked<T>(gradient_, row_, begin, end);
        break;
      default:
        // The columns that take no part belong to the last segment.
        gradient(begin, end, s + 1 == shared_->segments ? shared_->call.logits.columns : end);
    }
  }

  void finish(int pass) {
    if (pass == kSums)
      finish_sums();
    if (pass == kMasked || (pass == kSums && !math::has_mask(options())))
      finish_value();
    if (pass == kGradient && !is_zero())
      store_logit(shared_->call.gradient->type, target_, label_, label_gradient_);
  }

 private:
  const math::RuleOptions& options() const { return shared_->call.options; }
  bool ignored() const { return label_ < 0; }
  bool is_zero() const { return ignored() || shared_->call.upstream[k_] == 0; }

  void finish_sums() {
    const RuleSums all = merged();
    gradient_ = math::begin_rule_gradient(options(), all);
    // The label's logit is read here: an in-place run overwrites it.
    row_sums_ = math::without_label(all, T::to_float(row_[label_]) - all.maximum, options().alpha);
    if (math::is_small(row_sums_))
      sum_others();
  }

  RuleSums merged() const {
    RuleSums all = math::no_rule_sums();
    for (int64_t s = 0; s < shared_->segments; ++s)
      all = math::merged(all, sums_[s], options().alpha);
    return all;
  }

  // The sums without the label, which is certain.
  void sum_others() {
    const int64_t s = label_ / kSegment, begin = s * kSegment,
                  columns = segment_end(options().vocabulary, begin) - begin;
    __builtin_memcpy(others_, row_ + begin, static_cast<size_t>(columns) * sizeof(Element));
    others_[label_ - begin] = T::kMinusInfinity;
    {
      const FlushSubnormals flush;
      sums_[s] = sum_columns<T, kLoop>(shared_->scale, others_, 0, columns);
    }
    const RuleSums others = math::rebased(merged(), row_sums_.all.maximum, options().alpha);
    row_sums_.others_e = others.e;
    row_sums_.others_alpha = others.e_alpha;
    row_sums_.others_less = others.e_less;
  }

  // Writes the value, and readies the gradient.
  void finish_value() {
    MaskedSums masked{0, 0};
    for (int64_t s = 0; math::has_mask(options()) && s < shared_->segments; ++s)
      masked = {masked.d + masked_[s].d, masked.count + masked_[s].count};
    const math::RuleResult result = math::rule_result(options(), row_sums_, masked);
    const double upstream = shared_->call.upstream[k_];
    math::finish_rule_gradient(options(), result, upstream, &gradient_);
    label_gradient_ = upstream * result.label;
    shared_->call.values[k_] = result.value;
  }

  void gradient(int64_t begin, int64_t end, int64_t row_end) const {
    const int64_t live = is_zero() ? begin : end;
    if (live > begin) {
      const Element* const x = row_ + begin;
      if (gradient_.constant != 0 || gradient_.masked != 0) {
        write_gradient<T, kLoop, true>(shared_->scale, gradient_, x, target_ + begin, live - begin);
      } else {
        write_gradient<T, kLoop, false>(shared_->scale, gradient_, x, target_ + begin,
                                        live - begin);
      }
    }
    __builtin_memset(target_ + live, 0, static_cast<size_t>(row_end - live) * sizeof(Element));
  }

  const Shared* shared_;
  RuleSums* sums_;
  MaskedSums* masked_;
  Element* others_;  // a copy of the label's segment without the label
  int64_t k_ = 0;
  int64_t label_ = -1;
  const Element* row_ = nullptr;
  Element* target_ = nullptr;
  math::RowRuleSums row_sums_{};
  RuleGradient gradient_{};
  double label_gradient_ = 0;
};

}  // namespace

void scoring_rule(const ScoringRule& call, Scratch& scratch) {
  const math::RuleOptions& options = call.options;
  const RuleForm form = math::form_of(options);
  const double alpha = form == RuleForm::plain ? 1 : options.alpha;
  const Shared shared{call,
                      {options.alpha, exp2_scale(1 / (options.alpha - 1)), exp2_scale(1 / alpha)},
                      (options.vocabulary + kSegment - 1) / kSegment};
  with_type(call.logits.type, [&](auto element) {
    using T = decltype(element);
    RowPlan plan = plan_rows(call.count, call.logits.columns,
                             call.logits.columns * int64_t{sizeof(typename T::Element)});
    plan.segments = shared.segments;
    const auto run = [&](auto loop) {
      run_passes<kPasses>(call.count, plan, scratch,
                          [&] { return Run<T, loop()>(shared, scratch); });
    };
    switch (form) {
      case RuleForm::plain:
        return options.epsilon > 0 ? run(Constant<Loop::log>()) : run(Constant<Loop::plain>());
      case RuleForm::square:
        return run(Constant<Loop::square>());
      case RuleForm::power:
        return options.alpha == 1.5 ? run(Constant<Loop::root>()) : run(Constant<Loop::power>());
    }
  });
}

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
