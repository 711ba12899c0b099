// A library of somebody else's that is opened at run time.
#pragma once

#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace logratio::cpu {

// Why a library cannot serve: what follows "which cannot be used: ".
class Unusable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// It stays open for good: such libraries have threads of their own, which must not lose their code.
class SharedLibrary {
 public:
  // A path, or a name for the loader. What a path's library needs is taken from its folder where
  // the loader does not find it: libraries are often put together there by those who do not write
  // that into them. Throws Unusable.
  explicit SharedLibrary(const std::string& name);

  const std::string& path() const { return path_; }

  // nullptr where neither the library nor what it needs has such a function.
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(handle_, name));
  }

 private:
  void* handle_;
  std::string path_;
};

}  // namespace logratio::cpu
