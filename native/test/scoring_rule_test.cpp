// scoring_rule on the instruction set of this run, against the definitions in plain double loops
// and finite differences of them.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "support/tensor.h"

namespace logratio::test {
namespace {

constexpr double kInf = INFINITY;
using Row = std::vector<double>;

lr_rule_options options_of(int32_t rule, double alpha = 2, double epsilon = 0, bool masked = false,
                           int32_t normalisation = LR_SELTEN) {
  return {rule, normalisation, masked ? 1 : 0, 0, alpha, epsilon, 0, -100};
}

const std::vector<lr_rule_options>& every_rule() {
  static const std::vector<lr_rule_options> rules = [] {
    std::vector<lr_rule_options> all;
    for (double epsilon : {0.0, .1}) {
      for (bool masked : {false, true}) {
        for (int32_t rule : {LR_RULE_LOG, LR_RULE_BRIER, LR_RULE_SPHERICAL})
          all.push_back(options_of(rule, 2, epsilon, masked));
        for (int32_t rule : {LR_RULE_POWER, LR_RULE_PSEUDO_SPHERICAL}) {
          for (double alpha : {1.01, 1.5, 2.0, 2.5, 7.0}) {
            for (int32_t normalisation : {LR_SELTEN, LR_JNW})
              all.push_back(options_of(rule, alpha, epsilon, masked, normalisation));
          }
        }
      }
    }
    return all;
  }();
  return rules;
}

std::string name_of(const lr_rule_options& o) {
  return "rule " + std::to_string(o.rule) + " alpha " + std::to_string(o.alpha) + " epsilon " +
         std::to_string(o.epsilon) + " masked " + std::to_string(o.masked_log) + " jnw " +
         std::to_string(o.normalisation);
}

// ---- The definitions ----

// The loss of label y as the papers have it, `power_sum` being the sum of p^alpha.
double loss_of(const lr_rule_options& o, double log_p, double log_power_sum) {
  const double alpha = o.alpha;
  switch (o.rule) {
    case LR_RULE_LOG:
      return -log_p;
    case LR_RULE_BRIER:
      return std::exp(log_power_sum) - 2 * std::exp(log_p);
    case LR_RULE_SPHERICAL:
      return -std::exp(log_p - .5 * log_power_sum);
    case LR_RULE_POWER:
      if (o.normalisation == LR_JNW)
        return -std::expm1((alpha - 1) * log_p) / (alpha - 1) + std::expm1(log_power_sum) / alpha;
      return -(alpha * std::exp((alpha - 1) * log_p) - (alpha - 1) * std::exp(log_power_sum));
    default: {
      const double exponent = (alpha - 1) * (log_p - log_power_sum / alpha);
      return o.normalisation == LR_JNW ? -std::expm1(exponent) / (alpha - 1) : -std::exp(exponent);
    }
  }
}

// `mask` is taken once, at the row itself: the mask is constant.
double definition(const lr_rule_options& o, const Row& logits, int64_t label,
                  const std::vector<bool>* mask) {
  double maximum = -kInf, sum = 0, power_sum = 0;
  for (double x : logits)
    maximum = std::fmax(maximum, x);
  for (double x : logits)
    sum += std::exp(x - maximum), power_sum += std::exp(o.alpha * (x - maximum));
  const double n = static_cast<double>(logits.size()),
               log_power_sum = std::log(power_sum) - o.alpha * std::log(sum);
  double value = 0;
  for (size_t k = 0; k < logits.size(); ++k) {
    const double log_p = logits[k] - maximum - std::log(sum);
    const double weight = (static_cast<int64_t>(k) == label ? 1 - o.epsilon : 0) + o.epsilon / n;
    if (weight > 0)
      value += weight * loss_of(o, log_p, log_power_sum);
    if (mask != nullptr && (*mask)[k])
      value -= o.epsilon / n * log_p;
  }
  return value;
}

std::vector<bool> mask_of(const lr_rule_options& o, const Row& logits) {
  double maximum = -kInf, sum = 0;
  for (double x : logits)
    maximum = std::fmax(maximum, x);
  for (double x : logits)
    sum += std::exp(x - maximum);
  std::vector<bool> mask;
  for (double x : logits)
    mask.push_back(std::exp(x - maximum) / sum < o.epsilon / static_cast<double>(logits.size()));
  return mask;
}

// ---- Calls ----

struct Call {
  Tensor logits, labels, gradient, values, loss;
  lr_scoring_rule_args args = make_args<lr_scoring_rule_args>();
  Call(Tensor rows, Tensor classes, const lr_rule_options& options)
      : logits(std::move(rows)),
        labels(std::move(classes)),
        gradient(logits.type(), logits.shape()),
        values(D::f64, labels.shape()),
        loss(D::f64, {1}) {
    gradient.fill(NAN);
    args.logits = logits;
    args.labels = labels;
    args.options = options;
    args.values = values;
    args.loss = loss;
    args.grad_logits = gradient;
  }
  Call(const Call&) = delete;
  Call& run() {
    EXPECT_EQ(call(lr_scoring_rule, args), LR_OK) << lr_last_error();
    return *this;
  }
  std::string bits() const { return values.bits() + loss.bits() + gradient.bits(); }
};

void check(const Call& call, const std::string& what) {
  const int64_t rows = call.labels.size(), columns = call.logits.shape().back();
  const lr_rule_options& o = call.args.options;
  const int64_t vocab = o.vocab == 0 ? columns : o.vocab;
  const double rounding = call.logits.type() == D::f32    ? 0
                          : call.logits.type() == D::bf16 ? std::ldexp(1, -8)
                                                          : std::ldexp(1, -11);
  for (int64_t r = 0; r < rows; ++r) {
    const std::string at = what + " row " + std::to_string(r);
    Row x;
    for (int64_t k = 0; k < vocab; ++k)
      x.push_back(call.logits.get(r * columns + k));
    const auto label = static_cast<int64_t>(call.labels.get(r));
    const std::vector<bool> mask = mask_of(o, x);
    const std::vector<bool>* const used = o.masked_log == 1 ? &mask : nullptr;
    const double value = definition(o, x, label, used);
    EXPECT_NEAR(call.values.get(r), value, 4e-6 * std::fabs(value) + 1e-6) << at;
    const double upstream = 1 / static_cast<double>(rows);
    double largest = 0;
    for (int64_t k = 0; k < vocab; ++k)
      largest = std::fmax(largest, std::fabs(call.gradient.get(r * columns + k)));
    const int64_t step = std::max<int64_t>(1, vocab / 10);
    for (int64_t j = -1; j < vocab; j += step) {
      const int64_t k = j < 0 ? label : j;
      double& logit = x[static_cast<size_t>(k)];
      const double saved = logit, h = 2e-5;
      logit = saved + h;
      const double up = definition(o, x, label, used);
      logit = saved - h;
      const double expected = upstream * (up - definition(o, x, label, used)) / (2 * h);
      logit = saved;
      EXPECT_NEAR(call.gradient.get(r * columns + k), expected,
                  (2e-5 + rounding) * std::fabs(expected) + 3e-6 * largest +
                      1e-9 * (1 + std::fabs(value)) + 3e-8 * o.alpha * o.alpha * upstream +
                      (call.logits.type() == D::f16 ? std::ldexp(1, -24) : 0))
          << at << " " << k;
    }
    for (int64_t k = vocab; k < columns; ++k)
      ASSERT_EQ(call.gradient.get(r * columns + k), 0) << at;
  }
}

Tensor normal(D type, int64_t rows, int64_t columns, double scale, uint32_t seed) {
  return Tensor(type, {rows, columns}, normal_values(rows * columns, scale, seed));
}

// ---- Tests ----

TEST(ScoringRule, PublishedTable) {
  struct Entry {
    lr_rule_options options;
    double value;
    Row gradient;
  };
  const std::vector<Entry> table = {
      {options_of(LR_RULE_LOG),
       1.4120783068966373,
       {0.66227241352412038, -0.75636359460948423, 0.089628824664081918, 0.0044623564212819364}},
      {options_of(LR_RULE_LOG, 2, .1),
       1.5120783068966373,
       {0.63727241352412038, -0.68136359460948423, 0.064628824664081918, -0.020537643578718064}},
      {options_of(LR_RULE_BRIER),
       0.018743875801139011,
       {0.52967505525825786, -0.49640619182758310, -0.030967020015149195, -0.0023018434155255693}},
      {options_of(LR_RULE_BRIER, 2, .1),
       0.017471156879242164,
       {0.49740432121419428, -0.45955065035580229, -0.035334388947255939, -0.0025192819111360527}},
      {options_of(LR_RULE_BRIER, 2, .1, true),
       0.15277311455165810,
       {0.51396113155229729, -0.45345974022103940, -0.033093668330653891, -0.027407723000604004}},
      {options_of(LR_RULE_SPHERICAL),
       -0.34249935979441547,
       {0.29687132848296892, -0.30232219446934339, 0.0054373880489128447, 1.3477937461622358e-5}},
      {options_of(LR_RULE_SPHERICAL, 2, .1),
       -0.34339394165144380,
       {0.27437148879896589, -0.27652980283410650, 0.0023016282591884310, -0.00014331422404782640}},
      {options_of(LR_RULE_SPHERICAL, 2, .1, true),
       -0.20809198397902787,
       {0.29092829913706890, -0.27043889269934360, 0.0045423488757904789, -0.025031755313515778}},
      {options_of(LR_RULE_POWER, 1.5),
       -0.39721951370988372,
       {0.30847794723343531, -0.31522419225784348, 0.0071677732922495373, -0.00042152826784136986}},
      {options_of(LR_RULE_POWER, 3),
       0.43323965078047508,
       {0.76415206496429540, -0.62942522230481345, -0.12813292758805412, -0.0065939150714278210}},
      {options_of(LR_RULE_PSEUDO_SPHERICAL, 1.5),
       -0.55957265578473831,
       {0.21970384787235976, -0.23076377313138326, 0.010938410494703955, 0.00012151476431953955}},
      {options_of(LR_RULE_PSEUDO_SPHERICAL, 3),
       -0.13081593290800867,
       {0.24863659414701513, -0.24925297870446706, 0.00061630849894082370, 7.6058511111242603e-8}},
  };
  for (const Entry& entry : table) {
    Call call(Tensor(D::f32, {1, 4}, {2, 1, 0, -3}), Tensor(D::i64, {1}, {1}), entry.options);
    call.run();
    const std::string at = name_of(entry.options);
    EXPECT_NEAR(call.values.get(0), entry.value, 3e-7) << at;
    EXPECT_EQ(call.loss.get(0), call.values.get(0)) << at;
    for (int64_t k = 0; k < 4; ++k)
      EXPECT_NEAR(call.gradient.get(k), entry.gradient[static_cast<size_t>(k)], 3e-7)
          << at << " " << k;
  }
}

TEST(ScoringRule, EverySizeRuleAndType) {
  uint32_t seed = 1;
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1, 2, 7, 31, 33, 41, 123, 507, 1271, 2049, 4101}) {
      for (const lr_rule_options& options : every_rule()) {
        ++seed;
        Call call(normal(type, 2, columns, 2, seed),
                  Tensor(D::i64, {2}, random_labels(2, columns, seed)), options);
        check(call.run(), name_of(options) + " type " + std::to_string(static_cast<int>(type)) +
                              " columns " + std::to_string(columns));
      }
    }
  }
}

TEST(ScoringRule, SeveralSegmentsAndAPaddedVocabulary) {
  for (int32_t rule : {LR_RULE_LOG, LR_RULE_BRIER, LR_RULE_SPHERICAL, LR_RULE_POWER}) {
    for (int64_t vocab : {32769, 32768, 70001}) {
      lr_rule_options options = options_of(rule, rule == LR_RULE_POWER ? 1.5 : 2, .1, true);
      options.vocab = vocab;
      Tensor logits = normal(D::f32, 1, 70001, 2, 5);
      if (vocab < 70001)
        logits.set(70000, NAN);  // columns that take no part are not read
      Call call(logits, Tensor(D::i64, {1}, {17}), options);
      check(call.run(), name_of(options) + " vocab " + std::to_string(vocab));
    }
  }
}

// Every tile lies far above the one before, and powers of exponentials would overflow where
// exponents were taken from a value that is only a little too low.
TEST(ScoringRule, RisingLogitsAndHighOrders) {
  const int64_t columns = 9001;
  for (const double alpha : {1.01, 1.5, 2.0, 3.0, 40.0}) {
    for (const int32_t rule : {LR_RULE_POWER, LR_RULE_PSEUDO_SPHERICAL}) {
      for (const double slope : {.004, -.004}) {
        Tensor logits(D::f32, {1, columns});
        const Row noise = normal_values(columns, 1, 17);
        for (int64_t k = 0; k < columns; ++k)
          logits.set(k, slope * static_cast<double>(k) + noise[static_cast<size_t>(k)]);
        Call call(logits, Tensor(D::i64, {1}, {slope > 0 ? 8900.0 : 100.0}),
                  options_of(rule, alpha, .1));
        check(call.run(), "rule " + std::to_string(rule) + " alpha " + std::to_string(alpha));
      }
    }
  }
}

TEST(ScoringRule, IgnoredRowsUpstreamAndBatches) {
  const int64_t columns = 123;
  for (const lr_rule_options& base : {options_of(LR_RULE_LOG, 2, .1), options_of(LR_RULE_BRIER),
                                      options_of(LR_RULE_PSEUDO_SPHERICAL, 3)}) {
    lr_rule_options options = base;
    options.ignore_index = 7;
    Tensor logits = normal(D::f32, 6, columns, 2, 31), labels(D::i32, {6}, {0, 7, 122, 5, 7, 9}),
           upstream(D::f32, {6}, {1, 2, -3, 0, 5, .5});
    for (int64_t k = 0; k < columns; ++k)
      logits.set(4 * columns + k, NAN);
    Tensor batched = logits.reshape({2, 3, columns}), batched_labels = labels.reshape({2, 3});
    Call mean(batched, batched_labels, options), weighted(logits, labels, options);
    weighted.args.grad_loss = upstream;
    mean.run();
    weighted.run();
    EXPECT_EQ(mean.values.bits(), weighted.values.bits());
    double sum = 0;
    for (int64_t r = 0; r < 6; ++r) {
      const bool ignored = labels.get(r) == 7;
      if (ignored) {
        EXPECT_EQ(mean.values.get(r), 0);
      }
      sum += mean.values.get(r);
      for (int64_t k = 0; k < columns; ++k) {
        const double unit = 4 * mean.gradient.get(r * columns + k),
                     expected = ignored ? 0 : upstream.get(r) * unit;
        ASSERT_NEAR(weighted.gradient.get(r * columns + k), expected,
                    4e-7 * std::fabs(expected) + 1e-8)
            << r;
      }
    }
    EXPECT_DOUBLE_EQ(mean.loss.get(0), sum / 4);
  }
}

TEST(ScoringRule, InfinitiesAndNaN) {
  const int64_t columns = 4101;
  for (const lr_rule_options& options : every_rule()) {
    Tensor logits = normal(D::f32, 6, columns, 2, 41), labels(D::i64, {6}, {3000, 1, 2, 3, 4, 5});
    for (int64_t k = 0; k < 2500; ++k)
      logits.set(k, -kInf);  // a whole tile and more
    for (int64_t k = columns; k < 2 * columns; ++k)
      logits.set(k, -kInf);  // nothing else
    logits.set(2 * columns + 3000, NAN);
    logits.set(3 * columns + 9, kInf);
    logits.set(4 * columns + 4, -kInf);  // the label
    Call call(logits, labels, options);
    call.run();
    const std::string at = name_of(options);
    const bool infinite =
        options.epsilon > 0 && (options.rule == LR_RULE_LOG || options.masked_log == 1);
    if (infinite) {
      EXPECT_EQ(call.values.get(0), kInf) << at;
    } else {
      EXPECT_TRUE(std::isfinite(call.values.get(0))) << at;
    }
    double sum = 0;
    for (int64_t k = 0; k < columns; ++k) {
      if (k < 2500) {
        ASSERT_EQ(call.gradient.get(k), 0) << at;
      }
      sum += call.gradient.get(k);
    }
    if (!infinite) {
      EXPECT_NEAR(sum, 0, 1e-6) << at;
    }
    for (int64_t r : {1, 2, 3}) {
      EXPECT_TRUE(std::isnan(call.values.get(r))) << at << r;
      for (int64_t k : {int64_t{0}, columns / 2, columns - 1})
        EXPECT_TRUE(std::isnan(call.gradient.get(r * columns + k))) << at << r;
    }
    EXPECT_EQ(call.gradient.get(4 * columns + 4), 0) << at;
    EXPECT_EQ(std::isinf(call.values.get(4)), options.rule == LR_RULE_LOG || infinite) << at;
    EXPECT_TRUE(std::isfinite(call.gradient.get(4 * columns + 77))) << at;
    Call alone(logits.slice(0, 5, 6), labels.slice(0, 5, 6), options);
    alone.run();
    EXPECT_EQ(alone.values.bits(), call.values.slice(0, 5, 6).bits()) << at;
  }
}

TEST(ScoringRule, ThreadsBatchAndPlaceNeverChangeABit) {
  const int32_t threads = lr_threads();
  for (const lr_rule_options& options :
       {options_of(LR_RULE_LOG, 2, .1, true), options_of(LR_RULE_BRIER),
        options_of(LR_RULE_POWER, 1.5, .1, true)}) {
    for (D type : {D::f32, D::bf16}) {
      for (int64_t columns : {123, 70001}) {
        Tensor logits = normal(type, 9, columns, 3, 71),
               labels(D::i64, {9}, random_labels(9, columns, 72)), ones(D::f32, {9});
        ones.fill(1);
        const auto call_of = [&](const Tensor& rows, const Tensor& classes, Tensor upstream,
                                 bool in_place) {
          Call call(rows, classes, options);
          call.args.grad_loss = upstream;
          if (in_place)
            call.args.grad_logits = call.args.logits;
          call.run();
          return std::pair{call.values.bits(),
                           in_place ? call.logits.bits() : call.gradient.bits()};
        };
        ASSERT_EQ(lr_set_threads(1), LR_OK);
        const auto single = call_of(logits, labels, ones, false);
        ASSERT_EQ(lr_set_threads(2), LR_OK);
        EXPECT_EQ(call_of(logits, labels, ones, false), single);
        EXPECT_EQ(call_of(logits.clone(), labels, ones, true), single);
        const auto few =
            call_of(logits.slice(0, 3, 4), labels.slice(0, 3, 4), ones.slice(0, 3, 4), false);
        EXPECT_EQ(few.second, single.second.substr(few.second.size() * 3, few.second.size()));
      }
    }
  }
  lr_set_threads(threads);
}

TEST(ScoringRule, NoRowIsLeft) {
  for (int64_t rows : {0, 3}) {
    Tensor labels(D::i64, {rows});
    labels.fill(-100);
    Call call(Tensor(D::f32, {rows, 5}).fill(NAN), labels, options_of(LR_RULE_BRIER));
    call.loss.set(0, 3);
    call.run();
    EXPECT_EQ(call.loss.get(0), 0);
    for (int64_t k = 0; k < rows * 5; ++k)
      ASSERT_EQ(call.gradient.get(k), 0);
  }
}

TEST(ScoringRule, MistakesAreNamed) {
  const auto error = [](const lr_rule_options& options, double label = 0) {
    Call call(Tensor(D::f32, {1, 4}), Tensor(D::i64, {1}, {label}), options);
    EXPECT_EQ(test::call(lr_scoring_rule, call.args), LR_INVALID_ARGUMENT);
    EXPECT_TRUE(std::isnan(call.gradient.get(0)));  // nothing was written
    return test::last_error();
  };
  EXPECT_EQ(error(options_of(LR_RULE_BRIER, 3)),
            "alpha is 3.0, expected 2 as brier has no such option");
  EXPECT_EQ(error(options_of(LR_RULE_LOG, 2, 0, false, LR_JNW)),
            "normalisation is jnw, expected selten as log has no such option");
  EXPECT_EQ(error(options_of(LR_RULE_POWER, 1)), "alpha is 1.0, expected a finite number > 1");
  EXPECT_EQ(error(options_of(LR_RULE_LOG, 2, 1)), "epsilon is 1.0, expected a number in [0,1)");
  EXPECT_EQ(error(options_of(5)), "rule is 5, expected 0 to 4");
  lr_rule_options options = options_of(LR_RULE_LOG);
  options.vocab = 5;
  EXPECT_EQ(error(options), "vocab is 5, expected at most the 4 columns of logits");
  if (on_emulator())
    return;  // values in device memory are not looked at
  options.vocab = 3;
  EXPECT_EQ(error(options, 3),
            "labels[0] is 3, expected a number in [0,3) or the ignore_index -100");
}

}  // namespace
}  // namespace logratio::test
