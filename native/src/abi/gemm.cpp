// What makes the matrix products of the fused linear operations.
#include <algorithm>
#include <cstring>
#include <string>

#include "abi/errors.h"
#include "cpu/linear/gemm.h"

using namespace logratio;

static_assert(sizeof(lr_gemm_info) == 1104);

namespace {

// What does not fit is cut off; the rest is zero.
template <size_t size>
void copy_text(const std::string& text, char (&to)[size]) {
  std::memcpy(to, text.data(), std::min(text.size(), size - 1));
}

}  // namespace

lr_status lr_gemm(lr_gemm_info* info) {
  return abi::guarded({}, [&] {
    if (info == nullptr)
      abi::invalid("info is NULL, and it is required");
    abi::check_struct("lr_gemm_info", info, abi::Published<lr_gemm_info>::size,
                      sizeof(lr_gemm_info));
    abi::check_environment();
    const cpu::Gemm& gemm = cpu::gemm();
    lr_gemm_info known{};
    copy_text(gemm.name(), known.library);
    copy_text(gemm.path(), known.path);
    known.bfloat16 = gemm.takes_bfloat16();
    known.size = info->size;
    std::memcpy(info, &known, std::min<uint64_t>(info->size, sizeof known));
  });
}

lr_status lr_gemm_offer(const char* path) {
  return abi::guarded({}, [&] {
    if (path == nullptr)
      abi::invalid("path is NULL, and it is required");
    if (*path != '/')
      abi::invalid("path is \"" + std::string(path) + "\", expected an absolute path");
    cpu::offer_gemm(path);
  });
}
