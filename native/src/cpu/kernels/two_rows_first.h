// The first pass over two vocabulary rows: one read of each side, 4 (F32) or 2 bytes per element,
// for both log-sum-exps and, where the kind's value follows from sums of products, for these too.
//
// Exponents are taken from the maximum of a segment's first tile; a tile that lies far above is
// summed again from its own maximum. They are differences of logits, which no constant that is
// added to all of a side can change. Sums are float32 over a tile and float64 beyond.
#pragma once

#include "cpu/kernels/row_pivot.h"
#include "cpu/kernels/two_rows.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::TwoRowsSums;

// ---- Forms of which this pass sums exponentials alone: one side after the other ----

struct SideSum {
  double maximum, sum;
};

// A sum of vectors: float32, or float64 for transport, whose running sums end at 0 as far as these
// sums are right.
template <bool kExact>
struct VectorSum {
  V sum = hn::Zero(kF);
  HWY_INLINE void add(V v) { sum = hn::Add(sum, v); }
  HWY_INLINE double total() const { return sum_of(sum); }
};
template <>
struct VectorSum<true> {
  using D = hn::Repartition<double, F>;
  hn::Vec<D> low = hn::Zero(D()), high = hn::Zero(D());
  HWY_INLINE void add(V v) {
    const hn::Half<F> half;
    low = hn::Add(low, hn::PromoteTo(D(), hn::LowerHalf(half, v)));
    high = hn::Add(high, hn::PromoteTo(D(), hn::UpperHalf(half, v)));
  }
  HWY_INLINE double total() const { return hn::GetLane(hn::SumOfLanes(D(), hn::Add(low, high))); }
};

template <class T, bool kExact>
HWY_INLINE double sum_tile(const typename T::Element* x, int64_t n, const FineExp exp, float pivot,
                           float* top) {
  const V from = hn::Set(kF, pivot);
  V m = hn::Set(kF, -kInfinity);
  VectorSum<kExact> e0, e1;
  for_vectors<T>(x, n, kReadAhead<T>, [&](Vectors2 v) LR_INLINE_LAMBDA {
    e0.add(exp(hn::Sub(v.a, from)));
    e1.add(exp(hn::Sub(v.b, from)));
    m = hn::Max(m, hn::Max(v.a, v.b));
  });
  *top = max_of(m);
  return e0.total() + e1.total();
}

// `tile_at(column, stop)` is where a tile lies.
template <class T, bool kExact, class TileAt>
HWY_INLINE SideSum sum_tiles(const TwoRowsScale& scale, int64_t begin, int64_t end,
                             TileAt&& tile_at) {
  const FineExp exp(scale.scale);
  RowPivot side;
  double sum = 0;
  const auto move = [&](float to) {
    if (sum != 0)
      sum *= __builtin_exp((static_cast<double>(side.value) - to) / scale.temperature);
    side.value = to;
  };
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    const typename T::Element* const x = tile_at(column, stop);
    side.begin_tile<T>(x, stop - column);
    float top;
    double tile = sum_tile<T, kExact>(x, stop - column, exp, side.value, &top);
    if (!side.serves(top, scale.scale)) {
      move(top);
      tile = sum_tile<T, kExact>(x, stop - column, exp, side.value, &top);
    }
    sum += tile;
    side.end_tile(top);
  });
  move(side.maximum);
  return {side.maximum, sum};
}

template <class T, bool kExact>
SideSum sum_side(const TwoRowsScale& scale, const typename T::Element* x, int64_t begin,
                 int64_t end) {
  return sum_tiles<T, kExact>(scale, begin, end,
                              [x](int64_t column, int64_t) { return x + column; });
}

// ---- Forms that sum products, too ----

// The sums of a tile, about the pivots.
struct TileSums {
  double sum_a, sum_b, x, y, z;
  float top_a, top_b, low;
  bool a_alone, b_alone, deep;
};

template <TwoRowsForm kForm, bool kFar, class Rows>
HWY_INLINE TileSums multiply_tile(const Rows rows, int64_t begin, int64_t end, const FineExp exp,
                                  float pivot_a, float pivot_b) {
  const V from_a = hn::Set(kF, pivot_a), from_b = hn::Set(kF, pivot_b);
  const double exact = static_cast<double>(pivot_a) - pivot_b;
  const auto rounded = static_cast<float>(exact);
  const V difference = hn::Set(kF, rounded), none = hn::Set(kF, -kInfinity), zero = hn::Zero(kF);
  V ea = zero, eb = zero, sx = zero, sy = zero, sz = zero;
  V top_a = none, top_b = none, low = hn::Set(kF, kInfinity);
  // Not 0 where one side is -inf and the other is not; kDeepScale times the lowest difference that
  // is finite.
  V a_alone = zero, b_alone = zero, lowest = zero;
  const auto add = [&](V a, V b) LR_INLINE_LAMBDA {
    const V da = hn::Sub(a, from_a), db = hn::Sub(b, from_b);
    const V pa = exp(da), pb = exp(db);
    ea = hn::Add(ea, pa);
    eb = hn::Add(eb, pb);
    top_a = hn::Max(top_a, a);
    top_b = hn::Max(top_b, b);
    if constexpr (kForm == TwoRowsForm::cosine) {
      sx = hn::MulAdd(pa, pb, sx);
      sy = hn::MulAdd(pa, pa, sy);
      sz = hn::MulAdd(pb, pb, sz);
      return;
    }
    V of_a = da, of_b = db;
    if constexpr (kFar) {
      const V one = hn::Set(kF, 1.0f);
      const auto no_a = hn::Eq(a, none), no_b = hn::Eq(b, none);
      a_alone = hn::IfThenElse(hn::AndNot(no_a, no_b), one, a_alone);
      b_alone = hn::IfThenElse(hn::AndNot(no_b, no_a), one, b_alone);
      of_a = math::deep_difference(Floats(a), Floats(from_a)).v;
      of_b = math::deep_difference(Floats(b), Floats(from_b)).v;
      lowest =
          hn::Min(lowest, hn::Min(hn::IfThenZeroElse(no_a, of_a), hn::IfThenZeroElse(no_b, of_b)));
    } else {
      low = hn::Min(low, hn::Min(a, b));
    }
    if constexpr (kForm == TwoRowsForm::cross) {
      sx = hn::MulAdd(pa, of_b, sx);
      sy = hn::MulAdd(pb, of_a, sy);
    } else {
      const V t = kFar ? hn::Sub(of_a, of_b) : hn::Sub(hn::Sub(a, b), difference);
      sx = hn::MulAdd(pa, t, sx);
      sy = hn::NegMulAdd(pb, t, sy);
    }
  };
  rows.for_vectors(begin, end, [&](Vectors2 a, Vectors2 b, int64_t) LR_INLINE_LAMBDA {
    add(a.a, b.a);
    add(a.b, b.b);
  });
  constexpr double kUnit = kFar ? math::kDeepScale : 1;
  TileSums sums{sum_of(ea),
                sum_of(eb),
                sum_of(sx) / kUnit,
                sum_of(sy) / kUnit,
                sum_of(sz),
                max_of(top_a),
                max_of(top_b),
                hn::GetLane(hn::MinOfLanes(kF, low)),
                max_of(a_alone) > 0,
                max_of(b_alone) > 0,
                hn::GetLane(hn::MinOfLanes(kF, lowest)) < -math::kDeep * math::kDeepScale};
  if constexpr (kForm == TwoRowsForm::relative && !kFar) {
    const double slip = rounded - exact;  // what rounding took from the difference of the pivots
    sums.x += slip * sums.sum_a;
    sums.y -= slip * sums.sum_b;
  }
  return sums;
}

// What follows from differences of logits exists twice: for tiles near the pivots without -inf,
// and, as kFar of the same code, for all others.
template <TwoRowsForm kForm, class Rows>
TwoRowsSums multiply_rows(const TwoRowsScale& scale, const Rows rows, int64_t begin, int64_t end) {
  using T = typename Rows::Type;
  constexpr bool kDifferences = kForm != TwoRowsForm::cosine;
  const FineExp exp(scale.scale);
  RowPivot a, b;
  TwoRowsSums all = math::no_sums();  // about the pivots until the end
  all.max_a = all.max_b = 0;
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    a.begin_tile<T>(rows.a + column, stop - column);
    b.begin_tile<T>(rows.b + column, stop - column);
    const auto tile_from = [&](bool far) {
      all = math::rebased(kForm, all, a.value, b.value, scale.temperature);
      return kDifferences && far
                 ? multiply_tile<kForm, kDifferences>(rows, column, stop, exp, a.value, b.value)
                 : multiply_tile<kForm, false>(rows, column, stop, exp, a.value, b.value);
    };
    const auto is_apart = [&] {
      return kForm == TwoRowsForm::relative && math::is_apart(a.value, b.value, scale.temperature);
    };
    bool far = is_apart() || (stop - column) % kStep != 0;  // padded with -inf
    TileSums tile = tile_from(far);
    if (!a.serves(tile.top_a, scale.scale) || !b.serves(tile.top_b, scale.scale)) {
      a.value = tile.top_a > a.value ? tile.top_a : a.value;
      b.value = tile.top_b > b.value ? tile.top_b : b.value;
      far = far || is_apart();
      tile = tile_from(far);
    }
    const float highest = a.value > b.value ? a.value : b.value;
    if (kDifferences && !far && !(tile.low - highest > -math::kDeep))
      tile = tile_from(true);
    all.sum_a += tile.sum_a;
    all.sum_b += tile.sum_b;
    all.x += tile.x;
    all.y += tile.y;
    all.z += tile.z;
    all.a_alone |= tile.a_alone;
    all.b_alone |= tile.b_alone;
    all.deep |= tile.deep;
    a.end_tile(tile.top_a);
    b.end_tile(tile.top_b);
  });
  return math::rebased(kForm, all, a.maximum, b.maximum, scale.temperature);
}

template <TwoRowsForm kForm, class Rows>
HWY_INLINE TwoRowsSums first_pass(const TwoRowsScale& scale, const Rows rows, int64_t begin,
                                  int64_t end) {
  if constexpr (!math::needs_second_pass(kForm)) {
    return multiply_rows<kForm>(scale, rows, begin, end);
  } else {
    using T = typename Rows::Type;
    constexpr bool kExact = kForm == TwoRowsForm::transport;
    const SideSum a = sum_side<T, kExact>(scale, rows.a, begin, end),
                  b = sum_side<T, kExact>(scale, rows.b, begin, end);
    TwoRowsSums sums = math::no_sums();
    sums.max_a = a.maximum;
    sums.max_b = b.maximum;
    sums.sum_a = a.sum;
    sums.sum_b = b.sum;
    return sums;
  }
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
