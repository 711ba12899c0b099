// Token rows in plain double arithmetic, one obvious loop for each figure: what the kernels are
// compared with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace logratio::test {

struct OracleRow {
  double logp, lse, lse2, entropy, mean_logit;
  int64_t argmax;
};

inline double oracle_softcap(double x, double softcap) {
  return softcap > 0 && x != -INFINITY ? softcap * std::tanh(x / softcap) : x;
}

inline double oracle_log_sum_exp(const std::vector<double>& z, double scale) {
  double maximum = -INFINITY;
  for (double value : z)
    maximum = std::fmax(maximum, scale * value);
  double sum = 0;
  for (double value : z)
    sum += std::exp(scale * value - maximum);
  return maximum + std::log(sum);
}

inline bool oracle_is_bad(const std::vector<double>& x) {
  bool finite = false;
  for (double value : x) {
    if (std::isnan(value) || value == INFINITY)
      return true;
    finite |= value != -INFINITY;
  }
  return !finite;
}

// label < 0: ignored.
inline OracleRow oracle_forward(const std::vector<double>& x, int64_t label, double temperature,
                                double softcap) {
  OracleRow row{};
  std::vector<double> z;
  for (double value : x)
    z.push_back(oracle_softcap(value, softcap) / temperature);
  for (size_t k = 1; k < x.size(); ++k) {
    const double best = x[static_cast<size_t>(row.argmax)];
    if (!std::isnan(best) && (std::isnan(x[k]) || x[k] > best))
      row.argmax = static_cast<int64_t>(k);
  }
  if (oracle_is_bad(x)) {
    row.lse = row.lse2 = row.entropy = row.mean_logit = NAN;
    row.logp = label < 0 ? 0 : NAN;
    return row;
  }
  row.lse = oracle_log_sum_exp(z, 1);
  row.lse2 = oracle_log_sum_exp(z, 2);
  const auto finite = static_cast<double>(
      std::count_if(z.begin(), z.end(), [](double value) { return value != -INFINITY; }));
  for (double value : z) {
    if (value == -INFINITY)
      continue;
    row.entropy -= std::exp(value - row.lse) * (value - row.lse);
    row.mean_logit += value / finite;
  }
  row.logp = label < 0 ? 0 : z[static_cast<size_t>(label)] - row.lse;
  return row;
}

inline std::vector<double> oracle_backward(const std::vector<double>& x, int64_t label,
                                           double temperature, double softcap, double grad_logp,
                                           double grad_entropy) {
  std::vector<double> gradient(x.size(), 0.0);
  if (label < 0 || (grad_logp == 0 && grad_entropy == 0))
    return gradient;
  if (oracle_is_bad(x))
    return std::vector<double>(x.size(), NAN);
  const OracleRow row = oracle_forward(x, label, temperature, softcap);
  for (size_t k = 0; k < x.size(); ++k) {
    if (x[k] == -INFINITY)
      continue;  // probability 0 and constant
    const double log_p = oracle_softcap(x[k], softcap) / temperature - row.lse;
    const double p = std::exp(log_p);
    const double d_z = grad_logp * ((static_cast<int64_t>(k) == label ? 1 : 0) - p) -
                       grad_entropy * p * (log_p + row.entropy);
    const double t = softcap > 0 ? std::tanh(x[k] / softcap) : 0;
    gradient[k] = d_z * (1 - t * t) / temperature;
  }
  return gradient;
}

}  // namespace logratio::test
