// How many CPUs the control groups of this process leave it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace logratio::cpu {

// The smallest CPU quota of the process's own group and of every group above it, as far as they are
// mounted, rounded up to whole CPUs; nothing where none of them has one. Versions 1 and 2, and both
// side by side. `root` stands before every path that is read: "" for this machine, a made-up tree
// in tests.
std::optional<int64_t> cgroup_cpus(const std::string& root = "");

}  // namespace logratio::cpu
