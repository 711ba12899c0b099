// The seed and the compute capability of the emulator that is loaded, for tests that try several
// schedules and ways.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

#include "logratio.h"

namespace logratio::test {

// Calls body(a function of the emulator that is loaded).
template <class Function, class Body>
void with_emulator(const char* name, Body&& body) {
  lr_device_info info{};
  info.size = sizeof info;
  ASSERT_EQ(lr_device(kDLExtDev, 0, &info), LR_OK) << lr_last_error();  // opens the library
  void* library = dlopen(std::getenv("LOGRATIO_EMULATOR"), RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr) << "the emulator is not loaded: " << dlerror();
  const auto function = reinterpret_cast<Function*>(dlsym(library, name));
  ASSERT_NE(function, nullptr) << name;
  body(function);
  dlclose(library);
}

inline void set_emulator_seed(uint64_t seed) {
  with_emulator<void(uint64_t)>("logratio_emulator_set_seed", [&](auto* set) { set(seed); });
}
inline void set_emulator_capability(int32_t capability) {
  with_emulator<void(int32_t)>("logratio_emulator_set_capability",
                               [&](auto* set) { set(capability); });
}
// How many clusters it has run.
inline uint64_t emulator_clusters() {
  uint64_t count = 0;
  with_emulator<uint64_t()>("logratio_emulator_clusters", [&](auto* read) { count = read(); });
  return count;
}

}  // namespace logratio::test
