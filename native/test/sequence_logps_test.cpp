// sequence_logps: sums, means and tails against a plain reading of their definition, and the worked
// examples of averaging and POET.
#include <gtest/gtest.h>

#include <cmath>

#include "support/tensor.h"

namespace logratio::test {
namespace {

struct Sequences {
  std::vector<double> logps, counts, gradient;
};

Sequences run(const lr_sequence_options& options, Tensor token_logps, Tensor mask,
              std::vector<double> upstream) {
  const int64_t b = mask.shape()[0];
  Tensor g(D::f64, {b}, upstream), logps(D::f64, {b}), counts(D::f64, {b}),
      gradient(D::f64, mask.shape());
  gradient.fill(NAN);
  auto args = make_args<lr_sequence_logps_args>();
  args.token_logps = token_logps;
  args.mask = mask;
  args.options = options;
  args.grad_logps = g;
  args.logps = logps;
  args.counts = counts;
  args.grad_token_logps = gradient;
  EXPECT_EQ(call(lr_sequence_logps, args), LR_OK) << lr_last_error();
  return {logps.values(), counts.values(), gradient.values()};
}

// The weight of one token, straight from the definition.
double oracle_weight(const lr_sequence_options& o, const Tensor& mask, int64_t sequence,
                     int64_t t) {
  const int64_t tokens = mask.shape()[1], half = mask.shape()[0] / 2;
  const auto counted = [&](int64_t b, int64_t column) { return mask.get(b * tokens + column) > 0; };
  const double weight =
      mask.type() == D::f32 ? mask.get(sequence * tokens + t) : (counted(sequence, t) ? 1.0 : 0.0);
  if (o.tail_weight == 1 || !counted(sequence, t))
    return weight;
  const int64_t chosen = sequence % half, rejected = chosen + half;
  int64_t shared = 0, position = 0;
  if (o.align == LR_ALIGN_ABSOLUTE) {
    for (int64_t column = 0; column < tokens; ++column)
      shared += counted(chosen, column) && counted(rejected, column);
    for (int64_t column = 0; column <= t; ++column)
      position += counted(chosen, column) && counted(rejected, column);
    if (!(counted(chosen, t) && counted(rejected, t)))
      return weight * o.tail_weight;
  } else {
    int64_t n_chosen = 0, n_rejected = 0;
    for (int64_t column = 0; column < tokens; ++column) {
      n_chosen += counted(chosen, column);
      n_rejected += counted(rejected, column);
    }
    shared = std::min(n_chosen, n_rejected);
    for (int64_t column = 0; column <= t; ++column)
      position += counted(sequence, column);
  }
  if (shared > 0)
    shared = std::max<int64_t>(
        1, static_cast<int64_t>(std::floor(o.keep_fraction * static_cast<double>(shared))));
  return position <= shared ? weight : weight * o.tail_weight;
}

TEST(SequenceLogps, EveryOptionAgainstTheDefinition) {
  const int64_t sequences = 6, tokens = 13;
  const std::vector<double> upstream = normal_values(sequences, 1, 3);
  for (D mask_type : {D::boolean, D::u8, D::f32}) {
    Tensor mask(mask_type, {sequences, tokens});
    const std::vector<double> coin = normal_values(sequences * tokens, 1, 5);
    for (int64_t k = 0; k < mask.size(); ++k) {
      const bool counts =
          coin[static_cast<size_t>(k)] > -.3 && k / tokens != 2;  // sequence 2 is empty
      mask.set(k, counts ? (mask_type == D::f32  ? .25 + std::fabs(coin[static_cast<size_t>(k)])
                            : mask_type == D::u8 ? 7
                                                 : 1)
                         : 0);
    }
    Tensor token_logps(D::f64, {sequences, tokens}, normal_values(sequences * tokens, 2, 6));
    for (int64_t k = 0; k < mask.size(); ++k) {
      if (mask.get(k) == 0)
        token_logps.set(k, NAN);  // never read
    }
    for (int reduction : {LR_SUM, LR_MEAN}) {
      for (int align : {LR_ALIGN_COMPLETION, LR_ALIGN_ABSOLUTE}) {
        for (double tail : {1.0, .3, 0.0}) {
          for (double keep : {1.0, .5, .01}) {
            if (tail == 1 && keep != 1)
              continue;
            const lr_sequence_options options{reduction, align, tail, keep};
            const Sequences got = run(options, token_logps, mask, upstream);
            for (int64_t b = 0; b < sequences; ++b) {
              double sum = 0, count = 0;
              for (int64_t t = 0; t < tokens; ++t) {
                const double weight = oracle_weight(options, mask, b, t);
                count += weight;
                if (weight > 0)
                  sum += weight * token_logps.get(b * tokens + t);
              }
              const double divisor = reduction == LR_MEAN ? std::max(count, 1.0) : 1.0;
              const std::string what = "reduction " + std::to_string(reduction) + " align " +
                                       std::to_string(align) + " tail " + std::to_string(tail) +
                                       " keep " + std::to_string(keep) + " sequence " +
                                       std::to_string(b);
              EXPECT_NEAR(got.logps[b], sum / divisor, 1e-13) << what;
              EXPECT_NEAR(got.counts[b], count, 1e-13) << what;
              for (int64_t t = 0; t < tokens; ++t) {
                EXPECT_NEAR(got.gradient[b * tokens + t],
                            upstream[b] * oracle_weight(options, mask, b, t) / divisor, 1e-14)
                    << what << " token " << t;
              }
            }
          }
        }
      }
    }
  }
}

// Chosen and rejected answers of 4 and 6 tokens, policy and reference.
const std::vector<double> kPolicy{-1, -2, -.5, -.5, 0, 0, -1, -3, -.5, -.25, -.75, -.5};
const std::vector<double> kReference{-1.25, -1.75, -.75, -.25, 0, 0, -1.5, -2, -.5, -.5, -.5, -.5};
const std::vector<double> kMask{1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1};

struct Example {
  const char* name;
  lr_sequence_options options;
  double beta;
  double difference, loss, d_chosen_token, d_rejected_token;
};

TEST(SequenceLogps, WorkedExamplesOfAveragingAndPoet) {
  const lr_sequence_options sum{LR_SUM, 0, 1, 1}, mean{LR_MEAN, 0, 1, 1}, poet{LR_SUM, 0, 0, 1},
      poet_mean{LR_MEAN, 0, 0, 1};
  for (const Example& e : {Example{"sum", sum, .1, .5, 0.66845964801328629, -0.048750260351578966,
                                   0.048750260351578966},
                           Example{"mean", mean, .1, 1.0 / 12, 0.68898919442371697,
                                   -0.012447916968072753, 0.0082986113120485017},
                           Example{"mean, beta .5", mean, .5, 1.0 / 12, 0.67253084541897491,
                                   -0.061198105014079413, 0.040798736676052942},
                           Example{"POET", poet, .1, .25, 0.68072530352552487,
                                   -0.049375032550048957, 0.049375032550048957},
                           Example{"POET mean", poet_mean, .1, .0625, 0.69002706336449804,
                                   -0.012460937627156079, 0.012460937627156079}}) {
    Tensor mask(D::boolean, {2, 6}, kMask), policy_tokens(D::f64, {2, 6}, kPolicy),
        reference_tokens(D::f64, {2, 6}, kReference);
    const Sequences policy = run(e.options, policy_tokens, mask, {0, 0}),
                    reference = run(e.options, reference_tokens, mask, {0, 0});
    Tensor pc(D::f64, {1}, {policy.logps[0]}), pr(D::f64, {1}, {policy.logps[1]}),
        rc(D::f64, {1}, {reference.logps[0]}), rr(D::f64, {1}, {reference.logps[1]});
    Tensor loss(D::f64, {1}), gc(D::f64, {1}), gr(D::f64, {1});
    lr_loss_options options = loss_options("sigmoid");
    options.beta = e.beta;
    auto args = make_args<lr_pair_loss_args>();
    args.loss_options = &options;
    args.policy_chosen = pc;
    args.policy_rejected = pr;
    args.reference_chosen = rc;
    args.reference_rejected = rr;
    args.loss = loss;
    args.grad_policy_chosen = gc;
    args.grad_policy_rejected = gr;
    ASSERT_EQ(call(lr_pair_loss, args), LR_OK) << lr_last_error();
    EXPECT_NEAR(policy.logps[0] - reference.logps[0] - policy.logps[1] + reference.logps[1],
                e.difference, 1e-15)
        << e.name;
    EXPECT_NEAR(loss.get(0), e.loss, 2e-15) << e.name;
    const Sequences back = run(e.options, policy_tokens, mask, {gc.get(0), gr.get(0)});
    for (int t = 0; t < 6; ++t) {
      EXPECT_NEAR(back.gradient[t], t < 4 ? e.d_chosen_token : 0, 1e-16) << e.name;
      const bool kept = e.options.tail_weight == 1 || t < 4;
      EXPECT_NEAR(back.gradient[6 + t], kept ? e.d_rejected_token : 0, 1e-16) << e.name;
    }
  }
}

TEST(SequenceLogps, EmptyShapes) {
  for (const auto& shape : {std::vector<int64_t>{0, 5}, std::vector<int64_t>{4, 0}}) {
    const Sequences got = run({LR_MEAN, LR_ALIGN_COMPLETION, .5, .5}, Tensor(D::f32, shape),
                              Tensor(D::boolean, shape), std::vector<double>(shape[0], 1.0));
    ASSERT_EQ(static_cast<int64_t>(got.logps.size()), shape[0]);
    for (double value : got.logps)
      EXPECT_EQ(value, 0);
    for (double value : got.counts)
      EXPECT_EQ(value, 0);
  }
}

TEST(SequenceLogps, GradientAloneNeedsNoTokenLogps) {
  Tensor mask(D::boolean, {1, 3}, {1, 0, 1}), upstream(D::f32, {1}, {2}), gradient(D::bf16, {1, 3});
  auto args = make_args<lr_sequence_logps_args>();
  args.mask = mask;
  args.options = default_sequence_options();
  args.grad_logps = upstream;
  args.grad_token_logps = gradient;
  ASSERT_EQ(call(lr_sequence_logps, args), LR_OK) << lr_last_error();
  EXPECT_EQ(gradient.values(), (std::vector<double>{2, 0, 2}));
}

}  // namespace
}  // namespace logratio::test
