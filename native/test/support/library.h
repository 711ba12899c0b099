// The library, opened at run time by a path of its own.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "logratio.h"

namespace logratio::test {

class Library {
 public:
  explicit Library(const std::string& path)
      : path_(path), handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr)
      ADD_FAILURE() << dlerror();
  }
  void close() { EXPECT_EQ(dlclose(handle_), 0); }
  bool is_mapped() const { return dlopen(path_.c_str(), RTLD_NOW | RTLD_NOLOAD) != nullptr; }

  template <class Function>
  Function* function(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(handle_, name));
  }
  std::string last_error() const { return function<decltype(lr_last_error)>("lr_last_error")(); }

 private:
  std::string path_;
  void* handle_;
};

// A copy of the built library, so that each test has one that has not been used.
inline std::string copy_to(const std::string& folder) {
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(LR_LIBRARY_FILE, folder + "/liblogratio.so");
  return folder + "/liblogratio.so";
}

}  // namespace logratio::test
