// The emulator itself: what meets at a barrier, a shuffle or a vote, what it says of kernels that
// are wrong, and that no plan of threads hides a barrier that is missing in a kernel of ours.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "removed_barriers.h"
// The kernels, with barriers that can be missing.
#include "token_logprobs.cu"
#undef __syncthreads
#undef __syncwarp

#include "every_barrier.h"
#include "kept_rows.cu"
#include "plain_rows.cuh"
#include "support/tensor.h"

namespace logratio::test {
namespace {

using device::launch;

template <class... Parameters, class... Arguments>
std::string failure_of(void (*kernel)(Parameters...), dim3 block, Arguments... arguments) {
  try {
    launch(kernel, 1, block, 0, nullptr, arguments...);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

// ---- What works ----

__global__ void sums_of_neighbours(int* out) {
  LR_SHARED(int, values, 96);
  const int thread = static_cast<int>(threadIdx.x);
  values[thread] = thread + 1000 * static_cast<int>(blockIdx.x);
  __syncthreads();
  const int sum = values[thread] + values[(thread + 1) % 96];
  out[blockIdx.x * 96 + threadIdx.x] = sum;
}

TEST(Emulator, SharedMemoryAndBarriers) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    emulator::set_seed(seed);
    std::vector<int> out(3 * 96);
    launch(sums_of_neighbours, 3, 96, 0, nullptr, out.data());
    for (int k = 0; k < 3 * 96; ++k)
      ASSERT_EQ(out[k], 2000 * (k / 96) + k % 96 + (k % 96 + 1) % 96) << seed;
  }
}

__global__ void warp_functions(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int* mine = out + 8 * lane;
  mine[0] = __shfl_xor_sync(0xffffffffu, lane, 5);
  mine[1] = __shfl_down_sync(0xffffffffu, lane, 3);
  mine[2] = __shfl_up_sync(0xffffffffu, lane, 3, 8);
  mine[3] = __shfl_sync(0xffffffffu, lane, 2, 4);
  mine[4] = static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == 0));
  mine[5] = __any_sync(0xffffffffu, lane == 31);
  mine[6] = __all_sync(0xffffffffu, lane < 31);
  // Halves of a warp on ways of their own.
  mine[7] = lane < 16 ? __shfl_xor_sync(0x0000ffffu, lane, 1)
                      : __shfl_xor_sync(0xffff0000u, lane + 100, 2);
}

TEST(Emulator, ShufflesAndVotes) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    emulator::set_seed(seed);
    std::vector<int> out(8 * 32);
    launch(warp_functions, 1, 32, 0, nullptr, out.data());
    int thirds = 0;
    for (int lane = 0; lane < 32; lane += 3)
      thirds |= static_cast<int>(1u << lane);
    for (int lane = 0; lane < 32; ++lane) {
      const std::vector<int> expected{lane ^ 5,
                                      lane + 3 < 32 ? lane + 3 : lane,
                                      lane % 8 >= 3 ? lane - 3 : lane,
                                      lane / 4 * 4 + 2,
                                      thirds,
                                      1,
                                      0,
                                      lane < 16 ? lane ^ 1 : (lane ^ 2) + 100};
      ASSERT_EQ(std::vector<int>(out.begin() + 8 * lane, out.begin() + 8 * lane + 8), expected)
          << lane;
    }
  }
}

__global__ void block_votes(int* out) {
  const int thread = static_cast<int>(threadIdx.x);
  out[thread] = __syncthreads_or(thread == 63) + 10 * __syncthreads_and(thread < 63) +
                100 * __syncthreads_count(thread % 2);
}

TEST(Emulator, VotesOfABlock) {
  std::vector<int> out(64);
  launch(block_votes, 1, 64, 0, nullptr, out.data());
  EXPECT_EQ(out, std::vector<int>(64, 3201));
}

__global__ void read_unwritten(float* out, int64_t count) {
  LR_SHARED(float, values, 64);
  LR_DYNAMIC_SHARED(float, more);
  if (threadIdx.x < count)
    out[threadIdx.x] = values[threadIdx.x] + more[threadIdx.x];
}

TEST(Emulator, SharedMemoryStartsAsNaN) {
  std::vector<float> out(64, 1);
  launch(read_unwritten, 2, 64, 64 * sizeof(float), nullptr, out.data(), 64);
  EXPECT_TRUE(std::all_of(out.begin(), out.end(), [](float x) { return x != x; }));
}

// Each block of a cluster adds up what all of them have in one place.
template <bool kMeets>
__global__ void sums_of_cluster(int* out) {
  LR_SHARED(int, values, 64);
  const int thread = static_cast<int>(threadIdx.x);
  values[thread] = thread + 1000 * static_cast<int>(blockIdx.x);
  if (kMeets)
    device::cluster_barrier();
  int sum = 1000000 * device::cluster_rank();
  for (int rank = 0; rank < 4; ++rank)
    sum += *device::shared_of(rank, values + thread);
  out[blockIdx.x * 64 + threadIdx.x] = sum;
  if (kMeets)
    device::cluster_barrier();
}

std::string clusters_failure(void (*kernel)(int*), std::vector<int>* out) {
  try {
    device::launch_clusters(kernel, 4, 8, 64, 0, nullptr, out->data());
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Emulator, BlocksOfAClusterMeet) {
  std::vector<int> expected(8 * 64);
  for (int k = 0; k < 8 * 64; ++k) {
    const int block = k / 64, first = block / 4 * 4;
    expected[static_cast<size_t>(k)] =
        1000000 * (block % 4) + 4 * (k % 64) + 1000 * (4 * first + 6);
  }
  int wrong = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    emulator::set_seed(seed);
    std::vector<int> out(8 * 64);
    ASSERT_EQ(clusters_failure(sums_of_cluster<true>, &out), "");
    ASSERT_EQ(out, expected) << seed;
    std::vector<int> unmet(8 * 64);
    const std::string failure = clusters_failure(sums_of_cluster<false>, &unmet);
    EXPECT_TRUE(failure.empty() ||
                failure.find("of the cluster has no such shared memory") != std::string::npos)
        << failure;
    wrong += !failure.empty() || unmet != expected;
  }
  EXPECT_EQ(wrong, 20);  // a barrier that is missing shows
  emulator::set_seed(1);
}

// Lanes add up, and take the largest of, what each of them has.
__global__ void reductions(const float* in, float* sums, int* counts, float* largest) {
  const unsigned lane = threadIdx.x;
  const float* const own = in + lane * 4;
  sums[lane] = device::warp_sums<4>(own);
  sums[32 + lane] = device::warp_sums<2>(own);
  sums[64 + lane] = device::warp_sums<1>(own);
  counts[lane] = device::warp_sum(static_cast<int>(lane * lane));
  for (int k = 0; k < 4; ++k)
    largest[lane * 4 + k] = device::warp_max(own[k]);
}

TEST(Reductions, OfAllLanes) {
  float in[128], sums[96], largest[128];
  int counts[32];
  for (int k = 0; k < 128; ++k)
    in[k] = static_cast<float>(k % 4 == 3 ? -1 - k : k);  // of which all sums are exact
  in[2 + 4 * 5] = INFINITY;
  launch(reductions, 1, 32, 0, nullptr, in, sums, counts, largest);
  const float expected[] = {1984, 2016, INFINITY, -2112}, most[] = {124, 125, INFINITY, -4};
  for (int lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(sums[lane], expected[lane % 4]) << lane;
    EXPECT_EQ(sums[32 + lane], expected[lane % 2]) << lane;
    EXPECT_EQ(sums[64 + lane], expected[0]) << lane;
    EXPECT_EQ(counts[lane], 10416) << lane;
    for (int k = 0; k < 4; ++k)
      EXPECT_EQ(largest[lane * 4 + k], most[k]) << lane << ' ' << k;
  }
  std::fill(in, in + 128, NAN);  // which is left out
  in[7] = -3;
  in[9] = -INFINITY;
  launch(reductions, 1, 32, 0, nullptr, in, sums, counts, largest);
  EXPECT_EQ(largest[0], -INFINITY);
  EXPECT_EQ(largest[1], -INFINITY);
  EXPECT_EQ(largest[3], -3);
}

// A softcap and its slope, and the same by the polynomial alone.
__global__ void softcaps(const float* x, float softcap, float* values, float* slopes) {
  const device::Transform t = device::make_transform({1, softcap});
  const unsigned k = threadIdx.x;
  values[k] = device::Softcap::value(x[k], t, slopes + k);
  if (device::Softcap::Near::value(x[k], t, slopes + 32 + k) != values[k] ||
      slopes[32 + k] != slopes[k])
    values[32 + k] = device::Softcap::all_near(x[k], x[k], t) ? NAN : 1;
}

TEST(Softcap, ValueAndSlope) {
  for (float softcap : {.5f, 30.f}) {
    float x[32], values[64] = {}, slopes[64];
    for (int k = 0; k < 32; ++k)
      x[k] = softcap * static_cast<float>(k - 13) / 8;
    launch(softcaps, 1, 32, 0, nullptr, x, softcap, values, slopes);
    for (int k = 0; k < 32; ++k) {
      const double tangent = std::tanh(double{x[k]} / softcap);
      const double slope = 1 / std::pow(std::cosh(double{x[k]} / softcap), 2);
      EXPECT_NEAR(values[k], softcap * tangent, 3e-7 * softcap * std::fabs(tangent)) << x[k];
      EXPECT_NEAR(slopes[k], slope, 1e-6 * (1 + std::fabs(x[k]) / softcap) * slope) << x[k];
      // Both ways give one number where the polynomial serves, and only there.
      EXPECT_EQ(values[32 + k], std::fabs(x[k]) < .625f * softcap ? 0 : 1) << x[k];
    }
  }
  float x[32] = {-INFINITY, INFINITY, NAN, 1}, values[64], slopes[64];
  launch(softcaps, 1, 32, 0, nullptr, x, 30.f, values, slopes);
  EXPECT_EQ(values[0], -INFINITY);
  EXPECT_EQ(values[1], INFINITY);
  EXPECT_TRUE(std::isnan(values[2]));
  EXPECT_EQ(slopes[0], 0);
  const device::Transform t = device::make_transform({1, 30});
  EXPECT_FALSE(device::Softcap::all_near(-INFINITY, 1, t));
  EXPECT_FALSE(device::Softcap::all_near(-1, 25, t));
  EXPECT_FALSE(device::Softcap::all_near(NAN, NAN, t));
  EXPECT_TRUE(device::Softcap::all_near(-1, 2, t));
}

// ---- What is wrong ----

__global__ void leaves_before_the_barrier() {
  if (threadIdx.x < 5)
    return;
  __syncthreads();
}
__global__ void two_barriers() {
  if (threadIdx.x < 5) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}
__global__ void warp_without_a_lane() {
  if (threadIdx.x != 7)
    __syncwarp();
}
__global__ void reads_a_lane_outside(int* out) {
  *out = threadIdx.x < 16 ? __shfl_sync(0x0000ffffu, 1, 20) : 0;
}
__global__ void too_much_shared() {
  LR_SHARED(double, values, 6145);
  values[0] = 0;
}
__global__ void negates_in_place(device::Vector* values, bool read_as_constant) {
  device::Vector v = read_as_constant ? device::load_once(values + threadIdx.x)
                                      : device::load_before_write(values + threadIdx.x);
  v.word[2] = ~v.word[2];
  device::store_once(values + threadIdx.x, v);
}
__global__ void nothing() {}

TEST(Emulator, SaysWhatIsWrong) {
  EXPECT_NE(failure_of(leaves_before_the_barrier, 64)
                .find("deadlock: 59 of 64 threads wait at __syncthreads in emulator_test.cpp:"),
            std::string::npos);
  EXPECT_NE(failure_of(two_barriers, 64).find("are reached by different threads of a block"),
            std::string::npos);
  EXPECT_NE(
      failure_of(warp_without_a_lane, 32).find("deadlock: 31 of 32 threads wait at __syncwarp"),
      std::string::npos);
  int out;
  EXPECT_NE(
      failure_of(reads_a_lane_outside, 32, &out).find("reads a lane that its mask does not name"),
      std::string::npos);
  EXPECT_EQ(failure_of(too_much_shared, 32),
            "a block has more than 49152 bytes of static shared memory");
  std::vector<device::Vector> vectors(32);
  EXPECT_EQ(failure_of(negates_in_place, 32, vectors.data(), false), "");
  EXPECT_EQ(failure_of(negates_in_place, 32, vectors.data(), true),
            "a kernel writes what it has read as constant");
  EXPECT_EQ(failure_of(nothing, 33), "a block of 33 threads, expected a multiple of 32 up to 1024");
  EXPECT_THROW(launch(nothing, dim3(1, 65536), 32, 0, nullptr), std::runtime_error);
  EXPECT_EQ(failure_of(nothing, 64), "");  // and goes on working
}

#if !defined(__SANITIZE_ADDRESS__)

__global__ void reads_beside_shared(float* out, int64_t at) {
  LR_SHARED(float, values, 32);
  values[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = values[(threadIdx.x + at) % 33];
}
__global__ void writes_beside_shared(int64_t at) {
  LR_SHARED(float, values, 32);
  values[threadIdx.x + at] = 1;
}

TEST(Emulator, FindsAccessesBesideSharedMemory) {
  std::vector<float> out(32);
  launch(reads_beside_shared, 1, 32, 0, nullptr, out.data(), 0);
  EXPECT_EQ(out, std::vector<float>(32, 1));
  launch(reads_beside_shared, 1, 32, 0, nullptr, out.data(), 1);
  EXPECT_TRUE(out[31] != out[31]);
  EXPECT_EQ(failure_of(writes_beside_shared, 32, 0), "");
  EXPECT_EQ(failure_of(writes_beside_shared, 32, 1), "a thread wrote beside its shared memory");
  EXPECT_EQ(failure_of(writes_beside_shared, 32, -1), "a thread wrote beside its shared memory");
}

#else

__global__ void reads_shared(float* out, int64_t at) {
  LR_SHARED(float, values, 32);
  values[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x + at];
}
__global__ void reads_global(const float* in, float* out, int64_t at) {
  out[threadIdx.x] = in[threadIdx.x + at];
}

TEST(EmulatorDeathTest, AddressSanitizerFindsAccessesBesideMemory) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  std::vector<float> in(32, 1), out(32);
  launch(reads_shared, 1, 32, 0, nullptr, out.data(), 0);
  launch(reads_global, 1, 32, 0, nullptr, in.data(), out.data(), 0);
  EXPECT_DEATH(launch(reads_shared, 1, 32, 0, nullptr, out.data(), 1), "use-after-poison");
  EXPECT_DEATH(launch(reads_global, 1, 32, 0, nullptr, in.data(), out.data(), 1),
               "heap-buffer-overflow");
}

#endif

// ---- The kernels of token_logprobs beside plain ones, with every barrier and without one ----

struct Rows {
  Tensor logits, labels, logp, lse, lse2, entropy, argmax, mean_logit, gradient, grad_logp,
      grad_entropy;

  Rows(D type, int64_t rows, int64_t columns)
      : logits(type, {rows, columns}, normal_values(rows * columns, 3, 1)),
        labels(D::i64, {rows}, random_labels(rows, columns, 2)),
        logp(D::f64, {rows}),
        lse(D::f64, {rows}),
        lse2(D::f64, {rows}),
        entropy(D::f64, {rows}),
        argmax(D::i64, {rows}),
        mean_logit(D::f64, {rows}),
        gradient(type, {rows, columns}),
        grad_logp(D::f64, {rows}, normal_values(rows, 1, 3)),
        grad_entropy(D::f64, {rows}, normal_values(rows, 1, 4)) {}

  static op::TensorView element_view(const Tensor& tensor, op::ElementType type) {
    return {true, type, tensor.at(0), 1, tensor.size(), 0, 1};
  }
  static op::LogitRows view(const Tensor& tensor) {
    const auto type = tensor.type() == D::f32    ? op::ElementType::f32
                      : tensor.type() == D::bf16 ? op::ElementType::bf16
                                                 : op::ElementType::f16;
    return {tensor.at(0), type, tensor.shape()[0], 0, tensor.shape()[1], tensor.shape()[1]};
  }
  op::TensorView doubles(const Tensor& tensor) const {
    return element_view(tensor, op::ElementType::f64);
  }

  op::TokenLogprobs forward_call(double softcap) const {
    return {.logits = view(logits),
            .transform = {1.2, softcap},
            .labels = {element_view(labels, op::ElementType::i64), -100},
            .kept = {},
            .outside = {},
            .outputs = {doubles(logp), doubles(lse), doubles(lse2), doubles(entropy),
                        doubles(mean_logit), element_view(argmax, op::ElementType::i64)},
            .tail = {},
            .label_columns = {},
            .logp_columns = {}};
  }
  op::TokenLogprobsBackward backward_call(double softcap) const {
    return {.logits = view(logits),
            .gradient = view(gradient),
            .transform = {1.2, softcap},
            .labels = {element_view(labels, op::ElementType::i64), -100},
            .kept = {},
            .lse = doubles(lse),
            .entropy = doubles(entropy),
            .grad_logp = doubles(grad_logp),
            .grad_entropy = doubles(grad_entropy),
            .grad_lse = {},
            .tail = {},
            .grad_tail = {},
            .label_columns = {},
            .grad_logp_columns = {}};
  }

  // Forward and backward, the latter once more over the logits. Empty, or what the emulator says.
  std::string run(double softcap) {
    std::vector<char> memory(1 << 16);
    device::Execution execution{};
    execution.workspace =
        reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(memory.data()) + 255) / 256 * 256);
    execution.workspace_bytes = memory.size() - 256;
    const op::TokenLogprobs f = forward_call(softcap);
    const op::TokenLogprobsBackward b = backward_call(softcap);
    if (device::token_logprobs(&execution, &f) != LR_OK)
      return execution.error;
    if (device::token_logprobs_backward(&execution, &b) != LR_OK)
      return execution.error;
    op::TokenLogprobsBackward in_place = b;
    in_place.gradient = in_place.logits;
    if (device::token_logprobs_backward(&execution, &in_place) != LR_OK)
      return execution.error;
    return "";
  }
  void run_plainly(double softcap) {
    const auto rows = static_cast<unsigned>(labels.size());
    launch(plain_forward, (rows + 31) / 32, 32, 0, nullptr, forward_call(softcap), labels.size());
    launch(plain_backward, (rows + 31) / 32, 32, 0, nullptr, backward_call(softcap), labels.size());
  }
  std::string bits() const {
    return logp.bits() + lse.bits() + lse2.bits() + entropy.bits() + argmax.bits() +
           mean_logit.bits() + gradient.bits() + logits.bits();
  }
};

TEST(Emulator, KernelsAgreeWithPlainOnes) {
  for (D type : {D::f32, D::bf16, D::f16}) {
    for (int64_t columns : {1, 41, 123, 507, 1271, 5003, 70003}) {
      for (double softcap : {0.0, 10.0}) {
        Rows fast(type, 3, columns), plain(type, 3, columns);
        ASSERT_EQ(fast.run(softcap), "");
        EXPECT_EQ(fast.logits.bits(), fast.gradient.bits());
        plain.run_plainly(softcap);
        for (int64_t row = 0; row < 3; ++row) {
          const auto near = [&](const Tensor& a, const Tensor& b) {
            EXPECT_NEAR(a.get(row), b.get(row), 2e-6 * (1 + std::fabs(b.get(row)))) << columns;
          };
          near(fast.logp, plain.logp);
          near(fast.lse, plain.lse);
          near(fast.lse2, plain.lse2);
          near(fast.entropy, plain.entropy);
          near(fast.mean_logit, plain.mean_logit);
          EXPECT_EQ(fast.argmax.get(row), plain.argmax.get(row));
        }
        const double ulp = type == D::f32    ? 0
                           : type == D::bf16 ? std::ldexp(1, -7)
                                             : std::ldexp(1, -10);
        for (int64_t k = 0; k < fast.gradient.size(); ++k) {
          const double expected = plain.gradient.get(k);
          ASSERT_NEAR(fast.gradient.get(k), expected, (2e-5 + ulp) * std::fabs(expected) + 3e-6)
              << columns;
        }
      }
    }
  }
}

TEST(Emulator, AMissingBarrierShows) {
  expect_every_barrier_needed(1, [](std::string* failure) {
    std::string bits;
    for (const auto& [rows, columns] :
         {std::pair<int64_t, int64_t>{2060, 3}, {258, 1030}, {2, 33000}, {9, 33000}}) {
      Rows r(D::f32, rows, columns);
      *failure += r.run(0);
      bits += r.bits();
    }
    return bits;
  });
}

}  // namespace
}  // namespace logratio::test
