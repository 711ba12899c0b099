#include "cpu/linear/shared_library.h"

#include <link.h>
#include <unistd.h>

namespace logratio::cpu {
namespace {

// The name of the library that a loader's reason is about. It stands first.
std::string subject_of(const std::string& reason) { return reason.substr(0, reason.find(':')); }

// A handle, or nullptr and why. Each library is asked for again once one that it needs is open,
// which the loader then knows by its name.
void* open(const std::string& name, std::string* reason) {
  const size_t slash = name.rfind('/');
  std::string opened;
  for (;;) {
    if (void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL))
      return handle;
    *reason = dlerror();
    const std::string needed = subject_of(*reason);
    if (slash == std::string::npos || needed == opened || needed.find('/') != std::string::npos)
      return nullptr;
    const std::string beside = name.substr(0, slash + 1) + needed;
    if (beside == name || access(beside.c_str(), F_OK) != 0 || open(beside, reason) == nullptr)
      return nullptr;
    opened = needed;
  }
}

}  // namespace

SharedLibrary::SharedLibrary(const std::string& name) : path_(name) {
  std::string reason;
  handle_ = open(name, &reason);
  if (handle_ == nullptr) {
    if (reason.starts_with(name + ": "))
      reason.erase(0, name.size() + 2);
    throw Unusable(reason);
  }
  const link_map* map = nullptr;
  if (dlinfo(handle_, RTLD_DI_LINKMAP, &map) == 0)
    path_ = map->l_name;
}

}  // namespace logratio::cpu
