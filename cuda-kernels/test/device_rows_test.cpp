// token_logprobs on a device beside the CPU's: the same numbers, and the same bits for every
// schedule, batch and way of sharing out the work.
#include <sys/mman.h>

#include <algorithm>

#include "support.h"
#include "support/tokens.h"

namespace logratio::test {
namespace {

double relative(double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return std::isnan(a) && std::isnan(b) ? 0 : INFINITY;
  return a == b ? 0 : std::fabs(a - b) / std::fmax(1, std::fmax(std::fabs(a), std::fabs(b)));
}

void expect_close(const Tensor& a, const Tensor& b, double tolerance, const std::string& what) {
  for (int64_t k = 0; k < a.size(); ++k)
    ASSERT_LE(relative(a.get(k), b.get(k)), tolerance)
        << what << ' ' << k << ": " << a.get(k) << ", " << b.get(k);
}

struct TwoWays {
  TokenFigures figures;
  Tensor gradient;
  std::string bits() const { return figures.bits() + gradient.bits(); }
};

TwoWays both_ways(const Tensor& logits, const Tensor& labels, const lr_token_options& options) {
  const int64_t rows = labels.size();
  TwoWays result{forward(logits, labels, options), Tensor(logits.type(), logits.shape())};
  backward(logits, labels, result.figures,
           Tensor(D::f64, labels.shape(), normal_values(rows, 1, 5)),
           Tensor(D::f64, labels.shape(), normal_values(rows, 1, 6)), result.gradient, options);
  return result;
}

TEST(DeviceRows, AgreeWithTheCpu) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1, 41, 123, 507, 1271, 4099, 50257}) {
      for (double softcap : {0.0, 8.0}) {
        const lr_token_options options{3, 1.3, softcap, 0};
        Tensor whole(type, {4, columns + 3}, normal_values(4 * (columns + 3), 4, 7));
        Tensor logits = whole.slice(1, 3, columns + 3),
               labels(D::i64, {4}, random_labels(4, columns, 8));
        logits.set(columns / 2, -INFINITY);
        const TwoWays device = both_ways(logits, labels, options);
        const OnCpu cpu;
        const TwoWays expected = both_ways(logits, labels, options);
        const std::string what = std::to_string(static_cast<int>(type)) + "/" +
                                 std::to_string(columns) + "/" + std::to_string(softcap);
        expect_close(device.figures.logp, expected.figures.logp, 2e-6, what + " logp");
        expect_close(device.figures.lse, expected.figures.lse, 1e-6, what + " lse");
        expect_close(device.figures.lse2, expected.figures.lse2, 2e-6, what + " lse2");
        expect_close(device.figures.entropy, expected.figures.entropy, 3e-6, what + " entropy");
        expect_close(device.figures.mean_logit, expected.figures.mean_logit, 1e-6,
                     what + " mean_logit");
        EXPECT_EQ(device.figures.argmax.bits(), expected.figures.argmax.bits()) << what;
        const double ulp = type == D::f32 ? 0
                           : type == D::bf16
                               ? std::ldexp(1, -7)
                               : std::ldexp(1, -10);  // one unit where the roundings part
        expect_close(device.gradient, expected.gradient, 3e-6 + ulp, what + " gradient");
      }
    }
  }
}

TEST(DeviceRows, EveryScheduleGivesTheSameBits) {
  for (D type : {D::f32, D::bf16}) {
    for (int64_t columns : {3, 700, 2500, 33000}) {
      Tensor logits(type, {5, columns}, normal_values(5 * columns, 4, 11)),
          labels(D::i64, {5}, random_labels(5, columns, 12));
      logits.set(2 * columns + columns / 2, NAN);
      std::string bits;
      for (uint64_t seed : {1, 2, 3, 4, 5, 99, 12345}) {
        set_emulator_seed(seed);
        const TwoWays result = both_ways(logits, labels, default_token_options());
        if (bits.empty())
          bits = result.bits();
        EXPECT_EQ(result.bits(), bits) << columns << " seed " << seed;
      }
    }
  }
  set_emulator_seed(1);
}

// The same rows alone, in a few and in many. On the emulator's one multiprocessor, which holds four
// blocks, eight rows of three segments are two for each block, and nine are cut apart: runs of
// seven segments begin and end within rows.
TEST(DeviceRows, SharingOutTheWorkNeverChangesABit) {
  for (const auto& [type, many] : {std::pair{D::f32, 8}, {D::f32, 9}, {D::bf16, 9}, {D::f16, 8}}) {
    const int64_t columns = 70001;
    Tensor one(type, {2, columns}, normal_values(2 * columns, 4, 21));
    one.set(5, -INFINITY);
    Tensor logits(type, {many, columns}), labels(D::i64, {many}),
        few_labels(D::i64, {2}, {69999, 4});
    for (int64_t row = 0; row < many; ++row) {
      std::memcpy(logits.at(row * columns), one.at(row % 2 * columns),
                  static_cast<size_t>(columns) * bytes_of(type));
      labels.set(row, few_labels.get(row % 2));
    }
    for (double softcap : {0.0, 12.0}) {
      const lr_token_options options{-100, .9, softcap, 0};
      const TokenFigures all = forward(logits, labels, options),
                         few = forward(one, few_labels, options);
      TokenFigures alone = forward(one.slice(0, 1, 2), few_labels.slice(0, 1, 2), options);
      EXPECT_EQ(few.lse.get(1), alone.lse.get(0));
      for (int64_t row = 0; row < many; ++row) {
        for (const auto member :
             {&TokenFigures::logp, &TokenFigures::lse, &TokenFigures::lse2, &TokenFigures::entropy,
              &TokenFigures::argmax, &TokenFigures::mean_logit}) {
          ASSERT_EQ((all.*member).get(row), (few.*member).get(row % 2)) << row;
        }
      }
      TokenFigures up = all;
      Tensor all_gradient(type, {many, columns}), few_gradient(type, {2, columns}),
          ones(D::f64, {many}), few_ones(D::f64, {2});
      ones.fill(1);
      few_ones.fill(1);
      TokenFigures few_up = few;
      backward(logits, labels, up, ones, ones, all_gradient, options);
      backward(one, few_labels, few_up, few_ones, few_ones, few_gradient, options);
      for (int64_t row = 0; row < many; ++row) {
        ASSERT_EQ(all_gradient.slice(0, row, row + 1).bits(),
                  few_gradient.slice(0, row % 2, row % 2 + 1).bits())
            << row;
      }
    }
  }
}

// Which thread sums what must not depend on where a row begins.
TEST(DeviceRows, AlignmentNeverChangesABit) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {40, 999, 5003}) {
      Tensor values(type, {1, columns}, normal_values(columns, 4, 31)), labels(D::i64, {1}, {7});
      const TwoWays expected = both_ways(values, labels, default_token_options());
      for (int64_t offset = 1; offset < 16 / static_cast<int64_t>(bytes_of(type)); ++offset) {
        Tensor whole(type, {1, columns + 16});
        Tensor logits = whole.slice(1, offset, offset + columns);
        std::memcpy(logits.at(0), values.at(0), static_cast<size_t>(columns) * bytes_of(type));
        const TwoWays moved = both_ways(logits, labels, default_token_options());
        EXPECT_EQ(moved.bits(), expected.bits()) << columns << " offset " << offset;
        backward(logits, labels, *std::make_unique<TokenFigures>(moved.figures),
                 Tensor(D::f64, {1}, normal_values(1, 1, 5)),
                 Tensor(D::f64, {1}, normal_values(1, 1, 6)), logits);
        EXPECT_EQ(logits.bits(), expected.gradient.bits())
            << "in place, " << columns << " offset " << offset;
      }
    }
  }
}

// More rows than blocks: each block does several.
TEST(DeviceRows, BlocksThatDoSeveralRows) {
  for (int64_t columns : {3, 1030}) {
    const int64_t rows = columns == 3 ? 2060 : 259, period = 5;
    Tensor few(D::f32, {period, columns}, normal_values(period * columns, 3, 41)),
        few_labels(D::i64, {period}, {0, 1, 2, -100, 1});
    Tensor logits(D::f32, {rows, columns}), labels(D::i64, {rows});
    for (int64_t row = 0; row < rows; ++row) {
      std::memcpy(logits.at(row * columns), few.at(row % period * columns),
                  static_cast<size_t>(columns) * 4);
      labels.set(row, few_labels.get(row % period));
    }
    TokenFigures expected = forward(few, few_labels), figures = forward(logits, labels);
    Tensor gradient(D::f32, {rows, columns}), few_gradient(D::f32, {period, columns}),
        ones(D::f32, {rows}), few_ones(D::f32, {period}), none(D::f32, {rows}),
        few_none(D::f32, {period});
    ones.fill(1);
    few_ones.fill(1);
    backward(logits, labels, figures, ones, none, gradient);
    backward(few, few_labels, expected, few_ones, few_none, few_gradient);
    for (int64_t row = 0; row < rows; ++row) {
      ASSERT_EQ(figures.logp.get(row), expected.logp.get(row % period)) << row;
      ASSERT_EQ(gradient.slice(0, row, row + 1).bits(),
                few_gradient.slice(0, row % period, row % period + 1).bits())
          << row;
    }
  }
}

// Rows that end where memory ends, or begin where it begins: a read or write beside them ends the
// process.
TEST(DeviceRows, NothingBesideTheRowsIsTouched) {
  const size_t page = 4096, pages = 20;
  auto* base = static_cast<char*>(mmap(nullptr, (pages + 2) * page, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(base, MAP_FAILED);
  mprotect(base, page, PROT_NONE);
  mprotect(base + (pages + 1) * page, page, PROT_NONE);
  for (D type : {D::f32, D::bf16}) {
    for (int64_t columns : {1, 7, 65, 1037, 9001}) {
      const size_t bytes = static_cast<size_t>(columns) * bytes_of(type);
      for (char* first : {base + page, base + (pages + 1) * page - bytes}) {
        std::fill(base + page, base + (pages + 1) * page, char{0x11});
        Tensor values(type, {1, columns}, normal_values(columns, 3, 51)),
            labels(D::i64, {1}, {static_cast<double>(columns - 1)}), logp(D::f64, {1}),
            lse(D::f64, {1}), up(D::f64, {1}, {1});
        std::memcpy(first, values.at(0), bytes);
        int64_t shape[] = {1, columns};
        const DLTensor logits{first, test_device(), 2, dtype_of(type), shape, nullptr, 0};
        auto args = make_args<lr_token_logprobs_args>();
        args.logits = &logits;
        args.labels = labels;
        args.options = default_token_options();
        args.logp = logp;
        args.lse = lse;
        ASSERT_EQ(call(lr_token_logprobs, args), LR_OK) << lr_last_error();
        auto back = make_args<lr_token_logprobs_backward_args>();
        back.logits = &logits;
        back.labels = labels;
        back.options = default_token_options();
        back.lse = lse;
        back.grad_logp = up;
        back.grad_logits = &logits;
        ASSERT_EQ(call(lr_token_logprobs_backward, back), LR_OK) << lr_last_error();
        EXPECT_TRUE(std::all_of(base + page, first, [](char c) { return c == 0x11; }));
        EXPECT_TRUE(std::all_of(first + bytes, base + (pages + 1) * page,
                                [](char c) { return c == 0x11; }));
      }
    }
  }
  munmap(base, (pages + 2) * page);
}

}  // namespace
}  // namespace logratio::test
