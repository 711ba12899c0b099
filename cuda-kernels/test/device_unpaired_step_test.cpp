// unpaired_step on a device: what the suite of every device cannot look at.
#include <gtest/gtest.h>

#include <string>

#include "support.h"
#include "support/tensor.h"

namespace logratio::test {
namespace {

struct Inputs {
  int64_t examples;
  Tensor logits, labels, chosen, reference, weights;

  Inputs(int64_t examples, int64_t tokens, int64_t columns)
      : examples(examples),
        logits(D::bf16, {examples, tokens, columns},
               normal_values(examples * tokens * columns, 2, 7)),
        labels(D::i32, {examples, tokens}, random_labels(examples * tokens, columns, 8)),
        chosen(D::u8, {examples}),
        reference(D::f32, {examples, tokens}, normal_values(examples * tokens, 1, 9)),
        weights(D::f32, {examples}) {
    for (int64_t k = 0; k < examples; ++k) {
      chosen.set(k, k % 3 == 0 ? 7 : 0);
      weights.set(k, .5 + static_cast<double>(k % 5));
    }
  }
  Inputs one(int64_t k) const {
    Inputs single = *this;
    single.examples = 1;
    for (Tensor* tensor :
         {&single.logits, &single.labels, &single.chosen, &single.reference, &single.weights})
      *tensor = tensor->slice(0, k, k + 1);
    return single;
  }
};

struct Outputs {
  Tensor losses, rewards, gradient;
  lr_step_metrics metrics{};
  std::string bits() const {
    return losses.bits() + rewards.bits() + gradient.bits() +
           std::string(reinterpret_cast<const char*>(&metrics), sizeof metrics);
  }
};

// The upstream gradient is the number of examples, so that none depends on the others.
Outputs run(Inputs& in, bool metrics) {
  const lr_loss_options options = loss_options("bco");
  Outputs out{Tensor(D::f64, {in.examples}), Tensor(D::f64, {in.examples}),
              Tensor(in.logits.type(), in.logits.shape())};
  Tensor grad_loss(D::f64, {1}, {static_cast<double>(in.examples)});
  auto args = make_args<lr_unpaired_step_args>();
  args.loss_options = &options;
  args.token_options = default_token_options();
  args.sequence_options = {LR_MEAN, LR_ALIGN_COMPLETION, 1, 1};
  args.logits = in.logits;
  args.labels = in.labels;
  args.chosen = in.chosen;
  args.reference_token_logps = in.reference;
  args.weights = in.weights;
  args.grad_loss = grad_loss;
  args.losses = out.losses;
  args.rewards = out.rewards;
  args.grad_logits = out.gradient;
  if (metrics)
    args.metrics = &out.metrics;
  EXPECT_EQ(call(lr_unpaired_step, args), LR_OK) << lr_last_error();
  return out;
}

TEST(DeviceUnpairedStep, NoOrderOfThreadsChangesABit) {
  for (const auto& [examples, tokens, columns] :
       {std::tuple<int64_t, int64_t, int64_t>{5, 3, 2111}, {2, 1100, 5}, {300, 1, 7}}) {
    for (bool metrics : {true, false}) {
      Inputs in(examples, tokens, columns);
      std::string first;
      for (uint64_t seed : {1, 2, 3, 5}) {
        set_emulator_seed(seed);
        const std::string bits = run(in, metrics).bits();
        first = first.empty() ? bits : first;
        ASSERT_EQ(bits, first) << "seed " << seed << ", " << columns << " columns";
      }
    }
  }
}

TEST(DeviceUnpairedStep, BatchInvariant) {
  for (const auto& [tokens, columns] : {std::pair<int64_t, int64_t>{5, 1271}, {1100, 3}}) {
    Inputs in(4, tokens, columns);
    const Outputs all = run(in, false);
    for (int64_t k = 0; k < 4; ++k) {
      Inputs single = in.one(k);
      const Outputs alone = run(single, false);
      EXPECT_EQ(alone.losses.get(0), all.losses.get(k));
      EXPECT_EQ(alone.rewards.get(0), all.rewards.get(k));
      EXPECT_EQ(alone.gradient.bits(), all.gradient.slice(0, k, k + 1).bits()) << k;
    }
  }
}

}  // namespace
}  // namespace logratio::test
