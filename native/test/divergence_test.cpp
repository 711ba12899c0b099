// divergence on the instruction set of this run, against the definitions in plain double loops and
// finite differences of them.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "support/tensor.h"

namespace logratio::test {
namespace {

constexpr double kInf = INFINITY;
constexpr int32_t kKinds[] = {LR_SCE, LR_JEFFREYS, LR_KL_PQ,        LR_KL_QP, LR_JENSEN_SHANNON,
                              LR_L2,  LR_TVD,      LR_WASSERSTEIN1, LR_COSINE};
constexpr const char* kNames[] = {"sce", "jeffreys", "kl_pq",        "kl_qp", "js",
                                  "l2",  "tvd",      "wasserstein1", "cosine"};

using Row = std::vector<double>;

lr_divergence_options options_of(int32_t kind, double temperature = 1) {
  return {kind, LR_DIVERGENCE_SUM, LR_DETACH_NONE, 0, 1, 1, temperature, .5, 0};
}

// ---- The definitions ----

Row log_softmax(const Row& logits, double temperature) {
  double maximum = -kInf, sum = 0;
  for (double x : logits)
    maximum = std::fmax(maximum, x);
  for (double x : logits)
    sum += std::exp((x - maximum) / temperature);
  Row result;
  for (double x : logits)
    result.push_back((x - maximum) / temperature - std::log(sum));
  return result;
}

double cross_entropy(const Row& lp, const Row& lq) {
  double sum = 0;
  for (size_t k = 0; k < lp.size(); ++k) {
    if (lp[k] > -kInf)
      sum -= std::exp(lp[k]) * lq[k];
  }
  return sum;
}

double kl(const Row& lp, const Row& lq) {
  double sum = 0;
  for (size_t k = 0; k < lp.size(); ++k) {
    if (lp[k] > -kInf)
      sum += std::exp(lp[k]) * (lp[k] - lq[k]);
  }
  return sum;
}

double definition(const lr_divergence_options& options, const Row& lp, const Row& lq) {
  const size_t n = lp.size();
  Row p, q, lm;
  for (size_t k = 0; k < n; ++k) {
    p.push_back(std::exp(lp[k]));
    q.push_back(std::exp(lq[k]));
    const double of_p = lp[k] + std::log(options.js_weight),
                 of_q = lq[k] + std::log1p(-options.js_weight);
    const double larger = std::fmax(of_p, of_q), smaller = std::fmin(of_p, of_q);
    lm.push_back(larger == -kInf ? -kInf : larger + std::log1p(std::exp(smaller - larger)));
  }
  double sum = 0, pp = 0, qq = 0;
  switch (options.divergence) {
    case LR_SCE:
      return (options.w1 == 0 ? 0 : options.w1 * cross_entropy(lp, lq)) +
             (options.w2 == 0 ? 0 : options.w2 * cross_entropy(lq, lp));
    case LR_JEFFREYS:
      return kl(lp, lq) + kl(lq, lp);
    case LR_KL_PQ:
      return kl(lp, lq);
    case LR_KL_QP:
      return kl(lq, lp);
    case LR_JENSEN_SHANNON:
      return options.js_weight * kl(lp, lm) + (1 - options.js_weight) * kl(lq, lm);
    case LR_L2:
      for (size_t k = 0; k < n; ++k)
        sum += (p[k] - q[k]) * (p[k] - q[k]);
      return sum;
    case LR_TVD:
      for (size_t k = 0; k < n; ++k)
        sum += .5 * std::fabs(p[k] - q[k]);
      return sum;
    case LR_WASSERSTEIN1: {
      double distance = 0;
      for (size_t k = 0; k + 1 < n; ++k) {
        distance += p[k] - q[k];
        sum += std::fabs(distance);
      }
      return sum;
    }
    default:
      for (size_t k = 0; k < n; ++k) {
        sum += p[k] * q[k];
        pp += p[k] * p[k];
        qq += q[k] * q[k];
      }
      return 1 - sum / std::sqrt(pp * qq);
  }
}

// ---- Calls ----

struct Call {
  Tensor p, q, grad_p, grad_q, values, loss;
  lr_divergence_args args = make_args<lr_divergence_args>();
  Call(Tensor p_logits, Tensor q_logits, const lr_divergence_options& options, int64_t pairs = -1)
      : p(std::move(p_logits)),
        q(std::move(q_logits)),
        grad_p(p.type(), p.shape()),
        grad_q(q.type(), q.shape()),
        values(D::f64, {pairs < 0 ? p.shape()[0] : pairs}),
        loss(D::f64, {1}) {
    grad_p.fill(NAN);
    grad_q.fill(NAN);
    args.p_logits = p;
    args.q_logits = q;
    args.options = options;
    args.values = values;
    args.loss = loss;
    args.grad_p_logits = grad_p;
    args.grad_q_logits = grad_q;
  }
  Call(const Call&) = delete;
  Call& run() {
    EXPECT_EQ(call(lr_divergence, args), LR_OK) << lr_last_error();
    return *this;
  }
  std::string bits() const { return values.bits() + loss.bits() + grad_p.bits() + grad_q.bits(); }
};

Row row_of(const Tensor& tensor, int64_t row) {
  const int64_t columns = tensor.shape()[1];
  Row values;
  for (int64_t k = 0; k < columns; ++k)
    values.push_back(tensor.get(row * columns + k));
  return values;
}

Tensor normal(D type, int64_t rows, int64_t columns, double scale, uint32_t seed) {
  return Tensor(type, {rows, columns}, normal_values(rows * columns, scale, seed));
}

double rounding(D type) {
  return type == D::f32 ? 0 : type == D::bf16 ? std::ldexp(1, -8) : std::ldexp(1, -11);
}

// Compares values, and the gradients at some columns with differences of the definition.
void check(const Call& call, const std::string& what) {
  const lr_divergence_options& options = call.args.options;
  const int64_t rows = call.p.shape()[0], columns = call.p.shape()[1];
  for (int64_t r = 0; r < rows; ++r) {
    const std::string at = what + " row " + std::to_string(r);
    Row x[2] = {row_of(call.p, r), row_of(call.q, r)};
    const auto value_at = [&] {
      return definition(options, log_softmax(x[0], options.temperature),
                        log_softmax(x[1], options.temperature));
    };
    const double value = value_at();
    EXPECT_NEAR(call.values.get(r), value, 4e-6 * std::fabs(value) + 3e-7) << at;
    for (int side = 0; side < 2; ++side) {
      const Tensor& gradient = side == 0 ? call.grad_p : call.grad_q;
      const Row log_probability = log_softmax(x[side], options.temperature);
      double largest = 0;
      for (int64_t k = 0; k < columns; ++k)
        largest = std::fmax(largest, std::fabs(gradient.get(r * columns + k)));
      const int64_t step = std::max<int64_t>(1, columns / 12);
      for (int64_t k = columns - 1; k >= 0; k -= step) {
        const double saved = x[side][static_cast<size_t>(k)], h = 2e-5;
        x[side][static_cast<size_t>(k)] = saved + h;
        const double up = value_at();
        x[side][static_cast<size_t>(k)] = saved - h;
        const double expected = (up - value_at()) / (2 * h);
        x[side][static_cast<size_t>(k)] = saved;
        const double tiny = gradient.type() == D::f16 ? std::ldexp(1, -24) : 0;
        EXPECT_NEAR(gradient.get(r * columns + k), expected,
                    (2e-5 + rounding(gradient.type())) * std::fabs(expected) + 3e-6 * largest +
                        3e-7 * std::exp(log_probability[static_cast<size_t>(k)]) +
                        3e-10 * (1 + std::fabs(value)) + tiny)
            << at << (side == 0 ? " p " : " q ") << k;
      }
    }
  }
}

// ---- Tests ----

struct Entry {
  int32_t kind;
  double value;
  Row da, db;
};

TEST(Divergence, PublishedTable) {
  const std::vector<Entry> table = {
      {LR_SCE,
       1.9611373589861215,
       {0.065485224088549128, -0.11369115769862507, 0.048205933610075944},
       {-0.49796927496246591, 0.26263027967823481, 0.23533899528423110}},
      {LR_KL_PQ,
       0.066602948448097814,
       {0.16702156990096752, -0.12210255149235332, -0.044919018408614199},
       {-0.18105110526702390, 0.13235896367590188, 0.048692141591122018}},
      {LR_KL_QP,
       0.069185380502170110,
       {0.18105110526702390, -0.13235896367590188, -0.048692141591122018},
       {-0.18731252937977567, 0.13693643148796983, 0.050376097891805839}},
      {LR_JEFFREYS,
       0.13578832895026792,
       {0.34807267516799142, -0.25446151516825520, -0.093611159999736217},
       {-0.36836363464679957, 0.26929539516387171, 0.099068239482927856}},
      {LR_JENSEN_SHANNON,
       0.016867970643044171,
       {0.042938120063952558, -0.031390281022997651, -0.011547839040954907},
       {-0.045501718658735613, 0.033264421767877629, 0.012237296890857984}},
      {LR_L2,
       0.052669322636499558,
       {0.12956802724320387, -0.10573532051524584, -0.023832706727958027},
       {-0.14530886593906701, 0.12319933925235595, 0.022109526686711061}},
      {LR_TVD,
       0.18105110526702390,
       {},
       {-0.24975003917303422, 0.18258190865062644, 0.067168130522407785}},
      {LR_WASSERSTEIN1,
       0.22974324685814592,
       {},
       {-0.31691816969544201, 0.13027131600233293, 0.18664685369310908}},
      {LR_COSINE,
       0.050478718389919031,
       {},
       {-0.15416144947445199, 0.13578495423393227, 0.018376495240519715}},
  };
  for (const Entry& entry : table) {
    Call call(Tensor(D::f32, {1, 3}, {1, 0, -1}), Tensor(D::f32, {1, 3}, {.5, .25, -.75}),
              options_of(entry.kind));
    call.run();
    const std::string at = kNames[entry.kind];
    EXPECT_NEAR(call.values.get(0), entry.value, 2e-7) << at;
    EXPECT_EQ(call.loss.get(0), call.values.get(0)) << at;
    for (size_t k = 0; k < entry.da.size(); ++k)
      EXPECT_NEAR(call.grad_p.get(static_cast<int64_t>(k)), entry.da[k], 2e-7) << at << " a " << k;
    for (size_t k = 0; k < 3; ++k)
      EXPECT_NEAR(call.grad_q.get(static_cast<int64_t>(k)), entry.db[k], 2e-7) << at << " b " << k;
  }
  Tensor a(D::f32, {1, 3}, {1, 0, -1});
  Call same(a, a.clone(), options_of(LR_SCE));
  same.run();
  EXPECT_NEAR(same.values.get(0), 1.6647911636798777, 2e-7);
  EXPECT_NEAR(same.grad_p.get(0), -0.28258745107944229, 2e-7);
  EXPECT_NEAR(same.grad_q.get(2), 0.14181709360981216, 2e-7);
}

TEST(Divergence, EverySizeKindAndType) {
  uint32_t seed = 1;
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1, 2, 7, 16, 31, 33, 41, 64, 123, 507, 1271, 2048, 2049, 4101}) {
      for (int32_t kind : kKinds) {
        const double temperature = columns % 2 == 0 ? 1 : .8;
        ++seed;
        Call call(normal(type, 2, columns, 2, seed), normal(type, 2, columns, 2, 1000 + seed),
                  options_of(kind, temperature));
        check(call.run(), std::string(kNames[kind]) + " type " +
                              std::to_string(static_cast<int>(type)) + " columns " +
                              std::to_string(columns));
      }
    }
  }
}

TEST(Divergence, SeveralSegments) {
  for (int32_t kind : kKinds) {
    Call call(normal(D::f32, 1, 70001, 3, 5), normal(D::f32, 1, 70001, 3, 6),
              options_of(kind, 1.5));
    check(call.run(), kNames[kind]);
  }
}

// Every tile lies far above the one before, so that exponents have to be taken from another value,
// on one side before the other; and the largest logit stands in the first tile, in the last one, or
// in a tile behind nothing but -inf.
TEST(Divergence, RisingAndFallingLogits) {
  const int64_t columns = 9001;
  for (int32_t kind : kKinds) {
    for (const double slope : {.004, -.004}) {
      Tensor p(D::f32, {1, columns}), q(D::f32, {1, columns});
      const Row noise = normal_values(2 * columns, 1, 13);
      for (int64_t k = 0; k < columns; ++k) {
        const double x = slope * static_cast<double>(k);
        p.set(k, k < 2100 && slope > 0 ? -kInf : x + noise[static_cast<size_t>(k)]);
        q.set(k, k < 2100 && slope > 0 ? -kInf
                                       : x + std::sin(static_cast<double>(k) / 300) +
                                             noise[static_cast<size_t>(columns + k)]);
      }
      Call call(p, q, options_of(kind));
      check(call.run(), std::string(kNames[kind]) + (slope > 0 ? " rising" : " falling"));
    }
  }
}

// Powers of two far beyond float32's, and far below.
TEST(Divergence, TemperaturesOfAnySize) {
  const Row values = {0, 1, -2, -kInf, .5};
  for (const double temperature : {1e-29, 1e-3, 1e3, 1e30, 1e38, 1e300}) {
    for (int32_t kind : kKinds) {
      Tensor p(D::f32, {1, 5}), q(D::f32, {1, 5});
      const double unit = temperature < 1e30 ? std::fmin(temperature, 1e6) : 1;
      for (int64_t k = 0; k < 5; ++k) {
        p.set(k, values[static_cast<size_t>(k)] * unit);
        q.set(k, values[static_cast<size_t>(k)] * unit * -(k == 3 ? -1 : .5));
      }
      Call call(p, q, options_of(kind, temperature));
      call.run();
      const double expected = definition(call.args.options, log_softmax(row_of(p, 0), temperature),
                                         log_softmax(row_of(q, 0), temperature));
      EXPECT_NEAR(call.values.get(0), expected, 4e-6 * std::fabs(expected) + 3e-7)
          << kNames[kind] << " at " << temperature;
    }
  }
}

TEST(Divergence, WeightsOfTheCrossEntropies) {
  for (const auto& [w1, w2] : {std::pair{.1, 1.0}, std::pair{0.0, 2.5}, std::pair{3.0, 0.0}}) {
    lr_divergence_options options = options_of(LR_SCE, 2);
    options.w1 = w1;
    options.w2 = w2;
    Call call(normal(D::f32, 2, 507, 3, 11), normal(D::f32, 2, 507, 3, 12), options);
    check(call.run(), "w1 " + std::to_string(w1));
  }
}

TEST(Divergence, WeightsOfTheMixture) {
  for (D type : {D::f32, D::bf16}) {
    for (double weight : {.1, .5, .75, .999, 1e-6, 1 - 1e-7}) {
      lr_divergence_options options = options_of(LR_JENSEN_SHANNON, .8);
      options.js_weight = weight;
      Call call(normal(type, 2, 507, 3, 13), normal(type, 2, 507, 3, 14), options);
      check(call.run(), "js_weight " + std::to_string(weight));
      for (int64_t r = 0; r < 2; ++r) {  // right relative to itself, however small
        const double value = definition(options, log_softmax(row_of(call.p, r), .8),
                                        log_softmax(row_of(call.q, r), .8));
        EXPECT_NEAR(call.values.get(r) / value, 1, 2e-5) << weight;
      }
    }
  }
}

// One side has columns where the other has none, and lies far away; weights next to nothing.
TEST(Divergence, MixturesOfRowsThatHardlyMeet) {
  const int64_t columns = 41;
  for (double weight : {1e-300, 1e-30, .25, 1 - 1e-12}) {
    lr_divergence_options options = options_of(LR_JENSEN_SHANNON);
    options.js_weight = weight;
    Tensor p = normal(D::f32, 3, columns, 60, 15), q = normal(D::f32, 3, columns, 1, 16);
    for (int64_t k = 0; k < columns; ++k) {
      p.set(k, k == 3 ? 1000 : 0);
      q.set(k, k == 5 ? 1e6 : 1e6 - 900);
      (k < 20 ? p : q).set(columns + k, -kInf);
    }
    Call call(p, q, options);
    call.run();
    for (int64_t r = 0; r < 3; ++r) {
      const double value =
          definition(options, log_softmax(row_of(p, r), 1), log_softmax(row_of(q, r), 1));
      EXPECT_NEAR(call.values.get(r), value, 1e-5 * value + 1e-12) << weight << " row " << r;
    }
    for (int64_t k = 0; k < 3 * columns; ++k) {
      ASSERT_TRUE(std::isfinite(call.grad_p.get(k))) << weight << " " << k;
      ASSERT_TRUE(std::isfinite(call.grad_q.get(k))) << weight << " " << k;
    }
  }
}

// The same bits as of slices, zeros behind, and nothing read there.
TEST(Divergence, ColumnsBehindTheVocabularyTakeNoPart) {
  const int64_t columns = 507, vocab = 123;
  for (D type : {D::f32, D::bf16}) {
    for (int32_t kind : kKinds) {
      Tensor p = normal(type, 3, columns, 2, 17), q = normal(type, 3, columns, 2, 18);
      for (int64_t r = 0; r < 3; ++r) {
        for (int64_t k = vocab; k < columns; ++k) {
          p.set(r * columns + k, NAN);
          q.set(r * columns + k, kInf);
        }
      }
      lr_divergence_options options = options_of(kind, .7);
      Call sliced(p.slice(1, 0, vocab), q.slice(1, 0, vocab), options);
      sliced.run();
      options.vocab = vocab;
      Call call(p, q, options);
      call.run();
      EXPECT_EQ(call.values.bits(), sliced.values.bits()) << kNames[kind];
      for (int64_t k = 0; k < 3 * columns; ++k) {
        const int64_t at = k / columns * vocab + k % columns;
        const bool in = k % columns < vocab;
        ASSERT_EQ(call.grad_p.get(k), in ? sliced.grad_p.get(at) : 0) << kNames[kind];
        ASSERT_EQ(call.grad_q.get(k), in ? sliced.grad_q.get(at) : 0) << kNames[kind];
      }
    }
  }
}

// Weights are what their logarithms are as logits.
TEST(Divergence, ConstantWeights) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int32_t kind : kKinds) {
      const int64_t columns = 1271;
      Tensor p = normal(type, 2, columns, 2, 21), weights(D::f32, {2, columns}),
             logs(D::f32, {2, columns});
      const Row values = normal_values(2 * columns, 2, 22);
      for (int64_t k = 0; k < 2 * columns; ++k)
        weights.set(k, std::exp(values[static_cast<size_t>(k)]) * (k < columns ? 1e-39 : 1e33));
      Call call(p, logs, options_of(kind, .7));
      call.args.q_logits = nullptr;
      call.args.q_weights = weights;
      call.args.grad_q_logits = nullptr;
      call.run();
      for (int64_t r = 0; r < 2; ++r) {
        Row lq = row_of(weights, r);
        for (double& w : lq)
          w = std::log(w);
        Row x = row_of(p, r);
        const Row log_q = log_softmax(lq, 1);
        const double value = definition(call.args.options, log_softmax(x, .7), log_q);
        EXPECT_NEAR(call.values.get(r), value, 4e-6 * std::fabs(value) + 3e-7) << kNames[kind];
        for (size_t k = 0; k < x.size(); k += 97) {
          const double saved = x[k], h = 2e-5;
          x[k] = saved + h;
          const double up = definition(call.args.options, log_softmax(x, .7), log_q);
          x[k] = saved - h;
          const double expected =
              (up - definition(call.args.options, log_softmax(x, .7), log_q)) / (2 * h);
          x[k] = saved;
          EXPECT_NEAR(call.grad_p.get(r * columns + static_cast<int64_t>(k)), expected,
                      (2e-5 + rounding(type)) * std::fabs(expected) + 1e-6 * (1 + value) * .01 +
                          std::ldexp(1, -24))
              << kNames[kind] << " " << k;
        }
      }
    }
  }
}

TEST(Divergence, RowsMeetByIndexAndTheOthersGetZero) {
  const int64_t columns = 123;
  Tensor p = normal(D::f32, 5, columns, 2, 31), q = normal(D::f32, 4, columns, 2, 32);
  Tensor p_rows(D::i64, {3}, {4, 0, 2}), q_rows(D::i32, {3}, {1, 3, 0}),
      weights(D::f32, {3}, {2, 0, 6}), upstream(D::f32, {1}, {-.5});
  for (int32_t kind : kKinds) {
    lr_divergence_options options = options_of(kind);
    options.reduction = LR_DIVERGENCE_MEAN;
    Call call(p, q, options, 3);
    call.args.p_rows = p_rows;
    call.args.q_rows = q_rows;
    call.args.row_weights = weights;
    call.args.grad_loss = upstream;
    call.run();
    double loss = 0;
    for (int64_t k = 0; k < 3; ++k) {
      const auto row_p = static_cast<int64_t>(p_rows.get(k)),
                 row_q = static_cast<int64_t>(q_rows.get(k));
      Call alone(p.slice(0, row_p, row_p + 1), q.slice(0, row_q, row_q + 1), options_of(kind));
      alone.run();
      EXPECT_EQ(call.values.get(k), alone.values.get(0)) << kNames[kind];
      loss += weights.get(k) / 8 * alone.values.get(0);
      for (int64_t j = 0; j < columns; ++j) {
        const double scale = -.5 * weights.get(k) / 8;
        ASSERT_NEAR(call.grad_p.get(row_p * columns + j), scale * alone.grad_p.get(j),
                    4e-7 * std::fabs(alone.grad_p.get(j)) + 1e-7)
            << kNames[kind];
        ASSERT_NEAR(call.grad_q.get(row_q * columns + j), scale * alone.grad_q.get(j),
                    4e-7 * std::fabs(alone.grad_q.get(j)) + 1e-7)
            << kNames[kind];
      }
    }
    EXPECT_NEAR(call.loss.get(0), loss, 1e-12 + 1e-12 * std::fabs(loss));
    for (int64_t row : {1, 3}) {
      for (int64_t j = 0; j < columns; ++j)
        ASSERT_EQ(call.grad_p.get(row * columns + j), 0);
    }
    for (int64_t j = 0; j < columns; ++j)
      ASSERT_EQ(call.grad_q.get(2 * columns + j), 0);
  }
}

TEST(Divergence, AConstantOffsetCancels) {
  Tensor p(D::f32, {1, 507}), q(D::f32, {1, 507});
  for (int64_t k = 0; k < 507; ++k)
    p.set(k, static_cast<double>(k * 37 % 101) / 16), q.set(k, p.get(k) + 1000);
  for (int32_t kind : kKinds) {
    if (kind == LR_SCE)
      continue;
    Call call(p, q, options_of(kind));
    call.run();
    EXPECT_NEAR(call.values.get(0), 0, kind == LR_COSINE ? 1e-7 : 1e-12) << kNames[kind];
    for (int64_t k = 0; k < 507; ++k) {
      ASSERT_NEAR(call.grad_p.get(k), 0, 1e-9) << kNames[kind];
      ASSERT_NEAR(call.grad_q.get(k), 0, 1e-9) << kNames[kind];
    }
  }
}

// Both sides masked alike, in part of a tile and in whole ones: as if the columns were not there.
TEST(Divergence, MaskedColumnsAreAbsent) {
  const int64_t columns = 9001, kept = 3000;
  for (D type : {D::f32, D::bf16}) {
    for (int32_t kind : kKinds) {
      Tensor p = normal(type, 1, columns, 2, 41), q = normal(type, 1, columns, 2, 42);
      for (int64_t k = kept; k < columns; ++k)
        p.set(k, -kInf), q.set(k, -kInf);
      Call masked(p, q, options_of(kind)),
          alone(p.slice(1, 0, kept).clone(), q.slice(1, 0, kept).clone(), options_of(kind));
      masked.run();
      alone.run();
      EXPECT_NEAR(masked.values.get(0), alone.values.get(0),
                  1e-6 * std::fabs(alone.values.get(0)) + 1e-7)
          << kNames[kind];
      double largest = 0;
      for (int64_t k = 0; k < kept; ++k)
        largest = std::fmax(largest, std::fabs(alone.grad_p.get(k)));
      for (int64_t k = 0; k < columns; ++k) {
        ASSERT_NEAR(masked.grad_p.get(k), k < kept ? alone.grad_p.get(k) : 0,
                    k < kept ? 1e-2 * std::fabs(alone.grad_p.get(k)) + 3e-6 * largest : 0)
            << kNames[kind] << k;
        if (k >= kept) {
          ASSERT_EQ(masked.grad_q.get(k), 0);
        }
      }
    }
  }
}

TEST(Divergence, OneSideMaskedIsInfiniteWhereTheMathsIs) {
  const int64_t columns = 123;
  for (int32_t kind : kKinds) {
    Tensor p = normal(D::f32, 1, columns, 2, 51), q = normal(D::f32, 1, columns, 2, 52);
    q.set(7, -kInf);  // p(7) > 0
    Call call(p, q, options_of(kind));
    call.run();
    const bool infinite = kind == LR_SCE || kind == LR_JEFFREYS || kind == LR_KL_PQ;
    if (infinite) {
      EXPECT_EQ(call.values.get(0), kInf) << kNames[kind];
      EXPECT_TRUE(std::isnan(call.grad_p.get(3))) << kNames[kind];
    } else {
      check(call, kNames[kind]);
    }
    EXPECT_EQ(call.grad_q.get(7), 0) << kNames[kind];
    EXPECT_TRUE(std::isfinite(call.grad_q.get(3))) << kNames[kind];
  }
  // A weight of 0 keeps the infinite entropy out.
  lr_divergence_options options = options_of(LR_SCE);
  options.w1 = 0;
  Tensor p = normal(D::f32, 1, columns, 2, 51), q = normal(D::f32, 1, columns, 2, 52);
  q.set(7, -kInf);
  Call call(p, q, options);
  check(call.run(), "w1 = 0");
}

TEST(Divergence, UnderflowOnBothSides) {
  Tensor p(D::f32, {1, 4}, {0, -500, -3, -400}), q(D::f32, {1, 4}, {1, -450, -2.5, -900});
  for (int32_t kind : kKinds) {
    Call call(p, q, options_of(kind));
    check(call.run(), kNames[kind]);
  }
}

TEST(Divergence, DisjointSupports) {
  Tensor p(D::f32, {1, 40}), q(D::f32, {1, 40});
  for (int64_t k = 0; k < 40; ++k)
    p.set(k, k < 20 ? 1 : -kInf), q.set(k, k < 20 ? -kInf : 2);
  const auto value = [&](int32_t kind) { return Call(p, q, options_of(kind)).run().values.get(0); };
  EXPECT_NEAR(value(LR_JENSEN_SHANNON), std::log(2), 3e-7);
  EXPECT_NEAR(value(LR_TVD), 1, 1.2e-7);  // one unit in the last place
  EXPECT_NEAR(value(LR_L2), .1, 1e-7);
  EXPECT_NEAR(value(LR_WASSERSTEIN1), 20, 1e-5);
  EXPECT_NEAR(value(LR_COSINE), 1, 1e-7);
  EXPECT_EQ(value(LR_KL_PQ), kInf);
  EXPECT_EQ(value(LR_JEFFREYS), kInf);
}

TEST(Divergence, BadRowsHarmThemselvesOnly) {
  const int64_t columns = 4101;
  for (int32_t kind : kKinds) {
    Tensor p = normal(D::f32, 5, columns, 2, 61), q = normal(D::f32, 5, columns, 2, 62);
    for (int64_t k = 0; k < columns; ++k)
      p.set(k, -kInf);
    q.set(columns + 3000, NAN);
    p.set(2 * columns + 17, kInf);
    Call bad(p, q, options_of(kind));
    bad.run();
    for (int64_t r = 0; r < 3; ++r) {
      EXPECT_TRUE(std::isnan(bad.values.get(r))) << kNames[kind] << r;
      for (int64_t k : {int64_t{0}, columns / 2, columns - 1}) {
        EXPECT_TRUE(std::isnan(bad.grad_p.get(r * columns + k)))
            << kNames[kind] << " " << r << " " << k;
        EXPECT_TRUE(std::isnan(bad.grad_q.get(r * columns + k)))
            << kNames[kind] << " " << r << " " << k;
      }
    }
    Call good(p.slice(0, 3, 5), q.slice(0, 3, 5), options_of(kind));
    good.run();
    EXPECT_EQ(bad.grad_p.slice(0, 3, 5).bits(), good.grad_p.bits());
    EXPECT_EQ(bad.values.slice(0, 3, 5).bits(), good.values.bits());
  }
}

TEST(Divergence, TiesHaveNoSign) {
  Tensor p(D::f32, {1, 4}, {1, 0, 0, -1}), q(D::f32, {1, 4}, {0, 1, 0, -1});
  Call tvd(p, q, options_of(LR_TVD));
  tvd.run();  // p - q = (+, -, 0, 0)
  const double e = std::exp(1), z = e + 2 + 1 / e, p0 = e / z, q0 = 1 / z;
  EXPECT_NEAR(tvd.values.get(0), p0 - q0, 1e-7);
  EXPECT_NEAR(tvd.grad_p.get(2), -.5 * q0 * (p0 - q0), 1e-7);
  EXPECT_NEAR(tvd.grad_p.get(0), .5 * p0 * (1 - (p0 - q0)), 1e-7);
}

TEST(Divergence, ThreadsBatchAndPlaceNeverChangeABit) {
  const int32_t threads = lr_threads();
  for (int32_t kind : kKinds) {
    for (D type : {D::f32, D::bf16}) {
      for (int64_t columns : {123, 70001}) {
        Tensor p = normal(type, 9, columns, 3, 71), q = normal(type, 9, columns, 3, 72);
        ASSERT_EQ(lr_set_threads(1), LR_OK);
        Call single(p, q, options_of(kind));
        single.run();
        ASSERT_EQ(lr_set_threads(2), LR_OK);
        Call parallel(p, q, options_of(kind));
        parallel.run();
        EXPECT_EQ(single.bits(), parallel.bits()) << kNames[kind];
        Call few(p.slice(0, 3, 4), q.slice(0, 3, 4),
                 options_of(kind));  // by segment where there are several
        few.run();
        EXPECT_EQ(few.values.bits(), parallel.values.slice(0, 3, 4).bits()) << kNames[kind];
        EXPECT_EQ(few.grad_p.bits(), parallel.grad_p.slice(0, 3, 4).bits()) << kNames[kind];
        EXPECT_EQ(few.grad_q.bits(), parallel.grad_q.slice(0, 3, 4).bits()) << kNames[kind];
        Call in_place(p.clone(), q.clone(), options_of(kind));
        in_place.args.grad_p_logits = in_place.args.p_logits;
        in_place.args.grad_q_logits = in_place.args.q_logits;
        in_place.run();
        EXPECT_EQ(in_place.p.bits() + in_place.q.bits(),
                  parallel.grad_p.bits() + parallel.grad_q.bits())
            << kNames[kind];
      }
    }
  }
  lr_set_threads(threads);
}

TEST(Divergence, NothingWeighsNothing) {
  Tensor p = normal(D::f32, 2, 41, 2, 81), q = normal(D::f32, 2, 41, 2, 82), zero(D::f32, {2});
  p.set(3, NAN);
  lr_divergence_options options = options_of(LR_JENSEN_SHANNON);
  options.reduction = LR_DIVERGENCE_MEAN;
  Call call(p, q, options);
  call.args.row_weights = zero;
  call.run();
  EXPECT_EQ(call.loss.get(0), 0);
  for (int64_t k = 0; k < 82; ++k)
    ASSERT_EQ(call.grad_p.get(k), 0);
  EXPECT_GT(call.values.get(1), 0);
  for (bool by_index : {true, false}) {  // K = 0, N = 0
    Tensor none(D::i64, {0});
    Tensor rows(D::f32, {by_index ? 2 : 0, 41});
    Call empty(rows, rows.clone(), options, 0);
    if (by_index)
      empty.args.p_rows = none, empty.args.q_rows = none;
    empty.loss.set(0, 5);
    empty.run();
    EXPECT_EQ(empty.loss.get(0), 0);
    for (int64_t k = 0; k < empty.grad_p.size(); ++k)
      ASSERT_EQ(empty.grad_p.get(k), 0);
  }
}

TEST(Divergence, MistakesAreNamed) {
  const auto error = [](const std::function<void(Call&)>& spoil) {
    Call call(Tensor(D::f32, {2, 3}), Tensor(D::f32, {2, 3}), options_of(LR_KL_PQ));
    spoil(call);
    EXPECT_EQ(test::call(lr_divergence, call.args), LR_INVALID_ARGUMENT);
    EXPECT_TRUE(std::isnan(call.grad_p.get(0)));  // nothing was written
    return test::last_error();
  };
  EXPECT_EQ(error([](Call& c) { c.args.options.w1 = 2; }),
            "w1 is 2.0, expected 1 as kl_pq has no such option");
  EXPECT_EQ(error([](Call& c) { c.args.options.js_weight = .25; }),
            "js_weight is 0.25, expected 0.5 as kl_pq has no such option");
  EXPECT_EQ(error([](Call& c) { c.args.options.js_weight = 1; }),
            "js_weight is 1.0, expected a number in (0,1)");
  EXPECT_EQ(error([](Call& c) { c.args.options.vocab = 4; }),
            "vocab is 4, expected at most the 3 columns of p_logits");
  EXPECT_EQ(error([](Call& c) { c.args.options.divergence = 9; }),
            "divergence is 9, expected 0 to 8");
  EXPECT_EQ(error([](Call& c) { c.args.options.temperature = 0; }),
            "temperature is 0.0, expected a finite number > 0");
  EXPECT_EQ(error([](Call& c) { c.args.options.detach = LR_DETACH_P; }),
            "grad_p_logits is wanted, expected p_logits not detached");
  EXPECT_EQ(error([](Call& c) { c.args.q_logits = nullptr; }),
            "q_logits is missing, expected float [M,V] or [R,M,V]");
  Tensor wide(D::f32, {2, 4}), narrow(D::bf16, {2, 3}), longer(D::f32, {3, 3}),
      rows(D::i64, {2}, {1, 1}), weights(D::f32, {2, 3}, {1, 0, 2, 0, 0, 0});
  EXPECT_EQ(error([&](Call& c) { c.args.q_logits = wide; }),
            "q_logits is F32 [2, 4], expected shape [2, 3], as p_logits is F32 [2, 3]");
  EXPECT_EQ(error([&](Call& c) {
              c.args.q_logits = narrow;
              c.args.grad_q_logits = nullptr;
            }),
            "q_logits is BF16 [2, 3], expected F32, as p_logits is F32 [2, 3]");
  EXPECT_EQ(error([&](Call& c) {
              c.args.q_logits = longer;
              c.args.grad_q_logits = nullptr;
            }),
            "q_logits is F32 [3, 3], expected 2 rows, as p_logits is F32 [2, 3] without p_rows and "
            "q_rows");
  EXPECT_EQ(error([&](Call& c) { c.args.p_rows = rows; }),
            "q_rows is missing, expected int [K], as p_rows is given");
  EXPECT_EQ(error([&](Call& c) { c.args.grad_p_logits = c.args.q_logits; }),
            "grad_p_logits F32 [2, 3] overlaps q_logits F32 [2, 3], expected memory of its own");
  if (on_emulator())
    return;  // values in device memory are not looked at
  EXPECT_EQ(error([&](Call& c) { c.args.p_rows = c.args.q_rows = rows; }),
            "p_rows[1] is 1 once more, expected no row twice");
  EXPECT_EQ(error([&](Call& c) {
              c.args.q_logits = c.args.grad_q_logits = nullptr;
              c.args.q_weights = weights;
            }),
            "q_weights row 1 sums to 0, expected a positive sum");
}

}  // namespace
}  // namespace logratio::test
