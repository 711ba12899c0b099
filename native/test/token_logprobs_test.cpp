// token_logprobs and its backward on the instruction set or device of this run, against plain
// double loops.
#include <sys/mman.h>

#include "support/tokens.h"

namespace logratio::test {
namespace {

constexpr double kInf = INFINITY;

void check_rows(const Tensor& logits, const Tensor& labels, const lr_token_options& options,
                const std::string& what) {
  const int64_t rows = labels.size(), columns = logits.shape().back();
  TokenFigures figures = forward(logits, labels, options);
  const TokenFigures alone = forward_logp(logits, labels, options);
  Tensor grad_logp(D::f32, labels.shape(), normal_values(rows, 1, 71)),
      grad_entropy(D::f32, labels.shape(), normal_values(rows, 1, 72));
  Tensor no_entropy(
      D::f32,
      labels.shape());  // rows without an upstream gradient of entropy take a shorter loop, too
  Tensor gradient(logits.type(), logits.shape()), gradient_alone(logits.type(), logits.shape());
  backward(logits, labels, figures, grad_logp, grad_entropy, gradient, options);
  backward(logits, labels, figures, grad_logp, no_entropy, gradient_alone, options);
  const double ulp = logits.type() == D::f32    ? std::ldexp(1, -23)
                     : logits.type() == D::bf16 ? std::ldexp(1, -8)
                                                : std::ldexp(1, -11);
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<double> x = row_of(logits, row);
    const auto raw_label = static_cast<int64_t>(labels.get(row));
    const int64_t label = raw_label == options.ignore_index ? -1 : raw_label;
    const OracleRow expected = oracle_forward(x, label, options.temperature, options.softcap);
    const std::string at = what + " row " + std::to_string(row);
    const double size = std::isfinite(expected.lse) ? 1 + std::fabs(expected.lse) : 1;
    for (const TokenFigures* had : {static_cast<const TokenFigures*>(&figures), &alone}) {
      const std::string which = had == &alone ? " alone" : "";
      const double logp_size = size + (std::isfinite(expected.logp) ? std::fabs(expected.logp) : 0);
      expect_near_or_same(had->lse.get(row), expected.lse, 1e-6 * size, at + " lse" + which);
      expect_near_or_same(had->logp.get(row), expected.logp, 1e-6 * logp_size,
                          at + " logp" + which);
    }
    expect_near_or_same(figures.lse2.get(row), expected.lse2, 2e-6 * size, at + " lse2");
    expect_near_or_same(figures.entropy.get(row), expected.entropy, 3e-6 * size, at + " entropy");
    expect_near_or_same(figures.mean_logit.get(row), expected.mean_logit, 1e-6 * size,
                        at + " mean_logit");
    EXPECT_EQ(static_cast<int64_t>(figures.argmax.get(row)), expected.argmax) << at;
    const auto expect_gradient = [&](const Tensor& actual, double up_entropy,
                                     const std::string& which) {
      const std::vector<double> exact = oracle_backward(
          x, label, options.temperature, options.softcap, grad_logp.get(row), up_entropy);
      double largest = 0;
      for (double value : exact)
        largest = std::fmax(largest, std::fabs(value));
      const double subnormal = logits.type() == D::f16 ? std::ldexp(1, -24) : 0;
      for (int64_t k = 0; k < columns; ++k) {
        const double e = exact[static_cast<size_t>(k)];
        expect_near_or_same(actual.get(row * columns + k), e,
                            (ulp + 2e-5) * std::fabs(e) + 3e-6 * largest + subnormal,
                            at + which + std::to_string(k));
      }
    };
    expect_gradient(gradient, grad_entropy.get(row), " gradient ");
    expect_gradient(gradient_alone, 0, " gradient of logp ");
  }
}

TEST(TokenLogprobs, EverySizeAndType) {
  uint32_t seed = 1;
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1,    2,    3,    7,    8,    15,   16,   17,    31,    33,
                            41,   63,   64,   65,   123,  127,  128,  129,   507,   1271,
                            2047, 2048, 2049, 4095, 4096, 4097, 8197, 32768, 33001, 65541}) {
      const int64_t rows = columns > 4000 ? 2 : 5;
      Tensor logits(type, {rows, columns}, normal_values(rows * columns, 4, ++seed)),
          labels(D::i64, {rows}, random_labels(rows, columns, ++seed));
      check_rows(
          logits, labels, default_token_options(),
          "type " + std::to_string(static_cast<int>(type)) + " columns " + std::to_string(columns));
    }
  }
}

TEST(TokenLogprobs, TemperatureSoftcapAndIgnoreIndex) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (const lr_token_options& options :
         {lr_token_options{3, .7, 0, 0}, lr_token_options{-1, 2.5, 0, 0},
          lr_token_options{0, 1, 5, 0}, lr_token_options{7, .3, 30, 0}}) {
      Tensor logits(type, {6, 1003}, normal_values(6 * 1003, 6, 11)),
          labels(D::i32, {6}, {3, 0, 7, 1002, 500, 3});
      logits.set(1003 + 5, -kInf);
      logits.set(2 * 1003 + 1002, -kInf);
      check_rows(logits, labels, options,
                 "softcap " + std::to_string(options.softcap) + " temperature " +
                     std::to_string(options.temperature));
    }
  }
}

// -inf where a whole tile, the label, or all but one column is; rows that are NaN by definition
// beside rows that are not.
TEST(TokenLogprobs, InfinitiesAndNaNStayInTheirRow) {
  const int64_t columns = 9001;
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (double softcap : {0.0, 20.0}) {
      Tensor logits(type, {10, columns}, normal_values(10 * columns, 3, 21)),
          labels(D::i64, {10}, random_labels(10, columns, 22));
      const auto set = [&](int64_t row, int64_t from, int64_t to, double value) {
        for (int64_t k = from; k < to; ++k)
          logits.set(row * columns + k, value);
      };
      set(0, 0, 4096, -kInf);
      set(1, 4096, 8192, -kInf);
      set(2, 8000, columns, -kInf);
      set(3, 0, columns, -kInf);
      set(3, 8990, 8991, 1.5);
      set(4, 0, columns, -kInf);
      set(5, 77, 78, NAN);
      set(6, columns - 1, columns, kInf);
      const auto label = static_cast<int64_t>(labels.get(7));
      set(7, label, label + 1, -kInf);
      set(8, 0, columns, -3);
      check_rows(logits, labels, {-100, 1, softcap, 0}, "softcap " + std::to_string(softcap));
    }
  }
}

// Whatever the first columns of a row are, those that count may come later, or far above.
TEST(TokenLogprobs, MaximumAnywhere) {
  const int64_t columns = 70001;
  for (D type : {D::f32, D::bf16}) {
    for (double softcap : {0.0, 100.0}) {
      Tensor logits(type, {6, columns}, normal_values(6 * columns, 3, 91)),
          labels(D::i64, {6}, {70000, 66000, 2048, 5, 40000, 9});
      const auto add = [&](int64_t row, int64_t k, double value) {
        logits.set(row * columns + k, logits.get(row * columns + k) + value);
      };
      for (int64_t k = 0; k < columns; ++k) {
        add(0, k, static_cast<double>(k / 512));    // rising
        add(1, k, -static_cast<double>(k / 512));   // falling
        add(2, k, k / 2048 % 2 == 0 ? -200 : 200);  // each other tile far away
      }
      add(3, 2047, 30);  // lone peaks
      add(4, 69999, 1000);
      add(5, 50000, type == D::f32 && softcap == 0 ? 3e38 : 500);  // times log2(e) it is no float32
      check_rows(logits, labels, {-100, 1, softcap, 0}, "softcap " + std::to_string(softcap));
    }
  }
}

TEST(TokenLogprobs, LargeOffsetsCancel) {
  for (double offset : {1000.0, -1000.0, 1e10, 3e38 / 4, 3.4e38}) {
    Tensor logits(D::f32, {1, 300}), labels(D::i64, {1}, {5});
    logits.fill(offset);
    if (std::fabs(offset) <
        1e11) {  // beyond it even a float64 has no digits left for the lse's own part
      check_rows(logits, labels, default_token_options(), "offset " + std::to_string(offset));
    }
    const TokenFigures figures = forward(logits, labels);
    EXPECT_NEAR(forward_logp(logits, labels).logp.get(0), -std::log(300.0), 1e-6) << offset;
    EXPECT_NEAR(figures.logp.get(0), -std::log(300.0), 1e-6) << offset;
    EXPECT_NEAR(figures.entropy.get(0), std::log(300.0), 1e-5) << offset;
  }
}

TEST(TokenLogprobs, ArgmaxTakesTheLowestIndexOnTiesAndNaNFirst) {
  const int64_t columns = 40000;
  Tensor logits(D::f32, {3, columns}), labels(D::i64, {3});
  logits.fill(-1);
  for (int64_t k : {39999, 33333, 4100, 20001})
    logits.set(k, 2);
  for (int64_t k : {columns + 100, columns + 30000})
    logits.set(k, NAN);
  logits.set(columns + 5, kInf);
  EXPECT_EQ(forward(logits, labels).argmax.values(), (std::vector<double>{4100, 100, 0}));
}

TEST(TokenLogprobs, MissingLastColumnIsAStride) {
  Tensor whole(D::bf16, {2, 5, 77}, normal_values(2 * 5 * 77, 3, 31)),
      labels(D::i64, {2, 4}, random_labels(8, 77, 32));
  Tensor view = whole.slice(1, 0, 4);  // logits[:, :-1]
  const TokenFigures strided = forward(view, labels), packed = forward(view.clone(), labels);
  EXPECT_EQ(strided.bits(), packed.bits());
  check_rows(view.clone(), labels, default_token_options(), "packed");
  Tensor narrow = whole.slice(2, 3, 70);  // rows that start off any alignment
  Tensor narrow_labels(D::i32, {2, 5}, random_labels(10, 67, 33));
  EXPECT_EQ(forward(narrow, narrow_labels).bits(), forward(narrow.clone(), narrow_labels).bits());
}

TEST(TokenLogprobs, InPlaceAndOutOfPlaceAreTheSameBits) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1, 130, 5003, 70001}) {
      Tensor logits(type, {4, columns}, normal_values(4 * columns, 3, 41)),
          labels(D::i64, {4}, random_labels(4, columns, 42));
      labels.set(2, -100);
      Tensor grad_logp(D::f64, {4}, {.5, -1, 2, 0}), grad_entropy(D::f64, {4}, {0, .3, 1, 0}),
          gradient(type, {4, columns});
      gradient.fill(NAN);
      TokenFigures figures = forward(logits, labels);
      const std::string before = logits.bits();
      backward(logits, labels, figures, grad_logp, grad_entropy, gradient);
      EXPECT_EQ(logits.bits(), before);
      backward(logits, labels, figures, grad_logp, grad_entropy, logits);
      EXPECT_EQ(logits.bits(), gradient.bits());
      for (int64_t k = 2 * columns; k < 4 * columns; ++k)
        ASSERT_EQ(gradient.get(k), 0);  // ignored, and without upstream
    }
  }
}

TEST(TokenLogprobs, ThreadsBatchAndRunNeverChangeABit) {
  for (D type : {D::f32, D::bf16}) {
    for (int64_t columns : {1000, 150001}) {
      const int64_t rows = 7;
      Tensor logits(type, {rows, columns}, normal_values(rows * columns, 3, 51)),
          labels(D::i64, {rows}, random_labels(rows, columns, 52));
      Tensor up = Tensor(D::f64, {rows}, normal_values(rows, 1, 53));
      std::string figures_bits, gradient_bits;
      const int32_t threads_before = lr_threads();
      for (int threads : {1, 2, 3, 1}) {
        ASSERT_EQ(lr_set_threads(threads), LR_OK);
        EXPECT_EQ(lr_threads(), threads);
        TokenFigures figures = forward(logits, labels);
        Tensor gradient(type, {rows, columns});
        backward(logits, labels, figures, up, up, gradient);
        if (figures_bits.empty()) {
          figures_bits = figures.bits();
          gradient_bits = gradient.bits();
        }
        EXPECT_EQ(figures.bits(), figures_bits) << threads;
        EXPECT_EQ(gradient.bits(), gradient_bits) << threads;
        for (int64_t row = 0; row < rows; ++row) {  // alone
          TokenFigures one = forward(logits.slice(0, row, row + 1), labels.slice(0, row, row + 1));
          EXPECT_EQ(one.lse.get(0), figures.lse.get(row));
          EXPECT_EQ(one.logp.get(0), figures.logp.get(row));
          EXPECT_EQ(one.entropy.get(0), figures.entropy.get(row));
          EXPECT_EQ(one.lse2.get(0), figures.lse2.get(row));
          EXPECT_EQ(one.mean_logit.get(0), figures.mean_logit.get(row));
          Tensor alone(type, {1, columns});
          backward(logits.slice(0, row, row + 1), labels.slice(0, row, row + 1), one,
                   up.slice(0, row, row + 1), up.slice(0, row, row + 1), alone);
          EXPECT_EQ(alone.bits(), gradient.slice(0, row, row + 1).bits());
        }
      }
      ASSERT_EQ(lr_set_threads(threads_before), LR_OK);
    }
  }
}

TEST(TokenLogprobs, MoreThan65535Rows) {
  const int64_t rows = 70001, columns = 5;
  Tensor logits(D::f32, {rows, columns}), labels(D::i64, {rows});
  for (int64_t row = 0; row < rows; ++row) {
    logits.set(row * columns + row % columns, 3);
    labels.set(row, static_cast<double>(row % columns));
  }
  const double expected = 3 - std::log(std::exp(3) + 4);
  for (double value : forward(logits, labels).logp.values())
    ASSERT_NEAR(value, expected, 1e-6);
}

TEST(TokenLogprobs, RowOffsetsBeyond31Bits) {
  const int64_t columns = 1000,
                stride = (int64_t{1} << 31) + 4096;  // elements between the two rows
  const size_t bytes = static_cast<size_t>(stride + columns) * 2;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    GTEST_SKIP() << "no address space for " << bytes << " bytes";
  auto* far_row = static_cast<uint16_t*>(memory) + stride;
  Tensor small(D::bf16, {2, columns}, normal_values(2 * columns, 3, 81)),
      labels(D::i64, {2}, {7, 999});
  for (int64_t k = 0; k < columns; ++k) {
    std::memcpy(static_cast<uint16_t*>(memory) + k, small.at(k), 2);
    std::memcpy(far_row + k, small.at(columns + k), 2);
  }
  int64_t shape[] = {2, columns}, strides[] = {stride, 1};
  const DLTensor logits{memory, test_device(), 2, {kDLBfloat, 16, 1}, shape, strides, 0};
  TokenFigures expected = forward(small, labels);
  Tensor logp(D::f64, {2}), up = Tensor(D::f64, {2}).fill(1);
  auto args = make_args<lr_token_logprobs_args>();
  args.logits = &logits;
  args.labels = labels;
  args.options = default_token_options();
  args.logp = logp;
  EXPECT_EQ(call(lr_token_logprobs, args), LR_OK) << lr_last_error();
  EXPECT_EQ(logp.values(), forward_logp(small, labels).logp.values());
  auto back = make_args<lr_token_logprobs_backward_args>();
  back.logits = &logits;
  back.labels = labels;
  back.options = default_token_options();
  back.lse = expected.lse;
  back.grad_logp = up;
  back.grad_logits = &logits;
  EXPECT_EQ(call(lr_token_logprobs_backward, back), LR_OK) << lr_last_error();
  Tensor gradient(D::bf16, {2, columns}), none(D::f64, {2});
  backward(small, labels, expected, up, none, gradient);
  EXPECT_EQ(std::memcmp(far_row, gradient.at(columns), static_cast<size_t>(columns) * 2), 0);
  munmap(memory, bytes);
}

// The oracle's gradient is the derivative of the oracle's forward.
TEST(RowOracle, GradientIsTheDerivative) {
  const std::vector<double> x = normal_values(9, 2, 91);
  for (double softcap : {0.0, 3.0}) {
    const std::vector<double> gradient = oracle_backward(x, 4, .8, softcap, 1.3, -.6);
    for (size_t k = 0; k < x.size(); ++k) {
      const auto value = [&](double step) {
        std::vector<double> moved = x;
        moved[k] += step;
        const OracleRow row = oracle_forward(moved, 4, .8, softcap);
        return 1.3 * row.logp - .6 * row.entropy;
      };
      EXPECT_NEAR(gradient[k], (value(1e-5) - value(-1e-5)) / 2e-5, 1e-9);
    }
  }
}

}  // namespace
}  // namespace logratio::test
