// Matrix products of float32, where no library makes them.
//
// A panel of b, kDepth rows of two vectors, is copied into the first-level cache and meets all rows
// of a. A tile of c, kRows by two vectors, stays in registers meanwhile: per step in depth it reads
// two vectors of b and kRows numbers of a for 2 kRows multiply-adds.
//
// An element of c is summed in order of depth, a panel's share at a time, by the same instructions
// wherever it stands: rows and columns that are left over run through the same loop.
#include "cpu/kernels/kernels.h"
#include "cpu/simd/vectors.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

constexpr int64_t kDepth = 256;
constexpr int kRows = kLanes == 16 ? 12 : 6;  // as the registers are 32 or 16

// panel[k, j] = b[j, k], columns that b does not have being 0.
void pack_transposed(const float* b, int64_t stride, int64_t columns, int64_t depth, float* panel) {
  constexpr hn::Full128<float> k4;
  constexpr hn::Full128<double> k2;
  for (int64_t j = 0; j < kStep; j += 4) {
    int64_t k = 0;
    if (j + 4 <= columns) {
      const float* const from = b + j * stride;
      for (; k + 4 <= depth; k += 4) {  // a square
        const auto r0 = hn::LoadU(k4, from + k), r1 = hn::LoadU(k4, from + stride + k);
        const auto r2 = hn::LoadU(k4, from + 2 * stride + k);
        const auto r3 = hn::LoadU(k4, from + 3 * stride + k);
        const auto low01 = hn::BitCast(k2, hn::InterleaveLower(k4, r0, r1));
        const auto low23 = hn::BitCast(k2, hn::InterleaveLower(k4, r2, r3));
        const auto high01 = hn::BitCast(k2, hn::InterleaveUpper(k4, r0, r1));
        const auto high23 = hn::BitCast(k2, hn::InterleaveUpper(k4, r2, r3));
        float* const to = panel + k * kStep + j;
        hn::StoreU(hn::BitCast(k4, hn::InterleaveLower(k2, low01, low23)), k4, to);
        hn::StoreU(hn::BitCast(k4, hn::InterleaveUpper(k2, low01, low23)), k4, to + kStep);
        hn::StoreU(hn::BitCast(k4, hn::InterleaveLower(k2, high01, high23)), k4, to + 2 * kStep);
        hn::StoreU(hn::BitCast(k4, hn::InterleaveUpper(k2, high01, high23)), k4, to + 3 * kStep);
      }
    }
    for (; k < depth; ++k) {
      for (int64_t column = j; column < j + 4; ++column)
        panel[k * kStep + column] = column < columns ? b[column * stride + k] : 0;
    }
  }
}

// panel[k, j] = b[k, j], likewise.
void pack(const float* b, int64_t stride, int64_t columns, int64_t depth, float* panel) {
  for (int64_t k = 0; k < depth; ++k, b += stride, panel += kStep) {
    if (columns >= kStep) {
      hn::StoreU(hn::LoadU(kF, b), kF, panel);
      hn::StoreU(hn::LoadU(kF, b + kLanes), kF, panel + kLanes);
    } else {
      for (int64_t j = 0; j < kStep; ++j)
        panel[j] = j < columns ? b[j] : 0;
    }
  }
}

// What a product's tiles have in common at a panel of b.
struct Panel {
  const float* b;
  int64_t columns, depth;
  int64_t a_stride, c_stride;
  bool add;  // to c
};

// n rows of c from the first on. Element i, k of a is a[i * a_stride + k], transposed a[k *
// a_stride + i].
template <int n, bool kTransposed>
HWY_INLINE void tile(const Panel& panel, const float* a, float* c) {
  V sums[n][2];
  for (int i = 0; i < n; ++i)
    sums[i][0] = sums[i][1] = hn::Zero(kF);
  const float* b = panel.b;
  const int64_t row_step = kTransposed ? 1 : panel.a_stride;
  const int64_t depth_step = kTransposed ? panel.a_stride : 1;
  for (int64_t k = 0; k < panel.depth; ++k, b += kStep, a += depth_step) {
    const V b0 = hn::LoadU(kF, b), b1 = hn::LoadU(kF, b + kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < n; ++i) {
      const V x = hn::Set(kF, a[i * row_step]);
      sums[i][0] = hn::MulAdd(x, b0, sums[i][0]);
      sums[i][1] = hn::MulAdd(x, b1, sums[i][1]);
    }
  }
  for (int i = 0; i < n; ++i, c += panel.c_stride) {
    for (int part = 0; part < 2; ++part) {
      float* const to = c + part * kLanes;
      const int64_t columns = panel.columns - part * kLanes;
      if (columns >= kLanes) {
        hn::StoreU(panel.add ? hn::Add(hn::LoadU(kF, to), sums[i][part]) : sums[i][part], kF, to);
        continue;
      }
      float rest[kLanes];
      hn::StoreU(sums[i][part], kF, rest);
      for (int64_t j = 0; j < columns; ++j)
        to[j] = panel.add ? to[j] + rest[j] : rest[j];
    }
  }
}

template <bool kTransposed>
void tiles(const Panel& panel, int64_t rows, const float* a, float* c) {
  const int64_t row_step = kTransposed ? 1 : panel.a_stride;
  int64_t i = 0;
  for (; i + kRows <= rows; i += kRows)
    tile<kRows, kTransposed>(panel, a + i * row_step, c + i * panel.c_stride);
  for (; i + 4 <= rows; i += 4)
    tile<4, kTransposed>(panel, a + i * row_step, c + i * panel.c_stride);
  for (; i < rows; ++i)
    tile<1, kTransposed>(panel, a + i * row_step, c + i * panel.c_stride);
}

}  // namespace

void multiply(const GemmShape& shape, const Matrix& a, const Matrix& b, bool accumulate,
              const Matrix& c) {
  alignas(64) float packed[kDepth * kStep];
  const auto* const a_data = static_cast<const float*>(a.data);
  const auto* const b_data = static_cast<const float*>(b.data);
  for (int64_t k = 0; k < shape.depth; k += kDepth) {
    const int64_t depth = shape.depth - k < kDepth ? shape.depth - k : kDepth;
    for (int64_t j = 0; j < shape.columns; j += kStep) {
      const Panel panel{packed, shape.columns - j, depth, a.stride, c.stride, accumulate || k > 0};
      float* const to = static_cast<float*>(c.data) + j;
      if (shape.form == GemmForm::nt)
        pack_transposed(b_data + j * b.stride + k, b.stride, panel.columns, depth, packed);
      else
        pack(b_data + k * b.stride + j, b.stride, panel.columns, depth, packed);
      if (shape.form == GemmForm::tn)
        tiles<true>(panel, shape.rows, a_data + k * a.stride, to);
      else
        tiles<false>(panel, shape.rows, a_data + k, to);
    }
  }
}

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
