// The seed of the emulator that is loaded, for tests that try several schedules.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

#include "logratio.h"

namespace logratio::test {

inline void set_emulator_seed(uint64_t seed) {
  lr_device_info info{};
  info.size = sizeof info;
  ASSERT_EQ(lr_device(kDLExtDev, 0, &info), LR_OK) << lr_last_error();  // opens the library
  void* library = dlopen(std::getenv("LOGRATIO_EMULATOR"), RTLD_NOW | RTLD_NOLOAD);
  ASSERT_NE(library, nullptr) << "the emulator is not loaded: " << dlerror();
  const auto set =
      reinterpret_cast<void (*)(uint64_t)>(dlsym(library, "logratio_emulator_set_seed"));
  ASSERT_NE(set, nullptr);
  set(seed);
  dlclose(library);
}

}  // namespace logratio::test
