// Packed sequences give what padded ones give, to the bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "support/tensor.h"

namespace logratio::test {
namespace {

constexpr int64_t kColumns = 8;

// Some numbers of each token of sequences, packed, and padded with something that is not to be
// read.
struct Batch {
  std::vector<int64_t> lengths;
  int64_t tokens, longest;
  Tensor cu_seqlens;

  Batch(std::vector<int64_t> of, int64_t padding, D type = D::i64)
      : lengths(std::move(of)),
        tokens(std::accumulate(lengths.begin(), lengths.end(), int64_t{0})),
        longest(*std::max_element(lengths.begin(), lengths.end()) + padding),
        cu_seqlens(type, {sequences() + 1}) {
    for (int64_t b = 0; b < sequences(); ++b)
      cu_seqlens.set(b + 1,
                     cu_seqlens.get(b) + static_cast<double>(lengths[static_cast<size_t>(b)]));
  }
  int64_t sequences() const { return static_cast<int64_t>(lengths.size()); }

  Tensor padded(const Tensor& packed, double padding) const {
    const int64_t each = tokens == 0 ? 1 : packed.size() / tokens;
    std::vector<int64_t> shape{sequences(), longest};
    if (packed.shape().size() > 1)
      shape.push_back(each);
    Tensor all(packed.type(), shape);
    all.fill(padding);
    for_tokens([&](int64_t of_packed, int64_t of_padded) {
      for (int64_t k = 0; k < each; ++k)
        all.set(of_padded * each + k, packed.get(of_packed * each + k));
    });
    return all;
  }
  Tensor packed(const Tensor& padded) const {
    std::vector<int64_t> shape(padded.shape().begin() + 1, padded.shape().end());
    const int64_t each = shape.size() > 1 ? shape[1] : 1;
    shape[0] = tokens;
    Tensor all(padded.type(), shape);
    for_tokens([&](int64_t of_packed, int64_t of_padded) {
      for (int64_t k = 0; k < each; ++k)
        all.set(of_packed * each + k, padded.get(of_padded * each + k));
    });
    return all;
  }

 private:
  template <class Body>
  void for_tokens(Body&& body) const {
    int64_t token = 0;
    for (int64_t b = 0; b < sequences(); ++b) {
      for (int64_t t = 0; t < lengths[static_cast<size_t>(b)]; ++t)
        body(token++, b * longest + t);
    }
  }
};

Tensor weights_of(int64_t tokens) {
  Tensor mask(D::f32, {tokens});
  for (int64_t k = 0; k < tokens; ++k)
    mask.set(k, k % 5 == 1 ? 0 : .5 + static_cast<double>(k % 3));
  return mask;
}

std::vector<lr_sequence_options> all_options() {
  std::vector<lr_sequence_options> all;
  for (int32_t reduction : {LR_SUM, LR_MEAN}) {
    for (int32_t align : {LR_ALIGN_COMPLETION, LR_ALIGN_ABSOLUTE}) {
      for (double tail : {0., .3, 1.})
        all.push_back({reduction, align, tail, tail == 0 ? .7 : 1});
    }
  }
  return all;
}

TEST(Packed, SequencesOfAnyLength) {
  for (D type : {D::i64, D::i32}) {
    const Batch batch({0, 700, 3, 0, 0, 513, 256, 1, 300, 0}, 9, type);
    const int64_t sequences = batch.sequences();
    Tensor logps(D::f64, {batch.tokens}, normal_values(batch.tokens, 1, 3)),
        mask = weights_of(batch.tokens),
        upstream(D::f64, {sequences}, normal_values(sequences, 1, 4));
    for (const lr_sequence_options& options : all_options()) {
      const auto run = [&](bool packed) {
        Tensor given_logps = packed ? logps : batch.padded(logps, NAN),
               given_mask = packed ? mask : batch.padded(mask, 0), sums(D::f64, {sequences}),
               counts(D::f64, {sequences}), gradient(D::f64, given_mask.shape()),
               ends = batch.cu_seqlens;
        gradient.fill(NAN);
        auto args = make_args<lr_sequence_logps_args>();
        args.options = options;
        args.token_logps = given_logps;
        args.mask = given_mask;
        args.grad_logps = upstream;
        args.logps = sums;
        args.counts = counts;
        args.grad_token_logps = gradient;
        if (packed)
          args.cu_seqlens = ends;
        EXPECT_EQ(call(lr_sequence_logps, args), LR_OK) << lr_last_error();
        return sums.bits() + counts.bits() + (packed ? gradient : batch.packed(gradient)).bits();
      };
      EXPECT_EQ(run(true), run(false));
    }
  }
}

TEST(Packed, Steps) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    const Batch batch({4, 150, 0, 2, 70, 1}, 2);
    const int64_t sequences = batch.sequences(), pairs = sequences / 2;
    Tensor logits(type, {batch.tokens, kColumns}, normal_values(batch.tokens * kColumns, 2, 5)),
        labels(D::i64, {batch.tokens}, random_labels(batch.tokens, kColumns, 6)),
        mask = weights_of(batch.tokens),
        reference(D::f32, {batch.tokens}, normal_values(batch.tokens, 1, 7));
    for (int64_t k = 0; k < batch.tokens; k += 6)
      labels.set(k, -100);
    lr_loss_options losses[] = {loss_options("dlrml"), loss_options("sft")};
    for (const lr_sequence_options& options : all_options()) {
      if (options.reduction == LR_MEAN)  // not of sft
        continue;
      const auto run = [&](bool packed) {
        const auto given = [&](const Tensor& tensor, double padding) {
          return packed ? tensor.clone() : batch.padded(tensor, padding);
        };
        Tensor x = given(logits, NAN), y = given(labels, -100), m = given(mask, 1),
               r = given(reference, NAN), values(D::f64, {pairs}), sums(D::f64, {sequences}),
               counts(D::f64, {sequences}), ends = batch.cu_seqlens;
        lr_step_metrics metrics{};
        auto args = make_args<lr_preference_step_args>();
        args.loss_options = losses;
        args.loss_count = 2;
        args.token_options = default_token_options();
        args.sequence_options = options;
        args.logits = x;
        args.labels = y;
        args.mask = m;
        args.reference_token_logps = r;
        args.losses = values;
        args.logps = sums;
        args.counts = counts;
        args.grad_logits = x;
        args.metrics = &metrics;
        if (packed)
          args.cu_seqlens = ends;
        EXPECT_EQ(call(lr_preference_step, args), LR_OK) << lr_last_error();
        std::string bits(sizeof metrics, ' ');
        std::memcpy(bits.data(), &metrics, sizeof metrics);
        EXPECT_GT(metrics.grad_norm, 0);
        return bits + values.bits() + sums.bits() + counts.bits() +
               (packed ? x : batch.packed(x)).bits();
      };
      EXPECT_EQ(run(true), run(false));
    }
  }
}

TEST(Packed, NllMasks) {
  const Batch batch({4, 150, 0, 2, 70, 1}, 2);
  const int64_t pairs = batch.sequences() / 2, chosen = 154;
  Tensor logits(D::f32, {batch.tokens, kColumns}, normal_values(batch.tokens * kColumns, 2, 8)),
      labels(D::i64, {batch.tokens}, random_labels(batch.tokens, kColumns, 9)),
      mask = weights_of(batch.tokens), nll_mask(D::f32, {batch.tokens}),
      weights(D::f64, {pairs}, {.5, 2, 1.5});
  for (int64_t k = 0; k < batch.tokens; ++k)
    nll_mask.set(k, k >= chosen ? NAN : k % 3 == 0 ? 0 : .75);
  lr_loss_options losses[] = {loss_options("orpo"), loss_options("sft")};
  for (const lr_sequence_options& options : all_options()) {
    if (options.reduction == LR_MEAN)  // not of these losses
      continue;
    const auto run = [&](bool packed) {
      const auto given = [&](const Tensor& tensor, double padding) {
        return packed ? tensor.clone() : batch.padded(tensor, padding);
      };
      Tensor x = given(logits, NAN), y = given(labels, -100), m = given(mask, 1),
             n = given(nll_mask, 1), values(D::f64, {pairs}), ends = batch.cu_seqlens;
      auto args = make_args<lr_preference_step_args>();
      args.loss_options = losses;
      args.loss_count = 2;
      args.token_options = default_token_options();
      args.sequence_options = options;
      args.logits = x;
      args.labels = y;
      args.mask = m;
      args.nll_mask = n;
      args.pair_weights = weights;
      args.losses = values;
      args.grad_logits = x;
      if (packed)
        args.cu_seqlens = ends;
      EXPECT_EQ(call(lr_preference_step, args), LR_OK) << lr_last_error();
      return values.bits() + (packed ? x : batch.packed(x)).bits();
    };
    EXPECT_EQ(run(true), run(false));
  }
}

TEST(Packed, UnpairedSteps) {
  for (const char* name : {"kto", "apo_zero_unpaired", "bco"}) {
    const Batch batch({4, 150, 0, 2, 700}, 2);
    const int64_t examples = batch.sequences();
    Tensor logits(D::bf16, {batch.tokens, kColumns}, normal_values(batch.tokens * kColumns, 2, 10)),
        labels(D::i64, {batch.tokens}, random_labels(batch.tokens, kColumns, 11)),
        mask = weights_of(batch.tokens),
        reference(D::f32, {batch.tokens}, normal_values(batch.tokens, 1, 12)),
        chosen(D::u8, {examples}, {1, 0, 1, 1, 0});
    const lr_loss_options loss = loss_options(name);
    for (int32_t reduction : {LR_SUM, LR_MEAN}) {
      const auto run = [&](bool packed) {
        const auto given = [&](const Tensor& tensor, double padding) {
          return packed ? tensor.clone() : batch.padded(tensor, padding);
        };
        Tensor x = given(logits, NAN), y = given(labels, -100), m = given(mask, 1),
               r = given(reference, NAN), values(D::f64, {examples}), counts(D::f64, {examples}),
               rewards(D::f64, {examples}), ends = batch.cu_seqlens;
        lr_step_metrics metrics{};
        auto args = make_args<lr_unpaired_step_args>();
        args.loss_options = &loss;
        args.token_options = default_token_options();
        args.sequence_options = {reduction, LR_ALIGN_COMPLETION, 1, 1};
        args.logits = x;
        args.labels = y;
        args.mask = m;
        args.chosen = chosen;
        args.reference_token_logps = r;
        args.losses = values;
        args.counts = counts;
        args.rewards = rewards;
        args.grad_logits = x;
        args.metrics = &metrics;
        if (packed)
          args.cu_seqlens = ends;
        EXPECT_EQ(call(lr_unpaired_step, args), LR_OK) << lr_last_error();
        std::string bits(sizeof metrics, ' ');
        std::memcpy(bits.data(), &metrics, sizeof metrics);
        EXPECT_GT(metrics.grad_norm, 0);
        return bits + values.bits() + counts.bits() + rewards.bits() +
               (packed ? x : batch.packed(x)).bits();
      };
      EXPECT_EQ(run(true), run(false));
    }
  }
}

}  // namespace
}  // namespace logratio::test
