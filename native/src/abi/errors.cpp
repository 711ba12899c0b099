#include "abi/errors.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "cpu/isa.h"
#include "cpu/thread_pool.h"

namespace logratio::abi {
namespace {

// Fixed size: reporting a failure must not itself fail for lack of memory.
thread_local char thread_error[1024] = "";

void copy_text(char* target, uint64_t capacity, const char* text) {
  if (target == nullptr || capacity == 0)
    return;
  const uint64_t length = std::min<uint64_t>(std::strlen(text), capacity - 1);
  std::memcpy(target, text, length);
  target[length] = '\0';
}

}  // namespace

void invalid(const std::string& text) { throw Error(LR_INVALID_ARGUMENT, text); }

const char* last_error() { return thread_error; }

void set_error(ErrorBuffer buffer, const char* text) {
  copy_text(thread_error, sizeof thread_error, text);
  copy_text(buffer.text, buffer.capacity, text);
}

void check_struct(const char* name, const void* args, uint64_t first_size, uint64_t known_size) {
  if (args == nullptr)
    invalid(std::string("args is NULL, expected ") + name);
  uint64_t size;
  std::memcpy(&size, args, sizeof size);
  if (!is_struct_size(size, first_size)) {
    const auto [bound, limit] = size < first_size ? std::pair{"at least ", first_size}
                                                  : std::pair{"at most ", kMaxStructSize};
    invalid("size of " + std::string(name) + " is " + std::to_string(size) + ", expected " + bound +
            std::to_string(limit) + ": set it to sizeof(" + name + ")");
  }
  const auto* bytes = static_cast<const unsigned char*>(args);
  for (uint64_t at = known_size; at < size; ++at) {
    if (bytes[at] == 0)
      continue;
    invalid("size of " + std::string(name) + " is " + std::to_string(size) +
            " with fields that this library (ABI " + std::to_string(LR_ABI_VERSION) + ", " +
            std::to_string(known_size) + " bytes) does not know; compare lr_abi_version()");
  }
}

void check_environment() {
  if (const char* error = cpu::instruction_set_error())
    throw Error(LR_UNAVAILABLE, error);
  if (const char* error = cpu::thread_count_error())
    throw Error(LR_UNAVAILABLE, error);
}

}  // namespace logratio::abi
