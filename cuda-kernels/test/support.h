// What the emulator that is loaded lets tests choose and see.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

#include "logratio.h"

namespace logratio::test {

// A function that the loaded emulator exports for tests.
template <class Function>
Function* emulator_function(const char* name) {
  lr_device_info info{};
  info.size = sizeof info;
  EXPECT_EQ(lr_device(kDLExtDev, 0, &info), LR_OK) << lr_last_error();  // opens the library
  void* library = dlopen(std::getenv("LOGRATIO_EMULATOR"), RTLD_NOW | RTLD_NOLOAD);
  EXPECT_NE(library, nullptr) << "the emulator is not loaded: " << dlerror();
  const auto function = reinterpret_cast<Function*>(dlsym(library, name));
  EXPECT_NE(function, nullptr) << name;
  dlclose(library);
  return function;
}

inline void set_emulator_seed(uint64_t seed) {
  emulator_function<void(uint64_t)>("logratio_emulator_set_seed")(seed);
}
// How often kernels have added to a counter, and streams have waited for a workspace.
inline uint64_t emulator_counts() {
  return emulator_function<uint64_t()>("logratio_emulator_counts")();
}
inline uint64_t emulator_waits() {
  return emulator_function<uint64_t()>("logratio_emulator_waits")();
}

inline void set_emulator_capability(int32_t capability) {
  emulator_function<void(int32_t)>("logratio_emulator_set_capability")(capability);
}
// How many clusters it has run.
inline uint64_t emulator_clusters() {
  return emulator_function<uint64_t()>("logratio_emulator_clusters")();
}

}  // namespace logratio::test
