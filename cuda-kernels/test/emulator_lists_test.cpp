// Sums over lists and sequences by a grid, and what keeps the users of a workspace apart, on the
// emulator.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "removed_barriers.h"
// The kernels, with barriers that can be missing.
#include "list_sum.cuh"
#include "offsets.cu"
#include "operations.h"
#include "sequence_logps.cu"
#include "step_tokens.cuh"
#undef __syncthreads
#undef __syncwarp

#include "every_barrier.h"
#include "support/tensor.h"

namespace logratio::test {
namespace {

using device::BlockScratch;
using device::kListThreads;
using device::launch;
using device::ListMemory;

// ---- Lists ----

// The sum of the values, and how many of them are negative; then the sum once more, which the first
// kernel's arrivals must not harm.
__global__ void sum_values(const double* values, int64_t count, ListMemory memory, double* out) {
  LR_SHARED(BlockScratch, scratch, 1);
  double sums[2];
  const bool finishes =
      device::sum_list(count, memory, scratch, sums, [&](int64_t k, double(&own)[2]) {
        own[0] += values[k];
        own[1] += values[k] < 0 ? 1 : 0;
      });
  if (finishes && threadIdx.x < 2)
    out[threadIdx.x] = sums[threadIdx.x];
}

struct List {
  std::vector<double> values;
  std::vector<double> partials;
  uint32_t arrivals = 0xffffffff;
  ListMemory memory;

  explicit List(int64_t count)
      : values(normal_values(count, 1e3, 5)),
        partials(static_cast<size_t>(device::kMaxListSums * device::parts_of(count)), NAN),
        memory{partials.data(), &arrivals} {
    device::prepare_list_sums(memory, count, nullptr);
  }
  std::vector<double> sum() {
    const auto count = static_cast<int64_t>(values.size());
    std::vector<double> out(2, NAN);
    launch(sum_values, device::grid_of(device::parts_of(count)), kListThreads, 0, nullptr,
           values.data(), count, memory, out.data());
    return out;
  }
};

TEST(EmulatorLists, AreSummedByParts) {
  for (int64_t count : {0, 1, 511, 512, 513, 2049, 300001}) {
    List list(count);
    double sum = 0, negative = 0, magnitude = 0;
    for (double value : list.values) {
      sum += value;
      magnitude += std::fabs(value);
      negative += value < 0 ? 1 : 0;
    }
    for (int time = 0; time < 2; ++time) {
      const std::vector<double> found = list.sum();
      EXPECT_NEAR(found[0], sum, 1e-13 * magnitude) << count;
      EXPECT_EQ(found[1], negative) << count;
    }
  }
}

// A part's sum is that of the part alone, whatever comes after it.
TEST(EmulatorLists, PartsDependOnTheirElementsAlone) {
  List longer(5 * device::kPartElements), first(device::kPartElements);
  longer.sum();
  EXPECT_EQ(longer.partials[0], first.sum()[0]);
}

// ---- The last block of a grid ----

__global__ void neighbours_by_the_last(int* written, uint32_t* arrivals, int* out) {
  LR_SHARED(BlockScratch, scratch, 1);
  const auto thread = static_cast<int>(threadIdx.x),
             first = static_cast<int>(blockIdx.x) * kListThreads;
  written[first + thread] = first + thread;
  if (!device::last_of_grid(arrivals, scratch))
    return;
  const auto all = static_cast<int>(gridDim.x) * kListThreads;
  for (int k = thread; k < all; k += kListThreads)
    out[k] = written[(k + 1) % all];
}

// ---- Sequences ----

struct Tokens {
  static constexpr int64_t kSequences = 4;

  device::StepSequences call{};
  Tensor mask, labels, reference, logps{D::f64, {kSequences}}, counts{D::f64, {kSequences}};
  std::vector<double> weights;
  std::vector<int64_t> candidates;
  std::vector<math::RowNorm> norms;
  std::vector<math::TokenFigures> figures;
  std::vector<math::SequenceFigures> parts, sequences;
  int64_t bad = 0;

  Tokens(const lr_sequence_options& options, int64_t tokens)
      : mask(D::f32, {kSequences, tokens}),
        labels(D::i32, {kSequences, tokens}),
        reference(D::f32, {kSequences, tokens}, normal_values(kSequences * tokens, 1, 3)) {
    const int64_t all = kSequences * tokens;
    for (int64_t k = 0; k < all; ++k) {
      mask.set(k, k % 7 == 0 || (k / tokens == 1 && k % tokens > tokens / 2)
                      ? 0
                      : .5 + static_cast<double>(k % 3));
      labels.set(k, k % 11 == 3 ? -100 : 1);
      norms.push_back({0, 0, std::sin(static_cast<double>(k))});
      figures.push_back({std::sin(static_cast<double>(k)), 1. / static_cast<double>(1 + k), 2,
                         static_cast<double>(k % 5), static_cast<double>(k % 2)});
    }
    const auto view = [&](const Tensor& t, op::ElementType type) {
      return op::TensorView{true, type, t.at(0), 1, t.size(), 0, 1};
    };
    call.shape = {options,
                  {view(mask, op::ElementType::f32), {view(labels, op::ElementType::i32), -100}},
                  device::cut_sequences({kSequences, tokens, nullptr}, all, device::kPartTokens)};
    weights.resize(static_cast<size_t>(all));
    candidates.resize(static_cast<size_t>(call.shape.cut.parts));
    parts.resize(static_cast<size_t>(call.shape.cut.parts));
    sequences.resize(kSequences);
    if (call.shape.has_tails())
      call.weights = weights.data();
    if (call.shape.has_tails() && !call.shape.cut.is_whole())
      call.candidates = candidates.data();
    if (!call.shape.cut.is_whole())
      call.of_parts = parts.data();
    call.norms = norms.data();
    call.figures = figures.data();
    call.reference_token_logps = view(reference, op::ElementType::f32);
    call.of = sequences.data();
    call.logps = view(logps, op::ElementType::f64);
    call.counts = view(counts, op::ElementType::f64);
    call.bad_values = &bad;
  }
  // Sums of every sequence's parts, and the weights; these once by few blocks that take several
  // parts each.
  std::string run() {
    std::string bits;
    if (call.shape.has_tails()) {
      device::launch_weights(call, nullptr);
      bits = bits_of(weights);
      launch(device::weigh_tokens, 2, kListThreads, 0, nullptr, call);
    }
    launch(device::step_tokens, device::grid_of(call.shape.cut.parts), kListThreads, 0, nullptr,
           call);
    return bits + bits_of(weights) + bits_of(candidates) + bits_of(parts) + bits_of(sequences);
  }
  template <class T>
  static std::string bits_of(const std::vector<T>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
  }
};

std::string reduce_sequences(const lr_sequence_options& options, int64_t tokens) {
  Tokens t(options, tokens);
  Tensor gradient(D::f64, {Tokens::kSequences, tokens}), upstream(D::f64, {Tokens::kSequences});
  upstream.fill(1.5);
  const auto view = [&](const Tensor& tensor, op::ElementType type) {
    return op::TensorView{true, type, tensor.at(0), 1, tensor.size(), 0, 1};
  };
  op::SequenceLogps call{};
  call.options = options;
  call.sequences = Tokens::kSequences;
  call.length = tokens;
  call.mask = {true, op::ElementType::f32, t.mask.at(0), Tokens::kSequences, tokens, tokens, 1};
  call.token_logps = view(t.reference, op::ElementType::f32);
  call.grad_logps = view(upstream, op::ElementType::f64);
  call.logps = t.call.logps;
  call.counts = t.call.counts;
  call.grad_token_logps = view(gradient, op::ElementType::f64);
  alignas(256) static char memory[256];
  device::Execution execution{0, nullptr, memory, sizeof memory, nullptr, ""};
  EXPECT_EQ(device::sequence_logps(&execution, &call), LR_OK) << execution.error;
  return t.logps.bits() + t.counts.bits() + gradient.bits();
}

constexpr lr_sequence_options kPlain{LR_SUM, LR_ALIGN_COMPLETION, 1, 1},
    kTails{LR_MEAN, LR_ALIGN_COMPLETION, .5, .75}, kColumns{LR_MEAN, LR_ALIGN_ABSOLUTE, .5, .75};

// Parts change the order of sums, and no weight.
TEST(EmulatorLists, TokensWeighTheSameInPartsAndInOne) {
  for (const lr_sequence_options& options : {kTails, kColumns}) {
    Tokens cut(options, 1100), whole(options, 1100);
    EXPECT_EQ(cut.call.shape.cut.parts_each, 3);
    whole.call.shape.cut = device::cut_sequences(whole.call.shape.cut.spans,
                                                 Tokens::kSequences * 1100, device::kWhole);
    EXPECT_EQ(whole.call.shape.cut.parts, Tokens::kSequences);
    whole.call.candidates = nullptr;
    cut.run();
    device::launch_weights(whole.call, nullptr);
    EXPECT_EQ(cut.weights, whole.weights);
  }
}

// Every token is in one part, which begins at a place that its sequence alone decides.
TEST(EmulatorLists, PartsCoverSequences) {
  const std::vector<int64_t> offsets{0, 0, 3, 515, 515, 1540, 1541, 2565, 2565};
  const auto sequences = static_cast<int64_t>(offsets.size()) - 1;
  for (const math::SequenceSpans& spans :
       {math::SequenceSpans{sequences, math::kPacked, offsets.data()},
        math::SequenceSpans{5, 513, nullptr}, math::SequenceSpans{5, 512, nullptr}}) {
    const int64_t tokens = spans.end(spans.count - 1);
    for (int64_t each : {int64_t{1}, int64_t{7}, device::kPartTokens, device::kWhole}) {
      const device::Cut cut = device::cut_sequences(spans, tokens, each);
      std::vector<int> seen(static_cast<size_t>(tokens));
      for (int64_t p = 0; p < cut.parts; ++p) {
        const device::Part part(cut, p);
        EXPECT_EQ(part.begin % each,
                  part.begin == spans.size(part.sequence) ? part.begin % each : 0);
        EXPECT_LE(part.end, spans.size(part.sequence));
        for (int64_t t = part.begin; t < part.end; ++t)
          ++seen[static_cast<size_t>(spans.begin(part.sequence) + t)];
      }
      EXPECT_EQ(seen, std::vector<int>(seen.size(), 1)) << each;
      EXPECT_EQ(cut.first_part(spans.count), cut.parts);
    }
  }
}

TEST(EmulatorLists, AMissingBarrierShows) {
  expect_every_barrier_needed(5, [](std::string* failure) {
    std::string bits;
    try {
      List list(1200);
      bits += Tokens::bits_of(list.sum()) + Tokens::bits_of(list.sum());
      for (unsigned blocks : {1u, 3u}) {
        std::vector<int> written(blocks * kListThreads, -1), out(blocks * kListThreads, -1);
        uint32_t arrivals = 0;
        launch(neighbours_by_the_last, blocks, kListThreads, 0, nullptr, written.data(), &arrivals,
               out.data());
        bits += Tokens::bits_of(out);
      }
      for (const lr_sequence_options& options : {kPlain, kTails, kColumns}) {
        for (int64_t tokens : {300, 700})
          bits += Tokens(options, tokens).run();
        bits += reduce_sequences(options, 300);
      }
    } catch (const std::runtime_error& error) {
      *failure += error.what();
    }
    return bits;
  });
}

// ---- Counts ----

TEST(EmulatorLists, BadWeightsAreCountedAtOnce) {
  Tokens t(kTails, 1100);
  t.mask.fill(-1);
  const uint64_t before = emulator::counts;
  t.run();
  EXPECT_EQ(t.bad, 4400);
  EXPECT_EQ(emulator::counts - before, 12u);  // a block each part
}

// ---- Workspaces ----

device::Execution on(uintptr_t stream, uintptr_t workspace) {
  return {0, reinterpret_cast<void*>(stream), reinterpret_cast<void*>(workspace), 256, nullptr, ""};
}

TEST(EmulatorWorkspace, AStreamWaitsForTheOneBefore) {
  const auto waits_of = [](uintptr_t stream, uintptr_t workspace) {
    const uint64_t before = emulator::waits;
    const device::WorkspaceUse use(on(stream, workspace));
    return emulator::waits - before;
  };
  EXPECT_EQ(waits_of(1, 0x1000), 0u);
  EXPECT_EQ(waits_of(1, 0x1000), 0u);
  EXPECT_EQ(waits_of(2, 0x2000), 0u);
  EXPECT_EQ(waits_of(2, 0x1000), 1u);
  EXPECT_EQ(waits_of(2, 0x1000), 0u);
  emulator::capturing = true;
  EXPECT_EQ(waits_of(3, 0x1000), 0u);
  emulator::capturing = false;
  EXPECT_EQ(waits_of(2, 0x1000), 0u);  // what was captured has not run
  EXPECT_EQ(waits_of(3, 0x1000), 1u);
  for (uintptr_t k = 1; k <= 100; ++k)  // more workspaces than are remembered
    EXPECT_EQ(waits_of(k, 0x100000 * k), 0u);
  EXPECT_EQ(waits_of(4, 0x1000), 0u) << "forgotten";
  EXPECT_EQ(waits_of(7, 0x100000 * 100), 1u);
}

TEST(EmulatorWorkspace, TwoCallsAtOnceAreRefused) {
  {
    const device::WorkspaceUse use(on(1, 0x1000));
    const device::WorkspaceUse other(on(1, 0x2000));
    try {
      const device::WorkspaceUse again(on(1, 0x1000));
      ADD_FAILURE();
    } catch (const device::Failure& failure) {
      EXPECT_EQ(failure.status(), LR_INVALID_ARGUMENT);
      EXPECT_STREQ(failure.what(),
                   "cuda.workspace is in use by another call at this moment: calls that several "
                   "threads make at once need a workspace each");
    }
  }
  const device::WorkspaceUse use(on(1, 0x1000));
}

}  // namespace
}  // namespace logratio::test
