// Runs the tests of the kernels on the instruction set that LOGRATIO_CPU names, and fails if
// another one ran. Exits with 77, which ctest counts as skipped, where this processor does not have
// it.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "logratio.h"

namespace {

constexpr int kSkipped = 77;

TEST(InstructionSet, IsTheOneAskedFor) {
  const char* wanted = std::getenv("LOGRATIO_CPU");
  ASSERT_NE(lr_cpu_instruction_set(), nullptr) << lr_last_error();
  if (wanted != nullptr) {
    EXPECT_STREQ(lr_cpu_instruction_set(), wanted);
  }
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!testing::GTEST_FLAG(list_tests) && lr_cpu_instruction_set() == nullptr &&
      std::strstr(lr_last_error(), "does not have") != nullptr) {
    std::printf("skipped: %s\n", lr_last_error());
    return kSkipped;
  }
  return RUN_ALL_TESTS();
}
