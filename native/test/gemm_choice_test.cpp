// Which library makes the matrix products: LOGRATIO_BLAS, then what was offered, then what is
// there.
#include <gtest/gtest.h>

#include <cstdlib>

#include "support/library.h"
#include "support/temporary_folder.h"

namespace logratio::test {
namespace {

class GemmChoice : public testing::Test {
 protected:
  GemmChoice() { unsetenv("LOGRATIO_BLAS"); }
  ~GemmChoice() override { unsetenv("LOGRATIO_BLAS"); }

  lr_status gemm(lr_gemm_info* info) const {
    *info = {};
    info->size = sizeof *info;
    return library.function<decltype(lr_gemm)>("lr_gemm")(info);
  }
  lr_status offer(const char* path) const {
    return library.function<decltype(lr_gemm_offer)>("lr_gemm_offer")(path);
  }
  std::string error_with(const char* variable) const {
    setenv("LOGRATIO_BLAS", variable, 1);
    lr_gemm_info info;
    EXPECT_EQ(gemm(&info), LR_UNAVAILABLE);
    return library.last_error();
  }

  const TemporaryFolder folder;
  const Library library{copy_to(folder.path())};
  lr_gemm_info info;
};

TEST_F(GemmChoice, OwnProductsByName) {
  ASSERT_EQ(offer(LR_FAKE_FOLDER "/libfake_blas.so"), LR_OK);
  setenv("LOGRATIO_BLAS", "own", 1);
  ASSERT_EQ(gemm(&info), LR_OK) << library.last_error();
  EXPECT_STREQ(info.library, "Logratio");
  EXPECT_STREQ(info.path, "");
  EXPECT_EQ(info.bfloat16, 0);
  EXPECT_EQ(info.size, sizeof info);
}

TEST_F(GemmChoice, ALibraryByItsPath) {
  setenv("LOGRATIO_BLAS", LR_FAKE_FOLDER "/libfake_blas.so", 1);
  ASSERT_EQ(gemm(&info), LR_OK) << library.last_error();
  EXPECT_STREQ(info.library, "OpenBLAS 9.8.7");
  EXPECT_STREQ(info.path, LR_FAKE_FOLDER "/libfake_blas.so");
}

TEST_F(GemmChoice, WhatIsNamedAndCannotServeIsAnErrorUntilItIsMended) {
  EXPECT_EQ(error_with("/nowhere/libblas.so"),
            "LOGRATIO_BLAS is \"/nowhere/libblas.so\", which cannot be used: cannot open shared "
            "object file: No such file or directory");
  EXPECT_EQ(error_with("libm.so.6"),
            "LOGRATIO_BLAS is \"libm.so.6\", which cannot be used: it has neither dnnl_sgemm nor "
            "cblas_sgemm");
  EXPECT_EQ(error_with("./libfake_blas.so"),
            "LOGRATIO_BLAS is \"./libfake_blas.so\", expected an absolute path, the name of a "
            "library, or own");
  EXPECT_EQ(error_with(LR_FAKE_FOLDER "/libfake_blas_row_dependent.so"),
            "LOGRATIO_BLAS is \"" LR_FAKE_FOLDER
            "/libfake_blas_row_dependent.so\", which cannot be used: OpenBLAS 9.8.7's products nt "
            "of F32, 512 x 512 and 37 deep, depend on where a row stands");
  setenv("LOGRATIO_BLAS", LR_FAKE_FOLDER "/libfake_onednn.so", 1);
  ASSERT_EQ(gemm(&info), LR_OK) << library.last_error();
  EXPECT_STREQ(info.library, "oneDNN 3.99.1");
}

TEST_F(GemmChoice, TheLibraryOfferedUnlessOneIsOpen) {
  ASSERT_EQ(offer(LR_FAKE_FOLDER "/libfake_blas_unsteady.so"), LR_OK);
  ASSERT_EQ(offer(LR_FAKE_FOLDER "/libfake_blas.so"), LR_OK);
  ASSERT_EQ(gemm(&info), LR_OK) << library.last_error();
  EXPECT_STREQ(info.path, LR_FAKE_FOLDER "/libfake_blas.so");
  ASSERT_EQ(offer(LR_FAKE_FOLDER "/libfake_onednn.so"), LR_OK);
  setenv("LOGRATIO_BLAS", "own", 1);
  ASSERT_EQ(gemm(&info), LR_OK) << library.last_error();
  EXPECT_STREQ(info.path, LR_FAKE_FOLDER "/libfake_blas.so");
}

TEST_F(GemmChoice, AnOfferThatCannotServeIsPassedOver) {
  ASSERT_EQ(offer(LR_FAKE_FOLDER "/libfake_blas_row_dependent.so"), LR_OK);
  ASSERT_EQ(gemm(&info), LR_OK) << library.last_error();
  EXPECT_EQ(std::string(info.path).find("libfake"), std::string::npos) << info.path;
  EXPECT_STRNE(info.library, "");
}

TEST_F(GemmChoice, BadArguments) {
  EXPECT_EQ(offer(nullptr), LR_INVALID_ARGUMENT);
  EXPECT_EQ(library.last_error(), "path is NULL, and it is required");
  EXPECT_EQ(offer("libopenblas.so"), LR_INVALID_ARGUMENT);
  EXPECT_EQ(library.last_error(), "path is \"libopenblas.so\", expected an absolute path");
  const auto lr_gemm_of = library.function<decltype(lr_gemm)>("lr_gemm");
  EXPECT_EQ(lr_gemm_of(nullptr), LR_INVALID_ARGUMENT);
  EXPECT_EQ(library.last_error(), "info is NULL, and it is required");
  info = {};
  EXPECT_EQ(lr_gemm_of(&info), LR_INVALID_ARGUMENT);
  EXPECT_EQ(library.last_error(),
            "size of lr_gemm_info is 0, expected at least 1104: set it to sizeof(lr_gemm_info)");
}

}  // namespace
}  // namespace logratio::test
