// divergence on a device from known log-probabilities and from several models: the same bits for
// every schedule, cut and place, and what device memory alone may hold.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "rows.h"

namespace logratio::test {
namespace {

constexpr int32_t kTopkKinds[] = {LR_KL_PQ, LR_KL_QP, LR_JENSEN_SHANNON};
constexpr int32_t kKinds[] = {LR_SCE, LR_JEFFREYS, LR_KL_PQ,        LR_KL_QP, LR_JENSEN_SHANNON,
                              LR_L2,  LR_TVD,      LR_WASSERSTEIN1, LR_COSINE};

struct Result {
  Tensor values, loss, grad_p, grad_q;
  int64_t bad = 0;
  std::string bits() const { return values.bits() + loss.bits() + grad_p.bits() + grad_q.bits(); }
};

lr_divergence_options options_of(int32_t kind) {
  return {kind, LR_DIVERGENCE_SUM, LR_DETACH_NONE, 0, 1, 1, .8, kind == LR_JENSEN_SHANNON ? .3 : .5,
          0};
}

Result of_topk(Tensor p, Tensor ids, Tensor logps, int32_t kind, bool in_place = false) {
  Result result{Tensor(D::f64, {p.shape()[0]}), Tensor(D::f64, {1}),
                in_place ? p : Tensor(p.type(), p.shape()), Tensor(D::f32, {0})};
  auto args = make_args<lr_divergence_args>();
  args.options = options_of(kind);
  args.p_logits = p;
  args.q_topk_ids = ids;
  args.q_topk_logps = logps;
  args.values = result.values;
  args.loss = result.loss;
  args.grad_p_logits = result.grad_p;
  EXPECT_EQ(call(lr_divergence, args, &result.bad), LR_OK) << lr_last_error();
  return result;
}

Result of_models(Tensor p, Tensor q, Tensor weights, int32_t kind, bool in_place = false) {
  Result result{Tensor(D::f64, {p.shape()[0]}), Tensor(D::f64, {1}),
                in_place ? p : Tensor(p.type(), p.shape()),
                in_place ? q : Tensor(q.type(), q.shape())};
  auto args = make_args<lr_divergence_args>();
  args.options = options_of(kind);
  args.p_logits = p;
  args.q_logits = q;
  args.q_model_weights = weights;
  args.values = result.values;
  args.loss = result.loss;
  args.grad_p_logits = result.grad_p;
  args.grad_q_logits = result.grad_q;
  EXPECT_EQ(call(lr_divergence, args, &result.bad), LR_OK) << lr_last_error();
  return result;
}

// Known columns all over the row, with a rest.
struct Known {
  Tensor ids, logps;
  Known(int64_t rows, int64_t known, int64_t columns)
      : ids(D::i64, {rows, known}), logps(D::f32, {rows, known}) {
    for (int64_t i = 0; i < rows * known; ++i) {
      ids.set(i, static_cast<double>((i % known * (columns / known) + i / known) % columns));
      logps.set(i, std::log(.9 / static_cast<double>(known)) - .01 * static_cast<double>(i % 7));
    }
  }
};

TEST(DeviceTopk, EveryScheduleAndPlaceGivesTheSameBits) {
  for (D type : {D::f32, D::bf16}) {
    for (int64_t columns : {7, 1030, 70001}) {
      for (int32_t kind : kTopkKinds) {
        const Tensor p = rows_of(type, 2, columns, 3, 11, false);
        const Known known(2, columns < 10 ? 2 : 300, columns);
        std::string bits;
        for (uint64_t seed : {1, 2, 3}) {
          set_emulator_seed(seed);
          const Result now = of_topk(p, known.ids, known.logps, kind);
          EXPECT_EQ(now.bad, 0);
          if (bits.empty())
            bits = now.bits();
          ASSERT_EQ(now.bits(), bits) << kind << " seed " << seed;
        }
        for (int64_t offset : {0, 1, 3}) {
          Tensor moved = Tensor(type, {2, columns + 3}).slice(1, offset, offset + columns);
          for (int64_t k = 0; k < 2 * columns; ++k)
            moved.set(k, p.get(k));
          ASSERT_EQ(of_topk(moved, known.ids, known.logps, kind).bits(), bits) << kind;
          ASSERT_EQ(of_topk(moved, known.ids, known.logps, kind, true).bits(), bits) << kind;
        }
      }
    }
  }
  set_emulator_seed(1);
}

// What the host refuses is counted; the row has no value and no gradient, and the others are well.
TEST(DeviceTopk, BadRowsAreCounted) {
  const int64_t columns = 41;
  for (int32_t kind : kTopkKinds) {
    const Tensor p = rows_of(D::f32, 6, columns, 2, 12, false);
    Known known(6, 3, columns);
    known.ids.set(1 * 3 + 1, -1);
    known.ids.set(2 * 3 + 2, static_cast<double>(columns));
    known.ids.set(3 * 3, known.ids.get(3 * 3 + 2));
    known.logps.set(4 * 3, .1);
    known.logps.set(5 * 3, NAN);
    const Result result = of_topk(p, known.ids, known.logps, kind);
    EXPECT_EQ(result.bad, 5) << kind;
    EXPECT_TRUE(std::isnan(result.loss.get(0)));
    const Result good =
        of_topk(p.slice(0, 0, 1), known.ids.slice(0, 0, 1), known.logps.slice(0, 0, 1), kind);
    EXPECT_EQ(result.values.get(0), good.values.get(0));
    for (int64_t r = 1; r < 6; ++r)
      EXPECT_TRUE(std::isnan(result.values.get(r))) << kind << " " << r;
    for (int64_t k = 0; k < 6 * columns; ++k)
      ASSERT_EQ(result.grad_p.get(k), k < columns ? good.grad_p.get(k) : 0) << kind << " " << k;
  }
}

TEST(DeviceModels, EveryScheduleCutAndPlaceGivesTheSameBits) {
  for (int64_t columns : {37, 5000, 65537}) {
    for (int32_t kind : kKinds) {
      const Tensor p = rows_of(D::bf16, 2, columns, 3, 21, false),
                   q = rows_of(D::bf16, 4, columns, 3, 22, false).reshape({2, 2, columns});
      const Tensor weights(D::f32, {2}, {1, 3});
      std::string bits;
      for (int32_t capability : {0, 80, 90}) {
        set_emulator_capability(capability);
        set_emulator_seed(1 + static_cast<uint64_t>(capability));
        const Result now = of_models(p, q, weights, kind);
        if (bits.empty())
          bits = now.bits();
        ASSERT_EQ(now.bits(), bits) << kind << " capability " << capability;
      }
      ASSERT_EQ(of_models(p.clone(), q.clone(), weights, kind, true).bits(), bits) << kind;
    }
  }
  set_emulator_seed(1);
}

TEST(DeviceModels, BadWeightsAreCounted) {
  const int64_t columns = 41;
  const Tensor p = rows_of(D::f32, 2, columns, 2, 31, false),
               q = rows_of(D::f32, 6, columns, 2, 32, false).reshape({3, 2, columns});
  const Result odd = of_models(p, q, Tensor(D::f32, {3}, {2, -1, NAN}), LR_JEFFREYS);
  EXPECT_EQ(odd.bad, 2);
  const Result even = of_models(p, q, Tensor(D::f32, {3}, {2, 0, 0}), LR_JEFFREYS);
  EXPECT_EQ(even.bad, 0);
  EXPECT_EQ(odd.bits(), even.bits());
  const Result none = of_models(p, q, Tensor(D::f32, {3}), LR_JEFFREYS);
  EXPECT_EQ(none.bad, 1);
  EXPECT_TRUE(std::isnan(none.values.get(1)));
}

}  // namespace
}  // namespace logratio::test
