// The loops over a pair of vocabulary rows, compiled once per instruction set.
//
// First pass: one read of each side, 4 (F32) or 2 bytes per element, for both log-sum-exps and,
// where the kind's value follows from sums about the running maxima, for these too. Second pass:
// one more read, for the kinds that need normalised probabilities. Gradient: one read and one write
// of each live side. p and q are not stored beyond a tile; the running counts of transport and the
// logarithms of the mixture are kept from the second pass for the gradient, one float32 a column.
// The caller takes a pair through all passes while it is in the cache, so that memory itself is
// read once and written once.
//
// Sums are float32 over a tile and float64 beyond. What follows from differences of logits exists
// twice: for rows near each other without -inf, and, as kFar of the same code, for all others.

#include "cpu/divergence_kernels.h"

#include "cpu/row_simd.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::PairForm;
using math::PairSums;
using math::SecondSums;

static_assert(kPair <= kKeptPadding);

constexpr float kLargest = 3.40282347e38f;
using math::kDeep;
using math::kDeepScale;

// Float32 in the order of the narrow types, even columns first: where columns of two types meet, or
// neighbours have to.
struct Float32Split {
  using Element = float;
  static constexpr Element kMinusInfinity = -kInfinity;
  static HWY_INLINE Pair load(const Element* x) {
    Pair v;
    hn::LoadInterleaved2(kF, x, v.a, v.b);
    return v;
  }
  static HWY_INLINE void store(Pair v, Element* x) { hn::StoreInterleaved2(v.a, v.b, kF, x); }
  static HWY_INLINE float to_float(Element x) { return x; }
};

// Both sides of n <= kPair columns.
template <class TA, class TB>
struct Columns {
  Pair a, b;
  HWY_INLINE Columns(const typename TA::Element* x, const typename TB::Element* y)
      : a(TA::load(x)), b(TB::load(y)) {}
  static HWY_INLINE Columns tail(const typename TA::Element* x, const typename TB::Element* y,
                                 int64_t n) {
    const Tail<TA> left(x, n);
    const Tail<TB> right(y, n);
    return Columns(left.x, right.x);
  }
};

HWY_INLINE V clean(V v) {  // NaN, as of -inf - -inf, becomes one of the bounds: Max returns its
                           // second operand then
  return hn::Min(hn::Max(v, hn::Set(kF, -kDeep)), hn::Set(kF, kDeep));
}

// kDeepScale (x - maximum): finite for any x, so that 0 times it is 0.
HWY_INLINE V deep_difference(V x, V maximum) {
  const V scale = hn::Set(kF, kDeepScale);
  return hn::Max(hn::Set(kF, -kLargest), hn::Sub(hn::Mul(x, scale), hn::Mul(maximum, scale)));
}

// ---- First pass ----

struct Extremes {
  float minimum, maximum;
};

// The minimum tells whether a tile is far; forms that take no differences are spared it.
template <class T, bool kMinimum>
HWY_INLINE Extremes extremes(const typename T::Element* x, int64_t n) {
  V low0 = hn::Set(kF, kInfinity), low1 = low0, high0 = hn::Set(kF, -kInfinity), high1 = high0;
  const auto add = [&](Pair v) LR_INLINE_LAMBDA {
    if constexpr (kMinimum) {
      low0 = hn::Min(low0, v.a);
      low1 = hn::Min(low1, v.b);
    }
    high0 = hn::Max(high0, v.a);
    high1 = hn::Max(high1, v.b);
  };
  walk(
      0, n, [&](int64_t i) LR_INLINE_LAMBDA { add(T::load(x + i)); },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA { add(T::load(Tail<T>(x + i, rest).x)); });
  return {hn::GetLane(hn::MinOfLanes(kF, hn::Min(low0, low1))), max_of(hn::Max(high0, high1))};
}

template <PairForm kForm>
struct FirstSums {
  static constexpr bool kPlain = kForm >= PairForm::squares;
  V ea[2] = {hn::Zero(kF), hn::Zero(kF)}, eb[2] = {hn::Zero(kF), hn::Zero(kF)};
  V x[2] = {hn::Zero(kF), hn::Zero(kF)}, y[2] = {hn::Zero(kF), hn::Zero(kF)},
    z[2] = {hn::Zero(kF), hn::Zero(kF)};
  V a_alone = hn::Zero(kF),
    b_alone = hn::Zero(kF);  // not 0 where one side is -inf and the other is not
  V lowest = hn::Zero(kF);   // kDeepScale times the lowest difference that is finite

  template <bool kMasked, bool kFar>
  HWY_INLINE void add(int which, V a, V b, V max_a, V max_b, V difference, const Exp& exp) {
    V da = hn::Sub(a, max_a), db = hn::Sub(b, max_b);
    if constexpr (kPlain) {
      ea[which] = exp.add_to(ea[which], da);
      eb[which] = exp.add_to(eb[which], db);
      return;
    }
    const V pa = exp(da), pb = exp(db);
    if constexpr (kMasked && !kFar) {
      da = hn::Max(hn::Set(kF, -kLargest), da);
      db = hn::Max(hn::Set(kF, -kLargest), db);
    }
    if constexpr (kFar) {
      const V low = hn::Set(kF, -kInfinity), one = hn::Set(kF, 1.0f);
      const auto no_a = hn::Eq(a, low), no_b = hn::Eq(b, low);
      a_alone = hn::IfThenElse(hn::AndNot(no_a, no_b), one, a_alone);
      b_alone = hn::IfThenElse(hn::AndNot(no_b, no_a), one, b_alone);
      da = deep_difference(a, max_a);
      db = deep_difference(b, max_b);
      lowest = hn::Min(lowest, hn::Min(hn::IfThenZeroElse(no_a, da), hn::IfThenZeroElse(no_b, db)));
    }
    ea[which] = hn::Add(ea[which], pa);
    eb[which] = hn::Add(eb[which], pb);
    if constexpr (kForm == PairForm::cross) {
      x[which] = hn::MulAdd(pa, db, x[which]);
      y[which] = hn::MulAdd(pb, da, y[which]);
    }
    if constexpr (kForm == PairForm::relative) {
      V t = kFar ? hn::Sub(da, db) : hn::Sub(hn::Sub(a, b), difference);
      if (kMasked && !kFar)
        t = clean(t);
      x[which] = hn::MulAdd(pa, t, x[which]);
      y[which] = hn::NegMulAdd(pb, t, y[which]);
    }
    if constexpr (kForm == PairForm::cosine) {
      x[which] = hn::MulAdd(pa, pb, x[which]);
      y[which] = hn::MulAdd(pa, pa, y[which]);
      z[which] = hn::MulAdd(pb, pb, z[which]);
    }
  }
};

template <class TA, class TB, PairForm kForm, bool kFar>
HWY_INLINE void add_tile(const typename TA::Element* a, const typename TB::Element* b, int64_t n,
                         const Exp& exp, PairSums* sums) {
  FirstSums<kForm> tile;
  // A side that is nothing but -inf so far has no maximum; any finite number will do.
  const double raw_a = sums->max_a == -kInfinity ? 0 : sums->max_a,
               raw_b = sums->max_b == -kInfinity ? 0 : sums->max_b;
  const V max_a = hn::Set(kF, static_cast<float>(raw_a)),
          max_b = hn::Set(kF, static_cast<float>(raw_b));
  const float rounded = static_cast<float>(raw_a - raw_b);
  const V difference = hn::Set(kF, rounded);
  walk(
      0, n,
      [&](int64_t i) LR_INLINE_LAMBDA {
        prefetch_pair<TA>(a + i + kTile, 0);
        prefetch_pair<TB>(b + i + kTile, 0);
        const Columns<TA, TB> v(a + i, b + i);
        tile.template add<kFar, kFar>(0, v.a.a, v.b.a, max_a, max_b, difference, exp);
        tile.template add<kFar, kFar>(1, v.a.b, v.b.b, max_a, max_b, difference, exp);
      },
      [&](int64_t i, int64_t rest) LR_INLINE_LAMBDA {
        const auto v = Columns<TA, TB>::tail(a + i, b + i, rest);
        tile.template add<true, kFar>(0, v.a.a, v.b.a, max_a, max_b, difference, exp);
        tile.template add<true, kFar>(1, v.a.b, v.b.b, max_a, max_b, difference, exp);
      });
  const double sum_a = sum_of(hn::Add(tile.ea[0], tile.ea[1])),
               sum_b = sum_of(hn::Add(tile.eb[0], tile.eb[1]));
  constexpr double kUnit = kFar && kForm <= PairForm::relative ? kDeepScale : 1;
  double x = sum_of(hn::Add(tile.x[0], tile.x[1])) / kUnit,
         y = sum_of(hn::Add(tile.y[0], tile.y[1])) / kUnit;
  if constexpr (kForm == PairForm::relative &&
                !kFar) {  // what rounding took from the difference of the maxima
    const double slip = rounded - (raw_a - raw_b);
    x += slip * sum_a;
    y -= slip * sum_b;
  }
  sums->sum_a += sum_a;
  sums->sum_b += sum_b;
  sums->x += x;
  sums->y += y;
  sums->z += sum_of(hn::Add(tile.z[0], tile.z[1]));
  sums->a_alone |= max_of(tile.a_alone) > 0;
  sums->b_alone |= max_of(tile.b_alone) > 0;
  sums->deep |= hn::GetLane(hn::MinOfLanes(kF, tile.lowest)) < -kDeep * kDeepScale;
}

template <class TA, class TB, PairForm kForm>
void first_of(const PairSpec& spec, const void* row_a, const void* row_b, int64_t begin,
              int64_t end, PairSums* sums) {
  const auto* a = static_cast<const typename TA::Element*>(row_a);
  const auto* b = static_cast<const typename TB::Element*>(row_b);
  const Exp exp(spec.temperature_scale);
  *sums = PairSums{-kInfinity, -kInfinity, 0, 0, 0, 0, 0, false, false, false};
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    constexpr bool kMinimum = !FirstSums<kForm>::kPlain;
    const Extremes ea = extremes<TA, kMinimum>(a + column, stop - column),
                   eb = extremes<TB, kMinimum>(b + column, stop - column);
    const double max_a = ea.maximum > sums->max_a ? ea.maximum : sums->max_a,
                 max_b = eb.maximum > sums->max_b ? eb.maximum : sums->max_b;
    *sums = math::rebased(kForm, *sums, max_a, max_b, spec.temperature);
    const bool near =
        kForm != PairForm::relative || !math::is_apart(max_a, max_b, spec.temperature);
    if (near && ea.minimum - max_a > -kDeep && eb.minimum - max_b > -kDeep) {
      add_tile<TA, TB, kForm, false>(a + column, b + column, stop - column, exp, sums);
    } else {
      add_tile<TA, TB, kForm, true>(a + column, b + column, stop - column, exp, sums);
    }
  });
}

// ---- What second pass and gradient share ----

struct Norm {
  V max_a, max_b, log_a, log_b, inverse_a, inverse_b, offset, offset_rest, ratio, ratio_rest;
  explicit HWY_INLINE Norm(const PairNorm& n)
      : max_a(hn::Set(kF, n.max_a)),
        max_b(hn::Set(kF, n.max_b)),
        log_a(hn::Set(kF, n.log_a)),
        log_b(hn::Set(kF, n.log_b)),
        inverse_a(hn::Set(kF, n.inverse_a)),
        inverse_b(hn::Set(kF, n.inverse_b)),
        offset(hn::Set(kF, n.offset)),
        offset_rest(hn::Set(kF, n.offset_rest)),
        ratio(hn::Set(kF, n.ratio)),
        ratio_rest(hn::Set(kF, n.ratio_rest)) {}
  // p - q, times the sum of exponentials of a, from exponentials. The ratio's rounding would add up
  // along the row.
  HWY_INLINE V difference(V u, V v) const {
    return hn::NegMulAdd(v, ratio_rest, hn::NegMulAdd(v, ratio, u));
  }
  // temperature * log(p / q), in the form relative as far as it differs between columns; NaN where
  // both are 0.
  template <bool kFar>
  HWY_INLINE V log_ratio(V a, V b) const {
    const V difference = kFar ? hn::Sub(hn::Sub(a, max_a), hn::Sub(b, max_b)) : hn::Sub(a, b);
    return hn::Sub(hn::Sub(difference, offset), offset_rest);
  }
};

HWY_INLINE V sign_of(V v) {  // 0 for NaN
  const V zero = hn::Zero(kF), one = hn::Set(kF, 1.0f);
  return hn::Sub(hn::IfThenElseZero(hn::Gt(v, zero), one),
                 hn::IfThenElseZero(hn::Lt(v, zero), one));
}

// p, q and log(p / m), log(q / m) with m = (p + q) / 2. With d = |log(p / q)|, the larger
// probability's is log 2 - log1p(exp(-d)), or d/2 - log cosh(d/2) where d is small and log 2 would
// cancel; the smaller one's is that less d, and the smaller probability is the larger times
// exp(-d).
template <bool kFar>
struct Mixture {
  V p, q, log_p, log_q;
  // `log_larger` is called with -d and exp(-d).
  template <class LogLarger>
  HWY_INLINE Mixture(const Norm& norm, const Exp& exp, V inverse_temperature, V a, V b,
                     LogLarger&& log_larger_of) {
    const V larger = hn::Max(hn::Sub(hn::Sub(b, norm.max_b), norm.log_b),
                             hn::Sub(hn::Sub(a, norm.max_a), norm.log_a));
    const V ratio = norm.log_ratio<kFar>(a, b);
    // -|ratio| down to where exp is 0. Max returns its second operand where the ratio is NaN, as it
    // is where both sides are -inf.
    const V minus_size = hn::Max(hn::Or(ratio, hn::SignBit(kF)), exp.lowest);
    const V e = exp(larger), t = exp(minus_size);
    const V minus_d = hn::Mul(minus_size, inverse_temperature);
    const V log_larger = log_larger_of(minus_d, t), log_smaller = hn::Add(log_larger, minus_d);
    const V smaller = hn::Mul(e, t);
    const auto p_is_larger = hn::Ge(ratio, hn::Zero(kF));
    p = hn::IfThenElse(p_is_larger, e, smaller);
    q = hn::IfThenElse(p_is_larger, smaller, e);
    log_p = hn::IfThenElse(p_is_larger, log_larger, log_smaller);
    log_q = hn::IfThenElse(p_is_larger, log_smaller, log_larger);
  }

  static HWY_INLINE V log_of_larger(V minus_d, V t) {
    const V half = hn::Mul(minus_d, hn::Set(kF, -0.5f)), s = hn::Mul(half, half);
    V near = hn::Set(kF, 31.0f / 14175);  // the series of log cosh
    near = hn::MulAdd(near, s, hn::Set(kF, -17.0f / 2520));
    near = hn::MulAdd(near, s, hn::Set(kF, 1.0f / 45));
    near = hn::MulAdd(near, s, hn::Set(kF, -1.0f / 12));
    near = hn::MulAdd(near, s, hn::Set(kF, 0.5f));
    near = hn::NegMulAdd(near, s, half);
    V far = hn::Set(kF, 0.03468160703778267f);  // log1p(t) / t on [0, exp(-0.6)]
    far = hn::MulAdd(far, t, hn::Set(kF, -0.10793755203485489f));
    far = hn::MulAdd(far, t, hn::Set(kF, 0.18141129612922668f));
    far = hn::MulAdd(far, t, hn::Set(kF, -0.24676084518432617f));
    far = hn::MulAdd(far, t, hn::Set(kF, 0.3330548405647278f));
    far = hn::MulAdd(far, t, hn::Set(kF, -0.499990850687027f));
    far = hn::MulAdd(far, t, hn::Set(kF, 0.9999999403953552f));
    far = hn::NegMulAdd(far, t, hn::Set(kF, 0.69314718056f));
    return hn::IfThenElse(hn::Lt(half, hn::Set(kF, 0.3f)), near, far);
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
      const V pair = hn::Add(block, swapped);
      const V odd_blocks = hn::OddEvenBlocks(swapped, hn::Zero(kF));
      const V upper_half = hn::ConcatLowerLower(kF, pair, hn::Zero(kF));
      upto = hn::Add(v, hn::Add(odd_blocks, upper_half));
      all = hn::Add(pair, hn::ConcatLowerUpper(kF, pair, pair));
    }
  }
};

// ---- Second pass ----

// A probability and its product with a count of columns, summed in float64: counts are as large as
// the row is long.
struct Moment {
  using D = hn::Repartition<double, F>;
  hn::Vec<D> mass = hn::Zero(D()), product = hn::Zero(D());

  HWY_INLINE void add(V p, V n) {
    const hn::Half<F> half;
    add(hn::PromoteTo(D(), hn::LowerHalf(half, p)), hn::PromoteTo(D(), hn::LowerHalf(half, n)));
    add(hn::PromoteTo(D(), hn::UpperHalf(half, p)), hn::PromoteTo(D(), hn::UpperHalf(half, n)));
  }

 private:
  HWY_INLINE void add(hn::Vec<D> p, hn::Vec<D> n) {
    mass = hn::Add(mass, p);
    product = hn::MulAdd(p, n, product);
  }
};

// The running sums of transport: C of p - q, times a's sum of exponentials, and N of the signs of C
// in the columns before. Columns come even ones first. A tile goes through three loops, for the
// exponentials, C and N: each is a long chain of instructions that wait for one another, and a
// processor that looks a hundred instructions ahead finds no second chain to work on where all
// three are one.
template <class TA, class TB>
void transport_of(const PairSpec& spec, const PairNorm& pair, double distance, const void* row_a,
                  const void* row_b, int64_t begin, int64_t end, float* kept, SecondSums* sums) {
  const auto* a = static_cast<const typename TA::Element*>(row_a);
  const auto* b = static_cast<const typename TB::Element*>(row_b);
  const Exp exp(spec.temperature_scale);
  const Norm norm(pair);
  Moment moment_p, moment_q;
  alignas(64) float p[kTile], q[kTile],
      c[kTile];  // p and q times the sums of exponentials; c is their difference before it is C
  *sums = {};
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    const int64_t pairs = (stop - column + kPair - 1) / kPair * kPair;
    const auto exponentials = [&](const Columns<TA, TB>& x, int64_t at) LR_INLINE_LAMBDA {
      const Pair u = {exp(hn::Sub(x.a.a, norm.max_a)), exp(hn::Sub(x.a.b, norm.max_a))};
      const Pair v = {exp(hn::Sub(x.b.a, norm.max_b)), exp(hn::Sub(x.b.b, norm.max_b))};
      Float32::store(u, p + at);
      Float32::store(v, q + at);
      Float32::store({norm.difference(u.a, v.a), norm.difference(u.b, v.b)}, c + at);
    };
    walk(
        column, stop,
        [&](int64_t i)
            LR_INLINE_LAMBDA { exponentials(Columns<TA, TB>(a + i, b + i), i - column); },
        [&](int64_t i, int64_t n)
            LR_INLINE_LAMBDA { exponentials(Columns<TA, TB>::tail(a + i, b + i, n), i - column); });

    V tile_distance = hn::Zero(kF);  // of the tile so far, in every lane
    const V before_distance = hn::Set(kF, static_cast<float>(distance));
    for (int64_t i = 0; i < pairs; i += kPair) {
      const Pair difference = Float32::load(c + i);
      const RunningSum both(hn::Add(difference.a, difference.b));
      const V odd = hn::Add(before_distance, hn::Add(tile_distance, both.upto));
      Float32::store({hn::Sub(odd, difference.b), odd}, c + i);
      tile_distance = hn::Add(tile_distance, both.all);
    }
    distance += hn::GetLane(tile_distance);
    for (int64_t k = stop - column; k < pairs;
         ++k) {  // the columns that pad the last pair are none
      const int64_t first = pairs - kPair, place = k - first;
      c[first + place % 2 * kLanes + place / 2] = 0;
    }

    const V zero = hn::Zero(kF);
    V tile_signs = zero, value[2] = {zero, zero};
    const V before_signs = hn::Set(kF, static_cast<float>(sums->signs));
    for (int64_t i = 0; i < pairs; i += kPair) {
      const Pair distances = Float32::load(c + i), u = Float32::load(p + i),
                 v = Float32::load(q + i);
      const Pair sign = {sign_of(distances.a), sign_of(distances.b)};
      const V both = hn::Add(sign.a, sign.b);
      const RunningSum counted(both);
      Pair n;
      n.a = hn::Add(before_signs, hn::Add(tile_signs, hn::Sub(counted.upto, both)));
      n.b = hn::Add(n.a, sign.a);
      tile_signs = hn::Add(tile_signs, counted.all);
      value[0] = hn::Add(value[0], hn::Abs(distances.a));
      value[1] = hn::Add(value[1], hn::Abs(distances.b));
      moment_p.add(u.a, n.a);
      moment_p.add(u.b, n.b);
      moment_q.add(v.a, n.a);
      moment_q.add(v.b, n.b);
      if (kept == nullptr)
        continue;
      if constexpr (__is_same(TA, Float32Split)) {  // the gradient loads float32 in order
        Float32Split::store(n, kept + column + i);
      } else {
        Float32::store(n, kept + column + i);
      }
    }
    sums->signs += hn::GetLane(tile_signs);
    sums->value += sum_of(hn::Add(value[0], value[1]));
  });
  const auto total = [](hn::Vec<Moment::D> sum, float inverse) {
    return hn::GetLane(hn::SumOfLanes(Moment::D(), sum)) * inverse;
  };
  // From exponentials to probabilities.
  sums->value *= pair.inverse_a;
  sums->p = total(moment_p.product, pair.inverse_a);
  sums->q = total(moment_q.product, pair.inverse_b);
  sums->mass_p = total(moment_p.mass, pair.inverse_a);
  sums->mass_q = total(moment_q.mass, pair.inverse_b);
}

template <class TA, class TB, PairForm kForm, bool kFar = false>
void second_of(const PairSpec& spec, const PairNorm& pair, const void* row_a, const void* row_b,
               int64_t begin, int64_t end, float* kept, SecondSums* sums) {
  const auto* a = static_cast<const typename TA::Element*>(row_a);
  const auto* b = static_cast<const typename TB::Element*>(row_b);
  const Exp exp(spec.temperature_scale);
  const Norm norm(pair);
  const V inverse_temperature = hn::Set(kF, spec.inverse_temperature);
  *sums = {};
  for_tiles(begin, end, [&](int64_t column, int64_t stop) {
    V value[2] = {hn::Zero(kF), hn::Zero(kF)}, sum_p[2] = {hn::Zero(kF), hn::Zero(kF)},
      sum_q[2] = {hn::Zero(kF), hn::Zero(kF)};
    const auto p_of = [&](V x) LR_INLINE_LAMBDA {
      return hn::Mul(exp(hn::Sub(x, norm.max_a)), norm.inverse_a);
    };
    const auto q_of = [&](V x) LR_INLINE_LAMBDA {
      return hn::Mul(exp(hn::Sub(x, norm.max_b)), norm.inverse_b);
    };
    const auto add = [&](int which, V x, V y, V* log_larger) LR_INLINE_LAMBDA {
      if constexpr (kForm == PairForm::mixture) {
        const Mixture<kFar> m(norm, exp, inverse_temperature, x, y,
                              [&](V minus_d, V t) LR_INLINE_LAMBDA {
                                return *log_larger = Mixture<kFar>::log_of_larger(minus_d, t);
                              });
        sum_p[which] = hn::MulAdd(m.p, m.log_p, sum_p[which]);
        sum_q[which] = hn::MulAdd(m.q, m.log_q, sum_q[which]);
      } else {
        const V p = p_of(x), q = q_of(y), d = hn::Sub(p, q);
        if constexpr (kForm == PairForm::squares) {
          value[which] = hn::MulAdd(d, d, value[which]);
          sum_p[which] = hn::MulAdd(p, d, sum_p[which]);
          sum_q[which] = hn::MulAdd(q, d, sum_q[which]);
        } else {  // signs: of the logits' difference, which is exactly 0 at ties
          const V sign = sign_of(norm.log_ratio<kFar>(x, y));
          value[which] = hn::Add(value[which], hn::Abs(d));
          sum_p[which] = hn::MulAdd(p, sign, sum_p[which]);
          sum_q[which] = hn::MulAdd(q, sign, sum_q[which]);
        }
      }
    };
    const auto add_columns = [&](const Columns<TA, TB>& v, int64_t i) LR_INLINE_LAMBDA {
      Pair log_larger;
      add(0, v.a.a, v.b.a, &log_larger.a);
      add(1, v.a.b, v.b.b, &log_larger.b);
      if (kForm == PairForm::mixture && kept != nullptr)
        Float32::store(log_larger, kept + i);
    };
    walk(
        column, stop,
        [&](int64_t i) LR_INLINE_LAMBDA { add_columns(Columns<TA, TB>(a + i, b + i), i); },
        [&](int64_t i, int64_t n)
            LR_INLINE_LAMBDA { add_columns(Columns<TA, TB>::tail(a + i, b + i, n), i); });
    sums->value += sum_of(hn::Add(value[0], value[1]));
    sums->p += sum_of(hn::Add(sum_p[0], sum_p[1]));
    sums->q += sum_of(hn::Add(sum_q[0], sum_q[1]));
  });
}

// ---- Gradient ----

struct Side {
  V constant, own, other;
  explicit HWY_INLINE Side(const SideCoefficients& c)
      : constant(hn::Set(kF, c.constant)), own(hn::Set(kF, c.own)), other(hn::Set(kF, c.other)) {}
};

template <PairForm kForm, bool kFar>
struct PairGradient {
  const Exp exp;
  const Norm norm;
  const V inverse_temperature;
  const V signs;
  const Side a, b;

  HWY_INLINE PairGradient(const PairSpec& spec, const PairNorm& pair, double signs_before,
                          const PairGradients& gradients)
      : exp(spec.temperature_scale),
        norm(pair),
        inverse_temperature(hn::Set(kF, spec.inverse_temperature)),
        signs(hn::Set(kF, static_cast<float>(signs_before))),
        a(gradients.a),
        b(gradients.b) {}

  HWY_INLINE void operator()(V x, V y, V kept, V* gx, V* gy) const {
    if constexpr (kForm == PairForm::mixture) {
      const Mixture<kFar> m(norm, exp, inverse_temperature, x, y,
                            [&](V, V) LR_INLINE_LAMBDA { return kept; });
      *gx = hn::Mul(m.p, hn::MulAdd(a.own, m.log_p, a.constant));
      *gy = hn::Mul(m.q, hn::MulAdd(b.own, m.log_q, b.constant));
      return;
    }
    const V dx = hn::Sub(x, norm.max_a), dy = hn::Sub(y, norm.max_b);
    const V u = exp(dx), v = exp(dy);
    const V low = hn::Set(kF, -kInfinity);
    if constexpr (kForm == PairForm::cross || kForm == PairForm::relative) {
      const V other_x = hn::IfThenElseZero(hn::Gt(x, low), hn::Mul(a.other, v));
      const V other_y = hn::IfThenElseZero(hn::Gt(y, low), hn::Mul(b.other, u));
      V of_x, of_y;  // what the own probabilities are weighed with
      if constexpr (kFar) {
        const V deep_x = deep_difference(x, norm.max_a), deep_y = deep_difference(y, norm.max_b);
        const V t = hn::Sub(deep_x, deep_y);
        of_x = kForm == PairForm::cross ? deep_y : t;
        of_y = kForm == PairForm::cross ? deep_x : hn::Neg(t);
        const V unit = hn::Set(kF, 1 / kDeepScale);
        *gx =
            hn::MulAdd(hn::MulAdd(hn::Mul(u, a.own), of_x, hn::Mul(u, a.constant)), unit, other_x);
        *gy =
            hn::MulAdd(hn::MulAdd(hn::Mul(v, b.own), of_y, hn::Mul(v, b.constant)), unit, other_y);
      } else if constexpr (kForm == PairForm::cross) {
        const V lowest = hn::Set(kF, -kDeep);
        *gx = hn::MulAdd(u, hn::MulAdd(a.own, hn::Max(lowest, dy), a.constant), other_x);
        *gy = hn::MulAdd(v, hn::MulAdd(b.own, hn::Max(lowest, dx), b.constant), other_y);
      } else {
        const V t = clean(norm.log_ratio<false>(x, y));
        *gx = hn::MulAdd(u, hn::MulAdd(a.own, t, a.constant), other_x);
        *gy = hn::MulAdd(v, hn::NegMulAdd(b.own, t, b.constant), other_y);
      }
    }
    if constexpr (kForm == PairForm::cosine || kForm == PairForm::squares) {
      *gx = hn::Mul(u, hn::MulAdd(a.own, u, hn::MulAdd(a.other, v, a.constant)));
      *gy = hn::Mul(v, hn::MulAdd(b.own, v, hn::MulAdd(b.other, u, b.constant)));
    }
    if constexpr (kForm == PairForm::signs) {
      const V sign = sign_of(norm.log_ratio<kFar>(x, y));
      *gx = hn::Mul(u, hn::MulAdd(a.own, sign, a.constant));
      *gy = hn::Mul(v, hn::NegMulAdd(b.own, sign, b.constant));
    }
    if constexpr (kForm == PairForm::transport) {
      const V n = hn::Add(kept, signs);
      *gx = hn::Mul(u, hn::MulAdd(a.own, n, a.constant));
      *gy = hn::Mul(v, hn::MulAdd(b.own, n, b.constant));
    }
  }
};

template <class T>
HWY_INLINE void store_first(Pair v, typename T::Element* target, int64_t n) {
  typename T::Element buffer[kPair];
  T::store(v, buffer);
  for (int64_t k = 0; k < n; ++k)
    target[k] = buffer[k];
}

template <class TA, class TB, PairForm kForm, bool kFar = false>
void gradient_of(const PairSpec& spec, const PairNorm& pair, double signs,
                 const PairGradients& gradients, const void* row_a, const void* row_b,
                 const float* kept, int64_t begin, int64_t end) {
  const auto* a = static_cast<const typename TA::Element*>(row_a);
  const auto* b = static_cast<const typename TB::Element*>(row_b);
  auto* const grad_a = static_cast<typename TA::Element*>(gradients.grad_a);
  auto* const grad_b = static_cast<typename TB::Element*>(gradients.grad_b);
  const PairGradient<kForm, kFar> gradient(spec, pair, signs, gradients);
  const auto gradient_at = [&](const Columns<TA, TB>& v, int64_t i, Pair* ga,
                               Pair* gb) LR_INLINE_LAMBDA {
    Pair k = {hn::Zero(kF), hn::Zero(kF)};
    if constexpr (kForm == PairForm::transport || kForm == PairForm::mixture)
      k = Float32::load(kept + i);
    gradient(v.a.a, v.b.a, k.a, &ga->a, &gb->a);
    gradient(v.a.b, v.b.b, k.b, &ga->b, &gb->b);
  };
  walk(
      begin, end,
      [&](int64_t i) LR_INLINE_LAMBDA {
        Pair ga, gb;
        gradient_at(Columns<TA, TB>(a + i, b + i), i, &ga, &gb);
        if (grad_a != nullptr)
          TA::store(ga, grad_a + i);
        if (grad_b != nullptr)
          TB::store(gb, grad_b + i);
      },
      [&](int64_t i, int64_t n) LR_INLINE_LAMBDA {
        Pair ga, gb;
        gradient_at(Columns<TA, TB>::tail(a + i, b + i, n), i, &ga, &gb);
        if (grad_a != nullptr)
          store_first<TA>(ga, grad_a + i, n);
        if (grad_b != nullptr)
          store_first<TB>(gb, grad_b + i, n);
      });
}

// ---- Weights ----

// log(w) = (exponent of w - exponent of `largest`) log 2 + log(mantissa), the mantissa in [sqrt
// 1/2, sqrt 2).
HWY_INLINE V log_weight(V w, V largest_exponent) {
  const hn::RebindToSigned<F> ints;
  const auto tiny = hn::Lt(w, hn::Set(kF, 0x1p-126f));
  const V normal = hn::IfThenElse(tiny, hn::Mul(w, hn::Set(kF, 0x1p64f)), w);
  const auto bits = hn::BitCast(ints, normal);
  const auto shifted = hn::Add(
      bits, hn::Set(ints, 0x3f800000 - 0x3f3504f3));  // carries into the exponent at sqrt 1/2
  V exponent = hn::ConvertTo(kF, hn::Sub(hn::ShiftRight<23>(shifted), hn::Set(ints, 127)));
  exponent = hn::Sub(exponent, hn::IfThenElseZero(tiny, hn::Set(kF, 64.0f)));
  const auto mantissa =
      hn::Add(hn::And(shifted, hn::Set(ints, 0x007fffff)), hn::Set(ints, 0x3f3504f3));
  const V r = hn::Sub(hn::BitCast(kF, mantissa), hn::Set(kF, 1.0f));
  V y = hn::Set(kF, 7.0376836292e-2f);
  y = hn::MulAdd(y, r, hn::Set(kF, -1.1514610310e-1f));
  y = hn::MulAdd(y, r, hn::Set(kF, 1.1676998740e-1f));
  y = hn::MulAdd(y, r, hn::Set(kF, -1.2420140846e-1f));
  y = hn::MulAdd(y, r, hn::Set(kF, 1.4249322787e-1f));
  y = hn::MulAdd(y, r, hn::Set(kF, -1.6668057665e-1f));
  y = hn::MulAdd(y, r, hn::Set(kF, 2.0000714765e-1f));
  y = hn::MulAdd(y, r, hn::Set(kF, -2.4999993993e-1f));
  y = hn::MulAdd(y, r, hn::Set(kF, 3.3333331174e-1f));
  const V square = hn::Mul(r, r);
  y = hn::MulAdd(hn::Mul(y, r), square, hn::MulAdd(square, hn::Set(kF, -0.5f), r));
  const V log = hn::MulAdd(hn::Sub(exponent, largest_exponent), hn::Set(kF, 0.693147181f), y);
  return hn::IfThenElse(hn::Eq(w, hn::Zero(kF)), hn::Set(kF, -kInfinity), log);
}

void log_weights(const float* weights, float largest, float temperature, float* logs,
                 int64_t columns) {
  int exponent = 0;
  __builtin_frexpf(largest, &exponent);
  const V base = hn::Set(kF, static_cast<float>(exponent)), scale = hn::Set(kF, temperature);
  const auto logs_of = [&](Pair w) LR_INLINE_LAMBDA {
    return Pair{hn::Mul(log_weight(w.a, base), scale), hn::Mul(log_weight(w.b, base), scale)};
  };
  walk(
      0, columns,
      [&](int64_t i)
          LR_INLINE_LAMBDA { Float32::store(logs_of(Float32::load(weights + i)), logs + i); },
      [&](int64_t i, int64_t n) LR_INLINE_LAMBDA {
        store_first<Float32>(logs_of(Float32::load(Tail<Float32>(weights + i, n).x)), logs + i, n);
      });
}

// ---- By element type and form ----

template <class TA, class TB>
struct Typed {
  static void first(const PairSpec& spec, const void* a, const void* b, int64_t begin, int64_t end,
                    PairSums* sums) {
    switch (spec.form) {
      case PairForm::cross:
        return first_of<TA, TB, PairForm::cross>(spec, a, b, begin, end, sums);
      case PairForm::relative:
        return first_of<TA, TB, PairForm::relative>(spec, a, b, begin, end, sums);
      case PairForm::cosine:
        return first_of<TA, TB, PairForm::cosine>(spec, a, b, begin, end, sums);
      default:
        return first_of<TA, TB, PairForm::squares>(spec, a, b, begin, end,
                                                   sums);  // as all that have a second pass
    }
  }
  template <bool kFar>
  static void second(const PairSpec& spec, const PairNorm& norm, double distance, const void* a,
                     const void* b, int64_t begin, int64_t end, float* kept, SecondSums* sums) {
    switch (spec.form) {
      case PairForm::squares:
        return second_of<TA, TB, PairForm::squares>(spec, norm, a, b, begin, end, kept, sums);
      case PairForm::signs:
        return second_of<TA, TB, PairForm::signs, kFar>(spec, norm, a, b, begin, end, kept, sums);
      case PairForm::mixture:
        return second_of<TA, TB, PairForm::mixture, kFar>(spec, norm, a, b, begin, end, kept, sums);
      default:
        return transport_of<Neighbours<TA>, Neighbours<TB>>(spec, norm, distance, a, b, begin, end,
                                                            kept, sums);
    }
  }
  template <bool kFar>
  static void gradient(const PairSpec& spec, const PairNorm& norm, double signs,
                       const PairGradients& gradients, const void* a, const void* b,
                       const float* kept, int64_t begin, int64_t end) {
    switch (spec.form) {
      case PairForm::cross:
        return gradient_of<TA, TB, PairForm::cross, kFar>(spec, norm, signs, gradients, a, b, kept,
                                                          begin, end);
      case PairForm::relative:
        return gradient_of<TA, TB, PairForm::relative, kFar>(spec, norm, signs, gradients, a, b,
                                                             kept, begin, end);
      case PairForm::cosine:
      case PairForm::squares:
        return gradient_of<TA, TB, PairForm::squares>(spec, norm, signs, gradients, a, b, kept,
                                                      begin, end);
      case PairForm::signs:
        return gradient_of<TA, TB, PairForm::signs, kFar>(spec, norm, signs, gradients, a, b, kept,
                                                          begin, end);
      case PairForm::mixture:
        return gradient_of<TA, TB, PairForm::mixture, kFar>(spec, norm, signs, gradients, a, b,
                                                            kept, begin, end);
      case PairForm::transport:
        return gradient_of<TA, TB, PairForm::transport>(spec, norm, signs, gradients, a, b, kept,
                                                        begin, end);
    }
  }

 private:
  // Where columns have to be in order, float32 is loaded as the narrow types are.
  template <class T>
  struct Split {
    using Type = T;
  };
  template <class T>
  requires __is_same(T, Float32) struct Split<T> {
    using Type = Float32Split;
  };
  template <class T>
  using Neighbours = typename Split<T>::Type;
};

template <class Run>
HWY_INLINE void with_types(const PairSpec& spec, Run&& run) {
  switch (spec.type) {
    case ElementType::bf16:
      return spec.b_is_f32 ? run(Typed<BFloat16, Float32Split>())
                           : run(Typed<BFloat16, BFloat16>());
    case ElementType::f16:
      return spec.b_is_f32 ? run(Typed<Float16, Float32Split>()) : run(Typed<Float16, Float16>());
    default:
      return run(Typed<Float32, Float32>());
  }
}

void first(const PairSpec& spec, const void* a, const void* b, int64_t begin, int64_t end,
           PairSums* sums) {
  const FlushSubnormals flush;
  with_types(spec, [&](auto typed) { typed.first(spec, a, b, begin, end, sums); });
}

void second(const PairSpec& spec, const PairNorm& norm, double distance, const void* a,
            const void* b, int64_t begin, int64_t end, float* kept, SecondSums* sums) {
  const FlushSubnormals flush;
  with_types(spec, [&](auto typed) {
    using T = decltype(typed);
    const auto run = norm.far ? &T::template second<true> : &T::template second<false>;
    run(spec, norm, distance, a, b, begin, end, kept, sums);
  });
}

void gradient(const PairSpec& spec, const PairNorm& norm, double signs,
              const PairGradients& gradients, const void* a, const void* b, const float* kept,
              int64_t begin, int64_t end) {
  const FlushSubnormals flush;
  with_types(spec, [&](auto typed) {
    using T = decltype(typed);
    const auto run = norm.far ? &T::template gradient<true> : &T::template gradient<false>;
    run(spec, norm, signs, gradients, a, b, kept, begin, end);
  });
}

}  // namespace

extern const DivergenceKernels kDivergenceKernels = {log_weights, first, second, gradient};

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
