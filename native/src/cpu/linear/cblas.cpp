// Libraries with the C interface of BLAS whose integers have 32 bits: OpenBLAS, MKL, BLIS and
// others.
#include <algorithm>
#include <climits>
#include <cstring>

#include "cpu/linear/gemms.h"
#include "cpu/linear/one_thread.h"

namespace logratio::cpu {
namespace {

// What cblas.h declares.
enum Order { kRowMajor = 101 };
enum Transpose { kPlain = 111, kTransposed = 112 };
using Product = void(Order, Transpose, Transpose, int rows, int columns, int depth, float alpha,
                     const float* a, int a_stride, const float* b, int b_stride, float beta,
                     float* c, int c_stride);

std::string file_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// "OpenBLAS 0.3.31" of "OpenBLAS 0.3.31 NO_LAPACKE DYNAMIC_ARCH NO_AFFINITY Haswell".
std::string name_of(const SharedLibrary& library) {
  if (const auto config = library.find<const char*()>("openblas_get_config")) {
    const std::string text = config();
    return text.substr(0, text.find(' ', text.find(' ') + 1));
  }
  if (library.find<void()>("MKL_Get_Version_String") != nullptr)
    return "MKL";
  if (const auto version = library.find<const char*()>("bli_info_get_version_str"))
    return std::string("BLIS ") + version();
  return file_of(library.path());
}

OneThread one_thread(const SharedLibrary& library) {
  if (const auto set = library.find<int(int)>("MKL_Set_Num_Threads_Local"))
    return {[set] { return set(1); }, [set](int64_t before) { set(static_cast<int>(before)); }};
  if (const auto parallel = library.find<int()>("openblas_get_parallel")) {
    constexpr int kOwnThreads = 1, kOpenMp = 2;
    const auto get = library.find<int()>("openblas_get_num_threads");
    const auto set = library.find<void(int)>("openblas_set_num_threads");
    if (parallel() == kOwnThreads && get != nullptr && set != nullptr)
      return one_thread_in_process(get, set);
    return parallel() == kOpenMp ? one_openmp_thread(library) : OneThread();
  }
  if (const auto set = library.find<void(int64_t)>("bli_thread_set_num_threads")) {
    // The calling thread's number in new versions, and the process's in older ones: it stays 1.
    return {[set] {
              set(1);
              return 0;
            },
            [](int64_t) {}};
  }
  return one_openmp_thread(library);
}

class Cblas final : public Gemm {
 public:
  explicit Cblas(const SharedLibrary& library)
      : name_(name_of(library)),
        path_(library.path()),
        function_(library.find<Product>("cblas_sgemm")),
        one_thread_(one_thread(library)) {}

  const std::string& name() const override { return name_; }
  const std::string& path() const override { return path_; }
  // OpenBLAS is within 3 % of its speed on large matrices from here on.
  int64_t block_rows(op::ElementType) const override { return 512; }
  bool takes_bfloat16() const override { return false; }

  void multiply(op::ElementType type, const GemmShape& shape, const Matrix& a, const Matrix& b,
                bool accumulate, const Matrix& c) const override {
    if (std::max({a.stride, b.stride, c.stride}) > INT_MAX)
      return own_gemm().multiply(type, shape, a, b, accumulate, c);
    const auto number = [](int64_t value) { return static_cast<int>(value); };
    one_thread_.run([&] {
      function_(kRowMajor, shape.form == GemmForm::tn ? kTransposed : kPlain,
                shape.form == GemmForm::nt ? kTransposed : kPlain, number(shape.rows),
                number(shape.columns), number(shape.depth), 1, static_cast<const float*>(a.data),
                number(a.stride), static_cast<const float*>(b.data), number(b.stride),
                accumulate ? 1.0f : 0.0f, static_cast<float*>(c.data), number(c.stride));
    });
  }

 private:
  std::string name_, path_;
  Product* function_;
  OneThread one_thread_;
};

}  // namespace

std::unique_ptr<const Gemm> open_cblas(const SharedLibrary& library) {
  const auto config = library.find<const char*()>("openblas_get_config");
  if (config != nullptr && std::strstr(config(), "USE64BITINT") != nullptr)
    throw Unusable("its integers have 64 bits, expected 32");
  auto gemm = std::make_unique<Cblas>(library);
  check_gemm(*gemm, op::ElementType::f32);
  return gemm;
}

}  // namespace logratio::cpu
