// Divergences of rows of probabilities from a few known ones each, forward and backward.
//
// One read of p's row forward, 4 (F32) or 2 (BF16, F16) bytes per element, and one read and one
// write backward, while the row is in a cache; a few float64 per known column. The forward sums the
// exponentials of the other columns alone, so that what they hold is right however little it is: a
// tile that holds known columns is summed in a copy, in which these are -inf. All other columns are
// one outcome, so that a column's gradient is its share of the outcome's; then the known columns
// get their own.
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/passes.h"
#include "cpu/kernels/two_rows_first.h"
#include "math/topk.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

enum Pass { kForward, kBackward, kPasses };

struct Shared {
  const DivergenceTopk& call;
  TwoRowsScale scale;
  int64_t columns, segments;
};

template <class T>
class Run {
  using Element = typename T::Element;

 public:
  HWY_INLINE Run(const Shared& shared, Scratch& scratch)
      : shared_(&shared),
        others_(scratch.array<SideSum>(shared.segments)),
        log_p_(scratch.array<double>(shared.call.known)) {}

  void begin(int64_t k) {
    const DivergenceTopk& call = shared_->call;
    k_ = k;
    row_ = reinterpret_cast<const Element*>(row_address(call.p, call.rows[k].p));
    ids_ = call.ids + call.rows[k].q * call.known;
    log_q_ = call.log_q + call.rows[k].q * call.known;
  }

  bool wants(int pass) const { return pass == kForward || shared_->call.grad_p != nullptr; }

  void segment(int pass, int64_t s) {
    const FlushSubnormals flush;
    const int64_t begin = s * kSegment, end = segment_end(shared_->columns, begin);
    if (pass == kForward) {
      sum_others(begin, end, &others_[s]);
    } else {
      write_gradient(begin, end);
    }
  }

  void finish(int pass) {
    if (pass != kForward)
      return;
    find_norm();
    const DivergenceTopk& call = shared_->call;
    const double log_others = norm_.log_others(), log_left = call.log_left[call.rows[k_].q];
    sums_ = math::outcome_terms(call.options, log_others, log_left);
    for (int64_t j = 0; j < call.known; ++j) {
      const math::OutcomeSums own = math::outcome_terms(call.options, log_p_[j], log_q_[j]);
      sums_.p += own.p;
      sums_.q += own.q;
      sums_.mass_q += own.mass_q;
    }
    // kl_qp's gradient has no sum that would tell.
    const bool defined = norm_.is_defined();
    call.values[k_] = defined ? math::outcome_value(call.options, sums_) : math::kNaN;
    const double of_others =
        defined ? math::outcome_gradient(call.options, sums_, log_others, log_left) : math::kNaN;
    defined_ = defined;
    of_others_ = of_others == 0 ? 0 : of_others * call.rows[k_].upstream / norm_.sum_others;
  }

 private:
  // The first known column at or after one, in order.
  int64_t first_known(int64_t column) const {
    int64_t low = 0, high = shared_->call.known;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (ids_[middle] < column) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  void sum_others(int64_t begin, int64_t end, SideSum* sum) const {
    Element copy[kTile];
    int64_t j = first_known(begin);
    *sum = sum_tiles<T, false>(shared_->scale, begin, end, [&](int64_t column, int64_t stop) {
      if (j == shared_->call.known || ids_[j] >= stop)
        return row_ + column;
      __builtin_memcpy(copy, row_ + column, static_cast<size_t>(stop - column) * sizeof(Element));
      for (; j < shared_->call.known && ids_[j] < stop; ++j)
        copy[ids_[j] - column] = T::kMinusInfinity;
      return static_cast<const Element*>(copy);
    });
  }

  void find_norm() {
    const DivergenceTopk& call = shared_->call;
    const double temperature = call.options.temperature;
    norm_ = {-kInfinity, 0, -kInfinity, 0, temperature};
    for (int64_t s = 0; s < shared_->segments; ++s) {
      if (!(others_[s].maximum <= norm_.max_others))
        norm_.max_others = others_[s].maximum;
    }
    for (int64_t s = 0; s < shared_->segments; ++s) {
      if (others_[s].sum != 0)
        norm_.sum_others +=
            others_[s].sum * ::exp((others_[s].maximum - norm_.max_others) / temperature);
    }
    norm_.largest = norm_.max_others;
    for (int64_t j = 0; j < call.known; ++j) {
      log_p_[j] = static_cast<double>(T::to_float(row_[ids_[j]]));
      if (!(log_p_[j] <= norm_.largest))
        norm_.largest = log_p_[j];
    }
    for (int64_t j = 0; j < call.known; ++j)
      norm_.of_known += ::exp((log_p_[j] - norm_.largest) / temperature);
    const double log_sum = norm_.log_sum();
    for (int64_t j = 0; j < call.known; ++j)
      log_p_[j] = (log_p_[j] - norm_.largest) / temperature - log_sum;
  }

  void write_gradient(int64_t begin, int64_t end) const {
    const DivergenceTopk& call = shared_->call;
    auto* const target = reinterpret_cast<Element*>(row_address(*call.grad_p, call.rows[k_].p));
    const double upstream = call.rows[k_].upstream;
    if (upstream == 0) {
      __builtin_memset(target + begin, 0, static_cast<size_t>(end - begin) * sizeof(Element));
      return;
    }
    // Known columns, which may lie far above, get what they are to have afterwards.
    const FineExp exp(shared_->scale.scale);
    const V share = hn::Set(kF, math::quiet_float(of_others_));
    const V from =
        hn::Set(kF, norm_.max_others > -kInfinity ? static_cast<float>(norm_.max_others) : 0.0f);
    map_vectors<T>(row_ + begin, target + begin, end - begin, kReadAhead<T>,
                   [&](Vectors2 x) LR_INLINE_LAMBDA {
                     return Vectors2{hn::Mul(exp(hn::Sub(x.a, from)), share),
                                     hn::Mul(exp(hn::Sub(x.b, from)), share)};
                   });
    for (int64_t j = first_known(begin); j < call.known && ids_[j] < end; ++j) {
      const double own =
          defined_ ? math::outcome_gradient(call.options, sums_, log_p_[j], log_q_[j]) : math::kNaN;
      store_logit(call.grad_p->type, target, ids_[j], own == 0 ? 0 : own * upstream);
    }
  }

  const Shared* shared_;
  SideSum* others_;  // of each segment
  double* log_p_;    // of the known columns
  int64_t k_ = 0;
  const Element* row_ = nullptr;
  const int64_t* ids_ = nullptr;
  const double* log_q_ = nullptr;
  math::OutcomeNorm norm_{};
  math::OutcomeSums sums_{};
  bool defined_ = false;
  double of_others_ = 0;  // times an exponential: a column's gradient
};

}  // namespace

void divergence_topk(const DivergenceTopk& call, Scratch& scratch) {
  with_type(call.p.type, [&](auto element) {
    using T = decltype(element);
    const int64_t columns = call.p.columns;
    const RowPlan plan =
        plan_rows(call.count, columns, columns * int64_t{sizeof(typename T::Element)});
    const Shared shared{call, math::two_rows_scale(call.options), columns, plan.segments};
    run_passes<kPasses>(call.count, plan, scratch, [&] { return Run<T>(shared, scratch); });
  });
}

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
