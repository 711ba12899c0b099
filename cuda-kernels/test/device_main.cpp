// Runs the tests of a device, and fails if it is not the one that LOGRATIO_TEST_DEVICE names.
#include <gtest/gtest.h>

#include <cstdlib>

#include "support/device.h"

namespace logratio::test {
namespace {

TEST(Device, IsTheOneAskedFor) {
  ASSERT_TRUE(on_emulator()) << "set LOGRATIO_TEST_DEVICE";
  lr_device_info info{};
  info.size = sizeof info;
  ASSERT_EQ(lr_device(kDLExtDev, 0, &info), LR_OK) << lr_last_error();
  EXPECT_STREQ(info.name, "Logratio's CUDA emulator");
  EXPECT_EQ(info.driver_version, 0);
  EXPECT_GT(info.multiprocessors, 0);
  EXPECT_GT(info.memory_bytes, 0u);
}

}  // namespace
}  // namespace logratio::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  setenv("LOGRATIO_EMULATOR", LR_EMULATOR_FILE, 0);
  return RUN_ALL_TESTS();
}
