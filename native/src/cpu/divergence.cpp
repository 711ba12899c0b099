#include "cpu/divergence.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/row_tasks.h"
#include "math/topk.h"

namespace logratio::cpu {
namespace {

std::vector<int64_t> row_numbers(const TensorView& view, int64_t count) {
  std::vector<int64_t> rows(static_cast<size_t>(count));
  if (view) {
    read(view, 0, count, rows.data());
  } else {
    std::iota(rows.begin(), rows.end(), int64_t{0});
  }
  return rows;
}

// Rows of a gradient, `count` of each model, that meet none of the other side become 0.
void clear_others(const op::LogitRows& gradient, int64_t count, int64_t models,
                  const std::vector<DivergenceRows>& rows, int64_t DivergenceRows::*side) {
  if (count == static_cast<int64_t>(rows.size()))
    return;
  std::vector<char> taken(static_cast<size_t>(count));
  for (const DivergenceRows& own : rows)
    taken[static_cast<size_t>(own.*side)] = 1;
  parallel_for(count * models, [&](int64_t r) {
    if (!taken[static_cast<size_t>(r % count)])
      std::memset(row_address(gradient, r), 0,
                  static_cast<size_t>(gradient.columns * bytes_of(gradient.type)));
  });
}

// What the rows of q know, each row's columns in their order.
struct Known {
  std::vector<int64_t> ids;
  std::vector<double> log_q, log_left;

  explicit Known(const op::Divergence& call)
      : ids(static_cast<size_t>(call.topk_ids.size())),
        log_q(ids.size()),
        log_left(static_cast<size_t>(call.q_count)) {
    const auto known = static_cast<size_t>(call.known());
    std::vector<int64_t> row_ids(known);
    std::vector<double> row_logs(known);
    std::vector<size_t> order(known);
    for (size_t r = 0; r < log_left.size(); ++r) {
      const auto first = static_cast<int64_t>(r * known);
      read(call.topk_ids, first, call.known(), row_ids.data());
      read(call.topk_logps, first, call.known(), row_logs.data());
      std::iota(order.begin(), order.end(), size_t{0});
      std::sort(order.begin(), order.end(),
                [&](size_t i, size_t j) { return row_ids[i] < row_ids[j]; });
      double sum = 0;
      for (size_t j = 0; j < known; ++j) {
        sum += std::exp(row_logs[j]);
        ids[r * known + j] = row_ids[order[j]];
        log_q[r * known + j] = row_logs[order[j]];
      }
      log_left[r] = math::log_mass_left(sum, call.known() == call.p.columns);
    }
  }
};

// Weights that sum to 1.
std::vector<double> model_weights(const op::Divergence& call) {
  std::vector<double> weights = read_all(call.model_weights, call.models, 1);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights)
    weight /= sum;
  return weights;
}

// Columns behind the vocabulary become 0.
void clear_padding(const op::LogitRows& gradient, int64_t count, int64_t columns) {
  if (gradient.columns >= columns)
    return;
  const int64_t bytes = bytes_of(gradient.type);
  parallel_for(count, [&](int64_t r) {
    std::memset(row_address(gradient, r) + gradient.columns * bytes, 0,
                static_cast<size_t>((columns - gradient.columns) * bytes));
  });
}

}  // namespace

void divergence(const op::Divergence& call) {
  const auto count = static_cast<size_t>(call.count);
  const std::vector<int64_t> rows_of_p = row_numbers(call.p_rows, call.count),
                             rows_of_q = row_numbers(call.q_rows, call.count);
  const std::vector<double> weights = read_mask(call.row_weights, call.count);
  double upstream = 1;
  if (call.grad_loss)
    read(call.grad_loss, 0, 1, &upstream);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  const double divisor = !call.mean || total == 0 ? 1 : total;
  std::vector<DivergenceRows> rows(count);
  for (size_t k = 0; k < count; ++k)
    rows[k] = {rows_of_p[k], rows_of_q[k], weights[k] == 0 ? 0 : upstream * (weights[k] / divisor)};
  std::vector<double> values(count);
  Scratch scratch;
  const op::LogitRows* const grad_p = call.wants_p ? &call.grad_p : nullptr;
  const op::LogitRows* const grad_q = call.wants_q ? &call.grad_q : nullptr;
  const int64_t models = call.models == 0 ? 1 : call.models;
  if (call.topk_ids) {
    const Known known(call);
    kernels().divergence_topk(
        {call.options, call.p, call.known(), call.count, rows.data(), known.ids.data(),
         known.log_q.data(), known.log_left.data(), values.data(), grad_p},
        scratch);
  } else {
    const std::vector<double> of_models = model_weights(call);
    kernels().divergence(
        {call.options, call.p, call.q, call.q_is_weights, call.count, rows.data(), values.data(),
         grad_p, grad_q, call.models, of_models.data(), call.q_count},
        scratch);
  }
  if (call.wants_p)
    clear_others(call.grad_p, call.p_count, 1, rows, &DivergenceRows::p);
  if (call.wants_q)
    clear_others(call.grad_q, call.q_count, models, rows, &DivergenceRows::q);
  if (call.wants_p)
    clear_padding(call.grad_p, call.p_count, call.columns);
  if (call.wants_q)
    clear_padding(call.grad_q, call.q_count * models, call.columns);
  if (call.values)
    write(call.values, 0, call.count, values.data());
  if (call.loss) {
    double sum = 0;
    for (size_t k = 0; k < count; ++k)
      sum += weights[k] == 0 ? 0 : weights[k] / divisor * values[k];
    write(call.loss, 0, 1, &sum);
  }
}

}  // namespace logratio::cpu
