// The library's own products, of the instruction set in use.
#include "cpu/isa.h"
#include "cpu/linear/gemms.h"

namespace logratio::cpu {
namespace {

class OwnGemm final : public Gemm {
 public:
  const std::string& name() const override { return name_; }
  const std::string& path() const override { return path_; }
  int64_t block_rows(op::ElementType) const override { return 256; }
  bool takes_bfloat16() const override { return false; }

  void multiply(op::ElementType, const GemmShape& shape, const Matrix& a, const Matrix& b,
                bool accumulate, const Matrix& c) const override {
    kernels().multiply(shape, a, b, accumulate, c);
  }

 private:
  std::string name_ = "Logratio", path_;
};

const OwnGemm own;

}  // namespace

const Gemm& own_gemm() { return own; }

}  // namespace logratio::cpu
