// Failures inside the library are thrown as Error; guarded() turns whatever was thrown into a
// status and one line of text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "logratio.h"

namespace logratio::abi {

class Error : public std::runtime_error {
 public:
  Error(lr_status status, const std::string& text) : std::runtime_error(text), status_(status) {}
  lr_status status() const { return status_; }

 private:
  lr_status status_;
};

[[noreturn, gnu::cold]] void invalid(const std::string& text);

// Where the text of a call's failure goes, besides the thread's own copy.
struct ErrorBuffer {
  char* text = nullptr;
  uint64_t capacity = 0;
};

const char* last_error();
void set_error(ErrorBuffer buffer, const char* text);

template <class Body>
lr_status guarded(ErrorBuffer buffer, Body&& body) {
  try {
    set_error(buffer, "");
    body();
    return LR_OK;
  } catch (const Error& error) {
    set_error(buffer, error.what());
    return error.status();
  } catch (const std::bad_alloc&) {
    set_error(buffer, "out of memory");
    return LR_OUT_OF_MEMORY;
  } catch (const std::length_error&) {  // a temporary larger than the address space
    set_error(buffer, "out of memory");
    return LR_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    set_error(buffer, error.what());
    return LR_INTERNAL;
  } catch (...) {
    set_error(buffer, "unknown failure");
    return LR_INTERNAL;
  }
}

// The arguments of an operation begin with their size, the error buffer and its capacity. Callers
// of an older library pass a shorter struct: not shorter than the first published one. Callers of a
// newer one pass a longer struct, whose tail must be zero, that is ask for nothing this library
// does not know. No release will need kMaxStructSize bytes: a larger size is that of a struct that
// nobody filled in, and neither its tail nor its error buffer is touched.
template <class Args>
struct Published;  // Published<Args>::size: sizeof(Args) when it was first released

template <>
struct Published<lr_token_logprobs_args> {
  static constexpr uint64_t size = 128;
};
template <>
struct Published<lr_token_logprobs_backward_args> {
  static constexpr uint64_t size = 120;
};
template <>
struct Published<lr_sequence_logps_args> {
  static constexpr uint64_t size = 104;
};
template <>
struct Published<lr_pair_loss_args> {
  static constexpr uint64_t size = 208;
};
template <>
struct Published<lr_preference_step_args> {
  static constexpr uint64_t size = 200;
};
template <>
struct Published<lr_unpaired_loss_args> {
  static constexpr uint64_t size = 128;
};
template <>
struct Published<lr_unpaired_step_args> {
  static constexpr uint64_t size = 224;
};
template <>
struct Published<lr_divergence_args> {
  static constexpr uint64_t size = 176;
};
template <>
struct Published<lr_scoring_rule_args> {
  static constexpr uint64_t size = 128;
};
template <>
struct Published<lr_cuda> {
  static constexpr uint64_t size = 40;
};
template <>
struct Published<lr_device_info> {
  static constexpr uint64_t size = 288;
};
template <>
struct Published<lr_gemm_info> {
  static constexpr uint64_t size = 1104;
};
template <>
struct Published<lr_loss_info> {
  static constexpr uint64_t size = 72;
};

inline constexpr uint64_t kMaxStructSize = 4096;

inline bool is_struct_size(uint64_t size, uint64_t first_size) {
  return size >= first_size && size <= kMaxStructSize;
}

void check_struct(const char* name, const void* args, uint64_t first_size, uint64_t known_size);

// LOGRATIO_CPU and the processor leave something to run on, and LOGRATIO_THREADS is a number of
// threads.
void check_environment();

template <class Args, class Body>
lr_status operation(const char* name, const Args* args, Body&& body) {
  const bool has_buffer = args != nullptr && is_struct_size(args->size, Published<Args>::size);
  return guarded(has_buffer ? ErrorBuffer{args->error, args->error_capacity} : ErrorBuffer{}, [&] {
    check_struct(name, args, Published<Args>::size, sizeof(Args));
    check_environment();
    Args known{};
    __builtin_memcpy(&known, args, args->size < sizeof(Args) ? args->size : sizeof(Args));
    body(known);
  });
}

}  // namespace logratio::abi
