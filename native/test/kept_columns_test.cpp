// token_logprobs over kept columns, on the instruction set or device of this run: the bits of a row
// that holds these columns and no others.
#include <algorithm>
#include <numeric>

#include "support/tokens.h"

namespace logratio::test {
namespace {

struct Sets {
  Tensor offsets, ids;
  std::vector<std::vector<int64_t>> columns;
};

// Sets with `sizes[r]` columns of row r.
Sets random_sets(const std::vector<int64_t>& sizes, int64_t vocabulary, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<double> offsets{0}, ids;
  std::vector<std::vector<int64_t>> columns;
  for (const int64_t size : sizes) {
    std::vector<int64_t> all(static_cast<size_t>(vocabulary));
    std::iota(all.begin(), all.end(), 0);
    std::shuffle(all.begin(), all.end(), random);
    all.resize(static_cast<size_t>(size));
    std::sort(all.begin(), all.end());
    ids.insert(ids.end(), all.begin(), all.end());
    offsets.push_back(static_cast<double>(ids.size()));
    columns.push_back(all);
  }
  return {Tensor(D::i64, {static_cast<int64_t>(offsets.size())}, offsets),
          Tensor(D::i32, {static_cast<int64_t>(ids.size())}, ids), columns};
}

struct Results {
  TokenFigures figures;
  Tensor gradient;
};

Results run(Tensor logits, Tensor labels, const lr_token_options& options, bool everything,
            bool has_entropy, Sets* sets, Tensor* outside) {
  Results result{TokenFigures(labels.shape()), Tensor(logits.type(), logits.shape())};
  auto args = make_args<lr_token_logprobs_args>();
  args.logits = logits;
  args.labels = labels;
  args.options = options;
  args.logp = result.figures.logp;
  args.lse = result.figures.lse;
  if (everything) {
    args.lse2 = result.figures.lse2;
    args.entropy = result.figures.entropy;
    args.argmax = result.figures.argmax;
    args.mean_logit = result.figures.mean_logit;
  }
  auto back = make_args<lr_token_logprobs_backward_args>();
  back.logits = logits;
  back.labels = labels;
  back.options = options;
  back.lse = result.figures.lse;
  Tensor up(D::f32, labels.shape());
  up.fill(-1.5);
  back.grad_logp = up;
  if (has_entropy) {
    back.entropy = result.figures.entropy;
    back.grad_entropy = up;
  }
  back.grad_logits = result.gradient;
  if (sets != nullptr) {
    args.kept_offsets = back.kept_offsets = sets->offsets;
    args.kept_ids = back.kept_ids = sets->ids;
    args.outside = *outside;
  }
  EXPECT_EQ(call(lr_token_logprobs, args), LR_OK) << lr_last_error();
  EXPECT_EQ(call(lr_token_logprobs_backward, back), LR_OK) << lr_last_error();
  return result;
}

TEST(KeptColumns, AreARowOfTheirOwn) {
  uint32_t seed = 1;
  lr_token_options capped = default_token_options();
  capped.temperature = .7;
  capped.softcap = 3;
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (const lr_token_options& options : {default_token_options(), capped}) {
      for (const bool everything : {true, false}) {
        constexpr int64_t kVocabulary = 5003;
        Sets sets = random_sets({1, 41, 507, 1271, 2100, kVocabulary}, kVocabulary, ++seed);
        const auto rows = static_cast<int64_t>(sets.columns.size());
        Tensor logits(type, {rows, kVocabulary}, normal_values(rows * kVocabulary, 4, ++seed)),
            labels(D::i64, {rows}), outside(D::i64, {1}, {77});
        for (int64_t r = 0; r < rows; ++r)
          labels.set(r, static_cast<double>(sets.columns[static_cast<size_t>(r)].back()));
        const Results kept = run(logits, labels, options, everything, everything, &sets, &outside);
        EXPECT_EQ(outside.get(0), 0);
        for (int64_t r = 0; r < rows; ++r) {
          const std::vector<int64_t>& columns = sets.columns[static_cast<size_t>(r)];
          const auto count = static_cast<int64_t>(columns.size());
          Tensor alone(type, {1, count}), last(D::i64, {1}, {static_cast<double>(count - 1)});
          for (int64_t k = 0; k < count; ++k)
            alone.set(k, logits.get(r * kVocabulary + columns[static_cast<size_t>(k)]));
          const Results expected =
              run(alone, last, options, everything, everything, nullptr, nullptr);
          const std::string at = "row " + std::to_string(r);
          EXPECT_EQ(kept.figures.logp.get(r), expected.figures.logp.get(0)) << at;
          EXPECT_EQ(kept.figures.lse.get(r), expected.figures.lse.get(0)) << at;
          if (everything) {
            EXPECT_EQ(kept.figures.lse2.get(r), expected.figures.lse2.get(0)) << at;
            EXPECT_EQ(kept.figures.entropy.get(r), expected.figures.entropy.get(0)) << at;
            EXPECT_EQ(kept.figures.mean_logit.get(r), expected.figures.mean_logit.get(0)) << at;
            const auto argmax = static_cast<size_t>(expected.figures.argmax.get(0));
            EXPECT_EQ(kept.figures.argmax.get(r), static_cast<double>(columns[argmax])) << at;
          }
          std::vector<double> gradient(static_cast<size_t>(kVocabulary));
          for (int64_t k = 0; k < count; ++k)
            gradient[static_cast<size_t>(columns[static_cast<size_t>(k)])] =
                expected.gradient.get(k);
          EXPECT_EQ(row_of(kept.gradient, r), gradient) << at;
        }
      }
    }
  }
}

// Rows in memory of any layout, ids too.
TEST(KeptColumns, OfStridedTensors) {
  Sets sets = random_sets({5, 9, 2, 17}, 17, 5);
  Tensor wide(D::bf16, {4, 2, 19}, normal_values(4 * 2 * 19, 3, 6)),
      logits = wide.select(1, 1).slice(1, 1, 18), labels(D::i64, {4}), outside(D::i64, {1});
  Tensor dense(D::bf16, {4, 17});
  for (int64_t k = 0; k < 68; ++k)
    dense.set(k, logits.get(k));
  Tensor pairs(D::i32, {sets.ids.size(), 2});
  Sets strided{sets.offsets, pairs.select(1, 0), sets.columns};
  for (int64_t k = 0; k < sets.ids.size(); ++k)
    strided.ids.set(k, sets.ids.get(k));
  Tensor outside_too(D::i64, {1});
  const Results expected = run(dense, labels, default_token_options(), true, true, &sets, &outside),
                actual = run(logits, labels, default_token_options(), true, true, &strided,
                             &outside_too);
  EXPECT_EQ(actual.figures.bits(), expected.figures.bits());
  EXPECT_EQ(outside_too.get(0), outside.get(0));
  for (int64_t k = 0; k < 68; ++k)
    EXPECT_EQ(actual.gradient.get(k), expected.gradient.get(k));
}

}  // namespace
}  // namespace logratio::test
