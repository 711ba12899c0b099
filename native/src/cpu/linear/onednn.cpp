// oneDNN, by the functions of its C interface that make plain products.
#include <cstring>
#include <limits>

#include "cpu/isa.h"
#include "cpu/linear/gemms.h"
#include "cpu/linear/one_thread.h"

namespace logratio::cpu {
namespace {

// What dnnl_types.h and dnnl_config.h declare, versions 2 and 3.
struct Version {
  int major, minor, patch;
  const char* hash;
  unsigned cpu_runtime, gpu_runtime;
};
enum Runtime : unsigned { kSequential = 1, kOpenMp = 2 };

template <class T>
using Product = int(char transpose_a, char transpose_b, int64_t rows, int64_t columns,
                    int64_t depth, float alpha, const T* a, int64_t a_stride, const T* b,
                    int64_t b_stride, float beta, float* c, int64_t c_stride);

class OneDnn final : public Gemm {
 public:
  explicit OneDnn(const SharedLibrary& library)
      : path_(library.path()),
        float32_(library.find<Product<float>>("dnnl_sgemm")),
        one_thread_(one_openmp_thread(library)) {
    const auto version_of = library.find<const Version*()>("dnnl_version");
    if (version_of == nullptr)
      throw Unusable("it has no dnnl_version");
    const Version& version = *version_of();
    name_ = "oneDNN " + std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
            std::to_string(version.patch);
    if (version.cpu_runtime != kSequential && version.cpu_runtime != kOpenMp)
      throw Unusable(name_ + " runs on neither OpenMP nor one thread");
  }

  const std::string& name() const override { return name_; }
  const std::string& path() const override { return path_; }
  // Products of bfloat16 are so fast that the sums of the weight's gradient, which come and go from
  // memory for each block, are better met by fewer and larger ones.
  int64_t block_rows(op::ElementType type) const override {
    return type == op::ElementType::bf16 ? 512 : float32_rows_;
  }
  bool takes_bfloat16() const override { return bfloat16_ != nullptr; }

  void take_blocks_of(int64_t rows) { float32_rows_ = rows; }
  void take_bfloat16(Product<uint16_t>* function) { bfloat16_ = function; }

  void multiply(op::ElementType type, const GemmShape& shape, const Matrix& a, const Matrix& b,
                bool accumulate, const Matrix& c) const override {
    if (type == op::ElementType::bf16)
      multiply(bfloat16_, shape, a, b, accumulate, c);
    else
      multiply(float32_, shape, a, b, accumulate, c);
  }

 private:
  template <class T>
  void multiply(Product<T>* function, const GemmShape& shape, const Matrix& a, const Matrix& b,
                bool accumulate, const Matrix& c) const {
    float* const to = static_cast<float*>(c.data);
    const int status = one_thread_.run([&] {
      return function(
          shape.form == GemmForm::tn ? 'T' : 'N', shape.form == GemmForm::nt ? 'T' : 'N',
          shape.rows, shape.columns, shape.depth, 1, static_cast<const T*>(a.data), a.stride,
          static_cast<const T*>(b.data), b.stride, accumulate ? 1.0f : 0.0f, to, c.stride);
    });
    if (status == 0)
      return;
    // It lacks memory for its copies. Nobody can be told in the middle of an operation, and NaN is
    // seen.
    for (int64_t i = 0; i < shape.rows; ++i) {
      for (int64_t j = 0; j < shape.columns; ++j)
        to[i * c.stride + j] = std::numeric_limits<float>::quiet_NaN();
    }
  }

  std::string name_, path_;
  int64_t float32_rows_ = 256;
  Product<float>* float32_;
  Product<uint16_t>* bfloat16_ = nullptr;
  OneThread one_thread_;
};

// Where the processor does, neither LOGRATIO_CPU nor ONEDNN_MAX_CPU_ISA forbidding it, many by AMX.
// Elsewhere oneDNN takes bfloat16, too, but many times slower than float32.
bool multiplies_bfloat16(const SharedLibrary& library) {
  constexpr int kAvx512Bf16 = 0x80;  // the bit that dnnl_cpu_isa_avx512_core_bf16 adds
  const auto isa = library.find<int()>("dnnl_get_effective_cpu_isa");
  return library.find<void()>("dnnl_gemm_bf16bf16f32") != nullptr && isa != nullptr &&
         (isa() & kAvx512Bf16) != 0 && std::strcmp(instruction_set_name(), "avx512_bf16") == 0;
}

}  // namespace

std::unique_ptr<const Gemm> open_onednn(const SharedLibrary& library) {
  auto gemm = std::make_unique<OneDnn>(library);
  try {
    check_gemm(*gemm, op::ElementType::f32);
  } catch (const Unusable&) {
    // The kernel for AVX2 sums rows left over from six, which 256 rows have, in another order.
    gemm->take_blocks_of(192);
    check_gemm(*gemm, op::ElementType::f32);
  }
  if (!multiplies_bfloat16(library))
    return gemm;
  try {
    gemm->take_bfloat16(library.find<Product<uint16_t>>("dnnl_gemm_bf16bf16f32"));
    check_gemm(*gemm, op::ElementType::bf16);
  } catch (const Unusable&) {
    gemm->take_bfloat16(nullptr);
  }
  return gemm;
}

}  // namespace logratio::cpu
