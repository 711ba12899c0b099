// Every wrong argument: its status, a text that names it, and outputs that were left alone.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "support/tensor.h"

namespace logratio::test {
namespace {

using testing::AssertionResult;

constexpr double kUntouched = 77;

// Tensors for one valid call of each operation, and a set of arguments to spoil.
struct Bench {
  Tensor logits{D::f32, {4, 3, 5}}, labels{D::i64, {4, 3}}, mask{D::boolean, {4, 3}},
      tokens{D::f32, {4, 3}}, sequences{D::f32, {4}}, pairs{D::f32, {2}};
  Tensor lse{D::f64, {4, 3}}, entropy{D::f64, {4, 3}}, out_tokens{D::f32, {4, 3}},
      out_sequences{D::f32, {4}}, out_counts{D::f32, {4}}, gradient{D::f32, {4, 3, 5}};
  Tensor pc{D::f32, {2}}, pr{D::f32, {2}}, rc{D::f32, {2}}, rr{D::f32, {2}}, count{D::i32, {2}},
      loss{D::f32, {2}}, out_pair{D::f32, {2}}, parameter{D::f32, {1}};
  lr_loss_options options = loss_options("dlrml");
  lr_step_metrics metrics{};
  char text[256];

  lr_token_logprobs_args forward = make_args<lr_token_logprobs_args>();
  lr_token_logprobs_backward_args backward = make_args<lr_token_logprobs_backward_args>();
  lr_sequence_logps_args sequence = make_args<lr_sequence_logps_args>();
  lr_pair_loss_args pair = make_args<lr_pair_loss_args>();
  lr_preference_step_args step = make_args<lr_preference_step_args>();

  Bench() {
    mask.fill(1);
    for (Tensor* output : outputs())
      output->fill(kUntouched);
    metrics.loss = kUntouched;
    forward.logits = backward.logits = step.logits = logits;
    forward.labels = backward.labels = step.labels = labels;
    forward.options = backward.options = step.token_options = default_token_options();
    sequence.options = step.sequence_options = default_sequence_options();
    forward.logp = out_tokens;
    backward.lse = lse;
    backward.entropy = entropy;
    backward.grad_logp = tokens;
    backward.grad_entropy = tokens;
    backward.grad_logits = step.grad_logits = gradient;
    sequence.token_logps = step.reference_token_logps = tokens;
    sequence.mask = step.mask = mask;
    sequence.grad_logps = sequences;
    sequence.logps = step.logps = out_sequences;
    sequence.counts = step.counts = out_counts;
    sequence.grad_token_logps = out_tokens;
    pair.loss_options = step.loss_options = &options;
    pair.policy_chosen = pc;
    pair.policy_rejected = pr;
    pair.reference_chosen = rc;
    pair.reference_rejected = rr;
    pair.chosen_counts = count;
    pair.rejected_counts = count;
    pair.grad_loss = pairs;
    pair.loss = step.losses = loss;
    pair.grad_policy_chosen = out_pair;
    pair.grad_tau = parameter;
    step.metrics = &metrics;
  }
  std::vector<Tensor*> outputs() {
    return {&out_tokens, &out_sequences, &out_counts, &gradient, &loss, &out_pair, &parameter};
  }
};

template <class Args>
AssertionResult fails(Bench& bench, lr_status (*call)(const Args*), Args args, lr_status expected,
                      const std::string& text) {
  args.error = bench.text;
  args.error_capacity = sizeof bench.text;
  const lr_status status = call(&args);
  if (status != expected)
    return testing::AssertionFailure()
           << "status " << status << ": " << bench.text << "; expected: " << text;
  if (text != bench.text)
    return testing::AssertionFailure() << "\"" << bench.text << "\", expected \"" << text << "\"";
  if (text != lr_last_error())
    return testing::AssertionFailure() << "lr_last_error() is \"" << lr_last_error() << "\"";
  for (Tensor* output : bench.outputs()) {
    for (double value : output->values()) {
      if (value != kUntouched)
        return testing::AssertionFailure() << "an output was written";
    }
  }
  if (bench.metrics.loss != kUntouched)
    return testing::AssertionFailure() << "the metrics were written";
  return testing::AssertionSuccess();
}

#define EXPECT_INVALID(call, args, text) \
  EXPECT_TRUE(fails(b, call, args, LR_INVALID_ARGUMENT, text))

TEST(Abi, TheValidCallsAreValid) {
  Bench b;
  EXPECT_EQ(lr_token_logprobs(&b.forward), LR_OK) << lr_last_error();
  EXPECT_EQ(lr_token_logprobs_backward(&b.backward), LR_OK) << lr_last_error();
  EXPECT_EQ(lr_sequence_logps(&b.sequence), LR_OK) << lr_last_error();
  EXPECT_EQ(lr_pair_loss(&b.pair), LR_OK) << lr_last_error();
  EXPECT_EQ(lr_preference_step(&b.step), LR_OK) << lr_last_error();
  EXPECT_STREQ(lr_last_error(), "");
}

TEST(Abi, StructSize) {
  Bench b;
  EXPECT_EQ(lr_pair_loss(nullptr), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(), "args is NULL, expected lr_pair_loss_args");
  lr_pair_loss_args short_args = b.pair;
  short_args.size = 8;
  EXPECT_EQ(lr_pair_loss(&short_args), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(
      lr_last_error(),
      "size of lr_pair_loss_args is 8, expected at least 208: set it to sizeof(lr_pair_loss_args)");

  struct Newer {
    lr_pair_loss_args known;
    const DLTensor* unknown;
  } newer{b.pair, nullptr};
  newer.known.size = sizeof newer;
  EXPECT_EQ(lr_pair_loss(&newer.known), LR_OK) << lr_last_error();
  newer.unknown = b.pair.loss;
  EXPECT_EQ(lr_pair_loss(&newer.known), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(),
               "size of lr_pair_loss_args is 224 with fields that this library (ABI 1, 216 bytes) "
               "does not know; compare lr_abi_version()");
}

TEST(Abi, StructSizeBeyondAnyRelease) {
  Bench b;
  char text[] = "untouched";
  const auto expect = [&](uint64_t size) {
    lr_pair_loss_args args = b.pair;
    args.size = size;
    args.error = text;  // of a struct that holds anything, this would point anywhere
    args.error_capacity = sizeof text;
    EXPECT_EQ(lr_pair_loss(&args), LR_INVALID_ARGUMENT);
    EXPECT_EQ(lr_last_error(), "size of lr_pair_loss_args is " + std::to_string(size) +
                                   ", expected at most 4096: set it to sizeof(lr_pair_loss_args)");
    EXPECT_STREQ(text, "untouched");
  };
  expect(4097);
  expect(uint64_t{1} << 40);
  expect(std::numeric_limits<uint64_t>::max());
  std::vector<uint64_t> longest(4096 / 8);
  std::memcpy(longest.data(), &b.pair, sizeof b.pair);
  longest[0] = 4096;
  EXPECT_EQ(lr_pair_loss(reinterpret_cast<const lr_pair_loss_args*>(longest.data())), LR_OK)
      << lr_last_error();
  lr_device_info info{};
  info.size = 4104;
  EXPECT_EQ(lr_device(kDLCUDA, 0, &info), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(
      lr_last_error(),
      "size of lr_device_info is 4104, expected at most 4096: set it to sizeof(lr_device_info)");
}

TEST(Abi, ErrorBufferIsCutAndCleared) {
  Bench b;
  char small[8] = "xxxxxxx";
  b.pair.error = small;
  b.pair.error_capacity = sizeof small;
  b.pair.policy_chosen = nullptr;
  EXPECT_EQ(lr_pair_loss(&b.pair), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(small, "policy_");
  EXPECT_STREQ(lr_last_error(), "policy_chosen is missing, expected float [P]");
  b.pair.policy_chosen = b.pc;
  EXPECT_EQ(lr_pair_loss(&b.pair), LR_OK);
  EXPECT_STREQ(small, "");
  b.pair.policy_chosen = nullptr;
  b.pair.error_capacity = 0;
  EXPECT_EQ(lr_pair_loss(&b.pair), LR_INVALID_ARGUMENT);
}

TEST(Abi, RequiredTensors) {
  Bench b;
  auto f = b.forward;
  f.logits = nullptr;
  EXPECT_INVALID(lr_token_logprobs, f, "logits is missing, expected float [N,V] or [B,T,V]");
  f = b.forward;
  f.labels = nullptr;
  EXPECT_INVALID(lr_token_logprobs, f,
                 "labels is missing, expected int [N], [B,T], [N,K] or [B,T,K]");
  auto w = b.backward;
  w.lse = nullptr;
  EXPECT_INVALID(lr_token_logprobs_backward, w, "lse is missing, expected float [N] or [B,T]");
  w = b.backward;
  w.entropy = nullptr;
  EXPECT_INVALID(lr_token_logprobs_backward, w,
                 "entropy is missing, expected float [N] or [B,T], as grad_entropy is given");
  w = b.backward;
  w.grad_logp = w.grad_entropy = nullptr;
  EXPECT_INVALID(lr_token_logprobs_backward, w,
                 "grad_logp, grad_entropy, grad_lse and grad_tail are missing, expected at least "
                 "one of them");
  w = b.backward;
  w.grad_logits = nullptr;
  EXPECT_INVALID(lr_token_logprobs_backward, w,
                 "grad_logits is missing, expected the shape and dtype of logits");
  auto s = b.sequence;
  s.mask = nullptr;
  EXPECT_INVALID(lr_sequence_logps, s,
                 "mask is missing, expected BOOL, U8, I64, I32 or F32 [B,T] or [N]");
  s = b.sequence;
  s.token_logps = nullptr;
  EXPECT_INVALID(lr_sequence_logps, s,
                 "token_logps is missing, expected float [B,T] or [N], as logps is wanted");
  s = b.sequence;
  s.grad_logps = nullptr;
  EXPECT_INVALID(lr_sequence_logps, s,
                 "grad_logps is missing, expected float [B], as grad_token_logps is given");
  auto p = b.pair;
  p.reference_rejected = nullptr;
  EXPECT_INVALID(lr_pair_loss, p,
                 "reference_rejected is missing, expected float [P], as reference_chosen is given");
  p = b.pair;
  p.chosen_counts = nullptr;
  EXPECT_INVALID(
      lr_pair_loss, p,
      "chosen_counts is missing, expected float or int [P], as rejected_counts is given");
  p = b.pair;
  p.loss_options = nullptr;
  EXPECT_INVALID(lr_pair_loss, p, "loss_options is NULL, and it is required");
  p = b.pair;
  p.reference_chosen = p.reference_rejected = nullptr;
  p.grad_reference_rejected = b.out_pair;
  EXPECT_INVALID(lr_pair_loss, p,
                 "grad_reference_rejected is wanted, expected a reference with it");
  auto t = b.step;
  t.reference_logps = b.sequences;
  EXPECT_INVALID(lr_preference_step, t,
                 "reference_logps and reference_token_logps are both given, expected one of them");
}

TEST(Abi, Shapes) {
  Bench b;
  Tensor seven(D::i64, {7}), flat(D::f32, {8, 5}), vector(D::f32, {5}), empty(D::f32, {4, 3, 0}),
      odd(D::f32, {3, 3, 5}), odd_labels(D::i64, {3, 3});
  auto f = b.forward;
  f.logits = flat;
  f.labels = seven;
  EXPECT_INVALID(lr_token_logprobs, f,
                 "labels is I64 [7], expected shape [8], as logits is F32 [8, 5]");
  f.logits = vector;
  EXPECT_INVALID(lr_token_logprobs, f, "logits is F32 [5], expected shape [N,V] or [B,T,V]");
  f.logits = empty;
  EXPECT_INVALID(lr_token_logprobs, f,
                 "logits is F32 [4, 3, 0], expected a vocabulary of at least 1");
  f = b.forward;
  f.entropy = b.sequences;
  EXPECT_INVALID(lr_token_logprobs, f,
                 "entropy is F32 [4], expected shape [4, 3], as labels is I64 [4, 3]");
  auto w = b.backward;
  w.grad_logits = flat;
  EXPECT_INVALID(lr_token_logprobs_backward, w,
                 "grad_logits is F32 [8, 5], expected F32 [4, 3, 5], as logits");
  auto s = b.sequence;
  s.mask = seven;
  EXPECT_INVALID(lr_sequence_logps, s,
                 "mask is I64 [7], expected shape [B,T], or cu_seqlens with [N]");
  s = b.sequence;
  s.counts = b.out_pair;
  EXPECT_INVALID(lr_sequence_logps, s,
                 "counts is F32 [2], expected shape [4], as grad_logps is F32 [4]");
  auto p = b.pair;
  p.policy_rejected = b.sequences;
  EXPECT_INVALID(lr_pair_loss, p,
                 "policy_rejected is F32 [4], expected shape [2], as policy_chosen is F32 [2]");
  p = b.pair;
  p.grad_tau = b.out_pair;
  EXPECT_INVALID(lr_pair_loss, p,
                 "grad_tau is F32 [2], expected shape [1], as tau is not given as a tensor");
  auto t = b.step;
  t.logits = odd;
  t.labels = odd_labels;
  EXPECT_INVALID(
      lr_preference_step, t,
      "logits is F32 [3, 3, 5], expected an even first dimension, chosen before rejected");
  t.logits = flat;
  EXPECT_INVALID(lr_preference_step, t,
                 "logits is F32 [8, 5], expected shape [2P,T,V], or cu_seqlens with [N,V]");
  t = b.step;
  t.losses = b.out_sequences;
  EXPECT_INVALID(lr_preference_step, t,
                 "losses is F32 [4], expected shape [2], as logits is F32 [4, 3, 5]");
  Tensor odd_mask(D::boolean, {3, 3});
  s = make_args<lr_sequence_logps_args>();
  s.mask = odd_mask;
  s.options = {LR_SUM, LR_ALIGN_COMPLETION, .5, 1};
  EXPECT_INVALID(
      lr_sequence_logps, s,
      "mask is BOOL [3, 3], expected an even number of sequences as tail_weight is below 1");
}

TEST(Abi, Types) {
  Bench b;
  Tensor doubles(D::f64, {4, 3, 5}), float_labels(D::f32, {4, 3}), half(D::f16, {4, 3, 5}),
      half_mask(D::f16, {4, 3});
  auto f = b.forward;
  f.logits = doubles;
  EXPECT_INVALID(lr_token_logprobs, f, "logits is F64 [4, 3, 5], expected F32, BF16 or F16");
  f = b.forward;
  f.labels = float_labels;
  EXPECT_INVALID(lr_token_logprobs, f, "labels is F32 [4, 3], expected I64 or I32");
  f = b.forward;
  f.argmax = b.out_tokens;
  EXPECT_INVALID(lr_token_logprobs, f, "argmax is F32 [4, 3], expected I64 or I32");
  auto w = b.backward;
  w.grad_logits = half;
  EXPECT_INVALID(lr_token_logprobs_backward, w,
                 "grad_logits is F16 [4, 3, 5], expected F32 [4, 3, 5], as logits");
  auto t = b.step;
  t.mask = half_mask;
  EXPECT_INVALID(lr_preference_step, t, "mask is F16 [4, 3], expected BOOL, U8, I64, I32 or F32");
  auto p = b.pair;
  DLTensor lanes = *p.policy_chosen;
  lanes.dtype.lanes = 4;
  p.policy_chosen = &lanes;
  EXPECT_INVALID(lr_pair_loss, p, "policy_chosen is F32x4 [2], expected F64, F32, BF16 or F16");
  lanes.dtype = {9, 8, 1};
  EXPECT_INVALID(lr_pair_loss, p,
                 "policy_chosen is type code 9 of 8 bits [2], expected F64, F32, BF16 or F16");
}

TEST(Abi, MemoryAndDevice) {
  Bench b;
  auto f = b.forward;
  DLTensor logits = *f.logits;
  f.logits = &logits;
  logits.data = nullptr;
  EXPECT_INVALID(lr_token_logprobs, f, "logits is F32 [4, 3, 5] with NULL data");
  logits.byte_offset = 64;
  EXPECT_INVALID(lr_token_logprobs, f, "logits is F32 [4, 3, 5] with NULL data");
  logits = *b.forward.logits;
  logits.byte_offset = 2;
  EXPECT_INVALID(
      lr_token_logprobs, f,
      "logits is F32 [4, 3, 5] at an address that is no multiple of its element's bytes");
  logits = *b.forward.logits;
  int64_t strides[] = {30, 10, 2}, shape[] = {4, -1, 5},
          far[] = {std::numeric_limits<int64_t>::max() / 2, 5, 1};
  logits.strides = strides;
  EXPECT_INVALID(
      lr_token_logprobs, f,
      "logits is F32 [4, 3, 5], expected a contiguous last dimension, not a stride of 2");
  logits.strides = far;
  EXPECT_INVALID(lr_token_logprobs, f,
                 "logits is F32 [4, 3, 5] that reaches further than 64-bit addresses do");
  logits = *b.forward.logits;
  logits.shape = shape;
  EXPECT_INVALID(lr_token_logprobs, f, "logits is F32 [4, -1, 5], expected sizes >= 0");
  logits.shape = nullptr;
  EXPECT_INVALID(lr_token_logprobs, f,
                 "logits is F32 of rank 3 without a shape, expected sizes >= 0");
  logits = *b.forward.logits;
  logits.device = {kDLCUDA, 1};
  EXPECT_INVALID(lr_token_logprobs, f,
                 "labels is I64 [4, 3], expected CUDA 1, as logits is F32 [4, 3, 5] on CUDA 1");
  const int32_t other_device = 8;
  std::memcpy(&logits.device.device_type, &other_device, sizeof other_device);
  EXPECT_INVALID(lr_token_logprobs, f,
                 "logits is F32 [4, 3, 5] on a device of DLPack type 8, expected host memory or a "
                 "CUDA device");
  logits.device = {kDLCUDAHost, 0};
  EXPECT_EQ(lr_token_logprobs(&f), LR_OK) << lr_last_error();
}

TEST(Abi, Overlap) {
  Bench b;
  auto f = b.forward;
  f.lse = f.logp;
  EXPECT_INVALID(lr_token_logprobs, f,
                 "logp F32 [4, 3] overlaps lse F32 [4, 3], expected memory of its own");
  auto p = b.pair;
  p.loss = p.policy_rejected;
  EXPECT_EQ(lr_pair_loss(&p), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(),
               "loss F32 [2] overlaps policy_rejected F32 [2], expected memory of its own");

  Tensor wide(D::f32, {4, 4, 5});
  wide.fill(kUntouched);
  Tensor first = wide.slice(1, 0, 3), second = wide.slice(1, 1, 4);
  auto w = b.backward;
  w.logits = first;
  w.grad_logits = second;
  EXPECT_INVALID(lr_token_logprobs_backward, w,
                 "grad_logits F32 [4, 3, 5] overlaps logits F32 [4, 3, 5], expected exactly that "
                 "tensor or memory of its own");
  // The two halves of every sequence interleave in memory without sharing any.
  Tensor halves(D::f32, {4, 6, 5});
  Tensor left = halves.slice(1, 0, 3), right = halves.slice(1, 3, 6);
  w.logits = left;
  w.grad_logits = right;
  EXPECT_EQ(lr_token_logprobs_backward(&w), LR_OK) << lr_last_error();

  DLTensor broadcast = *b.pair.loss;
  int64_t zero[] = {0};
  broadcast.strides = zero;
  p = b.pair;
  p.policy_rejected = &broadcast;  // as an input it is fine
  p.loss = nullptr;
  EXPECT_EQ(lr_pair_loss(&p), LR_OK) << lr_last_error();
  p = b.pair;
  p.loss = &broadcast;
  EXPECT_EQ(lr_pair_loss(&p), LR_INVALID_ARGUMENT);
  EXPECT_STREQ(lr_last_error(),
               "loss is F32 [2] with elements that share memory, expected memory for each element");
}

TEST(Abi, ReversedStridesAreOrdinary) {
  Bench b;
  for (int k = 0; k < 2; ++k)
    b.pc.set(k, k + 1);
  DLTensor reversed = *b.pair.policy_chosen;
  int64_t minus[] = {-1};
  reversed.strides = minus;
  reversed.byte_offset = 4;
  b.pair.policy_chosen = &reversed;
  Tensor rewards(D::f64, {2});
  b.pair.chosen_rewards = rewards;
  ASSERT_EQ(lr_pair_loss(&b.pair), LR_OK) << lr_last_error();
  EXPECT_EQ(rewards.values(), (std::vector<double>{.1, .05}));
}

std::string text_of(double bad) { return std::isnan(bad) ? "NaN" : bad > 0 ? "Infinity" : "-0.5"; }

TEST(Abi, Values) {
  Bench b;
  b.labels.set(7, 5);
  const char* text = "labels[2, 1] is 5, expected a number in [0,5) or the ignore_index -100";
  EXPECT_INVALID(lr_token_logprobs, b.forward, text);
  EXPECT_INVALID(lr_token_logprobs_backward, b.backward, text);
  EXPECT_INVALID(lr_preference_step, b.step, text);
  b.labels.set(7, -1);
  EXPECT_INVALID(lr_token_logprobs, b.forward,
                 "labels[2, 1] is -1, expected a number in [0,5) or the ignore_index -100");
  b.labels.set(7, -100);
  for (double bad : std::vector<double>{-.5, INFINITY, NAN}) {
    Tensor weights(D::f32, {4, 3});
    weights.set(5, bad);
    auto s = b.sequence;
    s.mask = weights;
    EXPECT_INVALID(lr_sequence_logps, s,
                   "mask[1, 2] is " + text_of(bad) + ", expected a finite number >= 0");
    auto t = b.step;
    t.mask = weights;
    EXPECT_INVALID(lr_preference_step, t,
                   "mask[1, 2] is " + text_of(bad) + ", expected a finite number >= 0");
  }
}

TEST(Abi, LabelsBesideTheMaskAreNotRead) {
  Bench b;
  b.labels.set(7, 5);
  b.mask.set(7, 0);
  EXPECT_EQ(lr_preference_step(&b.step), LR_OK) << lr_last_error();
}

TEST(Abi, TokenAndSequenceOptions) {
  Bench b;
  for (const auto& [temperature, text] :
       {std::pair{0.0, "0.0"}, std::pair{-1.0, "-1.0"}, std::pair{double{INFINITY}, "Infinity"}}) {
    auto f = b.forward;
    f.options.temperature = temperature;
    EXPECT_INVALID(lr_token_logprobs, f,
                   std::string("temperature is ") + text + ", expected a finite number > 0");
  }
  auto w = b.backward;
  w.options.softcap = -2;
  EXPECT_INVALID(lr_token_logprobs_backward, w, "softcap is -2.0, expected a finite number >= 0");
  const auto sequence = [&](lr_sequence_options options, const std::string& text) {
    auto s = b.sequence;
    s.options = options;
    EXPECT_INVALID(lr_sequence_logps, s, text);
    auto t = b.step;
    t.sequence_options = options;
    EXPECT_INVALID(lr_preference_step, t, text);
  };
  sequence({2, 0, 1, 1}, "reduction is 2, expected LR_SUM or LR_MEAN");
  sequence({0, -1, 1, 1}, "align is -1, expected LR_ALIGN_COMPLETION or LR_ALIGN_ABSOLUTE");
  sequence({0, 0, 1.5, 1}, "tail_weight is 1.5, expected a number in [0,1]");
  sequence({0, 0, .5, 0}, "keep_fraction is 0.0, expected a number in (0,1]");
  sequence({0, 0, 1, .5}, "keep_fraction is 0.5, expected 1 unless tail_weight is below 1");
}

TEST(Abi, LossOptions) {
  Bench b;
  const auto expect = [&](const lr_loss_options& options, const std::string& text) {
    auto p = b.pair;
    p.loss_options = &options;
    p.grad_tau = nullptr;
    EXPECT_INVALID(lr_pair_loss, p, text);
    auto t = b.step;
    t.loss_options = &options;
    EXPECT_INVALID(lr_preference_step, t, text);
  };
  expect(lr_loss_options{},
         "size of lr_loss_options is 0, expected 128: set it to sizeof(lr_loss_options) before "
         "lr_loss_init, and compare "
         "lr_abi_version()");
  lr_loss_options nameless{};
  nameless.size = sizeof nameless;
  expect(nameless, "loss is number 0, which does not exist: fill loss_options with lr_loss_init");
  const auto changed = [](const char* name, const std::function<void(lr_loss_options&)>& change) {
    lr_loss_options options = loss_options(name);
    change(options);
    return options;
  };
  expect(changed("dlrml", [](auto& o) { o.beta = .1; }),
         "beta is 0.1, and the loss dlrml has no such option: leave it as lr_loss_init sets it");
  expect(changed("dlrml", [](auto& o) { o.variant = 1; }),
         "variant is 1, and the loss dlrml has no such option: leave it as lr_loss_init sets it");
  expect(changed("sigmoid", [](auto& o) { o.tau = .1; }),
         "tau is 0.1, and the loss sigmoid has no such option: leave it as lr_loss_init sets it");
  expect(changed("sigmoid", [](auto& o) { o.guard = 2; }),
         "guard is 2, and the loss sigmoid has no such option: leave it as lr_loss_init sets it");
  expect(
      changed("discopop", [](auto& o) { o.label_smoothing = 0; }),
      "label_smoothing is 0.0, and the loss discopop has no such option: leave it as lr_loss_init "
      "sets it");
  expect(changed("dlrml", [](auto& o) { o.beta_kl = 0; }),
         "beta_kl is 0.0, expected a finite number > 0");
  expect(changed("dlrml", [](auto& o) { o.beta_mix = INFINITY; }),
         "beta_mix is Infinity, expected a finite number");
  expect(changed("dlrml", [](auto& o) { o.tau = NAN; }),
         "tau is NaN, expected a finite number > 0");
  expect(changed("sigmoid", [](auto& o) { o.label_smoothing = .5; }),
         "label_smoothing is 0.5, expected a number in [0,0.5)");
  expect(changed("sigmoid", [](auto& o) { o.beta = -.1; }),
         "beta is -0.1, expected a finite number > 0");
  expect(changed("dlrml", [](auto& o) { o.guard = 3; }), "guard is 3, expected 0 to 2");
  expect(changed("dlrml", [](auto& o) { o.f_divergence = -1; }),
         "f_divergence is -1, expected 0 to 3");
  expect(changed("discopop", [](auto& o) { o.variant = 2; }), "variant is 2, expected 0 to 1");

  auto p = b.pair;
  p.grad_beta = b.parameter;
  EXPECT_INVALID(lr_pair_loss, p,
                 "grad_beta is wanted, expected a loss with the option beta, not dlrml");
  const lr_loss_options sigmoid = loss_options("sigmoid");
  p = b.pair;
  p.loss_options = &sigmoid;
  EXPECT_INVALID(lr_pair_loss, p,
                 "grad_tau is wanted, expected a loss with the option tau, not sigmoid");
}

TEST(Abi, LossInit) {
  lr_loss_options options{};
  EXPECT_EQ(lr_loss_init("dlrml", &options), LR_INVALID_ARGUMENT);  // no size
  options.size = sizeof options;
  EXPECT_EQ(lr_loss_init("dppo", &options), LR_INVALID_ARGUMENT);
  const std::string unknown = lr_last_error();
  EXPECT_TRUE(unknown.starts_with("loss is \"dppo\", expected dlrml, discopop, ")) << unknown;
  EXPECT_TRUE(unknown.ends_with(" or sft")) << unknown;
  EXPECT_EQ(lr_loss_init(nullptr, &options), LR_INVALID_ARGUMENT);
  EXPECT_EQ(lr_loss_init("dlrml", nullptr), LR_INVALID_ARGUMENT);
  options = loss_options("dlrml");
  EXPECT_EQ(options.beta_kl, .05);
  EXPECT_EQ(options.beta_mix, .2);
  EXPECT_EQ(options.tau, .05);
  EXPECT_EQ(options.f_alpha, .5);
  EXPECT_TRUE(std::isnan(options.beta) && std::isnan(options.label_smoothing));
  options = loss_options("discopop");
  EXPECT_EQ(options.beta, .05);
  EXPECT_EQ(options.tau, .05);
  EXPECT_TRUE(std::isnan(options.beta_kl) && std::isnan(options.beta_mix) &&
              std::isnan(options.label_smoothing));
  EXPECT_EQ(loss_options("lrml").loss, options.loss);
  options = loss_options("sigmoid");
  EXPECT_EQ(options.beta, .1);
  EXPECT_EQ(options.label_smoothing, 0);
  EXPECT_TRUE(std::isnan(options.tau));
}

TEST(Abi, Library) {
  EXPECT_EQ(lr_abi_version(), static_cast<uint32_t>(LR_ABI_VERSION));
  EXPECT_STREQ(lr_version(), LR_VERSION);
  ASSERT_NE(lr_cpu_instruction_set(), nullptr);
  const int32_t threads = lr_threads();
  EXPECT_GE(threads, 1);
  for (int32_t bad : {0, -1, 1025}) {
    EXPECT_EQ(lr_set_threads(bad), LR_INVALID_ARGUMENT);
    EXPECT_EQ(lr_last_error(), "threads is " + std::to_string(bad) + ", expected 1 to 1024");
  }
  EXPECT_EQ(lr_threads(), threads);
}

TEST(Abi, BandwidthProbe) {
  std::vector<float> source(1 << 18, 3), destination(1 << 18);
  const uint64_t bytes = source.size() * sizeof(float);
  double seconds = -1;
  EXPECT_EQ(lr_bandwidth_probe(LR_BANDWIDTH_READ, source.data(), nullptr, bytes, &seconds), LR_OK)
      << lr_last_error();
  EXPECT_GT(seconds, 0);
  EXPECT_EQ(
      lr_bandwidth_probe(LR_BANDWIDTH_COPY, source.data(), destination.data(), bytes, &seconds),
      LR_OK)
      << lr_last_error();
  EXPECT_EQ(source, destination);
  EXPECT_EQ(lr_bandwidth_probe(LR_BANDWIDTH_UPDATE, source.data(), nullptr, bytes, &seconds), LR_OK)
      << lr_last_error();
  EXPECT_EQ(source, destination);  // the same values

  const auto invalid = [&](int kind, void* from, void* to, double* result, const char* text) {
    EXPECT_EQ(lr_bandwidth_probe(kind, from, to, bytes, result), LR_INVALID_ARGUMENT);
    EXPECT_STREQ(lr_last_error(), text);
  };
  invalid(3, source.data(), nullptr, &seconds,
          "kind is 3, expected LR_BANDWIDTH_READ, LR_BANDWIDTH_COPY or LR_BANDWIDTH_UPDATE");
  invalid(0, nullptr, nullptr, &seconds, "source is NULL, and it is required");
  invalid(0, source.data(), nullptr, nullptr, "seconds is NULL, and it is required");
  invalid(1, source.data(), nullptr, &seconds, "destination is NULL, and a copy requires it");
  invalid(1, source.data(), source.data() + 4, &seconds,
          "destination shares memory with source, expected separate memory");
}

}  // namespace
}  // namespace logratio::test
