// The threads of this process.
#pragma once

#include <cstdio>

namespace logratio::test {

inline int running_threads() {
  int threads = 0;
  if (FILE* const status = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, status) != nullptr &&
           std::sscanf(line, "Threads: %d", &threads) != 1) {
    }
    std::fclose(status);
  }
  return threads;
}

}  // namespace logratio::test
