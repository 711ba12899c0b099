// The matrix products of the linear operations: the library's own, and those of the libraries on
// this machine, against plain sums in float64; and libraries made up to be at fault, which are
// found out.
#include "cpu/linear/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "cpu/isa.h"
#include "cpu/linear/gemms.h"
#include "math/narrow_floats.h"
#include "support/child.h"

namespace logratio::test {
namespace {

using cpu::Gemm;
using cpu::GemmForm;
using cpu::GemmShape;
using op::ElementType;

// Matrices of a product, with gaps between rows that stay as they are.
struct Product {
  static constexpr float kGap = 77;

  Product(ElementType element_type, const GemmShape& product_shape, uint32_t seed)
      : type(element_type), shape(product_shape), random(seed) {
    const auto [form, rows, columns, depth] = shape;
    a_stride = (form == GemmForm::tn ? rows : depth) + 3;
    b_stride = (form == GemmForm::nt ? depth : columns) + 5;
    c_stride = columns + 2;
    a = numbers((form == GemmForm::tn ? depth : rows) * a_stride);
    b = numbers((form == GemmForm::nt ? columns : depth) * b_stride);
    c = numbers(rows * c_stride);
    for (int64_t i = 0; i < rows; ++i)
      c[i * c_stride + columns] = c[i * c_stride + columns + 1] = kGap;
  }

  std::vector<float> numbers(int64_t count) {
    std::vector<float> all(count);
    for (float& x : all)
      x = static_cast<float>(
          math::Bfloat16::widen(math::Bfloat16::narrow(std::normal_distribution<float>()(random))));
    return all;
  }

  float& a_at(int64_t i, int64_t k) {
    return a[shape.form == GemmForm::tn ? k * a_stride + i : i * a_stride + k];
  }
  float b_at(int64_t k, int64_t j) const {
    return b[shape.form == GemmForm::nt ? j * b_stride + k : k * b_stride + j];
  }

  std::vector<float> result(const Gemm& gemm, bool accumulate) const {
    std::vector<float> to = c;
    std::vector<uint16_t> narrow_a(a.size()), narrow_b(b.size());
    for (size_t i = 0; i < a.size(); ++i)
      narrow_a[i] = math::Bfloat16::narrow(a[i]);
    for (size_t i = 0; i < b.size(); ++i)
      narrow_b[i] = math::Bfloat16::narrow(b[i]);
    const bool wide = type == ElementType::f32;
    void* const a_data = wide ? static_cast<void*>(const_cast<float*>(a.data())) : narrow_a.data();
    void* const b_data = wide ? static_cast<void*>(const_cast<float*>(b.data())) : narrow_b.data();
    gemm.multiply(type, shape, {a_data, a_stride}, {b_data, b_stride}, accumulate,
                  {to.data(), c_stride});
    return to;
  }

  // A sum of n numbers, in any order, is off by no more than n roundings of the sum of their sizes.
  void check(const Gemm& gemm, bool accumulate) {
    SCOPED_TRACE(testing::Message() << gemm.name() << ", form " << static_cast<int>(shape.form)
                                    << ", " << shape.rows << " x " << shape.columns << " and "
                                    << shape.depth << " deep, accumulate " << accumulate);
    const std::vector<float> to = result(gemm, accumulate);
    for (int64_t i = 0; i < shape.rows; ++i) {
      for (int64_t j = 0; j < shape.columns; ++j) {
        double sum = accumulate ? c[i * c_stride + j] : 0, sizes = std::abs(sum);
        for (int64_t k = 0; k < shape.depth; ++k) {
          const double term = double{a_at(i, k)} * b_at(k, j);
          sum += term;
          sizes += std::abs(term);
        }
        ASSERT_NEAR(to[i * c_stride + j], sum,
                    static_cast<double>(shape.depth + 1) * 0x1p-24 * sizes)
            << i << ", " << j;
      }
      ASSERT_EQ(to[i * c_stride + shape.columns], kGap);
      ASSERT_EQ(to[i * c_stride + shape.columns + 1], kGap);
    }
  }

  ElementType type;
  GemmShape shape;
  std::mt19937 random;
  int64_t a_stride, b_stride, c_stride;
  std::vector<float> a, b, c;
};

constexpr GemmForm kForms[] = {GemmForm::nt, GemmForm::nn, GemmForm::tn};

// Sizes on both sides of the own kernel's: vectors of 4, 8 and 16, tiles of 4, 6 and 12 rows,
// panels of 256 in depth.
TEST(OwnGemm, EverySizeAndForm) {
  for (const GemmForm form : kForms) {
    for (const int64_t rows : {1, 3, 4, 6, 11, 12, 29}) {
      for (const int64_t columns : {1, 3, 4, 7, 8, 16, 17, 31, 32, 33, 70}) {
        for (const int64_t depth : {1, 2, 4, 5, 37, 255, 256, 257, 600}) {
          for (const bool accumulate : {false, true})
            Product(ElementType::f32, {form, rows, columns, depth}, 1)
                .check(cpu::own_gemm(), accumulate);
          if (HasFailure())
            return;
        }
      }
    }
  }
}

// An element does not depend on the rows and columns around it: those of a product of one row and
// one column are the same.
TEST(OwnGemm, EachElementStandsByItself) {
  for (const GemmForm form : kForms) {
    Product whole(ElementType::f32, {form, 29, 70, 300}, 2);
    const std::vector<float> expected = whole.result(cpu::own_gemm(), false);
    for (const int64_t i : {0, 5, 11, 13, 28}) {
      for (const int64_t j : {0, 3, 31, 33, 69}) {
        Product one(ElementType::f32, {form, 1, 1, 300}, 3);
        for (int64_t k = 0; k < 300; ++k) {
          one.a_at(0, k) = whole.a_at(i, k);
          one.b[form == GemmForm::nt ? k : k * one.b_stride] = whole.b_at(k, j);
        }
        EXPECT_EQ(one.result(cpu::own_gemm(), false)[0], expected[i * whole.c_stride + j])
            << "form " << static_cast<int>(form) << ", " << i << ", " << j;
      }
    }
  }
}

TEST(OwnGemm, PassesTheCheckOfLibraries) {
  EXPECT_NO_THROW(cpu::check_gemm(cpu::own_gemm(), ElementType::f32));
}

// ---- The libraries on this machine, and those that the tests make up ----

std::string why_not(const std::string& library) {
  try {
    cpu::open_gemm(library);
    return "";
  } catch (const cpu::Unusable& why) {
    return why.what();
  }
}

TEST(GemmLibrary, FaultsAreFoundOut) {
  EXPECT_EQ(
      why_not(LR_FAKE_FOLDER "/libfake_blas_row_dependent.so"),
      "OpenBLAS 9.8.7's products nt of F32, 512 x 512 and 37 deep, depend on where a row stands");
  EXPECT_EQ(why_not(LR_FAKE_FOLDER "/libfake_blas_unsteady.so"),
            "OpenBLAS 9.8.7's products nt of F32, 512 x 512 and 37 deep, differ from call to call");
  EXPECT_EQ(why_not(LR_FAKE_FOLDER "/libfake_blas_not_accumulating.so"),
            "OpenBLAS 9.8.7's products nt of F32, 512 x 512 and 37 deep, are wrong");
  EXPECT_EQ(why_not(LR_FAKE_FOLDER "/libfake_onednn_foreign_threads.so"),
            "oneDNN 3.99.1 runs on neither OpenMP nor one thread");
  EXPECT_EQ(why_not("libm.so.6"), "it has neither dnnl_sgemm nor cblas_sgemm");
  EXPECT_EQ(why_not("/nowhere/libblas.so"),
            "cannot open shared object file: No such file or directory");
}

// The made-up libraries' products are NaN on more threads than one.
TEST(GemmLibrary, NumberOfThreadsOfTheProcessComesBack) {
  const std::string path = LR_FAKE_FOLDER "/libfake_blas.so";
  const auto gemm = cpu::open_gemm(path);
  EXPECT_EQ(gemm->name(), "OpenBLAS 9.8.7");
  EXPECT_EQ(gemm->path(), path);
  EXPECT_FALSE(gemm->takes_bfloat16());
  const auto threads = cpu::SharedLibrary(path).find<int()>("openblas_get_num_threads");
  EXPECT_EQ(threads(), 4);
  const Product product(ElementType::f32, {GemmForm::nn, 40, 30, 200}, 4);
  const std::vector<float> expected = product.result(*gemm, true);
  std::vector<std::vector<float>> results(8);
  std::vector<std::thread> callers;
  for (auto& result : results)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 50; ++repeat)
        result = product.result(*gemm, true);
    });
  for (std::thread& caller : callers)
    caller.join();
  for (const auto& result : results)
    EXPECT_EQ(result, expected);
  EXPECT_EQ(threads(), 4);
  EXPECT_EQ(in_child([&] { return product.result(*gemm, true) == expected && threads() == 4; }),
            "");
}

TEST(GemmLibrary, NumberOfThreadsOfOpenMpComesBack) {
  const std::string path = LR_FAKE_FOLDER "/libfake_onednn.so";
  const auto gemm = cpu::open_gemm(path);
  EXPECT_EQ(gemm->name(), "oneDNN 3.99.1");
  EXPECT_EQ(gemm->takes_bfloat16(), std::string(cpu::instruction_set_name()) == "avx512_bf16");
  Product(ElementType::f32, {GemmForm::nt, 40, 30, 200}, 5).check(*gemm, false);
  const cpu::SharedLibrary library(path);
  const auto threads = library.find<int()>("omp_get_max_threads");
  EXPECT_EQ(threads(), 3);
  library.find<void(int)>("omp_set_num_threads")(1);
  Product(ElementType::f32, {GemmForm::nt, 40, 30, 200}, 5).check(*gemm, false);
  EXPECT_EQ(threads(), 1);
}

// The wrapper has no product of its own, and does not say where the library lies that it needs.
TEST(GemmLibrary, WhatItNeedsIsTakenFromItsFolder) {
  const auto gemm = cpu::open_gemm(LR_FAKE_FOLDER "/libfake_wrapper.so");
  EXPECT_EQ(gemm->name(), "OpenBLAS 9.8.7");
  EXPECT_EQ(gemm->path(), LR_FAKE_FOLDER "/libfake_wrapper.so");
}

// A library by its names for the loader, or the one that LOGRATIO_BLAS names.
class FoundLibrary : public testing::TestWithParam<std::vector<std::string>> {
 protected:
  void SetUp() override {
    std::string why = "LOGRATIO_BLAS names no library";
    for (const std::string& name : GetParam()) {
      try {
        gemm = cpu::open_gemm(name);
        break;
      } catch (const cpu::Unusable& unusable) {
        why = name + " cannot be used: " + unusable.what();
      }
    }
    if (gemm == nullptr)
      GTEST_SKIP() << why;
    types = {ElementType::f32};
    if (gemm->takes_bfloat16())
      types.push_back(ElementType::bf16);
  }

  std::unique_ptr<const Gemm> gemm;
  std::vector<ElementType> types;
};

TEST_P(FoundLibrary, EveryForm) {
  for (const ElementType type : types) {
    for (const GemmForm form : kForms) {
      for (const bool accumulate : {false, true}) {
        Product(type, {form, 7, 9, 600}, 6).check(*gemm, accumulate);
        Product(type, {form, gemm->block_rows(type), 65, 37}, 7).check(*gemm, accumulate);
      }
    }
  }
}

// Rows of a block in another order have the bits that they had.
TEST_P(FoundLibrary, RowsDoNotDependOnTheirPlace) {
  for (const ElementType type : types) {
    const int64_t rows = gemm->block_rows(type);
    for (const GemmForm form : {GemmForm::nt, GemmForm::nn}) {
      for (const int64_t columns : {512, 200, 37}) {
        for (const int64_t depth : {37, 200, 512}) {
          Product product(type, {form, rows, columns, depth}, 8);
          Product moved = product;
          const auto place = [&](int64_t i) { return (i * 37 + 11) % rows; };  // 37 is no divisor
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t k = 0; k < depth; ++k)
              moved.a_at(place(i), k) = product.a_at(i, k);
          }
          const auto before = product.result(*gemm, false), after = moved.result(*gemm, false);
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < columns; ++j)
              ASSERT_EQ(after[place(i) * product.c_stride + j], before[i * product.c_stride + j])
                  << "form " << static_cast<int>(form) << ", " << columns << " columns, " << depth
                  << " deep, row " << i << " at " << place(i);
          }
        }
      }
    }
  }
}

TEST_P(FoundLibrary, InThreadsAndAChild) {
  const Product product(ElementType::f32,
                        {GemmForm::nt, gemm->block_rows(ElementType::f32), 512, 200}, 9);
  const std::vector<float> expected = product.result(*gemm, false);
  std::vector<std::vector<float>> results(4);
  std::vector<std::thread> callers;
  for (auto& result : results)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 5; ++repeat)
        result = product.result(*gemm, false);
    });
  for (std::thread& caller : callers)
    caller.join();
  for (const auto& result : results)
    EXPECT_EQ(result, expected);
  EXPECT_EQ(in_child([&] { return product.result(*gemm, false) == expected; }), "");
}

using Names = std::vector<std::string>;

Names named_library() {
  const char* const name = std::getenv("LOGRATIO_BLAS");
  return name == nullptr || std::string(name) == "own" ? Names() : Names{name};
}

INSTANTIATE_TEST_SUITE_P(OneDnn, FoundLibrary,
                         testing::Values(Names{"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"}));
INSTANTIATE_TEST_SUITE_P(OpenBlas, FoundLibrary,
                         testing::Values(Names{"libopenblas.so.0", "libopenblas.so"}));
INSTANTIATE_TEST_SUITE_P(Named, FoundLibrary, testing::Values(named_library()));

}  // namespace
}  // namespace logratio::test
