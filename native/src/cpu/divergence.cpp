#include "cpu/divergence.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/logit_rows.h"
#include "cpu/thread_pool.h"

namespace logratio::cpu {
namespace {

using math::PairSums;
using math::SecondSums;
using math::TransportStart;

struct RowPair {
  int64_t p, q;
  double upstream;  // of the value; 0: the pair's gradients are 0
};

struct DivergenceSides {
  LogitRows p;
  LogitRows q;
  int64_t p_count, q_count;
  bool q_is_weights;  // float32, >= 0, not all 0 in a row; else logits of p's type
};

struct DivergenceGradients {
  const LogitRows* p;  // NULL: not wanted. They may be the logits themselves
  const LogitRows* q;
};

void clear_segment(const LogitRows& rows, int64_t r, int64_t begin, int64_t end) {
  const int64_t bytes = bytes_of(rows.type);
  std::memset(row_address(rows, r) + begin * bytes, 0, static_cast<size_t>((end - begin) * bytes));
}

float largest_weight(const float* weights, int64_t columns) {
  int32_t bits = 0;  // floats >= 0 are ordered as their bits are
  for (int64_t k = 0; k < columns; ++k)
    bits = std::max(bits, std::bit_cast<int32_t>(weights[k]) & 0x7fffffff);
  return std::bit_cast<float>(bits);
}

// What all pairs of a call share.
struct Call {
  const DivergenceSides& sides;
  const math::DivergenceOptions& options;
  const DivergenceGradients& gradients;
  const DivergenceKernels& kernels;
  PairSpec spec;
  int64_t segments;

  bool wants_gradient() const { return gradients.p != nullptr || gradients.q != nullptr; }
  bool keeps() const {
    return wants_gradient() &&
           (spec.form == math::PairForm::transport || spec.form == math::PairForm::mixture);
  }
};

// One pair on its way: each pass goes over its segments, in any order, and is then finished once.
class PairRun {
 public:
  explicit PairRun(const Call& call)
      : call_(call),
        first_(static_cast<size_t>(call.segments)),
        second_(first_.size()),
        starts_(first_.size()),
        log_weights_(static_cast<size_t>(call.sides.q_is_weights ? call.sides.q.columns : 0)),
        kept_(static_cast<size_t>(call.keeps() ? call.sides.p.columns + kKeptPadding : 0)) {}

  void begin(const RowPair& pair) {
    pair_ = pair;
    a_ = row_address(call_.sides.p, pair.p);
    b_ = row_address(call_.sides.q, pair.q);
    if (!call_.sides.q_is_weights)
      return;
    const auto* weights = reinterpret_cast<const float*>(b_);
    const int64_t columns = call_.sides.q.columns;
    call_.kernels.log_weights(weights, largest_weight(weights, columns),
                              static_cast<float>(call_.options.temperature), log_weights_.data(),
                              columns);
    b_ = reinterpret_cast<const char*>(log_weights_.data());
  }

  void first(int64_t s) {
    call_.kernels.first(call_.spec, a_, b_, begin_of(s), end_of(s),
                        &first_[static_cast<size_t>(s)]);
  }

  void finish_first() {
    const double temperature = call_.options.temperature;
    sums_ = math::no_sums();
    for (const PairSums& part : first_)
      sums_ = math::merged(call_.spec.form, sums_, part, temperature);
    norm_ = math::pair_norm(call_.spec.form, sums_, temperature);
    live_ = call_.sides.p.columns;
    if (!math::is_defined(sums_))
      return;
    if (call_.spec.form != math::PairForm::transport)
      return;
    while (live_ > 1 && vanishes(live_ - 1))
      --live_;
    TransportStart start{0, 0};
    for (size_t s = 0; s < first_.size(); ++s) {
      starts_[s] = start;
      start.distance += sums_.sum_a * (math::share_of_p(first_[s], sums_, temperature) -
                                       math::share_of_q(first_[s], sums_, temperature));
    }
  }

  void second(int64_t s) {
    const auto at = static_cast<size_t>(s);
    second_[at] = {};
    const int64_t begin = begin_of(s), end = std::min(end_of(s), live_);
    float* const kept = kept_.empty() ? nullptr : kept_.data();
    if (kept != nullptr) {
      // Behind the last probability any count will do, but always the same one. The kernel writes
      // whole vectors, whose order is its own.
      const auto whole = [](int64_t columns) { return columns / kKeptPadding * kKeptPadding; };
      std::fill(kept + whole(std::max(begin, end)), kept + whole(end_of(s) + kKeptPadding - 1),
                0.0f);
    }
    if (begin < end)
      call_.kernels.second(call_.spec, norm_, starts_[at].distance, a_, b_, begin, end, kept,
                           &second_[at]);
  }

  // Returns the value, and readies the gradient.
  double finish_second() {
    SecondSums sums{};
    if (math::needs_second_pass(call_.spec.form)) {
      for (size_t s = 0; s < second_.size(); ++s) {
        starts_[s].signs = sums.signs;
        math::append(&sums, second_[s]);
      }
    }
    math::PairResult result = math::pair_result(call_.options, sums_, sums);
    if (call_.spec.form == math::PairForm::transport) {
      const double middle = math::count_from_mean(&result);
      for (TransportStart& start : starts_)
        start.signs -= middle;
    }
    gradients_.a = math::side_coefficients(call_.spec.form, norm_.far, result.a, pair_.upstream,
                                           sums_.sum_a, sums_.sum_b);
    gradients_.b = math::side_coefficients(call_.spec.form, norm_.far, result.b, pair_.upstream,
                                           sums_.sum_b, sums_.sum_a);
    gradients_.grad_a =
        call_.gradients.p == nullptr ? nullptr : row_address(*call_.gradients.p, pair_.p);
    gradients_.grad_b =
        call_.gradients.q == nullptr ? nullptr : row_address(*call_.gradients.q, pair_.q);
    return result.value;
  }

  void gradient(int64_t s) const {
    const int64_t begin = begin_of(s), end = end_of(s);
    if (pair_.upstream != 0) {
      call_.kernels.gradient(call_.spec, norm_, starts_[static_cast<size_t>(s)].signs, gradients_,
                             a_, b_, kept_.data(), begin, end);
      return;
    }
    if (call_.gradients.p != nullptr)
      clear_segment(*call_.gradients.p, pair_.p, begin, end);
    if (call_.gradients.q != nullptr)
      clear_segment(*call_.gradients.q, pair_.q, begin, end);
  }

 private:
  int64_t begin_of(int64_t s) const { return s * kSegment; }
  int64_t end_of(int64_t s) const { return std::min((s + 1) * kSegment, call_.sides.p.columns); }

  // Neither side has a probability in the column. Transport's running sum is 0 behind the last that
  // has; the rounding left of it would count once for every column of a padded vocabulary.
  bool vanishes(int64_t column) const {
    constexpr double kUnderflow = -88;
    const ElementType type_b = call_.spec.b_is_f32 ? ElementType::f32 : call_.spec.type;
    return (load(call_.spec.type, a_, column) - sums_.max_a) * call_.spec.inverse_temperature <
               kUnderflow &&
           (load(type_b, b_, column) - sums_.max_b) * call_.spec.inverse_temperature < kUnderflow;
  }

  const Call& call_;
  RowPair pair_{};
  const char* a_ = nullptr;
  const char* b_ = nullptr;
  std::vector<PairSums> first_;
  std::vector<SecondSums> second_;
  std::vector<TransportStart> starts_;
  std::vector<float> log_weights_;
  std::vector<float> kept_;  // by the second pass for the gradient
  PairSums sums_{};
  PairNorm norm_{};
  int64_t live_ = 0;  // columns up to the last that has a probability
  PairGradients gradients_{};
};

// Whole pairs, each through all of its passes while it is in the cache. Every worker has one run of
// its own.
void by_pair(const Call& call, const std::vector<RowPair>& pairs, double* values) {
  const auto count = static_cast<int64_t>(pairs.size());
  const int64_t pair_bytes = 2 * call.sides.p.columns * bytes_of(call.sides.p.type);
  const int64_t pairs_per_task = rows_per_task(count, pair_bytes);
  const int64_t workers =
      std::min<int64_t>(thread_count(), (count + pairs_per_task - 1) / pairs_per_task);
  std::vector<PairRun> runs(static_cast<size_t>(workers), PairRun(call));
  std::atomic<int64_t> next{0};
  parallel_for(workers, [&](int64_t worker) {
    PairRun& run = runs[static_cast<size_t>(worker)];
    for (int64_t at; (at = next.fetch_add(pairs_per_task)) < count;) {
      for (int64_t k = at; k < std::min(at + pairs_per_task, count); ++k) {
        run.begin(pairs[static_cast<size_t>(k)]);
        for (int64_t s = 0; s < call.segments; ++s)
          run.first(s);
        run.finish_first();
        for (int64_t s = 0; math::needs_second_pass(call.spec.form) && s < call.segments; ++s)
          run.second(s);
        values[k] = run.finish_second();
        for (int64_t s = 0; call.wants_gradient() && s < call.segments; ++s)
          run.gradient(s);
      }
    }
  });
}

// Few pairs of several segments: all pairs go through a pass together, a segment a task.
void by_segment(const Call& call, const std::vector<RowPair>& pairs, double* values) {
  const auto count = static_cast<int64_t>(pairs.size());
  std::vector<PairRun> runs(pairs.size(), PairRun(call));
  const auto each_segment = [&](auto&& pass) {
    parallel_for(count * call.segments, [&](int64_t i) {
      pass(runs[static_cast<size_t>(i / call.segments)], i % call.segments);
    });
  };
  parallel_for(
      count, [&](int64_t k) { runs[static_cast<size_t>(k)].begin(pairs[static_cast<size_t>(k)]); });
  each_segment([](PairRun& run, int64_t s) { run.first(s); });
  for (PairRun& run : runs)
    run.finish_first();
  if (math::needs_second_pass(call.spec.form))
    each_segment([](PairRun& run, int64_t s) { run.second(s); });
  for (int64_t k = 0; k < count; ++k)
    values[k] = runs[static_cast<size_t>(k)].finish_second();
  if (call.wants_gradient())
    each_segment([](PairRun& run, int64_t s) { run.gradient(s); });
}

void clear_others(const LogitRows* gradient, int64_t count, const std::vector<RowPair>& pairs,
                  int64_t RowPair::*side) {
  if (gradient == nullptr || count == static_cast<int64_t>(pairs.size()))
    return;
  std::vector<char> taken(static_cast<size_t>(count));
  for (const RowPair& pair : pairs)
    taken[static_cast<size_t>(pair.*side)] = 1;
  parallel_for(count, [&](int64_t r) {
    if (!taken[static_cast<size_t>(r)])
      clear_segment(*gradient, r, 0, gradient->columns);
  });
}

// No row stands in two pairs on one side. Rows of the gradients that are in no pair become 0.
std::vector<double> divergence_of(const DivergenceSides& sides, const std::vector<RowPair>& pairs,
                                  const math::DivergenceOptions& options,
                                  const DivergenceGradients& gradients) {
  const float scale = exp2_scale(options.temperature);
  const Call call{sides,
                  options,
                  gradients,
                  *row_kernels()->divergence,
                  {sides.p.type, sides.q_is_weights, math::form_of(options.kind),
                   options.temperature, scale, scale / 1.44269504f},
                  (sides.p.columns + kSegment - 1) / kSegment};
  std::vector<double> values(pairs.size());
  const auto count = static_cast<int64_t>(pairs.size());
  if (call.segments > 1 && count < 2 * thread_count()) {
    by_segment(call, pairs, values.data());
  } else {
    by_pair(call, pairs, values.data());
  }
  clear_others(gradients.p, sides.p_count, pairs, &RowPair::p);
  clear_others(gradients.q, sides.q_count, pairs, &RowPair::q);
  return values;
}

std::vector<int64_t> row_numbers(const TensorView& view, int64_t count) {
  std::vector<int64_t> rows(static_cast<size_t>(count));
  if (view) {
    read(view, 0, count, rows.data());
  } else {
    std::iota(rows.begin(), rows.end(), int64_t{0});
  }
  return rows;
}

}  // namespace

void divergence(const op::Divergence& call) {
  const auto count = static_cast<size_t>(call.pairs);
  const std::vector<int64_t> rows_of_p = row_numbers(call.p_rows, call.pairs),
                             rows_of_q = row_numbers(call.q_rows, call.pairs);
  const std::vector<double> weights = read_mask(call.row_weights, call.pairs);
  double upstream = 1;
  if (call.grad_loss)
    read(call.grad_loss, 0, 1, &upstream);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  const double divisor = !call.mean || total == 0 ? 1 : total;
  std::vector<RowPair> pairs(count);
  for (size_t k = 0; k < count; ++k) {
    pairs[k] = {rows_of_p[k], rows_of_q[k],
                weights[k] == 0 ? 0 : upstream * (weights[k] / divisor)};
  }
  const std::vector<double> results = divergence_of(
      {call.p, call.q, call.p_count, call.q_count, call.q_is_weights}, pairs, call.options,
      {call.wants_p ? &call.grad_p : nullptr, call.wants_q ? &call.grad_q : nullptr});
  if (call.values)
    write(call.values, 0, call.pairs, results.data());
  if (call.loss) {
    double sum = 0;
    for (size_t k = 0; k < count; ++k)
      sum += weights[k] == 0 ? 0 : weights[k] / divisor * results[k];
    write(call.loss, 0, 1, &sum);
  }
}

}  // namespace logratio::cpu
