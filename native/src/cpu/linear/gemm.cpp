#include "cpu/linear/gemm.h"

#include <atomic>
#include <cstdlib>

#include "abi/errors.h"
#include "cpu/linear/gemms.h"

namespace logratio::cpu {
namespace {

// Threads that need it at once open it each for itself, and the first one's is taken: a lock might
// be held for ever in a child of fork(). Neither is ever deleted.
std::atomic<const Gemm*> g_gemm{nullptr};
// A path that was offered, and those before it.
struct Offer {
  std::string path;
  const Offer* before;
};
std::atomic<const Offer*> g_offer{nullptr};

// The library that was asked for by name. A failure is not remembered, so that it can be mended.
std::unique_ptr<const Gemm> open_named(const std::string& name) {
  const std::string is = "LOGRATIO_BLAS is \"" + name + "\", ";
  if (name[0] != '/' && name.find('/') != std::string::npos)
    throw abi::Error(LR_UNAVAILABLE,
                     is + "expected an absolute path, the name of a library, or own");
  try {
    return open_gemm(name);
  } catch (const Unusable& why) {
    throw abi::Error(LR_UNAVAILABLE, is + "which cannot be used: " + why.what());
  }
}

std::unique_ptr<const Gemm> open_if_usable(const std::string& name) {
  try {
    return open_gemm(name);
  } catch (const Unusable&) {
    return nullptr;
  }
}

// nullptr: the own products.
std::unique_ptr<const Gemm> choose() {
  const char* const named = std::getenv("LOGRATIO_BLAS");
  if (named != nullptr && *named != '\0')
    return std::string(named) == "own" ? nullptr : open_named(named);
  if (const Offer* const offer = g_offer.load(std::memory_order_acquire)) {
    if (auto gemm = open_if_usable(offer->path))
      return gemm;
  }
  for (const char* name :
       {"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so", "libopenblas.so.0", "libopenblas.so"}) {
    if (auto gemm = open_if_usable(name))
      return gemm;
  }
  return nullptr;
}

}  // namespace

std::unique_ptr<const Gemm> open_gemm(const std::string& name) {
  const SharedLibrary library(name);
  if (library.find<void()>("dnnl_sgemm") != nullptr)
    return open_onednn(library);
  if (library.find<void()>("cblas_sgemm") != nullptr)
    return open_cblas(library);
  throw Unusable("it has neither dnnl_sgemm nor cblas_sgemm");
}

const Gemm& gemm() {
  const Gemm* known = g_gemm.load(std::memory_order_acquire);
  if (known != nullptr)
    return *known;
  auto opened = choose();
  const Gemm* const found = opened == nullptr ? &own_gemm() : opened.get();
  if (!g_gemm.compare_exchange_strong(known, found, std::memory_order_acq_rel))
    return *known;
  opened.release();
  return *found;
}

void offer_gemm(const std::string& path) {
  if (g_gemm.load(std::memory_order_acquire) != nullptr)
    return;
  auto* const offer = new Offer{path, g_offer.load(std::memory_order_acquire)};
  while (!g_offer.compare_exchange_weak(offer->before, offer, std::memory_order_acq_rel)) {
  }
}

}  // namespace logratio::cpu
