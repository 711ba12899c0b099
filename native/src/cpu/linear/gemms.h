// Where the products come from: each source opens one kind of library.
#pragma once

#include <memory>
#include <string>

#include "cpu/linear/gemm.h"
#include "cpu/linear/shared_library.h"

namespace logratio::cpu {

// A library of any of these kinds, by its path or its name for the loader. They throw Unusable.
std::unique_ptr<const Gemm> open_gemm(const std::string& name);
std::unique_ptr<const Gemm> open_onednn(const SharedLibrary& library);  // has dnnl_sgemm
std::unique_ptr<const Gemm> open_cblas(const SharedLibrary& library);   // has cblas_sgemm

const Gemm& own_gemm();

// Makes products of all forms as the linear operations do, in some milliseconds. Throws Unusable
// where one is not right within float32, differs from call to call, or has rows of tokens whose
// bits depend on where in the block they stand.
void check_gemm(const Gemm& gemm, op::ElementType type);

}  // namespace logratio::cpu
