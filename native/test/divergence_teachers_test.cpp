// divergence from teachers of which some log-probabilities are known, and from several models at
// once: against the definition in plain double loops and its finite differences, and against the
// calls on one model each.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>

#include "support/tensor.h"

namespace logratio::test {
namespace {

constexpr double kInf = INFINITY;
constexpr int32_t kTopkKinds[] = {LR_KL_PQ, LR_KL_QP, LR_JENSEN_SHANNON};
constexpr int32_t kKinds[] = {LR_SCE, LR_JEFFREYS, LR_KL_PQ,        LR_KL_QP, LR_JENSEN_SHANNON,
                              LR_L2,  LR_TVD,      LR_WASSERSTEIN1, LR_COSINE};

using Row = std::vector<double>;

lr_divergence_options options_of(int32_t kind, double temperature = 1, double js_weight = .5) {
  return {kind, LR_DIVERGENCE_SUM, LR_DETACH_NONE, 0, 1, 1, temperature, js_weight, 0};
}

Tensor normal(D type, int64_t rows, int64_t columns, double scale, uint32_t seed) {
  return Tensor(type, {rows, columns}, normal_values(rows * columns, scale, seed));
}

double rounding(D type) {
  return type == D::f32 ? 0 : type == D::bf16 ? std::ldexp(1, -8) : std::ldexp(1, -11);
}

// ---- The definition of known columns ----

double log_sum(const Row& x) {
  const double largest = x.empty() ? -kInf : *std::max_element(x.begin(), x.end());
  if (largest == -kInf)
    return -kInf;
  double sum = 0;
  for (double each : x)
    sum += std::exp(each - largest);
  return largest + std::log(sum);
}

double kl(const Row& lp, const Row& lq) {
  double sum = 0;
  for (size_t k = 0; k < lp.size(); ++k) {
    if (lp[k] > -kInf)
      sum += lq[k] == -kInf ? kInf : std::exp(lp[k]) * (lp[k] - lq[k]);
  }
  return sum;
}

// Log-probabilities of the known columns, and of the rest.
Row outcomes_of(const Row& logits, const std::vector<int64_t>& ids, double temperature) {
  Row scaled, others, outcomes;
  for (double x : logits)
    scaled.push_back(x / temperature);
  for (size_t k = 0; k < scaled.size(); ++k) {
    if (std::find(ids.begin(), ids.end(), static_cast<int64_t>(k)) == ids.end())
      others.push_back(scaled[k]);
  }
  const double all = log_sum(scaled);
  for (int64_t id : ids)
    outcomes.push_back(scaled[static_cast<size_t>(id)] - all);
  outcomes.push_back(log_sum(others) - all);
  return outcomes;
}

double definition(const lr_divergence_options& options, const Row& lp, const Row& lq) {
  if (options.divergence != LR_JENSEN_SHANNON)
    return options.divergence == LR_KL_PQ ? kl(lp, lq) : kl(lq, lp);
  const double w = options.js_weight;
  Row lm;
  for (size_t k = 0; k < lp.size(); ++k)
    lm.push_back(log_sum({std::log(w) + lp[k], std::log1p(-w) + lq[k]}));
  return w * kl(lp, lm) + (1 - w) * kl(lq, lm);
}

// ---- Calls ----

struct Topk {
  Tensor p, ids, logps, grad_p, values;
  lr_divergence_args args = make_args<lr_divergence_args>();

  Topk(Tensor p_logits, Tensor q_ids, Tensor q_logps, const lr_divergence_options& options)
      : p(std::move(p_logits)),
        ids(std::move(q_ids)),
        logps(std::move(q_logps)),
        grad_p(p.type(), p.shape()),
        values(D::f64, {p.shape()[0]}) {
    grad_p.fill(NAN);
    args.p_logits = p;
    args.q_topk_ids = ids;
    args.q_topk_logps = logps;
    args.options = options;
    args.values = values;
    args.grad_p_logits = grad_p;
  }
  Topk(const Topk&) = delete;
  Topk& run() {
    EXPECT_EQ(call(lr_divergence, args), LR_OK) << lr_last_error();
    return *this;
  }
};

// Distinct columns in any order, and the log-probabilities that a row of a seed has there.
struct Teacher {
  Tensor ids, logps;
  Teacher(int64_t rows, int64_t known, int64_t columns, uint32_t seed)
      : ids(seed % 2 == 0 ? D::i64 : D::i32, {rows, known}),
        logps(seed % 3 == 0 ? D::f32 : D::f64, {rows, known}) {
    std::mt19937 random(seed);
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<int64_t> all(static_cast<size_t>(columns));
      std::iota(all.begin(), all.end(), 0);
      std::shuffle(all.begin(), all.end(), random);
      const Row logits = normal_values(columns, 2, seed + 77 + static_cast<uint32_t>(r));
      const double sum = log_sum(logits);
      for (int64_t j = 0; j < known; ++j) {
        ids.set(r * known + j, static_cast<double>(all[static_cast<size_t>(j)]));
        logps.set(r * known + j, logits[static_cast<size_t>(all[static_cast<size_t>(j)])] - sum);
      }
    }
  }
};

void check(const Topk& call, const std::string& what) {
  const lr_divergence_options& options = call.args.options;
  const int64_t columns = call.p.shape()[1], known = call.ids.shape()[1];
  for (int64_t r = 0; r < call.p.shape()[0]; ++r) {
    const std::string at = what + " row " + std::to_string(r);
    std::vector<int64_t> ids;
    Row lq, x;
    double mass = 0;
    for (int64_t j = 0; j < known; ++j) {
      ids.push_back(static_cast<int64_t>(call.ids.get(r * known + j)));
      lq.push_back(call.logps.get(r * known + j));
      mass += std::exp(lq.back());
    }
    lq.push_back(mass >= 1 || known == columns ? -kInf : std::log1p(-mass));
    for (int64_t k = 0; k < columns; ++k)
      x.push_back(call.p.get(r * columns + k));
    const auto value_at = [&] {
      return definition(options, outcomes_of(x, ids, options.temperature), lq);
    };
    const double value = value_at();
    EXPECT_NEAR(call.values.get(r), value, 4e-6 * std::fabs(value) + 3e-7) << at;
    double largest = 0;
    for (int64_t k = 0; k < columns; ++k)
      largest = std::fmax(largest, std::fabs(call.grad_p.get(r * columns + k)));
    std::vector<int64_t> looked(ids.begin(), ids.begin() + std::min<int64_t>(known, 4));
    for (int64_t k = columns - 1; k >= 0; k -= std::max<int64_t>(1, columns / 9))
      looked.push_back(k);
    for (int64_t k : looked) {
      double& own = x[static_cast<size_t>(k)];
      const double saved = own, h = 2e-5;
      own = saved + h;
      const double up = value_at();
      own = saved - h;
      const double expected = (up - value_at()) / (2 * h);
      own = saved;
      EXPECT_NEAR(call.grad_p.get(r * columns + k), expected,
                  (2e-5 + rounding(call.p.type())) * std::fabs(expected) + 3e-6 * largest +
                      3e-10 * (1 + std::fabs(value)) +
                      (call.p.type() == D::f16 ? std::ldexp(1, -24) : 0))
          << at << " column " << k;
    }
  }
}

// ---- Known columns ----

TEST(DivergenceTopk, EverySizeKindAndType) {
  uint32_t seed = 1;
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {2, 7, 41, 123, 1271, 2049, 4101}) {
      for (int64_t known : {1, 2, 5, 64}) {
        if (known >= columns)
          continue;
        for (int32_t kind : kTopkKinds) {
          ++seed;
          const double weight = kind == LR_JENSEN_SHANNON && seed % 2 == 0 ? .2 : .5;
          Teacher teacher(2, known, columns, seed);
          Topk call(normal(type, 2, columns, 2, seed + 5000), teacher.ids, teacher.logps,
                    options_of(kind, columns % 2 == 0 ? 1 : .8, weight));
          check(call.run(), "kind " + std::to_string(kind) + " type " +
                                std::to_string(static_cast<int>(type)) + " columns " +
                                std::to_string(columns) + " known " + std::to_string(known));
        }
      }
    }
  }
}

TEST(DivergenceTopk, SeveralSegmentsAndWindows) {
  for (int32_t kind : kTopkKinds) {
    Teacher teacher(1, 300, 70001, 9);
    teacher.ids.set(0, 70000);  // it may be there already
    for (int64_t j = 1; j < 300; ++j) {
      if (teacher.ids.get(j) == 70000)
        teacher.ids.set(j, 3);
    }
    Topk call(normal(D::f32, 1, 70001, 3, 5), teacher.ids, teacher.logps, options_of(kind, 1.5));
    call.run();
    std::vector<int64_t> ids;
    Row lq, x;
    double mass = 0;
    for (int64_t j = 0; j < 300; ++j) {
      ids.push_back(static_cast<int64_t>(call.ids.get(j)));
      lq.push_back(call.logps.get(j));
      mass += std::exp(lq.back());
    }
    lq.push_back(std::log1p(-mass));
    for (int64_t k = 0; k < 70001; ++k)
      x.push_back(call.p.get(k));
    const double value = definition(call.args.options, outcomes_of(x, ids, 1.5), lq);
    EXPECT_NEAR(call.values.get(0), value, 4e-6 * value) << kind;
  }
}

// The known columns hold all of p but next to nothing, or next to nothing.
TEST(DivergenceTopk, TheRestIsRightAtBothEnds) {
  for (double apart : {5., 30., 80., -5., -30., -80.}) {
    for (int32_t kind : kTopkKinds) {
      Tensor p(D::f32, {1, 41});
      for (int64_t k = 0; k < 41; ++k)
        p.set(k, (k < 3 ? apart : 0) + .01 * static_cast<double>(k * k % 7));
      Tensor ids(D::i64, {1, 3}, {2, 0, 1}),
          logps(D::f64, {1, 3}, {std::log(.2), std::log(.3), std::log(.1)});
      Topk call(p, ids, logps, options_of(kind));
      check(call.run(), "apart " + std::to_string(apart) + " kind " + std::to_string(kind));
    }
  }
}

TEST(DivergenceTopk, ZerosAndInfinities) {
  const auto run = [](int32_t kind, const Row& logits, const Row& logps) {
    Topk call(Tensor(D::f32, {1, 4}, logits), Tensor(D::i64, {1, 2}, {1, 3}),
              Tensor(D::f64, {1, 2}, logps), options_of(kind));
    call.run();
    return Row{call.values.get(0), call.grad_p.get(0), call.grad_p.get(1), call.grad_p.get(2),
               call.grad_p.get(3)};
  };
  const double half = std::log(.5) + 1e-9;  // two of them leave nothing, however exp() rounds
  // Nothing is left of q, but something of p.
  EXPECT_EQ(run(LR_KL_PQ, {0, 0, 0, 0}, {half, half})[0], kInf);
  EXPECT_TRUE(std::isnan(run(LR_KL_PQ, {0, 0, 0, 0}, {half, half})[1]));
  Row row = run(LR_KL_QP, {0, 0, 0, 0}, {half, half});
  EXPECT_NEAR(row[0], std::log(2), 1e-6);
  EXPECT_NEAR(row[1], .25, 1e-7);
  EXPECT_NEAR(row[2], -.25, 1e-7);
  // Up to 1.001 it counts as 1.
  EXPECT_EQ(run(LR_KL_PQ, {0, 0, 0, 0}, {std::log(.5009), half})[0], kInf);
  // No other column has a probability.
  row = run(LR_KL_PQ, {-kInf, 0, -kInf, 0}, {half, half});
  EXPECT_NEAR(row[0], 0, 1e-7);
  EXPECT_EQ(row[1], 0);
  EXPECT_EQ(run(LR_KL_QP, {-kInf, 0, -kInf, 0}, {half, std::log(.25)})[0], kInf);
  EXPECT_EQ(run(LR_KL_QP, {-kInf, 0, -kInf, 0}, {half, std::log(.25)})[1], 0);
  // A known probability is 0.
  EXPECT_EQ(run(LR_KL_PQ, {0, 0, 0, 0}, {-kInf, half})[0], kInf);
  EXPECT_NEAR(run(LR_KL_QP, {0, 0, 0, 0}, {-kInf, half})[0], std::log(2) * .5, 1e-6);
  EXPECT_NEAR(run(LR_KL_QP, {0, -kInf, 0, 0}, {-kInf, half})[0],
              .5 * std::log(1.5) + .5 * std::log(.75), 1e-6);
  for (int32_t kind : kTopkKinds) {
    for (const Row& logits : {Row{0, NAN, 0, 0},
                              {NAN, 0, 0, 0},
                              {kInf, 0, 0, 0},
                              {0, kInf, 0, 0},
                              {-kInf, -kInf, -kInf, -kInf}}) {
      for (double x : run(kind, logits, {half, half}))
        EXPECT_TRUE(std::isnan(x)) << kind;
    }
  }
}

// All columns known: the call on the logits.
TEST(DivergenceTopk, AllColumnsAreThePlainCall) {
  const int64_t columns = 41;
  for (int32_t kind : kTopkKinds) {
    Tensor p = normal(D::f32, 1, columns, 2, 3), q = normal(D::f32, 1, columns, 2, 4);
    Tensor ids(D::i64, {1, columns}), logps(D::f32, {1, columns});
    Row logits;
    for (int64_t k = 0; k < columns; ++k)
      logits.push_back(q.get(k));
    for (int64_t k = 0; k < columns; ++k) {
      ids.set(k, static_cast<double>(k));
      logps.set(k, logits[static_cast<size_t>(k)] - log_sum(logits));
    }
    Topk call(p, ids, logps, options_of(kind));
    call.run();
    Tensor grad_p(D::f32, {1, columns}), values(D::f64, {1});
    auto args = make_args<lr_divergence_args>();
    args.p_logits = p;
    args.q_logits = q;
    args.options = options_of(kind);
    args.values = values;
    args.grad_p_logits = grad_p;
    ASSERT_EQ(test::call(lr_divergence, args), LR_OK);
    EXPECT_NEAR(call.values.get(0), values.get(0), 1e-6) << kind;
    for (int64_t k = 0; k < columns; ++k)
      EXPECT_NEAR(call.grad_p.get(k), grad_p.get(k), 1e-6) << kind;
  }
}

TEST(DivergenceTopk, InPlaceByIndexAndBehindTheVocabulary) {
  const int64_t columns = 1271, vocab = 1000;
  for (D type : {D::f32, D::bf16}) {
    Teacher teacher(2, 7, vocab, 21);
    Tensor p = normal(type, 3, columns, 2, 22), rows(D::i64, {2}, {2, 0}),
           weights(D::f64, {2}, {2, 3});
    lr_divergence_options options = options_of(LR_KL_QP, .7);
    options.vocab = vocab;
    Topk call(p, teacher.ids, teacher.logps, options);
    Tensor order(D::i64, {2}, {1, 0}), values(D::f64, {2});
    call.args.p_rows = rows;
    call.args.q_rows = order;
    call.args.row_weights = weights;
    call.args.values = values;
    call.run();
    options.vocab = 0;
    for (int64_t k = 0; k < 2; ++k) {
      const auto row = static_cast<int64_t>(rows.get(k)), other = 1 - k;
      Topk alone(p.slice(0, row, row + 1).slice(1, 0, vocab).clone(),
                 teacher.ids.slice(0, other, other + 1), teacher.logps.slice(0, other, other + 1),
                 options);
      alone.run();
      EXPECT_EQ(values.get(k), alone.values.get(0));
      for (int64_t j = 0; j < columns; ++j)
        ASSERT_NEAR(call.grad_p.get(row * columns + j),
                    j < vocab ? weights.get(k) * alone.grad_p.get(j) : 0,
                    (1e-6 + 2 * rounding(type)) * std::fabs(call.grad_p.get(row * columns + j)));
    }
    for (int64_t j = 0; j < columns; ++j)
      ASSERT_EQ(call.grad_p.get(columns + j), 0);
    Topk in_place(p.clone(), teacher.ids, teacher.logps, call.args.options);
    in_place.args.p_rows = rows;
    in_place.args.q_rows = order;
    in_place.args.row_weights = weights;
    in_place.args.values = values;
    in_place.args.grad_p_logits = in_place.p;
    in_place.run();
    EXPECT_EQ(in_place.p.bits(), call.grad_p.bits());
  }
}

// ---- Several models ----

struct Models {
  Tensor p, q, weights, grad_p, grad_q, values, loss;
  lr_divergence_args args = make_args<lr_divergence_args>();

  Models(Tensor p_logits, Tensor q_logits, Tensor q_weights, const lr_divergence_options& options)
      : p(std::move(p_logits)),
        q(std::move(q_logits)),
        weights(std::move(q_weights)),
        grad_p(p.type(), p.shape()),
        grad_q(q.type(), q.shape()),
        values(D::f64, {p.shape()[0]}),
        loss(D::f64, {1}) {
    grad_p.fill(NAN);
    grad_q.fill(NAN);
    args.p_logits = p;
    args.q_logits = q;
    if (weights.size() > 0)
      args.q_model_weights = weights;
    args.options = options;
    args.values = values;
    args.loss = loss;
    args.grad_p_logits = grad_p;
    args.grad_q_logits = grad_q;
  }
  Models(const Models&) = delete;
  Models& run() {
    EXPECT_EQ(call(lr_divergence, args), LR_OK) << lr_last_error();
    return *this;
  }
};

Tensor model_rows(D type, int64_t models, int64_t rows, int64_t columns, uint32_t seed) {
  return Tensor(type, {models, rows, columns}, normal_values(models * rows * columns, 2, seed));
}

TEST(DivergenceModels, AreTheMeanOfEachAlone) {
  const Row weights = {2, 0, 5};
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1, 41, 507, 2500, 4101}) {
      for (int32_t kind : kKinds) {
        const std::string at = "kind " + std::to_string(kind) + " type " +
                               std::to_string(static_cast<int>(type)) + " columns " +
                               std::to_string(columns);
        // wasserstein1: the difference of a count and of a mean count, which is a float32.
        const double close = kind == LR_WASSERSTEIN1 ? 1e-5 : 1e-6;
        Tensor p = normal(type, 2, columns, 2, 31), q = model_rows(type, 3, 2, columns, 32);
        q.set(3 * columns, NAN);  // of the model without a weight
        Models call(p, q, Tensor(D::f32, {3}, weights), options_of(kind, .9));
        call.run();
        Row value(2), of_p(static_cast<size_t>(2 * columns)),
            size(static_cast<size_t>(2 * columns));
        for (int64_t m : {0, 2}) {
          const double share = weights[static_cast<size_t>(m)] / 7;
          Models alone(p, q.select(0, m).clone(), Tensor(D::f32, {0}), options_of(kind, .9));
          alone.run();
          for (int64_t r = 0; r < 2; ++r)
            value[static_cast<size_t>(r)] += share * alone.values.get(r);
          for (int64_t k = 0; k < 2 * columns; ++k) {
            const double own = share * alone.grad_p.get(k), of_q = share * alone.grad_q.get(k);
            of_p[static_cast<size_t>(k)] += own;
            size[static_cast<size_t>(k)] += std::fabs(own);
            ASSERT_NEAR(call.grad_q.get(m * 2 * columns + k), of_q,
                        (close + 2 * rounding(type)) * std::fabs(of_q) + std::ldexp(1, -24))
                << at << " q " << k;
          }
        }
        for (int64_t r = 0; r < 2; ++r)
          EXPECT_NEAR(call.values.get(r), value[static_cast<size_t>(r)], 1e-12) << at;
        for (int64_t k = 0; k < 2 * columns; ++k) {
          ASSERT_NEAR(
              call.grad_p.get(k), of_p[static_cast<size_t>(k)],
              (close + 3 * rounding(type)) * size[static_cast<size_t>(k)] + std::ldexp(1, -24))
              << at << " p " << k;
          ASSERT_EQ(call.grad_q.get(2 * columns + k), 0) << at;
        }
      }
    }
  }
}

TEST(DivergenceModels, OneModelIsThePlainCall) {
  for (int64_t columns : {123, 70001}) {
    for (int32_t kind : kKinds) {
      Tensor p = normal(D::bf16, 1, columns, 2, 41), q = model_rows(D::bf16, 1, 1, columns, 42);
      Models call(p, q, Tensor(D::f64, {1}, {.3}), options_of(kind));
      Models plain(p, q.select(0, 0).clone(), Tensor(D::f32, {0}), options_of(kind));
      call.run();
      plain.run();
      EXPECT_EQ(call.values.bits(), plain.values.bits()) << kind << " " << columns;
      EXPECT_EQ(call.grad_p.bits(), plain.grad_p.bits()) << kind << " " << columns;
      EXPECT_EQ(call.grad_q.bits(), plain.grad_q.bits()) << kind << " " << columns;
    }
  }
}

TEST(DivergenceModels, InPlaceByIndexAndBehindTheVocabulary) {
  const int64_t columns = 123;
  for (int32_t kind : kKinds) {
    Tensor p = normal(D::f32, 3, columns, 2, 51), q = model_rows(D::f32, 2, 4, columns, 52);
    Tensor p_rows(D::i64, {2}, {2, 0}), q_rows(D::i64, {2}, {1, 3}), values(D::f64, {2});
    lr_divergence_options options = options_of(kind);
    options.vocab = 100;
    const auto prepare = [&](Models& call) {
      call.args.p_rows = p_rows;
      call.args.q_rows = q_rows;
      call.args.values = values;
    };
    Models call(p, q, Tensor(D::f32, {2}, {1, 3}), options);
    prepare(call);
    call.run();
    for (int64_t k = 0; k < columns; ++k) {
      ASSERT_EQ(call.grad_p.get(columns + k), 0);
      for (int64_t row : {0, 2, 4, 6})
        ASSERT_EQ(call.grad_q.get(row * columns + k), 0) << kind << " " << row;
      if (k < 100)
        continue;
      ASSERT_EQ(call.grad_p.get(k), 0);
      ASSERT_EQ(call.grad_q.get(7 * columns + k), 0);
    }
    EXPECT_NE(call.grad_q.get(7 * columns), 0);
    Models in_place(p.clone(), q.clone(), call.weights, options);
    prepare(in_place);
    in_place.args.grad_p_logits = in_place.p;
    in_place.args.grad_q_logits = in_place.q;
    in_place.run();
    EXPECT_EQ(in_place.p.bits(), call.grad_p.bits()) << kind;
    EXPECT_EQ(in_place.q.bits(), call.grad_q.bits()) << kind;
  }
}

// ---- Mistakes ----

TEST(DivergenceTeachers, MistakesAreNamed) {
  const auto error = [](int32_t kind, const std::function<void(Topk&)>& spoil) {
    Topk call(Tensor(D::f32, {2, 3}), Tensor(D::i64, {2, 2}, {0, 1, 2, 0}),
              Tensor(D::f32, {2, 2}, {-1, -2, -3, -1}), options_of(kind));
    spoil(call);
    EXPECT_EQ(test::call(lr_divergence, call.args), LR_INVALID_ARGUMENT);
    EXPECT_TRUE(std::isnan(call.grad_p.get(0)));  // nothing was written
    return test::last_error();
  };
  EXPECT_EQ(error(LR_SCE, [](Topk&) {}),
            "q_topk_ids is given, expected divergence kl_pq, kl_qp or js, not sce");
  EXPECT_EQ(error(LR_KL_PQ, [](Topk& c) { c.args.q_topk_logps = nullptr; }),
            "q_topk_logps is missing, expected float [M,J], as q_topk_ids is given");
  EXPECT_EQ(error(LR_KL_PQ, [](Topk& c) { c.args.q_logits = c.p; }),
            "q_logits and q_topk_ids are both given, expected one of them");
  EXPECT_EQ(error(LR_KL_PQ, [](Topk& c) { c.args.grad_q_logits = c.grad_p; }),
            "grad_q_logits is wanted, expected q_logits with it");
  EXPECT_EQ(error(LR_KL_PQ, [](Topk& c) { c.args.options.vocab = 1; }),
            "q_topk_ids is I64 [2, 2], expected at most 1 ids in a row, one for each column");
  Tensor q(D::f32, {2, 2, 3}), weights(D::f32, {2}, {1, 1});
  EXPECT_EQ(error(LR_KL_PQ,
                  [&](Topk& c) {
                    c.args.q_topk_ids = c.args.q_topk_logps = nullptr;
                    c.args.q_logits = q;
                  }),
            "q_model_weights is missing, expected float [R], as q_logits is F32 [2, 2, 3]");
  EXPECT_EQ(error(LR_KL_PQ, [&](Topk& c) { c.args.q_model_weights = weights; }),
            "q_model_weights is F32 [2], expected q_logits [R,M,V] with it");
  if (on_emulator())
    return;  // values in device memory are not looked at
  EXPECT_EQ(error(LR_KL_PQ, [](Topk& c) { c.ids.set(3, 3); }),
            "q_topk_ids[1, 1] is 3, expected a number in [0,3)");
  EXPECT_EQ(error(LR_KL_PQ, [](Topk& c) { c.ids.set(3, 2); }),
            "q_topk_ids[1, 1] is 2 once more, expected no id twice in a row");
  EXPECT_EQ(error(LR_KL_PQ, [](Topk& c) { c.logps.set(1, NAN); }),
            "q_topk_logps[0, 1] is NaN, expected a number or -Infinity");
  EXPECT_EQ(error(LR_KL_PQ, [](Topk& c) { c.logps.set(2, .01); }),
            "q_topk_logps row 1 has probabilities that sum to more than 1, expected at most 1");
  Tensor none(D::f32, {2});
  EXPECT_EQ(error(LR_KL_PQ,
                  [&](Topk& c) {
                    c.args.q_topk_ids = c.args.q_topk_logps = nullptr;
                    c.args.q_logits = q;
                    c.args.q_model_weights = none;
                  }),
            "q_model_weights sums to 0, expected a positive sum");
}

}  // namespace
}  // namespace logratio::test
