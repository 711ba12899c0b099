// Calls of the two token_logprobs functions with every output, for the tests of the kernels.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "support/device.h"
#include "support/row_oracle.h"
#include "support/tensor.h"

namespace logratio::test {

struct TokenFigures {
  explicit TokenFigures(const std::vector<int64_t>& shape)
      : logp(D::f64, shape),
        lse(D::f64, shape),
        lse2(D::f64, shape),
        entropy(D::f64, shape),
        argmax(D::i64, shape),
        mean_logit(D::f64, shape) {}
  Tensor logp, lse, lse2, entropy, argmax, mean_logit;
  std::string bits() const {
    return logp.bits() + lse.bits() + lse2.bits() + entropy.bits() + argmax.bits() +
           mean_logit.bits();
  }
};

// Without `everything` logp and lse alone are wanted, for which the CPU takes a shorter loop.
inline TokenFigures forward(Tensor logits, Tensor labels,
                            lr_token_options options = default_token_options(),
                            bool everything = true) {
  TokenFigures figures(labels.shape());
  auto args = make_args<lr_token_logprobs_args>();
  args.logits = logits;
  args.labels = labels;
  args.options = options;
  args.logp = figures.logp;
  args.lse = figures.lse;
  if (everything) {
    args.lse2 = figures.lse2;
    args.entropy = figures.entropy;
    args.argmax = figures.argmax;
    args.mean_logit = figures.mean_logit;
  }
  EXPECT_EQ(call(lr_token_logprobs, args), LR_OK) << lr_last_error();
  return figures;
}

inline TokenFigures forward_logp(Tensor logits, Tensor labels,
                                 lr_token_options options = default_token_options()) {
  return forward(logits, labels, options, false);
}

// Writes to `gradient`, which may be the logits.
inline void backward(Tensor logits, Tensor labels, TokenFigures& figures, Tensor grad_logp,
                     Tensor grad_entropy, Tensor gradient,
                     lr_token_options options = default_token_options()) {
  auto args = make_args<lr_token_logprobs_backward_args>();
  args.logits = logits;
  args.labels = labels;
  args.options = options;
  args.lse = figures.lse;
  args.entropy = figures.entropy;
  args.grad_logp = grad_logp;
  args.grad_entropy = grad_entropy;
  args.grad_logits = gradient;
  ASSERT_EQ(call(lr_token_logprobs_backward, args), LR_OK) << lr_last_error();
}

inline std::vector<double> row_of(const Tensor& rows, int64_t row) {
  const int64_t columns = rows.shape().back();
  std::vector<double> values(static_cast<size_t>(columns));
  for (int64_t k = 0; k < columns; ++k)
    values[static_cast<size_t>(k)] = rows.get(row * columns + k);
  return values;
}

inline void expect_near_or_same(double actual, double expected, double tolerance,
                                const std::string& what) {
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(actual)) << what << ": " << actual << ", expected NaN";
  } else if (std::isinf(expected)) {
    EXPECT_EQ(actual, expected) << what;
  } else {
    EXPECT_NEAR(actual, expected, tolerance) << what;
  }
}

}  // namespace logratio::test
