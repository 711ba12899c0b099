// Whether a library's products are what the linear operations need.
//
// All rows of a trial are one row times powers of two, with which a product only changes its
// exponents. So every row of the result tells what the first one has to be, bit by bit, and one row
// of sums in float64 tells whether it is right.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "cpu/linear/gemms.h"

namespace logratio::cpu {
namespace {

constexpr const char* kFormNames[] = {"nt", "nn", "tn"};

class Trial {
 public:
  Trial(const Gemm& gemm, op::ElementType type, const GemmShape& shape)
      : gemm_(gemm),
        type_(type),
        shape_(shape),
        row_(values(shape.depth)),
        start_(values(shape.columns)),
        b_(values(shape.depth * shape.columns)) {}

  void run() {
    for (const bool accumulate : {false, true}) {
      const std::vector<float> c = product(accumulate, 0);
      for (int64_t i = 0; i < shape_.rows; ++i) {
        for (int64_t j = 0; j < shape_.columns; ++j) {
          // The rows of tn are columns of the vocabulary, which stay where they are.
          if (shape_.form != GemmForm::tn && c[i * shape_.columns + j] != scale(i) * c[j] &&
              c[j] == c[j])
            fail("depend on where a row stands");
        }
      }
      compare(c, accumulate);
      if (std::memcmp(product(accumulate, 1).data(), c.data(), c.size() * sizeof(float)) != 0)
        fail("differ from call to call");
    }
  }

 private:
  // Numbers of 8 bits, which is what bfloat16 has, far enough apart in size for the order of their
  // sums to matter.
  std::vector<float> values(int64_t count) {
    std::vector<float> all(count);
    for (float& value : all) {
      const auto bits = random_();
      value =
          std::ldexp(static_cast<float>(bits % 255) - 127, static_cast<int>(bits >> 8) % 13 - 12);
    }
    return all;
  }

  static float scale(int64_t row) {
    constexpr float kScales[] = {1, -2, .5f, -1, 4};
    return kScales[row % 5];
  }

  // Memory whose first number is that many past an aligned one.
  struct Operand {
    Operand(op::ElementType type, int64_t count, int64_t shift)
        : size(op::bytes_of(type)), bytes((count + shift) * size + 64) {
      const auto address = reinterpret_cast<uintptr_t>(bytes.data());
      data = reinterpret_cast<char*>((address + 63) / 64 * 64) + shift * size;
    }
    void set(int64_t index, float value) {
      if (size == sizeof value)
        std::memcpy(data + index * 4, &value, 4);
      else  // the upper bytes of a float32 are a bfloat16
        std::memcpy(data + index * 2, reinterpret_cast<const char*>(&value) + 2, 2);
    }
    int64_t size;
    std::vector<char> bytes;
    char* data;
  };

  std::vector<float> product(bool accumulate, int64_t shift) const {
    const auto [form, rows, columns, depth] = shape_;
    Operand a(type_, rows * depth, shift), b(type_, depth * columns, shift);
    Operand c(op::ElementType::f32, rows * columns, shift);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t k = 0; k < depth; ++k)
        a.set(form == GemmForm::tn ? k * rows + i : i * depth + k, scale(i) * row_[k]);
      for (int64_t j = 0; j < columns; ++j)
        c.set(i * columns + j, accumulate ? scale(i) * start_[j] : NAN);  // NaN: not to be read
    }
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t j = 0; j < columns; ++j)
        b.set(form == GemmForm::nt ? j * depth + k : k * columns + j, b_[k * columns + j]);
    }
    gemm_.multiply(type_, shape_, {a.data, form == GemmForm::tn ? rows : depth},
                   {b.data, form == GemmForm::nt ? depth : columns}, accumulate, {c.data, columns});
    const auto* const from = reinterpret_cast<const float*>(c.data);
    return {from, from + rows * columns};
  }

  // Sums of `depth` products, in any order, are off by no more.
  void compare(const std::vector<float>& c, bool accumulate) const {
    const double bound = static_cast<double>(shape_.depth + 1) * 0x1p-24;
    for (int64_t j = 0; j < shape_.columns; ++j) {
      double sum = accumulate ? start_[j] : 0, sizes = std::abs(sum);
      for (int64_t k = 0; k < shape_.depth; ++k) {
        const double term = double{row_[k]} * b_[k * shape_.columns + j];
        sum += term;
        sizes += std::abs(term);
      }
      if (!(std::abs(c[j] - sum) <= bound * sizes))
        fail("are wrong");
    }
  }

  [[noreturn]] void fail(const char* why) const {
    throw Unusable(gemm_.name() + "'s products " + kFormNames[static_cast<int>(shape_.form)] +
                   " of " + (type_ == op::ElementType::f32 ? "F32" : "BF16") + ", " +
                   std::to_string(shape_.rows) + " x " + std::to_string(shape_.columns) + " and " +
                   std::to_string(shape_.depth) + " deep, " + why);
  }

  const Gemm& gemm_;
  const op::ElementType type_;
  const GemmShape shape_;
  std::minstd_rand random_{1};
  const std::vector<float> row_, start_, b_;
};

}  // namespace

void check_gemm(const Gemm& gemm, op::ElementType type) {
  const int64_t rows = gemm.block_rows(type);
  // A window of the vocabulary is 512 columns wide, and the last one may have any number less;
  // hidden sizes are of any kind.
  constexpr auto nt = GemmForm::nt, nn = GemmForm::nn, tn = GemmForm::tn;
  const GemmShape shapes[] = {{nt, rows, 512, 37},  {nt, rows, 131, 260}, {nt, rows, 33, 100},
                              {nt, rows, 1, 64},    {nn, rows, 37, 512},  {nn, rows, 260, 131},
                              {nn, rows, 100, 33},  {nn, rows, 64, 1},    {tn, 512, 37, rows},
                              {tn, 131, 260, rows}, {tn, 33, 100, rows},  {tn, 1, 64, rows}};
  for (const GemmShape& shape : shapes)
    Trial(gemm, type, shape).run();
}

}  // namespace logratio::cpu
