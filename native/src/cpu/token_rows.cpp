#include "cpu/token_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "cpu/isa.h"
#include "cpu/logit_rows.h"
#include "cpu/thread_pool.h"
#include "math/token_row.h"

namespace logratio::cpu {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double largest_finite(ElementType type) { return type == ElementType::f16 ? 65504.0 : 0x1p127; }

// How rows are cut into tasks. Few rows of several segments each are handed out by segment, else
// whole rows are.
struct Plan {
  int64_t segments;
  int64_t rows_per_task;
  bool by_segment;
};

Plan plan(int64_t count, const LogitRows& rows) {
  const int64_t segments = (rows.columns + kSegment - 1) / kSegment;
  const int64_t row_bytes = rows.columns * bytes_of(rows.type);
  return {segments, rows_per_task(count, row_bytes), segments > 1 && count < 2 * thread_count()};
}

// ---- Forward ----

constexpr Partial kNothing = {-kInfinity, 0, {}, {}, 0, 0, 0, 0};

// A token is certain where the others have less than this of the probability. There sums that hold
// its own 1 would have lost what they have.
constexpr double kOthersOfCertain = 0x1p-6;

// Sums of exponentials down to here are far from the smallest float32.
constexpr double kFloat32Holds = 1e-30;

// Moves a partial's sums to a reference at or above its own. One that saw only -inf has no sums to
// move.
Partial rebased(Partial part, double reference, double temperature) {
  if (part.e() != 0 && part.reference != reference) {
    const double shift = part.reference - reference, factor = std::exp(shift / temperature);
    part.top.rebase(shift, factor);
    part.others.rebase(shift, factor);
  }
  part.reference = reference;
  return part;
}

class Forward {
 public:
  Forward(const LogitRows& logits, const RowTransform& transform, RowWants wants)
      : logits_(logits),
        transform_(transform),
        wants_(wants),
        kernels_(*row_kernels()),
        spec_{logits.type, wants.lse2 || wants.entropy || wants.argmax || wants.mean,
              exp2_scale(transform.temperature), static_cast<float>(transform.softcap)} {}

  const char* row(int64_t r) const { return row_address(logits_, r); }

  Partial merged(const Partial& before, const Partial& after) const {
    const double reference = before.e() == 0  ? after.reference
                             : after.e() == 0 ? before.reference
                                              : std::max(before.reference, after.reference);
    Partial first = rebased(before, reference, transform_.temperature);
    Partial second = rebased(after, reference, transform_.temperature);
    const bool second_leads =
        spec_.everything ? second.maximum > first.maximum : second.top.e > first.top.e;
    Partial& leading = second_leads ? second : first;
    const Partial& other = second_leads ? first : second;
    leading.others.add(other.others);
    leading.others.add(other.top);
    leading.z += other.z;
    leading.raw += other.raw;
    leading.infinite += other.infinite;
    return leading;
  }

  void segment(int64_t r, int64_t s, Partial* partial) const {
    kernels_.forward(spec_, row(r), s * kSegment, std::min((s + 1) * kSegment, logits_.columns),
                     partial);
  }

  RowStats whole_row(int64_t r, int64_t label) const { return finish(r, label, sum(r)); }

  Partial sum(int64_t r) const {
    Partial sum = kNothing;
    Partial partials[16];
    constexpr int64_t kGroup = 16 * kSegment;
    for (int64_t begin = 0; begin < logits_.columns; begin += kGroup) {
      const int64_t end = std::min(begin + kGroup, logits_.columns);
      kernels_.forward(spec_, row(r), begin, end, partials);
      for (int64_t s = 0; s * kSegment < end - begin; ++s)
        sum = merged(sum, partials[s]);
    }
    return sum;
  }

  RowStats finish(int64_t r, int64_t label, const Partial& sum) const {
    const double temperature = transform_.temperature;
    ExponentialSums sums = sum.top;
    sums.add(sum.others);
    RowStats stats{};
    if (wants_.argmax)
      stats.argmax = argmax(r, sum);
    if (std::isnan(sums.e) || sums.e == 0) {  // +inf or NaN among the logits, or nothing but -inf
      stats.logp = label < 0 ? 0 : kNaN;
      stats.lse = stats.lse2 = stats.pivot = stats.log_sum = stats.log_sum2 = kNaN;
      stats.entropy = stats.mean_z = stats.mean_raw = kNaN;
      return stats;
    }
    stats.pivot = sum.reference;
    stats.log_sum = std::log(sums.e);
    stats.log_sum2 = std::log(sums.e2);
    const float z = label < 0 ? -std::numeric_limits<float>::infinity()
                              : capped(load(logits_.type, row(r), label));
    const float highest = spec_.everything ? capped(static_cast<float>(sum.maximum)) : z;
    if ((highest - stats.pivot) / temperature - stats.log_sum > -kOthersOfCertain) {
      sums = sums_of_others(r, spec_.everything ? argmax(r, sum) : label, highest, sum);
      stats.pivot = highest;
      stats.log_sum = std::log1p(sums.e);
      stats.log_sum2 = std::log1p(sums.e2);
      sums.e += 1;
    }
    stats.lse = stats.pivot / temperature + stats.log_sum;
    stats.lse2 = 2 * stats.pivot / temperature + stats.log_sum2;
    stats.entropy = stats.log_sum - sums.ed / sums.e / temperature;
    const auto finite = static_cast<double>(logits_.columns - sum.infinite);
    stats.mean_raw = sum.raw / finite;
    stats.mean_z = (spec_.softcap == 0 ? sum.raw : sum.z) / finite / temperature;
    if (label >= 0)
      stats.logp = (z - stats.pivot) / temperature - stats.log_sum;
    return stats;
  }

 private:
  float capped(float x) const { return kernels_.softcap(x, spec_.softcap); }

  // The sums of a row about its largest value, without the one column that holds it.
  ExponentialSums sums_of_others(int64_t r, int64_t column, float largest,
                                 const Partial& sum) const {
    const auto moved = [&](ExponentialSums sums, double reference) {
      const double shift = reference - largest;
      if (sums.e != 0)
        sums.rebase(shift, std::exp(shift / transform_.temperature));
      return sums;
    };
    ExponentialSums others = moved(sum.others, sum.reference);
    others.add(kernels_.without(spec_, row(r), sum.tile,
                                std::min(sum.tile + kTile, logits_.columns), column, largest));
    if (others.e > kFloat32Holds)
      return others;
    // They are so far below that a float32 holds nothing of them: a row of its own, they have a
    // maximum of their own.
    const int64_t bytes = bytes_of(logits_.type);
    std::vector<char> copy(row(r), row(r) + logits_.columns * bytes);
    store(logits_.type, copy.data(), column, -kInfinity);
    const Partial rest =
        Forward({copy.data(), logits_.type, 1, 0, 0, logits_.columns}, transform_, wants_).sum(0);
    ExponentialSums sums = rest.top;
    sums.add(rest.others);
    return moved(sums, rest.reference);
  }

  int64_t argmax(int64_t r, const Partial& sum) const {
    if (std::isnan(sum.e())) {
      for (int64_t i = 0; i < logits_.columns; ++i) {
        if (std::isnan(load(logits_.type, row(r), i)))
          return i;
      }
    }
    return kernels_.find(logits_.type, row(r), sum.tile, logits_.columns,
                         static_cast<float>(sum.maximum));
  }

  const LogitRows& logits_;
  const RowTransform& transform_;
  const RowWants wants_;
  const RowKernels& kernels_;
  const ForwardSpec spec_;
};

// ---- Backward ----

// The error that a probability may take from the rounding of a caller's lse.
constexpr double kEnough = 0x1p-16;

class Backward {
 public:
  Backward(const LogitRows& logits, const LogitRows& gradient, const RowTransform& transform,
           bool totals)
      : logits_(logits),
        gradient_(gradient),
        transform_(transform),
        totals_(totals),
        kernels_(*row_kernels()),
        forward_(logits, transform, {}) {}

  struct Row {
    bool zero;
    BackwardSpec spec;
    double label_value;
    double squares;  // over the row, label included
  };

  // Reads the label's logit, which an in-place run overwrites.
  Row prepare(int64_t r, const RowGrad& grad) const {
    Row row{};
    const double g = grad.grad_logp;
    const double h = grad.grad_entropy;
    row.zero = grad.label < 0 || (g == 0 && h == 0);
    if (row.zero)
      return row;
    const double temperature = transform_.temperature;
    const double entropy = h == 0 ? 0 : grad.entropy;
    const float x = load(logits_.type, row_address(logits_, r), grad.label);
    const RowNorm norm =
        norm_of(r, grad, kernels_.softcap(x, static_cast<float>(transform_.softcap)));
    const math::RowScale fitted =
        h == 0 ? math::row_scale(norm.pivot, norm.log_sum, g, temperature,
                                 math::is_certain(norm.logp) ? -std::expm1(norm.logp) : 1)
               : math::RowScale{norm.pivot, g, false};
    // p = exp((softcap(x) - pivot) / temperature - log_sum), with what is subtracted in two parts:
    // a float next to the pivot, or what scales to a float, and the rest, which becomes a factor.
    const double log_sum = norm.log_sum * temperature;
    const float temperature_scale = exp2_scale(temperature);
    const ScaledReference from = scaled_reference(fitted.pivot + log_sum, temperature_scale);
    const bool scales = h == 0 && from.is_near && !fitted.steep;
    const float reference = scales ? from.scaled : static_cast<float>(fitted.pivot);
    const double rest =
        scales ? fitted.pivot + log_sum - from.reference : fitted.pivot - reference + log_sum;
    const double factor = std::exp(-rest / temperature) / temperature;
    row.spec = {logits_.type,
                !scales   ? BackwardMode::any
                : totals_ ? BackwardMode::logp_with_totals
                          : BackwardMode::logp,
                temperature_scale,
                static_cast<float>(transform_.softcap),
                quiet(reference),
                quiet(-(fitted.upstream + h * (entropy - rest / temperature)) * factor),
                quiet(-h * factor / temperature),
                grad.label};
    if (norm.logp != -kInfinity) {
      const double p = std::exp(norm.logp);
      const double of_logp = math::vanishing_product(-g, std::expm1(norm.logp));
      row.label_value =
          (of_logp - (h == 0 ? 0 : h * p * (norm.logp + entropy))) / temperature * softcap_slope(x);
    }
    row.squares = row.label_value * row.label_value;
    return row;
  }

  // The part of a row in segment s; returns its sum of squares, the label aside.
  double segment(int64_t r, int64_t s, const Row& row) const {
    const char* const x = row_address(logits_, r);
    char* const g = row_address(gradient_, r);
    const int64_t begin = s * kSegment;
    const int64_t end = std::min(begin + kSegment, logits_.columns);
    if (row.zero) {
      std::memset(g + begin * bytes_of(gradient_.type), 0,
                  static_cast<size_t>((end - begin) * bytes_of(gradient_.type)));
      return 0;
    }
    const double scale = row.spec.scale;
    return kernels_.backward(row.spec, x, g, begin, end) * scale * scale;
  }

  GradTotals finish(int64_t r, const Row& row) const {
    if (row.zero)
      return {0, 0};
    char* const g = row_address(gradient_, r);
    store(gradient_.type, g, row.spec.skip, row.label_value);
    if (!totals_)
      return {0, 0};
    // No value can exceed the square root of the sum of squares: only a row beyond the type's range
    // is looked at again.
    const double limit = largest_finite(gradient_.type);
    int64_t nonfinite = 0;
    if (!(row.squares < limit * limit)) {
      for (int64_t i = 0; i < gradient_.columns; ++i)
        nonfinite += !std::isfinite(load(gradient_.type, g, i));
    }
    return {row.squares, nonfinite};
  }

 private:
  // A caller's lse serves as long as it holds enough digits of the row's log-sum and of the label's
  // log-prob, `z` being the label's softcap(x). Else the row is summed again.
  RowNorm norm_of(int64_t r, const RowGrad& grad, float z) const {
    if (grad.lse_epsilon == 0)
      return grad.norm;
    const double pivot = grad.lse * transform_.temperature,
                 logp = (z - pivot) / transform_.temperature;
    const double unit = std::fabs(grad.lse) * grad.lse_epsilon;
    if (!(unit > kEnough || -logp * kEnough < unit))
      return {pivot, 0, logp};
    const RowStats row = forward_.whole_row(r, grad.label);
    return {row.pivot, row.log_sum, row.logp};
  }

  // The vector loops count on a NaN without a payload.
  static float quiet(double value) {
    return std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(value);
  }

  double softcap_slope(double x) const {
    if (transform_.softcap == 0)
      return 1;
    const double e = std::exp(-2 * std::fabs(x) / transform_.softcap);
    return 4 * e / ((1 + e) * (1 + e));
  }

  const LogitRows& logits_;
  const LogitRows& gradient_;
  const RowTransform& transform_;
  const bool totals_;
  const RowKernels& kernels_;
  const Forward forward_;  // of rows whose lse does not serve
};

}  // namespace

void forward_rows(const LogitRows& logits, const RowTransform& transform, RowWants wants,
                  const int64_t* rows, const int64_t* labels, int64_t count, RowStats* stats) {
  const Forward forward(logits, transform, wants);
  const Plan plan = cpu::plan(count, logits);
  const auto row_of = [rows](int64_t k) { return rows == nullptr ? k : rows[k]; };
  if (!plan.by_segment) {
    for_row_runs(count, plan.rows_per_task, [&](int64_t first, int64_t last) {
      for (int64_t k = first; k < last; ++k)
        stats[k] = forward.whole_row(row_of(k), labels[k]);
    });
    return;
  }
  std::vector<Partial> partials(static_cast<size_t>(count * plan.segments));
  parallel_for(count * plan.segments, [&](int64_t i) {
    forward.segment(row_of(i / plan.segments), i % plan.segments,
                    &partials[static_cast<size_t>(i)]);
  });
  for (int64_t k = 0; k < count; ++k) {
    Partial sum = kNothing;
    for (int64_t s = 0; s < plan.segments; ++s) {
      sum = forward.merged(sum, partials[static_cast<size_t>(k * plan.segments + s)]);
    }
    stats[k] = forward.finish(row_of(k), labels[k], sum);
  }
}

void backward_rows(const LogitRows& logits, const LogitRows& gradient,
                   const RowTransform& transform, const RowGrad* grads, int64_t count,
                   GradTotals* totals) {
  const Backward backward(logits, gradient, transform, totals != nullptr);
  const Plan plan = cpu::plan(count, logits);
  std::vector<GradTotals> row_totals(static_cast<size_t>(totals == nullptr ? 0 : count));
  const auto finish = [&](int64_t r, const Backward::Row& row) {
    const GradTotals result = backward.finish(r, row);
    if (totals != nullptr)
      row_totals[static_cast<size_t>(r)] = result;
  };
  if (!plan.by_segment) {
    for_row_runs(count, plan.rows_per_task, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        Backward::Row row = backward.prepare(r, grads[r]);
        for (int64_t s = 0; s < plan.segments; ++s)
          row.squares += backward.segment(r, s, row);
        finish(r, row);
      }
    });
  } else {
    std::vector<Backward::Row> prepared;
    for (int64_t r = 0; r < count; ++r)
      prepared.push_back(backward.prepare(r, grads[r]));
    std::vector<double> squares(static_cast<size_t>(count * plan.segments));
    parallel_for(count * plan.segments, [&](int64_t i) {
      const int64_t r = i / plan.segments;
      squares[static_cast<size_t>(i)] =
          backward.segment(r, i % plan.segments, prepared[static_cast<size_t>(r)]);
    });
    for (int64_t r = 0; r < count; ++r) {
      Backward::Row& row = prepared[static_cast<size_t>(r)];
      for (int64_t s = 0; s < plan.segments; ++s)
        row.squares += squares[static_cast<size_t>(r * plan.segments + s)];
      finish(r, row);
    }
  }
  if (totals == nullptr)
    return;
  *totals = {0, 0};
  for (const GradTotals& row : row_totals) {  // in row order, whoever computed them
    totals->sum_squares += row.sum_squares;
    totals->nonfinite += row.nonfinite;
  }
}

}  // namespace logratio::cpu
