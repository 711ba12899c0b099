// How cuBLASLt is found and called, with a stand-in for it: no GPU is needed.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "cublaslt.h"
#include "gemm.h"
#include "runtime.h"
#include "support/tensor.h"

namespace logratio::test {
namespace {

namespace gemm = device::gemm;
namespace cublaslt = device::cublaslt;
using gemm::Form;

// An environment variable, while this lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

// Each in a process of its own, where nothing is open yet.
std::string failure_of(auto&& body) {
  try {
    body();
  } catch (const device::Failure& failure) {
    return (failure.status() == LR_UNAVAILABLE ? "" : "another status: ") +
           std::string(failure.what());
  }
  return "none";
}

std::string failure_to_open() {
  return failure_of([] {
    lr_gemm_info info{};
    gemm::describe(0, &info);
  });
}

TEST(GemmCublas, SaysWhatIsMissing) {
  // The loader's path has none where this is run without CUDA.
  if (void* const found = dlopen("libcublasLt.so.13", RTLD_NOW); found == nullptr) {
    EXPECT_EQ(failure_to_open(),
              "cuBLASLt is unavailable: libcublasLt.so.13 and libcublasLt.so.12 are not on the "
              "loader's path: install cuBLAS of CUDA 12 or 13, or name libcublasLt by the "
              "environment variable LOGRATIO_CUBLAS");
  }
  {
    const Variable named("LOGRATIO_CUBLAS", "libcublasLt.so.13");
    EXPECT_EQ(failure_to_open(),
              "cuBLASLt is unavailable: LOGRATIO_CUBLAS is \"libcublasLt.so.13\", expected an "
              "absolute path");
  }
  {
    const Variable named("LOGRATIO_CUBLAS", "/nowhere/libcublasLt.so.13");
    EXPECT_EQ(failure_to_open(),
              "cuBLASLt is unavailable: LOGRATIO_CUBLAS could not be loaded: "
              "/nowhere/libcublasLt.so.13: cannot open shared object file: No such file or "
              "directory");
  }
  {
    const Variable named("LOGRATIO_CUBLAS", FAKE_OLD_FILE);
    EXPECT_EQ(failure_to_open(), std::string("cuBLASLt is unavailable: ") + FAKE_OLD_FILE +
                                     " is version 11.9.4, expected one of CUDA 12 or 13");
  }
  {
    const Variable named("LOGRATIO_CUBLAS", NO_CUBLAS_FILE);
    EXPECT_EQ(failure_to_open(),
              std::string("cuBLASLt is unavailable: ") + NO_CUBLAS_FILE +
                  " lacks functions of cuBLASLt, expected libcublasLt of CUDA 12 or 13");
  }
  const Variable named("LOGRATIO_CUBLAS", FAKE_FILE);
  {
    const Variable none("FAKE_NO_GPU", "1");
    EXPECT_EQ(failure_to_open(), std::string("cuBLASLt is unavailable: cublasLtCreate of ") +
                                     FAKE_FILE + " failed: status 1");
  }
  lr_gemm_info info{};
  gemm::describe(0, &info);  // no failure is remembered
  EXPECT_STREQ(info.library, "cuBLASLt 13.1.2");
  EXPECT_STREQ(info.path, FAKE_FILE);
  EXPECT_EQ(info.bfloat16, 1);
}

template <class T>
T& of_fake(const char* name) {
  void* const library = dlopen(FAKE_FILE, RTLD_NOW | RTLD_NOLOAD);
  T* const variable = static_cast<T*>(dlsym(library, name));
  dlclose(library);
  return *variable;
}

struct Factors {
  static constexpr int64_t kRows = 5, kColumns = 7, kDepth = 3;

  Form form;
  Tensor a, b, c, bias;
  device::Execution execution{};

  static std::vector<int64_t> shape(bool turned, int64_t rows, int64_t columns) {
    return turned ? std::vector<int64_t>{columns, rows} : std::vector<int64_t>{rows, columns};
  }
  Factors(Form form, D type)
      : form(form),
        a(type, shape(form == Form::tn, kRows, kDepth), normal_values(kRows * kDepth, 1, 1)),
        b(type, shape(form == Form::nt, kDepth, kColumns), normal_values(kColumns * kDepth, 1, 2)),
        c(D::f32, {kRows, kColumns + 1}),
        bias(D::f32, {kColumns}, normal_values(kColumns, 1, 3)) {
    c.fill(.25);
  }
  void multiply(op::ElementType type, bool accumulate, bool has_bias) {
    static std::vector<char> workspace(gemm::workspace_bytes());
    gemm::multiply(execution, workspace.data(),
                   {form,
                    type,
                    kRows,
                    kColumns,
                    kDepth,
                    {a.at(0), a.shape()[1]},
                    {b.at(0), b.shape()[1]},
                    has_bias ? reinterpret_cast<float*>(bias.at(0)) : nullptr,
                    accumulate,
                    {c.at(0), kColumns + 1}});
  }
  double expected(int64_t row, int64_t column) const {
    double sum = 0;
    for (int64_t k = 0; k < kDepth; ++k) {
      sum += a.get(form == Form::tn ? k * kRows + row : row * kDepth + k) *
             b.get(form == Form::nt ? column * kDepth + k : k * kColumns + column);
    }
    return sum;
  }
};

TEST(GemmCublas, EveryFormAndType) {
  const Variable named("LOGRATIO_CUBLAS", FAKE_FILE);
  for (const auto& [type, element] : {std::pair{D::f32, op::ElementType::f32},
                                      {D::bf16, op::ElementType::bf16},
                                      {D::f16, op::ElementType::f16}}) {
    for (const Form form : {Form::nt, Form::nn, Form::tn}) {
      for (const bool accumulate : {false, true}) {
        for (const bool has_bias : {false, true}) {
          if (accumulate && has_bias)
            continue;
          Factors f(form, type);
          f.multiply(element, accumulate, has_bias);
          for (int64_t r = 0; r < Factors::kRows; ++r) {
            for (int64_t v = 0; v < Factors::kColumns; ++v) {
              const double more = accumulate ? .25 : has_bias ? f.bias.get(v) : 0;
              EXPECT_NEAR(f.c.get(r * (Factors::kColumns + 1) + v), f.expected(r, v) + more, 1e-6);
            }
            EXPECT_EQ(f.c.get(r * (Factors::kColumns + 1) + Factors::kColumns), .25);
          }
        }
      }
    }
  }
}

TEST(GemmCublas, AsksOncePerShapeAndAlignment) {
  const Variable named("LOGRATIO_CUBLAS", FAKE_FILE);
  Factors f(Form::nt, D::f32);
  f.multiply(op::ElementType::f32, false, false);
  const int& asked = of_fake<int>("fake_asked");
  const int before = asked;
  f.multiply(op::ElementType::f32, true, false);
  EXPECT_EQ(asked, before);
  Tensor off(D::f32, {16});
  f.a = off.slice(0, 1, 16).reshape({5, 3});
  f.multiply(op::ElementType::f32, false, false);
  EXPECT_EQ(asked, before + 1);
  EXPECT_EQ(of_fake<unsigned>("fake_alignment"), 4u);
}

TEST(GemmCublas, Tf32OnlyWhereAskedFor) {
  const Variable named("LOGRATIO_CUBLAS", FAKE_FILE);
  Factors f(Form::nn, D::f32), narrow(Form::nn, D::bf16);
  f.multiply(op::ElementType::f32, false, false);
  const int& compute = of_fake<int>("fake_compute");
  EXPECT_EQ(compute, cublaslt::kComputeFloat32);
  {
    const Variable tf32("LOGRATIO_TF32", "1");
    f.multiply(op::ElementType::f32, false, false);
    EXPECT_EQ(compute, cublaslt::kComputeTf32);
    narrow.multiply(op::ElementType::bf16, false, false);
    EXPECT_EQ(compute, cublaslt::kComputeFloat32);
  }
  const Variable wrong("LOGRATIO_TF32", "on");
  EXPECT_EQ(failure_of([&] { f.multiply(op::ElementType::f32, false, false); }),
            "LOGRATIO_TF32 is \"on\", expected 0 or 1");
}

}  // namespace
}  // namespace logratio::test
