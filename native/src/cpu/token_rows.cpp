#include "cpu/token_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "cpu/isa.h"
#include "cpu/logit_rows.h"
#include "cpu/thread_pool.h"

namespace logratio::cpu {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double largest_finite(LogitType type) { return type == LogitType::f16 ? 65504.0 : 0x1p127; }

// How rows are cut into tasks. Few rows of several segments each are handed out by segment, else whole rows are.
struct Plan {
  int64_t segments;
  int64_t rows_per_task;
  bool by_segment;
};

Plan plan(int64_t count, const LogitRows& rows) {
  const int64_t segments = (rows.columns + kSegment - 1) / kSegment;
  const int64_t row_bytes = rows.columns * element_bytes(rows.type);
  return {segments, rows_per_task(count, row_bytes), segments > 1 && count < 2 * thread_count()};
}

// ---- Forward ----

constexpr Partial kNothing = {-kInfinity, 0, 0, 0, 0, 0, 0, 0};

// Moves a partial's sums to a reference at or above its own. One that saw only -inf has no sums to move.
Partial rebased(Partial part, double reference, double temperature) {
  if (part.e != 0 && part.reference != reference) {
    const double shift = part.reference - reference;
    rebase(&part, shift, std::exp(shift / temperature));
  }
  part.reference = reference;
  return part;
}

Partial merged(const Partial& before, const Partial& after, double temperature) {
  const double reference =
      before.e == 0 ? after.reference : after.e == 0 ? before.reference : std::max(before.reference, after.reference);
  const Partial a = rebased(before, reference, temperature);
  const Partial b = rebased(after, reference, temperature);
  const Partial& highest = b.maximum > a.maximum ? b : a;
  return {highest.maximum, reference, a.e + b.e, a.e2 + b.e2, a.ed + b.ed, a.z + b.z, a.raw + b.raw, highest.tile};
}

class Forward {
 public:
  Forward(const LogitRows& logits, const RowTransform& transform, RowWants wants)
      : logits_(logits), transform_(transform), wants_(wants), kernels_(*row_kernels()),
        spec_{logits.type, wants.lse2 || wants.entropy || wants.argmax || wants.mean, exp2_scale(transform.temperature),
              static_cast<float>(transform.softcap)} {}

  const char* row(int64_t r) const { return row_address(logits_, r); }

  void segment(int64_t r, int64_t s, Partial* partial) const {
    kernels_.forward(spec_, row(r), s * kSegment, std::min((s + 1) * kSegment, logits_.columns), partial);
  }

  RowStats whole_row(int64_t r, int64_t label) const {
    Partial sum = kNothing;
    Partial partials[16];
    constexpr int64_t kGroup = 16 * kSegment;
    for (int64_t begin = 0; begin < logits_.columns; begin += kGroup) {
      const int64_t end = std::min(begin + kGroup, logits_.columns);
      kernels_.forward(spec_, row(r), begin, end, partials);
      for (int64_t s = 0; s * kSegment < end - begin; ++s) sum = merged(sum, partials[s], transform_.temperature);
    }
    return finish(r, label, sum);
  }

  RowStats finish(int64_t r, int64_t label, const Partial& sum) const {
    const double temperature = transform_.temperature;
    const double columns = static_cast<double>(logits_.columns);
    RowStats stats{};
    if (wants_.argmax) stats.argmax = argmax(r, sum);
    if (std::isnan(sum.e) || sum.e == 0) {  // +inf or NaN among the logits, or nothing but -inf
      stats.logp = label < 0 ? 0 : kNaN;
      stats.lse = stats.lse2 = stats.entropy = stats.mean_z = stats.mean_raw = kNaN;
      return stats;
    }
    const double log_sum = std::log(sum.e);
    stats.lse = sum.reference / temperature + log_sum;
    stats.lse2 = 2 * sum.reference / temperature + std::log(sum.e2);
    stats.entropy = log_sum - sum.ed / sum.e / temperature;
    stats.mean_raw = sum.raw / columns;
    stats.mean_z = (spec_.softcap == 0 ? sum.raw : sum.z) / columns / temperature;
    if (label >= 0) {
      const float z = kernels_.softcap(load(logits_.type, row(r), label), spec_.softcap);
      stats.logp = (z - sum.reference) / temperature - log_sum;
    }
    return stats;
  }

 private:
  int64_t argmax(int64_t r, const Partial& sum) const {
    if (std::isnan(sum.e)) {
      for (int64_t i = 0; i < logits_.columns; ++i) {
        if (std::isnan(load(logits_.type, row(r), i))) return i;
      }
    }
    return kernels_.find(logits_.type, row(r), sum.tile, logits_.columns, static_cast<float>(sum.maximum));
  }

  const LogitRows& logits_;
  const RowTransform& transform_;
  const RowWants wants_;
  const RowKernels& kernels_;
  const ForwardSpec spec_;
};

// ---- Backward ----

class Backward {
 public:
  Backward(const LogitRows& logits, const LogitRows& gradient, const RowTransform& transform, bool totals)
      : logits_(logits), gradient_(gradient), transform_(transform), totals_(totals), kernels_(*row_kernels()) {}

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
    if (row.zero) return row;
    const double temperature = transform_.temperature;
    const double entropy = h == 0 ? 0 : grad.entropy;
    // p = exp((z - lse * temperature) / temperature), with the subtrahend in two parts: a float, or what scales to a float, and the rest,
    // which becomes a factor.
    const double subtrahend = grad.lse * temperature;
    const float temperature_scale = exp2_scale(temperature);
    const ScaledReference from = scaled_reference(subtrahend, temperature_scale);
    const bool scales = h == 0 && from.is_near;
    const float reference = scales ? from.scaled : static_cast<float>(subtrahend);
    const double rest = !std::isfinite(reference) ? 0 : subtrahend - (scales ? from.reference : reference);
    const double factor = std::exp(-rest / temperature) / temperature;
    row.spec = {logits_.type,
                !scales ? BackwardMode::any : totals_ ? BackwardMode::logp_with_totals : BackwardMode::logp,
                temperature_scale,
                static_cast<float>(transform_.softcap),
                quiet(reference),
                quiet(-(g + h * (entropy - rest / temperature)) * factor),
                quiet(-h * factor / temperature),
                grad.label};
    const float x = load(logits_.type, row_address(logits_, r), grad.label);
    const double logp = (kernels_.softcap(x, row.spec.softcap) - subtrahend) / temperature;
    if (logp != -kInfinity) {
      const double p = std::exp(logp);
      row.label_value = (-g * std::expm1(logp) - (h == 0 ? 0 : h * p * (logp + entropy))) / temperature * softcap_slope(x);
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
      std::memset(g + begin * element_bytes(gradient_.type), 0, static_cast<size_t>((end - begin) * element_bytes(gradient_.type)));
      return 0;
    }
    const double scale = row.spec.scale;
    return kernels_.backward(row.spec, x, g, begin, end) * scale * scale;
  }

  GradTotals finish(int64_t r, const Row& row) const {
    if (row.zero) return {0, 0};
    char* const g = row_address(gradient_, r);
    store(gradient_.type, g, row.spec.skip, row.label_value);
    if (!totals_) return {0, 0};
    // No value can exceed the square root of the sum of squares: only a row beyond the type's range is looked at again.
    const double limit = largest_finite(gradient_.type);
    int64_t nonfinite = 0;
    if (!(row.squares < limit * limit)) {
      for (int64_t i = 0; i < gradient_.columns; ++i) nonfinite += !std::isfinite(load(gradient_.type, g, i));
    }
    return {row.squares, nonfinite};
  }

 private:
  // The vector loops count on a NaN without a payload.
  static float quiet(double value) {
    return std::isnan(value) ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(value);
  }

  double softcap_slope(double x) const {
    if (transform_.softcap == 0) return 1;
    const double e = std::exp(-2 * std::fabs(x) / transform_.softcap);
    return 4 * e / ((1 + e) * (1 + e));
  }

  const LogitRows& logits_;
  const LogitRows& gradient_;
  const RowTransform& transform_;
  const bool totals_;
  const RowKernels& kernels_;
};

}  // namespace

void forward_rows(const LogitRows& logits, const RowTransform& transform, RowWants wants, const int64_t* rows, const int64_t* labels,
                  int64_t count, RowStats* stats) {
  const Forward forward(logits, transform, wants);
  const Plan plan = cpu::plan(count, logits);
  const auto row_of = [rows](int64_t k) { return rows == nullptr ? k : rows[k]; };
  if (!plan.by_segment) {
    for_row_runs(count, plan.rows_per_task, [&](int64_t first, int64_t last) {
      for (int64_t k = first; k < last; ++k) stats[k] = forward.whole_row(row_of(k), labels[k]);
    });
    return;
  }
  std::vector<Partial> partials(static_cast<size_t>(count * plan.segments));
  parallel_for(count * plan.segments,
               [&](int64_t i) { forward.segment(row_of(i / plan.segments), i % plan.segments, &partials[static_cast<size_t>(i)]); });
  for (int64_t k = 0; k < count; ++k) {
    Partial sum = kNothing;
    for (int64_t s = 0; s < plan.segments; ++s) {
      sum = merged(sum, partials[static_cast<size_t>(k * plan.segments + s)], transform.temperature);
    }
    stats[k] = forward.finish(row_of(k), labels[k], sum);
  }
}

void backward_rows(const LogitRows& logits, const LogitRows& gradient, const RowTransform& transform, const RowGrad* grads,
                   int64_t count, GradTotals* totals) {
  const Backward backward(logits, gradient, transform, totals != nullptr);
  const Plan plan = cpu::plan(count, logits);
  std::vector<GradTotals> row_totals(static_cast<size_t>(totals == nullptr ? 0 : count));
  const auto finish = [&](int64_t r, const Backward::Row& row) {
    const GradTotals result = backward.finish(r, row);
    if (totals != nullptr) row_totals[static_cast<size_t>(r)] = result;
  };
  if (!plan.by_segment) {
    for_row_runs(count, plan.rows_per_task, [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) {
        Backward::Row row = backward.prepare(r, grads[r]);
        for (int64_t s = 0; s < plan.segments; ++s) row.squares += backward.segment(r, s, row);
        finish(r, row);
      }
    });
  } else {
    std::vector<Backward::Row> prepared;
    for (int64_t r = 0; r < count; ++r) prepared.push_back(backward.prepare(r, grads[r]));
    std::vector<double> squares(static_cast<size_t>(count * plan.segments));
    parallel_for(count * plan.segments, [&](int64_t i) {
      const int64_t r = i / plan.segments;
      squares[static_cast<size_t>(i)] = backward.segment(r, i % plan.segments, prepared[static_cast<size_t>(r)]);
    });
    for (int64_t r = 0; r < count; ++r) {
      Backward::Row& row = prepared[static_cast<size_t>(r)];
      for (int64_t s = 0; s < plan.segments; ++s) row.squares += squares[static_cast<size_t>(r * plan.segments + s)];
      finish(r, row);
    }
  }
  if (totals == nullptr) return;
  *totals = {0, 0};
  for (const GradTotals& row : row_totals) {  // in row order, whoever computed them
    totals->sum_squares += row.sum_squares;
    totals->nonfinite += row.nonfinite;
  }
}

}  // namespace logratio::cpu
