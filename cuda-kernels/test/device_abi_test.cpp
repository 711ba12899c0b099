// What calls on a device's tensors ask for beyond those on the CPU: one device, the `cuda` field,
// workspace, and the counter of bad values.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "support/tokens.h"

namespace logratio::test {
namespace {

constexpr double kUntouched = 77;

struct Call {
  Tensor logits{D::f32, {4, 9}, normal_values(36, 2, 1)}, labels{D::i64, {4}, {0, 3, 8, 5}},
      logp{D::f64, {4}};
  lr_token_logprobs_args args = make_args<lr_token_logprobs_args>();
  lr_cuda cuda{};
  char text[256] = "";

  Call() {
    cuda.size = sizeof cuda;
    args.error = text;
    args.error_capacity = sizeof text;
    args.logits = logits;
    args.labels = labels;
    args.options = default_token_options();
    args.logp = logp;
    args.cuda = &cuda;
    logp.fill(kUntouched);
  }

  testing::AssertionResult fails(lr_status expected, const std::string& expected_text) {
    const lr_status status = lr_token_logprobs(&args);
    if (status != expected || expected_text != text)
      return testing::AssertionFailure() << "status " << status << ", \"" << text << '"';
    if (logp.get(0) != kUntouched)
      return testing::AssertionFailure() << "an output was written";
    return testing::AssertionSuccess();
  }
};

TEST(DeviceAbi, TensorsOnTwoDevices) {
  Call call;
  DLTensor labels = *call.args.labels;
  labels.device = {kDLCPU, 0};
  call.args.labels = &labels;
  EXPECT_TRUE(call.fails(LR_INVALID_ARGUMENT,
                         "labels is I64 [4], expected emulated device 0, as logits is F32 [4, 9] "
                         "on emulated device 0"));
  labels.device = {kDLCUDA, 2};
  EXPECT_TRUE(call.fails(LR_INVALID_ARGUMENT,
                         "labels is I64 [4] on CUDA 2, expected emulated device 0, as logits is "
                         "F32 [4, 9] on emulated device 0"));
  labels.device = {kDLExtDev, 1};
  EXPECT_TRUE(call.fails(LR_INVALID_ARGUMENT,
                         "labels is I64 [4] on emulated device 1, expected emulated device 0, as "
                         "logits is F32 [4, 9] on emulated device 0"));
}

TEST(DeviceAbi, CudaField) {
  Call call;
  call.args.cuda = nullptr;
  EXPECT_TRUE(
      call.fails(LR_INVALID_ARGUMENT,
                 "cuda is NULL, and it is required: logits is F32 [4, 9] on emulated device 0"));
  call.args.cuda = &call.cuda;
  call.cuda.size = 16;
  EXPECT_TRUE(call.fails(LR_INVALID_ARGUMENT,
                         "size of lr_cuda is 16, expected at least 40: set it to sizeof(lr_cuda)"));
  call.cuda.size = sizeof call.cuda;
  DLTensor logits = *call.args.logits, labels = *call.args.labels, logp = *call.args.logp;
  logits.device = labels.device = logp.device = {kDLCPU, 0};
  call.args.logits = &logits;
  call.args.labels = &labels;
  call.args.logp = &logp;
  EXPECT_TRUE(call.fails(LR_INVALID_ARGUMENT,
                         "cuda is given, expected NULL: the tensors are in host memory"));
  logits.device = labels.device = logp.device = {kDLExtDev, 1};
  EXPECT_TRUE(call.fails(LR_UNAVAILABLE, "there is no emulated device 1, only number 0"));
}

TEST(DeviceAbi, Workspace) {
  Call call;
  ASSERT_EQ(lr_token_logprobs(&call.args), LR_OK) << call.text;
  EXPECT_EQ(call.logp.get(0), kUntouched);
  const uint64_t needed = call.cuda.workspace_bytes;
  EXPECT_GT(needed, 0u);
  const WorkspaceMemory memory(needed + 256);
  call.cuda.workspace = memory.get();
  call.cuda.workspace_bytes = needed - 1;
  EXPECT_TRUE(
      call.fails(LR_INVALID_ARGUMENT, "cuda.workspace_bytes is " + std::to_string(needed - 1) +
                                          ", expected at least " + std::to_string(needed) +
                                          " for this call: ask for it with workspace NULL"));
  call.cuda.workspace_bytes = needed;
  call.cuda.workspace = static_cast<char*>(memory.get()) + 64;
  EXPECT_TRUE(call.fails(LR_INVALID_ARGUMENT, "cuda.workspace is not aligned to 256 bytes"));
  call.cuda.workspace = memory.get();
  ASSERT_EQ(lr_token_logprobs(&call.args), LR_OK) << call.text;
  EXPECT_NE(call.logp.get(0), kUntouched);
  EXPECT_EQ(call.cuda.workspace_bytes, needed);
}

TEST(DeviceAbi, ArgumentsAreCheckedAsOnTheCpu) {
  Call call;
  call.args.options.temperature = 0;
  EXPECT_TRUE(call.fails(LR_INVALID_ARGUMENT, "temperature is 0.0, expected a finite number > 0"));
}

TEST(DeviceAbi, BadLabelsAreCountedAndHarmTheirRowOnly) {
  Tensor logits(D::f32, {5, 9}, normal_values(45, 2, 3)), labels(D::i64, {5}, {0, 9, -100, -1, 8}),
      good(D::i64, {5}, {0, 3, -100, 4, 8});
  Tensor logp(D::f64, {5}), lse(D::f64, {5}), up(D::f32, {5}), gradient(D::f32, {5, 9});
  up.fill(1);
  auto args = make_args<lr_token_logprobs_args>();
  args.logits = logits;
  args.labels = labels;
  args.options = default_token_options();
  args.logp = logp;
  args.lse = lse;
  int64_t bad = 40;
  ASSERT_EQ(call(lr_token_logprobs, args, &bad), LR_OK) << lr_last_error();
  EXPECT_EQ(bad, 42);
  const TokenFigures expected = forward(logits, good);
  for (int64_t row : {0, 2, 4})
    EXPECT_EQ(logp.get(row), expected.logp.get(row));
  for (int64_t row : {1, 3})
    EXPECT_TRUE(std::isnan(logp.get(row)));
  for (int64_t row = 0; row < 5; ++row)
    EXPECT_EQ(lse.get(row), expected.lse.get(row));
  auto back = make_args<lr_token_logprobs_backward_args>();
  back.logits = logits;
  back.labels = labels;
  back.options = default_token_options();
  back.lse = lse;
  back.grad_logp = up;
  back.grad_logits = gradient;
  ASSERT_EQ(call(lr_token_logprobs_backward, back, &bad), LR_OK) << lr_last_error();
  EXPECT_EQ(bad, 44);
  for (int64_t k = 0; k < 45; ++k) {
    const bool zero = k / 9 >= 1 && k / 9 <= 3;
    EXPECT_EQ(gradient.get(k) == 0, zero) << k;
  }
}

TEST(DeviceAbi, NoRows) {
  Tensor logits(D::f32, {0, 9}), labels(D::i64, {0}), logp(D::f64, {0});
  auto args = make_args<lr_token_logprobs_args>();
  args.logits = logits;
  args.labels = labels;
  args.options = default_token_options();
  args.logp = logp;
  EXPECT_EQ(call(lr_token_logprobs, args), LR_OK) << lr_last_error();
}

TEST(DeviceAbi, DeviceArguments) {
  lr_device_info info{};
  EXPECT_EQ(lr_device(kDLExtDev, 0, &info), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(
      lr_last_error(),
      "size of lr_device_info is 0, expected at least 288: set it to sizeof(lr_device_info)");
  info.size = sizeof info;
  EXPECT_EQ(lr_device(kDLCPU, 0, &info), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(), "device_type is 1, expected kDLCUDA or kDLExtDev");
  EXPECT_EQ(lr_device(kDLExtDev, 0, nullptr), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(), "info is NULL, and it is required");
  EXPECT_EQ(lr_device(kDLExtDev, 3, &info), LR_UNAVAILABLE);
  EXPECT_STREQ(lr_last_error(), "there is no emulated device 3, only number 0");
}

// With a GPU it is described; without one a sentence says what is missing, whatever that is.
TEST(DeviceAbi, CudaIsThereOrSaysWhyNot) {
  lr_device_info info{};
  info.size = sizeof info;
  const lr_status status = lr_device(kDLCUDA, 0, &info);
  if (status == LR_OK) {
    EXPECT_STRNE(info.name, "");
    EXPECT_GE(info.driver_version, 13000);
    EXPECT_GE(info.runtime_version, 13000);
    EXPECT_GE(info.compute_capability, 70);
    return;
  }
  EXPECT_EQ(status, LR_UNAVAILABLE);
  const std::string text = lr_last_error();
  EXPECT_EQ(text.rfind("CUDA is unavailable: ", 0), 0u) << text;
  EXPECT_GT(text.size(), 40u) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
}

}  // namespace
}  // namespace logratio::test
