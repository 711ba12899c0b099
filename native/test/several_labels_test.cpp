// token_logprobs with several labels per row beside plain double arithmetic.
#include <algorithm>
#include <numeric>
#include <random>

#include "support/tokens.h"

namespace logratio::test {
namespace {

struct OracleLabels {
  std::vector<double> logp, gradient;
  double tail;
};

// Labels below 0 are ignored; `grad` is of each log-prob.
OracleLabels oracle_labels(const std::vector<double>& x, const std::vector<int64_t>& labels,
                           const std::vector<double>& grad, double grad_tail, double temperature,
                           double softcap) {
  const size_t columns = x.size();
  std::vector<double> z(columns), rest;
  std::vector<bool> is_label(columns);
  for (int64_t label : labels) {
    if (label >= 0)
      is_label[static_cast<size_t>(label)] = true;
  }
  for (size_t k = 0; k < columns; ++k) {
    z[k] = oracle_softcap(x[k], softcap) / temperature;
    if (!is_label[k])
      rest.push_back(z[k]);
  }
  const double lse = oracle_log_sum_exp(z, 1);
  OracleLabels row{{}, std::vector<double>(columns), 0};
  double held = 0, all = 0;
  for (size_t j = 0; j < labels.size(); ++j) {
    row.logp.push_back(labels[j] < 0 ? 0 : z[static_cast<size_t>(labels[j])] - lse);
    held += labels[j] < 0 ? 0 : std::exp(row.logp.back());
    all += labels[j] < 0 ? 0 : grad[j];
  }
  row.tail = held < .5      ? std::log1p(-held)
             : rest.empty() ? -INFINITY
                            : oracle_log_sum_exp(rest, 1) - lse;
  for (size_t k = 0; k < columns; ++k) {
    double of_z = -all * std::exp(z[k] - lse);
    for (size_t j = 0; j < labels.size(); ++j)
      of_z += labels[j] == static_cast<int64_t>(k) ? grad[j] : 0;
    if (row.tail != -INFINITY)
      of_z +=
          grad_tail * ((is_label[k] ? 0 : std::exp(z[k] - lse - row.tail)) - std::exp(z[k] - lse));
    const double tanh = softcap > 0 ? std::tanh(x[k] / softcap) : 0;
    row.gradient[k] = of_z * (1 - tanh * tanh) / temperature;
  }
  return row;
}

void check_labels(int64_t columns, int64_t per_row, double raised, D type, double softcap) {
  constexpr int64_t kRows = 3;
  const double temperature = 1.2;
  std::mt19937_64 random(static_cast<uint64_t>(columns * per_row));
  Tensor logits(type, {kRows, columns}, normal_values(kRows * columns, 2, 31));
  Tensor labels(D::i64, {kRows, per_row});
  std::vector<std::vector<int64_t>> of_rows;
  for (int64_t r = 0; r < kRows; ++r) {
    std::vector<int64_t> all(static_cast<size_t>(columns));
    std::iota(all.begin(), all.end(), 0);
    std::shuffle(all.begin(), all.end(), random);
    all.resize(static_cast<size_t>(per_row));
    if (r == 1 && per_row > 1)
      all[0] = -1;
    for (int64_t j = 0; j < per_row; ++j) {
      const int64_t label = all[static_cast<size_t>(j)];
      labels.set(r * per_row + j, static_cast<double>(label));
      if (label >= 0)
        logits.set(r * columns + label, logits.get(r * columns + label) + raised);
    }
    of_rows.push_back(all);
  }
  Tensor logp(D::f64, {kRows, per_row}), lse(D::f64, {kRows}), tail(D::f64, {kRows}),
      gradient(type, {kRows, columns}),
      grad_logp(D::f64, {kRows, per_row}, normal_values(kRows * per_row, 1, 32)),
      grad_tail(D::f64, {kRows}, normal_values(kRows, 1, 33));
  const lr_token_options options{-1, temperature, softcap, 0};
  auto args = make_args<lr_token_logprobs_args>();
  args.logits = logits;
  args.labels = labels;
  args.options = options;
  args.logp = logp;
  args.lse = lse;
  args.tail = tail;
  ASSERT_EQ(call(lr_token_logprobs, args), LR_OK) << lr_last_error();
  auto back = make_args<lr_token_logprobs_backward_args>();
  back.logits = logits;
  back.labels = labels;
  back.options = options;
  back.lse = lse;
  back.tail = tail;
  back.grad_logp = grad_logp;
  back.grad_tail = grad_tail;
  back.grad_logits = gradient;
  ASSERT_EQ(call(lr_token_logprobs_backward, back), LR_OK) << lr_last_error();
  for (int64_t r = 0; r < kRows; ++r) {
    const std::vector<double> grad = row_of(grad_logp, r);
    const OracleLabels expected = oracle_labels(row_of(logits, r), of_rows[static_cast<size_t>(r)],
                                                grad, grad_tail.get(r), temperature, softcap);
    const std::string what = std::to_string(columns) + "/" + std::to_string(per_row) + "/" +
                             std::to_string(raised) + "/" + std::to_string(softcap) + " row " +
                             std::to_string(r);
    expect_near_or_same(tail.get(r), expected.tail, 4e-6 * std::fabs(expected.tail),
                        what + " tail");
    for (int64_t j = 0; j < per_row; ++j)
      EXPECT_NEAR(logp.get(r * per_row + j), expected.logp[static_cast<size_t>(j)], 4e-6) << what;
    for (int64_t k = 0; k < columns; ++k) {
      const double value = expected.gradient[static_cast<size_t>(k)];
      const double rounding = type == D::f32 ? 0 : std::ldexp(std::fabs(value), -8);
      ASSERT_NEAR(gradient.get(r * columns + k), value, 1e-5 + rounding) << what << " at " << k;
    }
  }
}

TEST(SeveralLabels, EverySize) {
  for (D type : {D::f32, D::bf16}) {
    for (const auto& [columns, per_row] :
         {std::pair{1, 1}, {5, 5}, {40, 7}, {2047, 16}, {4100, 1}, {4100, 300}, {70000, 33}}) {
      for (double raised : {0.0, 8.0, 12.0}) {
        check_labels(columns, per_row, raised, type, 0);
        check_labels(columns, per_row, raised, type, 30);
      }
    }
  }
}

// Others that lie up to beyond float64's range below the labels.
TEST(SeveralLabels, FarAbove) {
  for (double raised : {40.0, 90.0, 300.0, 2000.0}) {
    check_labels(40, 7, raised, D::f32, 0);
    check_labels(5000, 16, raised, D::f32, 0);
    check_labels(40000, 2, raised, D::f32, 0);
  }
}

}  // namespace
}  // namespace logratio::test
