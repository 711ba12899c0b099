// divergence on a device beside the CPU's: the same numbers for every type, size,
// stride and pairing, the same bits for every schedule and place, and what device memory alone may
// hold.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "rows.h"

namespace logratio::test {
namespace {

constexpr double kInf = INFINITY;
constexpr int32_t kKinds[] = {LR_SCE, LR_JEFFREYS, LR_KL_PQ,        LR_KL_QP, LR_JENSEN_SHANNON,
                              LR_L2,  LR_TVD,      LR_WASSERSTEIN1, LR_COSINE};

struct Pairs {
  Tensor p, q;
  Tensor weights{D::f32, {0}};  // of q's rows, in place of q; empty: none
  Tensor p_rows{D::i64, {0}}, q_rows{D::i32, {0}};
  Tensor row_weights{D::f64, {0}};  // empty: none
  bool by_index = false, strided = false;
  int32_t reduction = LR_DIVERGENCE_MEAN;
  double js_weight = .5;
  int64_t vocab = 0;
  int64_t count() const { return by_index ? p_rows.size() : p.shape()[0]; }
};

struct Divergence {
  Tensor values, loss, grad_p, grad_q;
  int64_t bad = 0;
  std::string bits() const { return values.bits() + loss.bits() + grad_p.bits() + grad_q.bits(); }
};

Divergence evaluate(Pairs pairs, int32_t kind, bool in_place = false) {
  const bool weights = pairs.weights.size() > 0;
  Divergence result{Tensor(D::f64, {pairs.count()}), Tensor(D::f64, {1}),
                    like(pairs.p, pairs.strided), like(pairs.q, pairs.strided)};
  if (in_place) {
    result.grad_p = pairs.p;
    result.grad_q = pairs.q;
  }
  Tensor upstream(D::f32, {1}, {1.75});
  auto args = make_args<lr_divergence_args>();
  args.options = {kind,
                  pairs.reduction,
                  LR_DETACH_NONE,
                  0,
                  kind == LR_SCE ? .5 : 1,
                  kind == LR_SCE ? 1.5 : 1,
                  .8,
                  kind == LR_JENSEN_SHANNON ? pairs.js_weight : .5,
                  pairs.vocab};
  args.p_logits = pairs.p;
  if (weights) {
    args.q_weights = pairs.weights;
  } else {
    args.q_logits = pairs.q;
    args.grad_q_logits = result.grad_q;
  }
  if (pairs.by_index) {
    args.p_rows = pairs.p_rows;
    args.q_rows = pairs.q_rows;
  }
  if (pairs.row_weights.size() > 0)
    args.row_weights = pairs.row_weights;
  args.grad_loss = upstream;
  args.values = result.values;
  args.loss = result.loss;
  args.grad_p_logits = result.grad_p;
  EXPECT_EQ(call(lr_divergence, args, &result.bad), LR_OK) << lr_last_error();
  return result;
}

// `slack` is what gradients may be off for each unit of a value: where a large logit has all of the
// probability, differences of logits have lost digits to its size, and terms of the size of the
// value cancel.
void expect_that_of_the_cpu(const Pairs& pairs, int32_t kind, const std::string& what,
                            double slack = 0) {
  const Divergence actual = evaluate(pairs, kind);
  const OnCpu cpu;
  const Divergence expected = evaluate(pairs, kind);
  const double rounding = unit(pairs.p.type());
  double largest = 1;
  for (double value : expected.values.values())
    largest = std::fmax(largest, std::fabs(value));
  expect_close(actual.values, expected.values, 2e-6, 4e-6, what + " values");
  expect_close(actual.loss, expected.loss, 0, 4e-6, what + " loss");
  expect_close(actual.grad_p, expected.grad_p, 4e-6, 3e-5 + rounding, what + " p", slack * largest);
  expect_close(actual.grad_q, expected.grad_q, 4e-6, 3e-5 + rounding, what + " q", slack * largest);
  EXPECT_EQ(actual.bad, 0) << what;
}

std::string name(int32_t kind, D type, int64_t columns) {
  return "kind " + std::to_string(kind) + " type " + std::to_string(static_cast<int>(type)) +
         " columns " + std::to_string(columns);
}

TEST(DeviceDivergence, AgreesWithTheCpu) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1, 41, 123, 507, 1271, 4099, 50257}) {
      for (int32_t kind : kKinds) {
        Pairs pairs{rows_of(type, 2, columns, 3, 7, columns % 2 == 1),
                    rows_of(type, 2, columns, 3, 8, false)};
        pairs.strided = columns % 3 == 0;
        expect_that_of_the_cpu(pairs, kind, name(kind, type, columns));
      }
    }
  }
}

TEST(DeviceDivergence, PairsByIndexWeightsAndExtremesAgreeWithTheCpu) {
  for (D type : {D::f32, D::bf16}) {
    for (int64_t columns : {7, 1271, 2500}) {
      for (int32_t kind : kKinds) {
        Pairs pairs{rows_of(type, 6, columns, 3, 17, true),
                    rows_of(type, 5, columns, 3, 18, false)};
        pairs.by_index = true;
        pairs.p_rows = Tensor(D::i64, {4}, {5, 0, 3, 1});
        pairs.q_rows = Tensor(D::i32, {4}, {1, 4, 0, 2});
        pairs.row_weights = Tensor(D::f64, {4}, {1, 0, 2.5, .25});
        for (int64_t k = columns / 2; k < columns - 1;
             ++k) {  // masked on both sides, but for one column
          pairs.p.set(5 * columns + k, -kInf);
          pairs.q.set(1 * columns + k, -kInf);
        }
        pairs.p.set(3 * columns + 2, 80);  // all of the probability
        expect_that_of_the_cpu(pairs, kind, name(kind, type, columns), 2e-6);
        pairs.row_weights = Tensor(D::f64, {0});
        pairs.q.set(4 * columns + 1, -kInf);  // infinite where the maths is
        pairs.p.set(3 * columns + 2, NAN);
        pairs.reduction = LR_DIVERGENCE_SUM;
        const Divergence actual = evaluate(pairs, kind);
        const OnCpu cpu;
        const Divergence expected = evaluate(pairs, kind);
        expect_close(actual.values, expected.values, 2e-6, 4e-6, name(kind, type, columns));
        for (int64_t k = 0; k < expected.grad_p.size(); ++k) {
          ASSERT_EQ(std::isnan(actual.grad_p.get(k)), std::isnan(expected.grad_p.get(k)))
              << name(kind, type, columns) << " " << k;
        }
        for (int64_t k = 0; k < expected.grad_q.size(); ++k) {
          ASSERT_EQ(std::isnan(actual.grad_q.get(k)), std::isnan(expected.grad_q.get(k)))
              << name(kind, type, columns) << " " << k;
        }
      }
    }
  }
}

TEST(DeviceDivergence, ConstantWeightsAgreeWithTheCpu) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {3, 507, 2051}) {
      for (int32_t kind : kKinds) {
        Pairs pairs{rows_of(type, 2, columns, 2, 27, false), Tensor(type, {0, columns}),
                    rows_of(D::f32, 2, columns, 2, 28, type == D::bf16)};
        for (int64_t k = 0; k < pairs.weights.size(); ++k)
          pairs.weights.set(k, std::exp(pairs.weights.get(k)) * (k < columns ? 1e-36 : 1));
        expect_that_of_the_cpu(pairs, kind, name(kind, type, columns));
      }
    }
  }
}

TEST(DeviceDivergence, EveryScheduleAndPlaceGivesTheSameBits) {
  for (D type : {D::f32, D::bf16}) {
    for (int64_t columns : {5, 1030, 9001}) {
      for (int32_t kind : kKinds) {
        Pairs pairs{rows_of(type, 3, columns, 3, 37, false),
                    rows_of(type, 3, columns, 3, 38, false)};
        pairs.row_weights = Tensor(D::f64, {3}, {1, 2, 4});
        std::string bits;
        for (uint64_t seed : kSeeds) {
          set_emulator_seed(seed);
          const std::string now = evaluate(pairs, kind).bits();
          if (bits.empty())
            bits = now;
          ASSERT_EQ(now, bits) << name(kind, type, columns) << " seed " << seed;
        }
        for (int64_t offset : {0, 1, 3}) {  // rows that begin anywhere, each side elsewhere, and
                                            // are written where they are read
          Pairs moved = pairs;
          moved.p = Tensor(type, {3, columns + 3}).slice(1, offset, offset + columns);
          moved.q = Tensor(type, {3, columns + 4}).slice(1, 2, 2 + columns);
          for (int64_t k = 0; k < 3 * columns; ++k)
            moved.p.set(k, pairs.p.get(k)), moved.q.set(k, pairs.q.get(k));
          ASSERT_EQ(evaluate(moved, kind).bits(), bits)
              << name(kind, type, columns) << " offset " << offset;
          ASSERT_EQ(evaluate(moved, kind, true).bits(), bits)
              << name(kind, type, columns) << " in place, offset " << offset;
        }
      }
    }
  }
  set_emulator_seed(1);
}

// Row numbers outside the tensors, rows that are named twice and what is no weight: harmless to the
// others, and counted.
TEST(DeviceDivergence, BadRowsAndWeightsAreCounted) {
  const int64_t columns = 123;
  Pairs good{rows_of(D::f32, 6, columns, 2, 47, false), rows_of(D::f32, 6, columns, 2, 48, false)};
  good.by_index = true;
  good.reduction = LR_DIVERGENCE_SUM;
  good.p_rows = Tensor(D::i64, {2}, {0, 3});
  good.q_rows = Tensor(D::i32, {2}, {5, 1});
  Pairs bad = good;
  bad.p_rows = Tensor(D::i64, {6}, {0, -1, 3, 6, 0, 4});
  bad.q_rows = Tensor(D::i32, {6}, {5, 0, 1, 2, 3, 1 << 30});
  const Divergence expected = evaluate(good, LR_JEFFREYS), actual = evaluate(bad, LR_JEFFREYS);
  EXPECT_EQ(actual.bad, 4);
  EXPECT_EQ(actual.grad_p.bits(),
            expected.grad_p.bits());  // with 0 in the rows of the pairs that are none
  EXPECT_EQ(actual.grad_q.bits(), expected.grad_q.bits());
  EXPECT_EQ(actual.values.get(0), expected.values.get(0));
  EXPECT_EQ(actual.values.get(2), expected.values.get(1));
  for (int64_t k : {1, 3, 4, 5})
    EXPECT_TRUE(std::isnan(actual.values.get(k))) << k;
  EXPECT_TRUE(std::isnan(actual.loss.get(0)));

  bad.row_weights = Tensor(
      D::f64, {6},
      {1, 0, 1, 0, 0, -2});  // the last one counts as 0, and so keep all the others the loss clean
  const Divergence weighted = evaluate(bad, LR_JEFFREYS);
  EXPECT_EQ(weighted.bad, 5);
  EXPECT_EQ(weighted.loss.get(0), expected.loss.get(0));

  Pairs weights{rows_of(D::f32, 1, 3, 2, 49, false), Tensor(D::f32, {0, 3}),
                Tensor(D::f32, {1, 3}, {1, NAN, -2})};
  const Divergence odd = evaluate(weights, LR_KL_QP);
  EXPECT_EQ(odd.bad, 2);
  weights.weights = Tensor(D::f32, {1, 3}, {1, 0, 0});
  EXPECT_EQ(odd.bits(), evaluate(weights, LR_KL_QP).bits());
  weights.weights = Tensor(D::f32, {1, 3});
  EXPECT_TRUE(std::isnan(evaluate(weights, LR_KL_QP).values.get(0)));
}

// More pairs than blocks: each block does several.
TEST(DeviceDivergence, BlocksThatDoSeveralPairs) {
  const int64_t columns = 37, rows = 300, period = 5;
  Pairs few{rows_of(D::bf16, period, columns, 3, 57, false),
            rows_of(D::bf16, period, columns, 3, 58, false)};
  Pairs many{Tensor(D::bf16, {rows, columns}), Tensor(D::bf16, {rows, columns})};
  few.reduction = many.reduction = LR_DIVERGENCE_SUM;
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(many.p.at(r * columns), few.p.at(r % period * columns),
                static_cast<size_t>(columns) * 2);
    std::memcpy(many.q.at(r * columns), few.q.at(r % period * columns),
                static_cast<size_t>(columns) * 2);
  }
  const Divergence expected = evaluate(few, LR_WASSERSTEIN1),
                   actual = evaluate(many, LR_WASSERSTEIN1);
  for (int64_t r = 0; r < rows; ++r) {
    ASSERT_EQ(actual.values.get(r), expected.values.get(r % period));
    ASSERT_EQ(actual.grad_p.slice(0, r, r + 1).bits(),
              expected.grad_p.slice(0, r % period, r % period + 1).bits())
        << r;
  }
}

// Long rows are taken by clusters of blocks, elsewhere by blocks that meet in global memory, or by
// one block.
TEST(DeviceDivergence, SeveralBlocksToARowGiveTheBitsOfOne) {
  for (D type : {D::bf16, D::f32}) {
    for (int32_t kind : kKinds) {
      const int64_t columns = 65537;  // the second row begins off a multiple of 16 bytes
      const auto pairs = [&] {
        Pairs made{rows_of(type, 3, columns, 3, 91, false),
                   rows_of(type, 3, columns, 3, 92, false)};
        made.by_index = true;  // the first row twice, so that a pair is none
        made.p_rows = Tensor(D::i64, {4}, {0, 2, 0, 1});
        made.q_rows = Tensor(D::i32, {4}, {1, 0, 1, 2});
        return made;
      };
      set_emulator_capability(0);
      const uint64_t before = emulator_clusters();
      const Divergence single = evaluate(pairs(), kind);
      EXPECT_EQ(emulator_clusters(), before);
      for (int32_t capability : {80, 90}) {
        set_emulator_capability(capability);
        for (uint64_t seed : {1, 2}) {
          set_emulator_seed(seed);
          const uint64_t until_now = emulator_clusters();
          const bool in_place = seed == 2;
          const Divergence several = evaluate(pairs(), kind, in_place);
          EXPECT_GT(emulator_clusters(), until_now);
          ASSERT_EQ(several.bits(), single.bits())
              << name(kind, type, columns) << " capability " << capability << " seed " << seed;
          EXPECT_EQ(several.bad, single.bad);
        }
      }
    }
  }
  set_emulator_seed(1);
}

TEST(DeviceDivergence, WeightedMixturesAndPaddingAgreeWithTheCpu) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {7, 507, 2051}) {
      for (double weight : {.1, .75, .999}) {
        Pairs pairs{rows_of(type, 2, columns, 3, 71, false),
                    rows_of(type, 2, columns, 3, 72, true)};
        pairs.js_weight = weight;
        pairs.vocab = weight > .5 ? columns - 2 : 0;
        // Next to 1, what a side has of the mixture is a small difference.
        expect_that_of_the_cpu(pairs, LR_JENSEN_SHANNON, name(LR_JENSEN_SHANNON, type, columns),
                               2e-7);
      }
    }
  }
}

// A side without rows leaves the other's gradient to be cleared, whatever its length.
TEST(DeviceDivergence, RowsThatMeetNoneHaveNoGradient) {
  for (D type : {D::bf16, D::f32}) {
    for (int64_t columns : {3, 1271, 2048, 70001}) {
      const Tensor some = rows_of(type, 2, columns, 3, 99, false), none(type, {0, columns});
      for (bool has_p : {false, true}) {
        Pairs pairs{has_p ? some : none, has_p ? none : some};
        pairs.by_index = true;
        const Divergence result = evaluate(pairs, LR_KL_PQ);
        EXPECT_EQ(result.loss.get(0), 0);
        const Tensor& gradient = has_p ? result.grad_p : result.grad_q;
        ASSERT_EQ(gradient.size(), 2 * columns);
        for (int64_t k = 0; k < gradient.size(); ++k)
          ASSERT_EQ(gradient.get(k), 0) << name(LR_KL_PQ, type, columns) << ' ' << k;
      }
    }
  }
}

TEST(DeviceDivergence, LongRowsAgreeWithTheCpu) {
  const int64_t columns = 70001;
  for (int32_t kind : kKinds) {
    expect_that_of_the_cpu(
        {rows_of(D::bf16, 2, columns, 3, 95, false), rows_of(D::bf16, 2, columns, 3, 96, true)},
        kind, name(kind, D::bf16, columns));
    Pairs weights{rows_of(D::bf16, 1, columns, 2, 97, false), Tensor(D::bf16, {0, columns}),
                  rows_of(D::f32, 1, columns, 2, 98, false)};
    for (int64_t k = 0; k < columns; ++k)
      weights.weights.set(k, std::exp(weights.weights.get(k)));
    expect_that_of_the_cpu(weights, kind, name(kind, D::bf16, columns) + " weights");
  }
}

}  // namespace
}  // namespace logratio::test
