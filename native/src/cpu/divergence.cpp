#include "cpu/divergence.h"

#include <cstring>
#include <numeric>
#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/row_tasks.h"

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

// Rows of a gradient that meet none of the other side become 0.
void clear_others(const op::LogitRows& gradient, int64_t count,
                  const std::vector<DivergenceRows>& rows, int64_t DivergenceRows::*side) {
  if (count == static_cast<int64_t>(rows.size()))
    return;
  std::vector<char> taken(static_cast<size_t>(count));
  for (const DivergenceRows& own : rows)
    taken[static_cast<size_t>(own.*side)] = 1;
  parallel_for(count, [&](int64_t r) {
    if (!taken[static_cast<size_t>(r)])
      std::memset(row_address(gradient, r), 0,
                  static_cast<size_t>(gradient.columns * bytes_of(gradient.type)));
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
  kernels().divergence(
      {call.options, call.p, call.q, call.q_is_weights, call.count, rows.data(), values.data(),
       call.wants_p ? &call.grad_p : nullptr, call.wants_q ? &call.grad_q : nullptr},
      scratch);
  if (call.wants_p)
    clear_others(call.grad_p, call.p_count, rows, &DivergenceRows::p);
  if (call.wants_q)
    clear_others(call.grad_q, call.q_count, rows, &DivergenceRows::q);
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
