// Divergences of rows of probabilities, forward and backward.
//
// One read of each side, 4 (F32) or 2 (BF16, F16) bytes per element, for both log-sum-exps; one
// more for the forms whose value needs normalised probabilities; one read and one write of each
// live side for the gradients. A pair of rows goes through all passes while it is in a cache, so
// that memory itself is read once and written once. p and q are not stored: between passes a column
// keeps one float32 at most, transport's count or the mixture's logarithm.
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/passes.h"
#include "cpu/kernels/two_rows_first.h"
#include "cpu/kernels/two_rows_gradient.h"
#include "cpu/kernels/two_rows_second.h"
#include "cpu/kernels/two_rows_transport.h"
#include "cpu/kernels/weights.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::SecondSums;
using math::TransportStart;
using math::TwoRowsSums;

enum Pass { kFirst, kSecond, kGradient, kPasses };

template <TwoRowsForm kForm>
constexpr bool kKeeps = kForm == TwoRowsForm::transport || kForm == TwoRowsForm::mixture;
// Forms whose loops exist for rows that lie apart, too.
template <TwoRowsForm kForm>
constexpr bool kHasFar = kForm == TwoRowsForm::cross || kForm == TwoRowsForm::relative ||
                         kForm == TwoRowsForm::signs || math::is_mixture(kForm);

// What all rows of a call share.
struct Shared {
  const Divergence& call;
  TwoRowsScale scale;
  int64_t columns, segments;
};

// Two rows on their way.
template <class T, TwoRowsForm kForm>
class Run {
  using Element = typename T::Element;

 public:
  HWY_INLINE Run(const Shared& shared, Scratch& scratch)
      : shared_(&shared),
        first_(scratch.array<TwoRowsSums>(shared.segments)),
        second_(scratch.array<SecondSums>(shared.segments)),
        starts_(scratch.array<TransportStart>(shared.segments)) {
    if (kKeeps<kForm> && wants_gradient())
      kept_ = scratch.array<float>(shared.columns + kStep);
    if (!shared.call.q_is_weights)
      return;
    log_weights_ = scratch.array<float>(shared.columns);
    if (copies_p())
      p_ = scratch.array<float>(shared.columns);
  }

  void begin(int64_t k) { begin(k, 0, shared_->call.rows[k].upstream, &shared_->call.values[k]); }

  // With one model's row of q.
  void begin(int64_t k, int64_t model, double upstream, double* value) {
    const Divergence& call = shared_->call;
    row_p_ = call.rows[k].p;
    row_q_ = model * call.q_count + call.rows[k].q;
    upstream_ = upstream;
    value_ = value;
    const char* const a = row_address(call.p, row_p_);
    const char* const b = row_address(call.q, row_q_);
    rows_ = {reinterpret_cast<const Element*>(a), reinterpret_cast<const Element*>(b)};
    if (!call.q_is_weights)
      return;
    take_logarithms(reinterpret_cast<const float*>(b), shared_->columns, call.options.temperature,
                    log_weights_);
    rows_.b = reinterpret_cast<const Element*>(log_weights_);
    if (!copies_p())
      return;
    with_type(call.p.type, [&](auto element) {
      using P = decltype(element);
      widen_row<P>(reinterpret_cast<const typename P::Element*>(a), shared_->columns, p_);
    });
    rows_.a = reinterpret_cast<const Element*>(p_);
  }

  bool wants(int pass) const {
    return pass == kFirst || (pass == kSecond && math::needs_second_pass(kForm)) ||
           (pass == kGradient && wants_gradient());
  }

  void segment(int pass, int64_t s) {
    const FlushSubnormals flush;
    const int64_t begin = s * kSegment, end = segment_end(shared_->columns, begin);
    switch (pass) {
      case kFirst:
        first_[s] = first_pass<kForm>(shared_->scale, rows_, begin, end);
        break;
      case kSecond:
        second_[s] = second(begin, end, starts_[s].distance);
        break;
      default:
        gradient(begin, end, starts_[s].signs);
    }
  }

  // The gradient in columns of a segment, of q's row, and added to that of p's.
  void add_gradient(int64_t s, int64_t begin, int64_t end, float* sum_a) const {
    TwoRowsGradient of_columns = gradient_;
    of_columns.signs = starts_[s].signs;
    of_columns.sum_a = sum_a;
    if (upstream_ == 0) {
      clear(of_columns.grad_b, begin, end);
      return;
    }
    with_far([&](auto far) {
      write_gradients<kForm, far(), true>(shared_->scale, norm_, of_columns, rows_, begin, end);
    });
  }

  void finish(int pass) {
    if (pass == kFirst)
      finish_first();
    if (pass == kSecond || (pass == kFirst && !math::needs_second_pass(kForm)))
      finish_value();
  }

 private:
  bool copies_p() const {
    return shared_->call.p.type != op::ElementType::f32 && shared_->call.q_is_weights;
  }
  bool wants_gradient() const {
    return shared_->call.grad_p != nullptr || shared_->call.grad_q != nullptr;
  }

  void finish_first() {
    const double temperature = shared_->scale.temperature;
    sums_ = math::no_sums();
    for (int64_t s = 0; s < shared_->segments; ++s)
      sums_ = math::merged(kForm, sums_, first_[s], temperature);
    norm_ = math::two_rows_norm(kForm, sums_, temperature);
    live_ = shared_->columns;
    if (kForm != TwoRowsForm::transport)
      return;
    TransportStart start{0, 0};
    for (int64_t s = 0; s < shared_->segments; ++s) {
      starts_[s] = start;
      start.distance += sums_.sum_a * (math::share_of_p(first_[s], sums_, temperature) -
                                       math::share_of_q(first_[s], sums_, temperature));
    }
    while (math::is_defined(sums_) && live_ > 1 && vanishes(live_ - 1))
      --live_;
  }

  // Neither side has a probability in the column. Transport's running sum is 0 behind the last that
  // has; the rounding left of it would count once for every column of a padded vocabulary.
  bool vanishes(int64_t column) const {
    constexpr double kUnderflow = -88;
    const double unit = shared_->scale.inverse_temperature;
    return (T::to_float(rows_.a[column]) - sums_.max_a) * unit < kUnderflow &&
           (T::to_float(rows_.b[column]) - sums_.max_b) * unit < kUnderflow;
  }

  static int64_t whole_steps(int64_t columns) { return (columns + kStep - 1) / kStep * kStep; }

  SecondSums second(int64_t begin, int64_t row_end, double distance) {
    SecondSums sums{};
    const int64_t end = row_end < live_ ? row_end : live_;
    if constexpr (kForm == TwoRowsForm::transport) {
      if (begin < end)
        transport_rows(shared_->scale, norm_, distance, rows_, begin, end, kept_, &sums);
      // Behind the last probability any count will do, but always the same one. Whole steps of it:
      // in the order of loads, the row's last columns may lie behind its end.
      const int64_t last = begin > end ? begin : end;
      const int64_t stop = whole_steps(row_end);
      for (int64_t k = whole_steps(last); kept_ != nullptr && k < stop; ++k)
        kept_[k] = 0;
    } else {
      with_far([&](auto far) {
        if constexpr (kForm == TwoRowsForm::mixture) {
          mix_rows<far()>(shared_->scale, norm_, rows_, begin, end, kept_, &sums);
        } else if constexpr (kForm == TwoRowsForm::weighted_mixture) {
          mix_weighted_rows<far()>(shared_->scale, norm_, rows_, begin, end, &sums);
        } else if constexpr (math::needs_second_pass(kForm)) {
          compare_rows<kForm, far()>(shared_->scale, norm_, rows_, begin, end, &sums);
        }
      });
    }
    return sums;
  }

  // Writes the value, and readies the gradient.
  void finish_value() {
    const Divergence& call = shared_->call;
    SecondSums sums{};
    for (int64_t s = 0; math::needs_second_pass(kForm) && s < shared_->segments; ++s) {
      starts_[s].signs = sums.signs;
      math::append(&sums, second_[s]);
    }
    math::TwoRowsResult result = math::two_rows_result(call.options, sums_, sums);
    if (kForm == TwoRowsForm::transport) {
      const double middle = math::count_from_mean(&result);
      for (int64_t s = 0; s < shared_->segments; ++s)
        starts_[s].signs -= middle;
    }
    const auto side = [&](const math::SideGradient& gradient, double own_sum, double other_sum) {
      return math::side_coefficients(kForm, norm_.far, gradient, upstream_, own_sum, other_sum);
    };
    gradient_ = {side(result.a, sums_.sum_a, sums_.sum_b),
                 side(result.b, sums_.sum_b, sums_.sum_a),
                 target(call.grad_p, row_p_),
                 target(call.grad_q, row_q_),
                 nullptr,
                 0,
                 kept_};
    *value_ = result.value;
  }

  static char* target(const op::LogitRows* gradient, int64_t row) {
    return gradient == nullptr ? nullptr : row_address(*gradient, row);
  }

  void gradient(int64_t begin, int64_t end, double signs) const {
    TwoRowsGradient of_segment = gradient_;
    of_segment.signs = signs;
    if (copies_p())
      of_segment.grad_a = p_;  // in place
    if (upstream_ == 0) {
      clear(of_segment.grad_a, begin, end);
      clear(of_segment.grad_b, begin, end);
    } else {
      with_far([&](auto far) {
        write_gradients<kForm, far(), false>(shared_->scale, norm_, of_segment, rows_, begin, end);
      });
    }
    if (!copies_p())
      return;
    with_type(shared_->call.p.type, [&](auto element) {
      using P = decltype(element);
      narrow_row<P>(p_ + begin, end - begin,
                    static_cast<typename P::Element*>(gradient_.grad_a) + begin);
    });
  }

  static void clear(void* target, int64_t begin, int64_t end) {
    if (target != nullptr)
      __builtin_memset(static_cast<Element*>(target) + begin, 0,
                       static_cast<size_t>(end - begin) * sizeof(Element));
  }

  template <class Body>
  HWY_INLINE void with_far(Body&& body) const {
    if (kHasFar<kForm> && norm_.far) {
      body(Constant<kHasFar<kForm>>());
    } else {
      body(Constant<false>());
    }
  }

  const Shared* shared_;
  TwoRowsSums* first_;
  SecondSums* second_;
  TransportStart* starts_;
  float* log_weights_ = nullptr;
  float* p_ = nullptr;     // beside weights, if p is of another type
  float* kept_ = nullptr;  // by the second pass for the gradient
  int64_t row_p_ = 0, row_q_ = 0;
  double upstream_ = 0;
  double* value_ = nullptr;
  TwoRows<T> rows_{};
  TwoRowsSums sums_{};
  TwoRowsNorm norm_{};
  int64_t live_ = 0;  // columns up to the last that has a probability
  TwoRowsGradient gradient_{};
};

// A row of p and those of several models that meet it. All go through a segment of p's row while it
// is in the cache, and p's gradient is summed in float32 before it is written.
template <class T, TwoRowsForm kForm>
class RunOfModels {
  using Element = typename T::Element;

 public:
  HWY_INLINE RunOfModels(const Shared& shared, Scratch& scratch)
      : shared_(&shared),
        runs_(scratch.array<Run<T, kForm>>(shared.call.models)),
        values_(scratch.array<double>(shared.call.models)) {
    for (int64_t m = 0; m < shared.call.models; ++m)
      runs_[m] = Run<T, kForm>(shared, scratch);
  }

  void begin(int64_t k) {
    k_ = k;
    const Divergence& call = shared_->call;
    for (int64_t m = 0; m < call.models; ++m) {
      const double weight = call.model_weights[m];
      runs_[m].begin(k, m, weight == 0 ? 0 : weight * call.rows[k].upstream, &values_[m]);
    }
  }

  bool wants(int pass) const { return runs_[0].wants(pass); }

  void segment(int pass, int64_t s) {
    if (pass == kGradient)
      return gradient(s);
    for (int64_t m = 0; m < shared_->call.models; ++m)
      runs_[m].segment(pass, s);
  }

  void finish(int pass) {
    const Divergence& call = shared_->call;
    double sum = 0;
    for (int64_t m = 0; m < call.models; ++m) {
      runs_[m].finish(pass);
      if (call.model_weights[m] != 0)
        sum += call.model_weights[m] * values_[m];
    }
    if (pass == (math::needs_second_pass(kForm) ? kSecond : kFirst))
      call.values[k_] = sum;
  }

 private:
  void gradient(int64_t s) const {
    const FlushSubnormals flush;
    const Divergence& call = shared_->call;
    auto* const target =
        call.grad_p == nullptr
            ? nullptr
            : reinterpret_cast<Element*>(row_address(*call.grad_p, call.rows[k_].p));
    const int64_t first = s * kSegment;
    for_tiles(first, segment_end(shared_->columns, first), [&](int64_t begin, int64_t end) {
      alignas(64) float sums[kTile] = {};
      for (int64_t m = 0; m < call.models; ++m)
        runs_[m].add_gradient(s, begin, end, sums);
      for (int64_t i = begin; target != nullptr && i < end; i += kStep)
        store_columns<T>(Float32::load(sums + (i - begin)), target + i,
                         end - i < kStep ? end - i : kStep);
    });
  }

  const Shared* shared_;
  Run<T, kForm>* runs_;
  double* values_;
  int64_t k_ = 0;
};

template <class T>
void run_rows(const Shared& shared, const RowPlan& plan, Scratch& scratch) {
  const auto run = [&](auto form) {
    if (shared.call.models > 0) {
      return run_passes<kPasses>(shared.call.count, plan, scratch,
                                 [&] { return RunOfModels<T, form()>(shared, scratch); });
    }
    run_passes<kPasses>(shared.call.count, plan, scratch,
                        [&] { return Run<T, form()>(shared, scratch); });
  };
  switch (math::form_of(shared.call.options)) {
    case TwoRowsForm::cross:
      return run(Constant<TwoRowsForm::cross>());
    case TwoRowsForm::relative:
      return run(Constant<TwoRowsForm::relative>());
    case TwoRowsForm::cosine:
      return run(Constant<TwoRowsForm::cosine>());
    case TwoRowsForm::squares:
      return run(Constant<TwoRowsForm::squares>());
    case TwoRowsForm::signs:
      return run(Constant<TwoRowsForm::signs>());
    case TwoRowsForm::transport:
      return run(Constant<TwoRowsForm::transport>());
    case TwoRowsForm::mixture:
      return run(Constant<TwoRowsForm::mixture>());
    case TwoRowsForm::weighted_mixture:
      return run(Constant<TwoRowsForm::weighted_mixture>());
  }
}

}  // namespace

void divergence(const Divergence& call, Scratch& scratch) {
  const int64_t columns = call.p.columns;
  with_type(call.q_is_weights ? op::ElementType::f32 : call.p.type, [&](auto element) {
    using T = decltype(element);
    const RowPlan plan =
        plan_rows(call.count, columns, 2 * columns * int64_t{sizeof(typename T::Element)});
    const Shared shared{call, math::two_rows_scale(call.options), columns, plan.segments};
    run_rows<T>(shared, plan, scratch);
  });
}

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
