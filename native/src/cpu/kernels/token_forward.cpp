// The forward of vocabulary rows: log-sum-exp(z), log-sum-exp(2z), entropy, mean, maximum and the
// label's log-prob from one read, 4 (F32) or 2 (BF16, F16) bytes per element, nothing of that size
// written.
//
// Exponents are taken from a pivot, the maximum of a segment's first tile: any value not far from
// the row's maximum would do. It counts as 1 exactly, and so do columns as large as it. A tile that
// lies far above is summed again, from its own maximum; it is still in L1. Sums are float32 over a
// tile and float64 beyond. The tile with the maximum is kept apart: where its token has nearly all
// of the probability, what the other tiles have would be lost beside it, and it is summed once more
// without that token.
#include "cpu/kernels/kernels.h"
#include "cpu/row_tasks.h"
#include "cpu/simd/softcap.h"
#include "math/several_labels.h"

namespace logratio::cpu::LR_ISA_NAMESPACE {
namespace {

using math::ExponentialSums;
using math::RowFigures;
using math::RowSums;

struct Sums : ExponentialSums {
  double z, raw, finite;
  float maximum;  // of the raw logits, where everything is wanted
  bool exceeded;  // whether an exponent may have been too large
};

// Sums over a part of a row.
struct Partial {
  double pivot;
  ExponentialSums top;     // of the tile that leads: it holds the first maximum, or the largest sum
  ExponentialSums others;  // of all other tiles
  double z, raw, finite;
  float maximum;  // of the raw logits, where everything is wanted; -inf if all are
  int64_t tile;   // first column of the top tile

  HWY_INLINE double e() const { return top.e + others.e; }
  HWY_INLINE void move(double to, double temperature) {
    top.move(pivot, to, temperature);
    others.move(pivot, to, temperature);
    pivot = to;
  }
};

// Where exponents are taken from. Far from 0 the pivot is subtracted first, and they are of powers
// of two; near, it is part of the exponential.
struct Origin {
  float pivot;
  bool is_near;
  bool is_open;  // nothing but -inf so far
  Exp exp;
  double unit;  // what makes the pivot's exponential, as the loops find it, exactly 1
};

template <class T, bool kEverything>
HWY_INLINE Sums sum_vectors(const typename T::Element* x, int64_t n, int64_t ahead,
                            const Origin& origin) {
  const Exp exp = origin.exp;
  const V from = hn::Set(kF, origin.is_near ? origin.pivot : 0), small = hn::Set(kF, kSmall);
  V e0 = hn::Zero(kF), e1 = e0, e2 = e0, ed = e0, raw = e0, maximum = hn::Set(kF, -kInfinity);
  Exp::Guard guard;
  const auto add = [&](V v) LR_INLINE_LAMBDA {
    const V clamped = exp.clamp(v), p = exp.of_clamped(clamped);
    e0 = hn::Add(e0, p);
    e2 = hn::MulAdd(p, p, e2);
    ed = hn::MulAdd(p, hn::Sub(clamped, from), ed);
    raw = hn::MulAdd(v, small, raw);
    maximum = hn::Max(maximum, v);
  };
  for_vectors<T>(x, n, ahead, [&](Vectors2 v) LR_INLINE_LAMBDA {
    if constexpr (kEverything) {
      add(v.a);
      add(v.b);
    } else {
      e0 = exp.add_to(e0, v.a, guard);
      e1 = exp.add_to(e1, v.b, guard);
    }
  });
  Sums sums{};
  sums.e = sum_of(hn::Add(e0, e1)) * origin.unit;
  sums.exceeded = exp.exceeded(guard, sums.e);
  if constexpr (kEverything) {
    sums.maximum = max_of(maximum);
    sums.exceeded = exp.is_too_large(sums.maximum);
    sums.e2 = sum_of(e2) * origin.unit * origin.unit;
    sums.ed = sum_of(ed) * origin.unit;
    sums.raw = sum_of(raw) / kSmall;
    sums.finite = static_cast<double>(n);
    sums.z = sums.raw;
  }
  return sums;
}

// What a tile has of a row's sum, about a pivot that others share or do not.
struct TileSum {
  double e;
  float pivot;
};

// Columns that count as -inf, ascending.
struct Columns {
  const int64_t *begin, *end;
};

template <class T, bool kEverything>
class Forward {
  using Element = typename T::Element;
  template <class, bool>
  friend class Forward;

 public:
  explicit HWY_INLINE Forward(const TokenForward& call)
      : call_(call),
        columns_(call.logits.columns),
        temperature_(call.transform.temperature),
        scale_(exp2_scale(temperature_)),
        softcap_(static_cast<float>(call.transform.softcap)) {}

  void run(Scratch& scratch) const {
    const RowPlan plan = plan_rows(call_.count, columns_, columns_ * int64_t{sizeof(Element)});
    // Sums of tiles are kept where the tail is made of them: of a task's row, or of every row.
    const bool keeps = call_.several != nullptr && call_.several->tails != nullptr;
    const int64_t tiles = (columns_ + kTile - 1) / kTile,
                  kept = plan.by_segment
                             ? call_.count
                             : (call_.count + plan.rows_per_task - 1) / plan.rows_per_task;
    auto* const sums = scratch.array<TileSum>(keeps ? kept * tiles : 0);
    const auto tiles_of = [&](int64_t i) { return keeps ? sums + i * tiles : nullptr; };
    if (!plan.by_segment) {
      for_row_runs(call_.count, plan.rows_per_task, [&](int64_t first, int64_t last) {
        prefetch_start<T>(row(first), columns_, kReadAhead<T>);
        TileSum* const of_tiles = tiles_of(first / plan.rows_per_task);
        for (int64_t k = first; k < last; ++k)
          finish(k, sum(row(k), kNone, k + 1 < last, of_tiles), of_tiles);
      });
      return;
    }
    auto* const partials = scratch.array<Partial>(call_.count * plan.segments);
    parallel_for(call_.count * plan.segments, [&](int64_t i) {
      const int64_t begin = i % plan.segments * kSegment;
      prefetch_start<T>(row(i / plan.segments) + begin, columns_ - begin, kReadAhead<T>);
      partials[i] =
          segment(row(i / plan.segments), begin, kNone, false, tiles_of(i / plan.segments));
    });
    for (int64_t k = 0; k < call_.count; ++k) {
      Partial all = partials[k * plan.segments];
      for (int64_t s = 1; s < plan.segments; ++s)
        all = merged(all, partials[k * plan.segments + s]);
      finish(k, all, tiles_of(k));
    }
  }

 private:
  static constexpr int64_t kNone = -1;

  const Element* row(int64_t k) const {
    return reinterpret_cast<const Element*>(
        row_address(call_.logits, call_.rows == nullptr ? k : call_.rows[k]));
  }

  // The sums of a row, or of one without column `skip`, or several. Others follow in memory, or
  // not. `tiles` receives their sums if it is not null.
  template <class Skip>
  Partial sum(const Element* x, Skip skip, bool has_next, TileSum* tiles) const {
    Partial all = segment(x, 0, skip, has_next, tiles);
    for (int64_t begin = kSegment; begin < columns_; begin += kSegment)
      all = merged(all, segment(x, begin, skip, has_next || begin + kSegment < columns_, tiles));
    return all;
  }

  Partial merged(Partial before, Partial after) const {
    const double pivot = before.e() == 0  ? after.pivot
                         : after.e() == 0 ? before.pivot
                                          : __builtin_fmax(before.pivot, after.pivot);
    before.move(pivot, temperature_);
    after.move(pivot, temperature_);
    const bool after_leads =
        kEverything ? after.maximum > before.maximum : after.top.e > before.top.e;
    Partial& leading = after_leads ? after : before;
    const Partial& other = after_leads ? before : after;
    leading.others.add(other.others);
    leading.others.add(other.top);
    leading.z += other.z;
    leading.raw += other.raw;
    leading.finite += other.finite;
    return leading;
  }

  template <class Skip>
  Partial segment(const Element* x, int64_t begin, Skip skip, bool has_next, TileSum* tiles) const {
    const FlushSubnormals flush;
    Partial part{0, {}, {}, 0, 0, 0, -kInfinity, begin};
    Origin origin = origin_at(-kInfinity);
    const int64_t end = segment_end(columns_, begin);
    for_tiles(begin, end, [&](int64_t column, int64_t stop) {
      const Without tile(x, column, stop, skip);
      const int64_t n = stop - column;
      const bool asks = has_next || (end - stop) * int64_t{sizeof(Element)} >= kReadAhead<T>;
      const int64_t ahead = asks ? kReadAhead<T> : 0;
      if (origin.is_open)
        origin = origin_at(maximum_of(tile.x, n));
      Sums sums = sum_tile(tile.x, n, ahead, origin);
      if (sums.exceeded && maximum_of(tile.x, n) > origin.pivot) {
        origin = origin_at(maximum_of(tile.x, n));
        sums = sum_tile(tile.x, n, 0, origin);
      }
      if (tiles != nullptr)
        tiles[column / kTile] = {sums.e, origin.pivot};
      part.move(origin.pivot, temperature_);
      if (kEverything ? sums.maximum > part.maximum : sums.e > part.top.e) {
        part.others.add(part.top);
        part.top = sums;
        part.tile = column;
        part.maximum = sums.maximum;
      } else {
        part.others.add(sums);
      }
      part.z += sums.z;
      part.raw += sums.raw;
      part.finite += sums.finite;
    });
    return part;
  }

  Origin origin_at(float value) const {
    const bool is_open = !(value > -kInfinity);
    const float pivot = is_open ? 0 : value;
    const Pivot whole = pivot_at(pivot, scale_);
    const float scale = whole.is_near ? scale_ : 1, scaled = whole.is_near ? whole.scaled : 0;
    const V own = hn::Set(kF, whole.is_near ? pivot : 0);
    // The amplitude brings the pivot's exponential next to 1, so that sums of equals lose nothing.
    const float amplitude = 1 / hn::GetLane(Exp(scale, scaled)(own));
    const Exp exp(scale, scaled, amplitude);
    return {pivot, whole.is_near, is_open, exp, 1 / static_cast<double>(hn::GetLane(exp(own)))};
  }

  // A tile in which a column may count as -inf.
  struct Without {
    const Element* x;
    Element copy[kTile];
    HWY_INLINE Without(const Element* row, int64_t column, int64_t stop, int64_t skip)
        : x(row + column) {
      if (skip < column || skip >= stop)
        return;
      __builtin_memcpy(copy, x, static_cast<size_t>(stop - column) * sizeof(Element));
      copy[skip - column] = T::kMinusInfinity;
      x = copy;
    }
    HWY_INLINE Without(const Element* row, int64_t column, int64_t stop, const Columns& skip)
        : x(row + column) {
      const int64_t *from = skip.begin, *to = skip.end;
      while (from < to) {
        const int64_t* const middle = from + (to - from) / 2;
        if (*middle < column)
          from = middle + 1;
        else
          to = middle;
      }
      if (from == skip.end || *from >= stop)
        return;
      __builtin_memcpy(copy, x, static_cast<size_t>(stop - column) * sizeof(Element));
      for (; from != skip.end && *from < stop; ++from)
        copy[*from - column] = T::kMinusInfinity;
      x = copy;
    }
  };

  float maximum_of(const Element* x, int64_t n) const {
    return softcapped(LR_ISA_NAMESPACE::maximum_of<T>(x, n), softcap_);
  }

  Sums sum_tile(const Element* x, int64_t n, int64_t ahead, const Origin& origin) const {
    if (softcap_ == 0 && origin.is_near) {
      const Sums sums = sum_vectors<T, kEverything>(x, n, ahead, origin);
      if (!kEverything || (n % kStep == 0 && sums.raw > -kInfinity))
        return sums;
    }
    return sum_converted(x, n, ahead, origin);
  }

  // Goes by way of float32: softcap(x), exponents where the pivot is far from 0, and means of what
  // is not -inf.
  HWY_NOINLINE Sums sum_converted(const Element* x, int64_t n, int64_t ahead,
                                  const Origin& origin) const {
    float z[kTile + kStep], *target = z;
    const V low = hn::Set(kF, -kInfinity), small = hn::Set(kF, kSmall);
    const V from = hn::Set(kF, origin.pivot), scale = hn::Set(kF, scale_);
    V maximum = low, z_sum = hn::Zero(kF), raw = hn::Zero(kF), finite = hn::Zero(kF);
    with_softcap(softcap_, [&](const auto cap) {
      const auto convert = [&](V v) LR_INLINE_LAMBDA {
        const V capped = cap(v);
        maximum = hn::Max(maximum, v);
        const auto is_finite = hn::Gt(v, low);
        finite = hn::Add(finite, hn::IfThenElseZero(is_finite, hn::Set(kF, 1.0f)));
        raw = hn::MulAdd(hn::IfThenElseZero(is_finite, v), small, raw);
        z_sum = hn::MulAdd(hn::IfThenElseZero(is_finite, capped), small, z_sum);
        const V exponent = hn::Mul(hn::Sub(capped, from), scale);
        return origin.is_near ? capped : hn::IfThenElse(hn::Eq(v, low), low, exponent);
      };
      for_vectors<T>(x, n, ahead, [&](Vectors2 v) LR_INLINE_LAMBDA {
        Float32::store({convert(v.a), convert(v.b)}, target);
        target += kStep;
      });
    });
    Sums sums = sum_vectors<Float32, kEverything>(z, target - z, 0, origin);
    sums.raw = sum_of(raw) / kSmall;
    sums.z = sum_of(z_sum) / kSmall;
    sums.finite = sum_of(finite);
    sums.maximum = max_of(maximum);
    if (!origin.is_near)
      sums.ed /= math::kLog2E / temperature_;  // from powers of two
    return sums;
  }

  void finish(int64_t k, const Partial& part, const TileSum* tiles) const {
    const Element* const x = row(k);
    const int64_t label =
        call_.several == nullptr ? call_.labels[k] : likeliest(x, *call_.several, k);
    const float label_value = label < 0 ? -kInfinity : capped(x, label);
    const int64_t argmax = kEverything ? argmax_of(x, part) : label;
    const float highest = kEverything ? softcapped(part.maximum, softcap_) : label_value;
    RowSums row{part.pivot, 0, part.top, part.z, part.raw, part.finite};
    row.others.add(part.others);
    if (math::is_certain((highest - row.pivot) / temperature_ - __builtin_log(row.e()))) {
      row.ones = 1;
      row.others = sums_without(x, argmax, part, highest);
      row.pivot = highest;
    }
    if (call_.parts != nullptr) {
      call_.parts[k] = {row, kEverything ? T::to_float(x[argmax]) : -kInfinity, argmax,
                        label_value};
      return;
    }
    RowFigures& figures = call_.figures[k];
    figures = math::finish_row(row, label_value, temperature_);
    if (label < 0)
      figures.norm.logp = figures.of[math::kLogp] = 0;
    figures.of[math::kArgmax] = static_cast<double>(argmax);
    if (call_.several != nullptr)
      finish_labels(x, *call_.several, k, figures.norm, tiles);
  }

  float capped(const Element* x, int64_t label) const {
    return softcapped(T::to_float(x[label]), softcap_);
  }

  // The label whose logit is the largest, -1 where the row is ignored.
  static int64_t likeliest(const Element* x, const ForwardLabels& several, int64_t k) {
    const int64_t* const labels = several.labels + k * several.per_row;
    int64_t best = -1;
    for (int64_t j = 0; j < several.per_row; ++j) {
      if (labels[j] >= 0 && (best < 0 || T::to_float(x[labels[j]]) > T::to_float(x[best])))
        best = labels[j];
    }
    return best;
  }

  HWY_NOINLINE void finish_labels(const Element* x, const ForwardLabels& several, int64_t k,
                                  const math::RowNorm& norm, const TileSum* tiles) const {
    double held = 0;
    for (int64_t j = k * several.per_row; j < (k + 1) * several.per_row; ++j) {
      const int64_t label = several.labels[j];
      several.logps[j] =
          label < 0 ? 0
                    : math::column_logp(capped(x, label), norm.pivot, norm.log_sum, temperature_);
      if (several.tails != nullptr && label >= 0)
        held += math::probability(several.logps[j]);
    }
    if (several.tails != nullptr) {
      several.tails[k] = math::labels_hold_little(held) || held != held
                             ? math::log_of_tail(held, norm)
                             : log_of_rest(x, several, k, norm, tiles);
    }
  }

  // The log of the probability of the columns that are no labels, from their own sum: that of the
  // tiles without a label, and the others less their labels. A tile whose labels have nearly all of
  // it is summed again without them.
  double log_of_rest(const Element* x, const ForwardLabels& several, int64_t k,
                     const math::RowNorm& norm, const TileSum* tiles) const {
    // A tile of this share of the sum and more has no digits left when its labels are subtracted.
    constexpr double kLosesDigits = 0.25;
    const int64_t* const first = several.ascending + k * several.per_row;
    const int64_t* last = first;
    while (last != first + several.per_row && *last != ForwardLabels::kNoColumn)
      ++last;
    const auto about = [&](double e, float pivot) {
      return e == 0 || pivot == norm.pivot ? e
                                           : e * __builtin_exp((pivot - norm.pivot) / temperature_);
    };
    double free = 0;
    const int64_t* label = first;
    for (int64_t column = 0; column < columns_; column += kTile) {
      if (label != last && *label < column + kTile) {
        while (label != last && *label < column + kTile)
          ++label;
      } else {
        free += about(tiles[column / kTile].e, tiles[column / kTile].pivot);
      }
    }
    double sum = free;
    for (label = first; label != last;) {
      const int64_t tile = *label / kTile, column = tile * kTile;
      const int64_t* const begin = label;
      double left = tiles[tile].e;
      for (; label != last && *label < column + kTile; ++label)
        left -= __builtin_exp((capped(x, *label) - double{tiles[tile].pivot}) / temperature_);
      if (!(about(tiles[tile].e, tiles[tile].pivot) <= kLosesDigits * free)) {
        const int64_t n = (columns_ - column < kTile ? columns_ : column + kTile) - column;
        const Without others(x, column, column + n, Columns{begin, label});
        const FlushSubnormals flush;
        const Origin origin = origin_at(maximum_of(others.x, n));
        sum += about(sum_tile(others.x, n, 0, origin).e, origin.pivot);
      } else {
        sum += about(left, tiles[tile].pivot);
      }
    }
    if (sum > math::kFloat32Holds)
      return math::log_of_tail(sum, norm.pivot, norm, temperature_);
    // So far below the labels a float32 holds nothing of them: a row of its own, they have a
    // maximum of their own.
    const Partial rest = Forward<T, false>(call_).sum(x, Columns{first, last}, false, nullptr);
    return math::log_of_tail(rest.e(), rest.pivot, norm, temperature_);
  }

  // The sums of a row about its largest value, without the column that holds it.
  ExponentialSums sums_without(const Element* x, int64_t column, const Partial& part,
                               float largest) const {
    ExponentialSums sums = part.others;
    sums.move(part.pivot, largest, temperature_);
    const int64_t stop = columns_ - part.tile < kTile ? columns_ : part.tile + kTile;
    const Origin origin = origin_at(largest);
    ExponentialSums top;
    {
      const FlushSubnormals flush;
      top = sum_tile(Without(x, part.tile, stop, column).x, stop - part.tile, 0, origin);
    }
    top.move(origin.pivot, largest, temperature_);
    sums.add(top);
    if (sums.e > math::kFloat32Holds)
      return sums;
    // They are so far below that a float32 holds nothing of them: a row of its own, they have a
    // maximum of their own.
    const Partial rest = sum(x, column, false, nullptr);
    sums = rest.top;
    sums.add(rest.others);
    sums.move(rest.pivot, largest, temperature_);
    return sums;
  }

  // The first NaN, or the first maximum.
  int64_t argmax_of(const Element* x, const Partial& part) const {
    for (int64_t i = 0; part.e() != part.e() && i < columns_; ++i) {
      if (T::to_float(x[i]) != T::to_float(x[i]))
        return i;
    }
    return find<T>(x, part.tile, columns_, part.maximum);
  }

  const TokenForward& call_;
  const int64_t columns_;
  const double temperature_;
  const float scale_;
  const float softcap_;
};

}  // namespace

void token_forward(const TokenForward& call, Scratch& scratch) {
  with_type(call.logits.type, [&](auto element) {
    using T = decltype(element);
    call.everything ? Forward<T, true>(call).run(scratch) : Forward<T, false>(call).run(scratch);
  });
}

}  // namespace logratio::cpu::LR_ISA_NAMESPACE
