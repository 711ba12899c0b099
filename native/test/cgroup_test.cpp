// The CPU quota of made-up machines: what /proc and the mounted groups say there, and how many CPUs
// that leaves.
#include "cpu/cgroup.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/temporary_folder.h"

namespace logratio::test {
namespace {

using cpu::cgroup_cpus;

class Machine {
 public:
  Machine& file(const std::string& path, const std::string& text) {
    const std::filesystem::path full = folder_.path() + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
    return *this;
  }
  Machine& groups(const std::string& text) { return file("/proc/self/cgroup", text); }
  Machine& mounts(const std::string& text) { return file("/proc/self/mountinfo", text); }
  // 0 stands for no limit.
  int64_t cpus() const { return cgroup_cpus(folder_.path()).value_or(0); }

 private:
  TemporaryFolder folder_;
};

constexpr const char* kUnified =
    "22 1 8:1 / / rw - ext4 /dev/sda rw\n30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 "
    "cgroup2 rw,nsdelegate\n";
constexpr const char* kFirst =
    "30 22 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
    "31 22 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";

TEST(Cgroup, NothingIsNoLimit) {
  EXPECT_EQ(Machine().cpus(), 0);
  EXPECT_EQ(Machine().groups("0::/\n").mounts("22 1 8:1 / / rw - ext4 /dev/sda rw\n").cpus(), 0);
  EXPECT_EQ(Machine().groups("0::/\n").mounts(kUnified).cpus(),
            0);  // the root group of a machine has no cpu.max
}

TEST(Cgroup, UnifiedQuotaIsRoundedUp) {
  using Case = std::pair<const char*, int64_t>;
  for (const auto& [quota, cpus] :
       {Case{"200000 100000", 2}, Case{"200001 100000", 3}, Case{"150000 100000", 2},
        Case{"1000 100000", 1}, Case{"50000 25000", 2}, Case{"max 100000", 0},
        Case{"6400000 100000", 64}}) {
    Machine machine;
    machine.groups("0::/app\n")
        .mounts(kUnified)
        .file("/sys/fs/cgroup/app/cpu.max", std::string(quota) + "\n");
    EXPECT_EQ(machine.cpus(), cpus) << quota;
  }
}

TEST(Cgroup, TheTightestGroupOnTheWayUpCounts) {
  Machine machine;
  machine.groups("0::/a/b/c\n").mounts(kUnified);
  machine.file("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
  EXPECT_EQ(machine.cpus(), 0);
  machine.file("/sys/fs/cgroup/a/cpu.max", "700000 100000\n");
  EXPECT_EQ(machine.cpus(), 7);
  machine.file("/sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
  EXPECT_EQ(machine.cpus(), 3);
  machine.file("/sys/fs/cgroup/a/b/c/cpu.max", "500000 100000\n");
  EXPECT_EQ(machine.cpus(), 3);
  machine.file("/sys/fs/cgroup/a/b/d/cpu.max", "100000 100000\n");  // no group of this process
  EXPECT_EQ(machine.cpus(), 3);
  machine.file("/sys/fs/cgroup/cpu.max",
               "200000 100000\n");  // of a container, which sees its own group as the root
  EXPECT_EQ(machine.cpus(), 2);
}

TEST(Cgroup, FirstVersion) {
  const auto machine = [](const std::string& quota, const std::string& period) {
    Machine made;
    made.groups("5:cpuset:/other\n4:cpu,cpuacct:/app/x\n1:name=systemd:/y\n").mounts(kFirst);
    made.file("/sys/fs/cgroup/cpu,cpuacct/app/x/cpu.cfs_quota_us", quota)
        .file("/sys/fs/cgroup/cpu,cpuacct/app/x/cpu.cfs_period_us", period);
    made.file("/sys/fs/cgroup/cpuset/other/cpu.cfs_quota_us", "100000\n")
        .file("/sys/fs/cgroup/cpuset/other/cpu.cfs_period_us", "100000\n");
    return made.cpus();
  };
  EXPECT_EQ(machine("-1\n", "100000\n"), 0);
  EXPECT_EQ(machine("250000\n", "100000\n"), 3);
  EXPECT_EQ(machine("4000\n", "100000\n"), 1);
  EXPECT_EQ(machine("0\n", "100000\n"), 0);
  EXPECT_EQ(machine("250000\n", "0\n"), 0);
  EXPECT_EQ(machine("", ""), 0);
}

TEST(Cgroup, FirstVersionOfAContainerWhoseGroupIsMounted) {
  Machine machine;
  machine.groups("4:cpu:/docker/0123/inner\n")
      .mounts("30 22 0:26 /docker/0123 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
  machine.file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n")
      .file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(machine.cpus(), 4);
  machine.file("/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "100000\n")
      .file("/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(machine.cpus(), 1);
  for (const char* elsewhere : {"4:cpu:/docker/01234\n", "4:cpu:/\n", "4:cpu:/../sibling\n"})
    EXPECT_EQ(machine.groups(elsewhere).cpus(), 4);
}

TEST(Cgroup, BothVersionsSideBySide) {
  Machine machine;
  machine.groups("4:cpu,cpuacct:/app\n0::/app\n")
      .mounts(std::string(kFirst) +
              "40 22 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(machine.cpus(), 0);
  machine.file("/sys/fs/cgroup/unified/app/cgroup.procs", "1\n");
  machine.file("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "500000\n");
  machine.file("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(machine.cpus(), 5);
}

TEST(Cgroup, FoldersWithOddNames) {
  Machine machine;
  machine.groups("0::/a:b\n").mounts("30 22 0:26 / /my\\040groups\\134x rw - cgroup2 cgroup2 rw\n");
  machine.file("/my groups\\x/a:b/cpu.max", "900000 100000\n");
  EXPECT_EQ(machine.cpus(), 9);
}

TEST(Cgroup, WhatMakesNoSenseIsNoLimit) {
  for (const char* text :
       {"", "\n", "max\n", "100000\n", "100000 \n", "100000 0\n", "-5 100000\n", "x 100000\n",
        "100000 100000 1\n", "1e5 100000\n", "99999999999999999999 100000\n", "100000,100000\n"}) {
    Machine machine;
    machine.groups("0::/app\n").mounts(kUnified).file("/sys/fs/cgroup/app/cpu.max", text);
    EXPECT_EQ(machine.cpus(), 0) << text;
  }
  for (const char* text : {"", "0:\n", "0::\n", ":\n", "4:cpu\n", "x::/app\n"}) {
    EXPECT_EQ(Machine()
                  .groups(text)
                  .mounts(kUnified)
                  .file("/sys/fs/cgroup/app/cpu.max", "100000 100000\n")
                  .cpus(),
              0)
        << text;
  }
  for (const char* text :
       {"\n", "-\n", "30 22 0:26 / /sys/fs/cgroup rw - cgroup2\n", "30 22 - cgroup2 cgroup2 rw\n",
        "30 22 0:26 / /sys/fs/cgroup rw cgroup2\n"}) {
    EXPECT_EQ(Machine()
                  .groups("0::/app\n")
                  .mounts(text)
                  .file("/sys/fs/cgroup/app/cpu.max", "100000 100000\n")
                  .cpus(),
              0)
        << text;
  }
}

}  // namespace
}  // namespace logratio::test
