// Matrix products by cuBLASLt, which is opened when it is first needed: the path that
// LOGRATIO_CUBLAS names, else libcublasLt.so.13 or .12 of the loader's path.
//
// cuBLASLt counts matrices by columns, so that a row-major product is its product of the factors in
// the other order, and neither is copied. Algorithms that split the depth are left out. Which one
// serves a shape is asked once per device: the answer takes time, and must not change.
#include "gemm.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>

#include "cublaslt.h"
#include "runtime.h"

namespace logratio::device::gemm {
namespace {

using namespace cublaslt;

constexpr int64_t kBlockRows = 512;
constexpr uint64_t kWorkspaceBytes = 32 << 20;

[[noreturn]] void unavailable(const std::string& why) {
  throw Failure(LR_UNAVAILABLE, "cuBLASLt is unavailable: " + why);
}

// ---- The library ----

// A symbol that stays null if the library lacks it.
template <class Function>
void find(void* library, const char* name, Function** function) {
  *function = reinterpret_cast<Function*>(dlsym(library, name));
}

struct Library {
  std::string path;
  size_t version = 0;
  GetVersion* get_version = nullptr;
  Create* create = nullptr;
  MatmulDescCreate* create_description = nullptr;
  MatmulDescDestroy* destroy_description = nullptr;
  MatmulDescSetAttribute* set_description = nullptr;
  MatrixLayoutCreate* create_layout = nullptr;
  MatrixLayoutDestroy* destroy_layout = nullptr;
  MatmulPreferenceCreate* create_preference = nullptr;
  MatmulPreferenceDestroy* destroy_preference = nullptr;
  MatmulPreferenceSetAttribute* set_preference = nullptr;
  MatmulAlgoGetHeuristic* find_algorithm = nullptr;
  Matmul* multiply = nullptr;

  Library(void* library, const std::string& name) : path(name) {
    find(library, "cublasLtGetVersion", &get_version);
    find(library, "cublasLtCreate", &create);
    find(library, "cublasLtMatmulDescCreate", &create_description);
    find(library, "cublasLtMatmulDescDestroy", &destroy_description);
    find(library, "cublasLtMatmulDescSetAttribute", &set_description);
    find(library, "cublasLtMatrixLayoutCreate", &create_layout);
    find(library, "cublasLtMatrixLayoutDestroy", &destroy_layout);
    find(library, "cublasLtMatmulPreferenceCreate", &create_preference);
    find(library, "cublasLtMatmulPreferenceDestroy", &destroy_preference);
    find(library, "cublasLtMatmulPreferenceSetAttribute", &set_preference);
    find(library, "cublasLtMatmulAlgoGetHeuristic", &find_algorithm);
    find(library, "cublasLtMatmul", &multiply);
    if (get_version == nullptr || create == nullptr || create_description == nullptr ||
        destroy_description == nullptr || set_description == nullptr || create_layout == nullptr ||
        destroy_layout == nullptr || create_preference == nullptr ||
        destroy_preference == nullptr || set_preference == nullptr || find_algorithm == nullptr ||
        multiply == nullptr)
      unavailable(name + " lacks functions of cuBLASLt, expected libcublasLt of CUDA 12 or 13");
    version = get_version();
    if (version / 10000 != 12 && version / 10000 != 13)
      unavailable(name + " is version " + version_text() + ", expected one of CUDA 12 or 13");
    Dl_info info;
    char real[PATH_MAX];
    if (dladdr(reinterpret_cast<const void*>(multiply), &info) != 0 && info.dli_fname != nullptr &&
        realpath(info.dli_fname, real) != nullptr)
      path = real;
  }

  std::string version_text() const {
    return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
           std::to_string(version % 100);
  }
};

const Library* open_file(const std::string& name) {
  void* const file = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  return file == nullptr ? nullptr : new Library(file, name);
}

const Library* open_library() {
  const char* const named = std::getenv("LOGRATIO_CUBLAS");
  if (named != nullptr && *named != '\0') {
    if (*named != '/')
      unavailable(std::string("LOGRATIO_CUBLAS is \"") + named + "\", expected an absolute path");
    if (const Library* library = open_file(named))
      return library;
    unavailable(std::string("LOGRATIO_CUBLAS could not be loaded: ") + dlerror());
  }
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"}) {
    if (const Library* library = open_file(name))
      return library;
  }
  unavailable(
      "libcublasLt.so.13 and libcublasLt.so.12 are not on the loader's path: install cuBLAS of "
      "CUDA "
      "12 or 13, or name libcublasLt by the environment variable LOGRATIO_CUBLAS");
}

// ---- What is kept of each device ----

// All that an answer depends on.
struct Shape {
  Form form;
  op::ElementType type;
  bool tf32, has_bias;
  int64_t rows, columns, depth, a_stride, b_stride, c_stride;
  uint32_t a_alignment, b_alignment, c_alignment;

  auto operator<=>(const Shape&) const = default;
};

struct State {
  std::mutex mutex;
  const Library* library = nullptr;
  std::map<int32_t, Handle> handles;
  std::map<std::pair<int32_t, Shape>, Algorithm> algorithms;
};

// Never destroyed: a call may come while the process ends, when CUDA has gone before.
State& state() {
  static State* const only = new State;
  return *only;
}

void check(Status status, const char* call) {
  if (status != kSuccess)
    throw Failure(LR_INTERNAL, std::string(call) + " failed: status " + std::to_string(status));
}

// Opens what is not open yet. A failure is not remembered, so that it can be mended.
Handle handle_of(State& all, int32_t device) {
  if (all.library == nullptr)
    all.library = open_library();
  Handle& handle = all.handles[device];
  if (handle == nullptr) {
    const OutsideCaptures outside;
    const Status status = all.library->create(&handle);
    if (status != kSuccess) {
      handle = nullptr;
      unavailable("cublasLtCreate of " + all.library->path + " failed: status " +
                  std::to_string(status));
    }
  }
  return handle;
}

// ---- A product ----

template <class Destroy>
using Owned = std::unique_ptr<void, Destroy*>;

int32_t type_code(op::ElementType type) {
  return type == op::ElementType::bf16  ? kBfloat16
         : type == op::ElementType::f16 ? kFloat16
                                        : kFloat32;
}

// The alignment of an address, as far as cuBLASLt asks for it.
uint32_t alignment_of(const void* address) {
  const auto place = reinterpret_cast<uintptr_t>(address);
  return static_cast<uint32_t>(std::min<uintptr_t>(place == 0 ? 256 : place & (~place + 1), 256));
}

bool wants_tf32() {
  const char* const value = std::getenv("LOGRATIO_TF32");
  const std::string text = value == nullptr ? "" : value;
  if (text != "" && text != "0" && text != "1")
    throw Failure(LR_UNAVAILABLE, "LOGRATIO_TF32 is \"" + text + "\", expected 0 or 1");
  return text == "1";
}

// cuBLASLt takes a row-major product the other way round: its A is b, its B is a, and c is D and C.
struct Operation {
  const Library& library;
  Owned<MatmulDescDestroy> description;
  Owned<MatrixLayoutDestroy> a, b, c;

  Operation(const Library& opened, const Product& product, bool tf32)
      : library(opened),
        description(nullptr, opened.destroy_description),
        a(layout(type_code(product.type), product.b, width_of(product).first,
                 width_of(product).second)),
        b(layout(type_code(product.type), product.a, height_of(product).first,
                 height_of(product).second)),
        c(layout(kFloat32, product.c, product.columns, product.rows)) {
    MatmulDescription made = nullptr;
    const int32_t compute =
        tf32 && product.type == op::ElementType::f32 ? kComputeTf32 : kComputeFloat32;
    check(library.create_description(&made, compute, kFloat32), "cublasLtMatmulDescCreate");
    description.reset(made);
    set(kTransposeA, product.form == Form::nt ? kTransposed : kPlain);
    set(kTransposeB, product.form == Form::tn ? kTransposed : kPlain);
    if (product.bias != nullptr) {
      set(kEpilogue, kAddBias);
      set(kBiasPointer, product.bias);
    }
  }

 private:
  // Rows and columns, by columns, of b and of a as they lie in memory.
  static std::pair<int64_t, int64_t> width_of(const Product& product) {
    return product.form == Form::nt ? std::pair{product.depth, product.columns}
                                    : std::pair{product.columns, product.depth};
  }
  static std::pair<int64_t, int64_t> height_of(const Product& product) {
    return product.form == Form::tn ? std::pair{product.rows, product.depth}
                                    : std::pair{product.depth, product.rows};
  }

  Owned<MatrixLayoutDestroy> layout(int32_t type, const Matrix& matrix, int64_t rows,
                                    int64_t columns) const {
    MatrixLayout made = nullptr;
    check(library.create_layout(&made, type, static_cast<uint64_t>(rows),
                                static_cast<uint64_t>(columns), matrix.stride),
          "cublasLtMatrixLayoutCreate");
    return {made, library.destroy_layout};
  }
  template <class Value>
  void set(int32_t attribute, const Value& value) const {
    check(library.set_description(description.get(), attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }
};

Algorithm ask(const Library& library, Handle handle, const Operation& operation,
              const Shape& shape) {
  Preference made = nullptr;
  check(library.create_preference(&made), "cublasLtMatmulPreferenceCreate");
  const Owned<MatmulPreferenceDestroy> preference(made, library.destroy_preference);
  const auto set = [&](int32_t attribute, auto value) {
    check(library.set_preference(made, attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  set(kMaxWorkspaceBytes, kWorkspaceBytes);
  set(kReductionSchemes, kNoReduction);
  set(kAlignmentA, shape.b_alignment);
  set(kAlignmentB, shape.a_alignment);
  set(kAlignmentC, shape.c_alignment);
  set(kAlignmentD, shape.c_alignment);
  HeuristicResult result{};
  int found = 0;
  const Status status = library.find_algorithm(
      handle, operation.description.get(), operation.a.get(), operation.b.get(), operation.c.get(),
      operation.c.get(), made, 1, &result, &found);
  if (status != kSuccess || found < 1 || result.status != kSuccess) {
    throw Failure(LR_UNAVAILABLE, "cuBLASLt " + library.version_text() +
                                      " has no algorithm for a " + std::to_string(shape.rows) +
                                      " x " + std::to_string(shape.columns) + " x " +
                                      std::to_string(shape.depth) + " product: status " +
                                      std::to_string(status != kSuccess ? status : result.status));
  }
  return result.algorithm;
}

}  // namespace

void describe(int32_t device, lr_gemm_info* info) {
  State& all = state();
  const std::lock_guard lock(all.mutex);
  handle_of(all, device);
  std::snprintf(info->library, sizeof info->library, "cuBLASLt %s",
                all.library->version_text().c_str());
  std::snprintf(info->path, sizeof info->path, "%s", all.library->path.c_str());
  info->bfloat16 = 1;
}

int64_t block_rows() { return kBlockRows; }

uint64_t workspace_bytes() { return kWorkspaceBytes; }

void multiply(const Execution& execution, void* workspace, const Product& product) {
  const Shape shape{product.form,
                    product.type,
                    wants_tf32(),
                    product.bias != nullptr,
                    product.rows,
                    product.columns,
                    product.depth,
                    product.a.stride,
                    product.b.stride,
                    product.c.stride,
                    alignment_of(product.a.data),
                    alignment_of(product.b.data),
                    alignment_of(product.c.data)};
  State& all = state();
  std::unique_lock lock(all.mutex);
  const Handle handle = handle_of(all, execution.device);
  const Library& library = *all.library;
  const Operation operation(library, product, shape.tf32);
  const auto [place, is_new] = all.algorithms.try_emplace({execution.device, shape});
  if (is_new) {
    try {
      place->second = ask(library, handle, operation, shape);
    } catch (...) {
      all.algorithms.erase(place);
      throw;
    }
  }
  const Algorithm algorithm = place->second;
  lock.unlock();
  const float one = 1, beta = product.accumulate ? 1 : 0;
  const OutsideCaptures outside;  // the library may load a kernel
  check(library.multiply(handle, operation.description.get(), &one, product.b.data,
                         operation.a.get(), product.a.data, operation.b.get(), &beta,
                         product.c.data, operation.c.get(), product.c.data, operation.c.get(),
                         &algorithm, workspace, kWorkspaceBytes, execution.stream),
        "cublasLtMatmul");
}

}  // namespace logratio::device::gemm
