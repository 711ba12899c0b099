// The seed of the emulator that is loaded, for tests that try several schedules.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

namespace logratio::test {

inline void set_emulator_seed(uint64_t seed) {
  void* library = dlopen(std::getenv("LOGRATIO_EMULATOR"), RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr) << "the emulator is not loaded: " << dlerror();
  const auto set = reinterpret_cast<void (*)(uint64_t)>(dlsym(library, "logratio_emulator_set_seed"));
  ASSERT_NE(set, nullptr);
  set(seed);
  dlclose(library);
}

}  // namespace logratio::test
