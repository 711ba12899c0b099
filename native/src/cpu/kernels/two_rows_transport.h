// The second pass of the form transport: the running sums C of p - q, and N of the signs of C in
// the columns before.
//
// A tile goes through loops for the exponentials, C, N and the moments: each of the first three is
// a chain of instructions that wait for one another, and a processor that looks a few hundred
// instructions ahead finds no second chain to work on where they are one. Columns come even ones
// first, so that two vectors need one running sum.
#pragma once

#include "cpu/kernels/two_rows.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::SecondSums;

// Columns in BF16's order, even ones first.
template <class T>
struct EvenFirst {
  using Element = typename T::Element;
  static constexpr Element kMinusInfinity = T::kMinusInfinity;
  static HWY_INLINE Vectors2 load(const Element* x) {
    const Vectors2 v = T::load(x);
    if constexpr (T::kEvenFirst)
      return v;
    return {hn::ConcatEven(kF, v.b, v.a), hn::ConcatOdd(kF, v.b, v.a)};
  }
};

// Sums over the lanes up to each, the first lane first, and the sum of all in every lane.
struct RunningSum {
  V upto, all;
  explicit HWY_INLINE RunningSum(V v) {
    v = hn::Add(v, hn::ShiftLeftLanes<1>(kF, v));
    v = hn::Add(v, hn::ShiftLeftLanes<2>(kF, v));  // within each block of four lanes
    const V block = hn::Broadcast<3>(v);
    upto = v;
    all = block;
    if constexpr (kLanes == 8) {
      upto = hn::Add(v, hn::ConcatLowerLower(kF, block, hn::Zero(kF)));
      all = hn::Add(block, hn::SwapAdjacentBlocks(block));
    }
    if constexpr (kLanes == 16) {
      const V swapped = hn::SwapAdjacentBlocks(block);
      const V blocks = hn::Add(block, swapped);
      const V odd_blocks = hn::OddEvenBlocks(swapped, hn::Zero(kF));
      const V upper_half = hn::ConcatLowerLower(kF, blocks, hn::Zero(kF));
      upto = hn::Add(v, hn::Add(odd_blocks, upper_half));
      all = hn::Add(blocks, hn::ConcatLowerUpper(kF, blocks, blocks));
    }
  }
};

// A probability and its product with a count of columns, summed in float64: counts are as large as
// the row is long.
struct Moment {
  using D = hn::Repartition<double, F>;
  using Half = hn::Rebind<float, D>;
  static constexpr int64_t kCount = kLanes / 2;
  hn::Vec<D> mass = hn::Zero(D()), product = hn::Zero(D());

  static HWY_INLINE hn::Vec<D> widen(const float* x) {
    return hn::PromoteTo(D(), hn::LoadU(Half(), x));
  }
  HWY_INLINE void add(const float* p, hn::Vec<D> count) {
    const auto wide = widen(p);
    mass = hn::Add(mass, wide);
    product = hn::MulAdd(wide, count, product);
  }
  static HWY_INLINE double total(hn::Vec<D> sum) { return hn::GetLane(hn::SumOfLanes(D(), sum)); }
};

// A tile's columns, padded to whole steps.
struct TransportTile {
  alignas(64) float p[kTile], q[kTile];  // times the sums of exponentials
  alignas(64) float c[kTile];            // p - q, then C
  alignas(64) float n[kTile];            // N from the tile on

  // Returns C behind the tile less C before it.
  HWY_INLINE double accumulate(double before, int64_t columns) {
    const V base = hn::Set(kF, static_cast<float>(before));
    V passed = hn::Zero(kF);  // of the tile so far, in every lane
    for (int64_t i = 0; i < columns; i += kStep) {
      const Vectors2 d = Float32::load(c + i);
      const RunningSum both(hn::Add(d.a, d.b));
      const V odd = hn::Add(base, hn::Add(passed, both.upto));
      Float32::store({hn::Sub(odd, d.b), odd}, c + i);
      passed = hn::Add(passed, both.all);
    }
    return hn::GetLane(passed);
  }

  // Returns the sum of signs, and adds |C| to `distance`. Where all columns of a step have one
  // sign, as they mostly do, N goes up or down by one each.
  HWY_INLINE double count(int64_t columns, double* distance) {
    const V zero = hn::Zero(kF), one = hn::Set(kF, 1.0f);
    const V places = hn::Iota(kF, 0), even = hn::Add(places, places);
    V passed = zero, value = zero;
    for (int64_t i = 0; i < columns; i += kStep) {
      const Vectors2 d = Float32::load(c + i);
      value = hn::Add(value, hn::Add(hn::Abs(d.a), hn::Abs(d.b)));
      if (hn::AllTrue(kF, hn::And(hn::Gt(d.a, zero), hn::Gt(d.b, zero)))) {
        const V before = hn::Add(passed, even);
        Float32::store({before, hn::Add(before, one)}, n + i);
        passed = hn::Add(passed, hn::Set(kF, static_cast<float>(kStep)));
      } else if (hn::AllTrue(kF, hn::And(hn::Lt(d.a, zero), hn::Lt(d.b, zero)))) {
        const V before = hn::Sub(passed, even);
        Float32::store({before, hn::Sub(before, one)}, n + i);
        passed = hn::Sub(passed, hn::Set(kF, static_cast<float>(kStep)));
      } else {
        const V sign_a = math::sign_of(Floats(d.a)).v, sign_b = math::sign_of(Floats(d.b)).v;
        const V both = hn::Add(sign_a, sign_b);
        const RunningSum counted(both);
        const V before = hn::Add(passed, hn::Sub(counted.upto, both));
        Float32::store({before, hn::Add(before, sign_a)}, n + i);
        passed = hn::Add(passed, counted.all);
      }
    }
    *distance += sum_of(value);
    return hn::GetLane(passed);
  }

  // Adds the moments of p and q, N being `before` where the tile begins.
  HWY_INLINE void add_moments(double before, int64_t columns, SecondSums* sums) const {
    Moment of_p, of_q;
    for (int64_t i = 0; i < columns; i += Moment::kCount) {
      const auto counted = Moment::widen(n + i);
      of_p.add(p + i, counted);
      of_q.add(q + i, counted);
    }
    const double mass_p = Moment::total(of_p.mass), mass_q = Moment::total(of_q.mass);
    sums->mass_p += mass_p;
    sums->mass_q += mass_q;
    sums->p += Moment::total(of_p.product) + before * mass_p;
    sums->q += Moment::total(of_q.product) + before * mass_q;
  }

  // N of the row in the order that columns are loaded in.
  template <bool kEvenFirst>
  HWY_INLINE void keep(double before, int64_t columns, float* kept) const {
    const V base = hn::Set(kF, static_cast<float>(before));
    for (int64_t i = 0; i < columns; i += kStep) {
      const Vectors2 v = Float32::load(n + i);
      const V even = hn::Add(v.a, base), odd = hn::Add(v.b, base);
      if constexpr (kEvenFirst) {
        Float32::store({even, odd}, kept + i);
      } else {
        hn::StoreInterleaved2(even, odd, kF, kept + i);
      }
    }
  }
};

// `distance` is C before the columns times a's sum of exponentials; N counts from 0. `kept`
// receives N of each column; it may be null.
template <class Rows>
void transport_rows(const TwoRowsScale& scale, const TwoRowsNorm& n, double distance,
                    const Rows rows, int64_t begin, int64_t end, float* kept, SecondSums* sums) {
  using T = typename Rows::Type;
  const TwoRows<EvenFirst<T>> even_first{rows.a, rows.b};
  const VectorNorm<false> norm(n);
  const FineExp exp(scale.scale);
  TransportTile tile;
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    const int64_t columns = (stop - column + kStep - 1) / kStep * kStep;
    even_first.for_vectors(
        column, stop, [&, norm, exp](Vectors2 x, Vectors2 y, int64_t i) LR_INLINE_LAMBDA {
          const Vectors2 u = {exp(hn::Sub(x.a, norm.max_a.v)), exp(hn::Sub(x.b, norm.max_a.v))};
          const Vectors2 v = {exp(hn::Sub(y.a, norm.max_b.v)), exp(hn::Sub(y.b, norm.max_b.v))};
          Float32::store(u, tile.p + i - column);
          Float32::store(v, tile.q + i - column);
          Float32::store({math::scaled_difference(Floats(u.a), Floats(v.a), norm).v,
                          math::scaled_difference(Floats(u.b), Floats(v.b), norm).v},
                         tile.c + i - column);
        });
    distance += tile.accumulate(distance, columns);
    for (int64_t k = stop - column; k < columns; ++k) {  // the columns that pad the last step
      const int64_t first = columns - kStep, place = k - first;
      tile.c[first + place % 2 * kLanes + place / 2] = 0;
    }
    const double counted = tile.count(columns, &sums->value);
    tile.add_moments(sums->signs, columns, sums);
    if (kept != nullptr)
      tile.template keep<T::kEvenFirst>(sums->signs, columns, kept + column);
    sums->signs += counted;
  });
  // From exponentials to probabilities.
  sums->value *= n.inverse_a;
  sums->p *= n.inverse_a;
  sums->q *= n.inverse_b;
  sums->mass_p *= n.inverse_a;
  sums->mass_q *= n.inverse_b;
}

}  // namespace
}  // namespace logratio::cpu::LR_ISA_NAMESPACE
