// The library as a program meets it that opens it itself: by any path, from any folder, and closes
// it again.
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cpu/cgroup.h"
#include "support/library.h"
#include "support/temporary_folder.h"
#include "support/tensor.h"
#include "support/threads.h"

namespace logratio::test {
namespace {

namespace fs = std::filesystem;

void write_garbage(const std::string& folder) {
  fs::create_directories(folder);
  for (const char* name : {"/liblogratio_cuda.so", "/liblogratio_emulator.so"})
    std::ofstream(folder + name) << "no library";
}

lr_status device(const Library& library, DLDeviceType type, lr_device_info* info) {
  info->size = sizeof *info;
  return library.function<decltype(lr_device)>("lr_device")(type, 0, info);
}

TEST(Loading, StaysMappedWhenItIsClosed) {
  for (int round = 0; round < 20; ++round) {
    Library library(LR_LIBRARY_FILE);
    ASSERT_EQ(library.function<decltype(lr_set_threads)>("lr_set_threads")(4), LR_OK);
    Tensor logits(D::f32, {512, 1024}), labels(D::i64, {512}), logp(D::f64, {512});
    auto args = make_args<lr_token_logprobs_args>();
    args.logits = logits;
    args.labels = labels;
    args.options = default_token_options();
    args.logp = logp;
    ASSERT_EQ(library.function<decltype(lr_token_logprobs)>("lr_token_logprobs")(&args), LR_OK)
        << library.last_error();
    EXPECT_NEAR(logp.get(511), -std::log(1024), 1e-12);
    library.close();
    ASSERT_TRUE(library.is_mapped());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // for its threads to run on
  }
  EXPECT_EQ(running_threads(), 4);
}

TEST(Loading, DeviceLibraryIsFoundBesideTheRealFileForGood) {
  const TemporaryFolder folder;
  const std::string home = folder.path() + "/home", elsewhere = folder.path() + "/elsewhere";
  copy_to(home + "/lib");
  fs::copy_file(LR_EMULATOR_FILE, home + "/lib/liblogratio_emulator.so");
  fs::create_symlink("lib/liblogratio.so", home + "/link.so");
  write_garbage(home);
  write_garbage(elsewhere);
  unsetenv("LOGRATIO_EMULATOR");
  fs::current_path(home);
  const Library library("./link.so");
  fs::current_path(elsewhere);
  lr_device_info info{};
  EXPECT_EQ(device(library, kDLExtDev, &info), LR_OK) << library.last_error();
  EXPECT_STREQ(info.name, "Logratio's CUDA emulator");
  fs::current_path("/");
}

TEST(Loading, NothingIsTakenFromTheCurrentFolder) {
  const TemporaryFolder folder;
  const std::string home = folder.path() + "/home", elsewhere = folder.path() + "/elsewhere";
  copy_to(home);
  write_garbage(elsewhere);
  fs::current_path(home);
  const Library library("./liblogratio.so");
  fs::current_path(elsewhere);
  lr_device_info info{};
  EXPECT_EQ(device(library, kDLCUDA, &info), LR_UNAVAILABLE);
  EXPECT_EQ(library.last_error(),
            "CUDA is unavailable: liblogratio_cuda.so was found not beside liblogratio.so (" +
                home + "/liblogratio_cuda.so) and not on the loader's path");
  setenv("LOGRATIO_EMULATOR", "./liblogratio_emulator.so", 1);
  EXPECT_EQ(device(library, kDLExtDev, &info), LR_UNAVAILABLE);
  EXPECT_EQ(library.last_error(),
            "the emulator is unavailable: LOGRATIO_EMULATOR is \"./liblogratio_emulator.so\", "
            "expected an absolute path");
  setenv("LOGRATIO_EMULATOR", LR_EMULATOR_FILE, 1);
  EXPECT_EQ(device(library, kDLExtDev, &info), LR_OK) << library.last_error();
  fs::current_path("/");
}

TEST(Loading, ThreadsAreTheLeastOfAffinityAndQuota) {
  const TemporaryFolder folder;
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  const auto threads = [&](const char* name) {
    return Library(copy_to(folder.path() + "/" + name))
        .function<decltype(lr_threads)>("lr_threads")();
  };
  unsetenv("LOGRATIO_THREADS");
  const int64_t cpus = CPU_COUNT(&all);
  EXPECT_EQ(threads("all"), std::min(cpus, cpu::cgroup_cpus().value_or(cpus)));
  cpu_set_t one;
  CPU_ZERO(&one);
  for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &all))
      CPU_SET(cpu, &one);
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(threads("one"), 1);
  setenv("LOGRATIO_THREADS", "7", 1);
  EXPECT_EQ(threads("seven"), 7);
  unsetenv("LOGRATIO_THREADS");
  ASSERT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
}

}  // namespace
}  // namespace logratio::test
