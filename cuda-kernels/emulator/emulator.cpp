#include "emulator.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "thread_block.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace logratio::emulator {

uint64_t counts = 0;
std::atomic<uint64_t> waits = 0;
std::atomic<bool> capturing = false;

namespace {

// ---- Blocks that run at once ----

class Cluster {
 public:
  void run(uint3 first, unsigned blocks, dim3 size, size_t shared_bytes, Thread thread,
           void* arguments, Random random) {
    while (blocks_.size() < blocks)
      blocks_.push_back(std::make_unique<Block>());
    count_ = blocks;
    arrived_ = 0;
    threads_ = size_t{size.x} * size.y * size.z * blocks;
    random_ = random;
    for (unsigned k = 0; k < blocks; ++k) {
      blocks_[k]->start({first.x + k, first.y, first.z}, size, shared_bytes, thread, arguments,
                        Random{random_.next()});
    }
    while (choose()) {
      block().step();
      if (!block().failure().empty())
        end(block().failure());
    }
    for (unsigned k = 0; k < blocks; ++k) {
      if (!blocks_[k]->has_ended())
        end(blocks_[k]->deadlock());
    }
    for (unsigned k = 0; k < blocks; ++k) {
      if (!blocks_[k]->intact())
        throw std::runtime_error("a thread wrote beside its shared memory");
    }
  }

  Block& block() { return *blocks_[running_]; }
  int rank() const { return static_cast<int>(running_); }

  void meet(Site site) {
    Block& own = block();
    const bool all = ++arrived_ == threads_;
    if (all) {
      arrived_ = 0;
      for (unsigned k = 0; k < count_; ++k)
        blocks_[k]->release(site, blocks_[k].get() == &own);
    }
    own.meet_cluster(all, site);
  }

  void* twin(const void* address, unsigned rank) {
    void* const there = rank < count_
                            ? block().shared_memory().twin(address, blocks_[rank]->shared_memory())
                            : nullptr;
    if (there == nullptr)
      block().fail("block " + std::to_string(rank) + " of the cluster has no such shared memory");
    return there;
  }

 private:
  // A block of which a thread can go on.
  bool choose() {
    const auto start = static_cast<unsigned>(count_ == 1 ? 0 : random_.below(count_));
    for (unsigned k = 0; k < count_; ++k) {
      running_ = (start + k) % count_;
      if (block().can_go_on())
        return true;
    }
    return false;
  }

  [[noreturn]] void end(const std::string& failure) {
    const std::string text = failure;
    for (unsigned k = 0; k < count_; ++k)
      blocks_[k]->abandon();
    throw std::runtime_error(text);
  }

  std::vector<std::unique_ptr<Block>> blocks_;
  unsigned count_ = 0, running_ = 0;
  size_t arrived_ = 0, threads_ = 0;
  Random random_{};
};

constexpr unsigned kMaxCluster = 8;  // that every device has

uint64_t initial_seed() {
  const char* text = std::getenv("LOGRATIO_EMULATOR_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

// What the running kernel has read as constant.
class Constants {
 public:
  void clear() { read_.clear(); }
  void add(const void* address) {
    Read read{address, {}};
    std::memcpy(read.bytes.data(), address, read.bytes.size());
    read_.push_back(read);
  }
  void check() const {
    for (const Read& read : read_) {
      if (std::memcmp(read.address, read.bytes.data(), read.bytes.size()) != 0)
        throw std::runtime_error("a kernel writes what it has read as constant");
    }
  }

 private:
  struct Read {
    const void* address;
    std::array<char, 16> bytes;
  };
  std::vector<Read> read_;
};

struct Device {
  std::mutex mutex;  // of a launch
  Cluster cluster;
  Constants constants;
  uint64_t seed = initial_seed();
  uint64_t clusters = 0;
};

// Never destroyed: a call may come while the process ends.
std::atomic<Device*> g_device{nullptr};

// A child of fork() leaves its parent's device as it was at that moment, perhaps in the middle of a
// launch, and has a new one.
void start_anew() {
  const Device* const inherited = g_device.load(std::memory_order_relaxed);
  if (inherited == nullptr)
    return;
  auto* const fresh = new Device;
  fresh->seed = inherited->seed;
  g_device.store(fresh, std::memory_order_relaxed);
}

Device& the_device() {
  Device* current = g_device.load(std::memory_order_acquire);
  if (current != nullptr)
    return *current;
  if (pthread_atfork(nullptr, nullptr, start_anew) != 0)
    throw std::bad_alloc();
  auto made = std::make_unique<Device>();
  if (g_device.compare_exchange_strong(current, made.get(), std::memory_order_acq_rel))
    current = made.release();
  return *current;
}

Block& the_block() { return the_device().cluster.block(); }

void check_launch(dim3 grid, dim3 block, size_t shared_bytes, unsigned cluster) {
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || threads > kMaxThreads || threads % 32 != 0) {
    throw std::runtime_error("a block of " + std::to_string(threads) +
                             " threads, expected a multiple of 32 up to 1024");
  }
  if (grid.x == 0 || grid.x > 0x7fffffffu || grid.y == 0 || grid.y > 65535 || grid.z == 0 ||
      grid.z > 65535) {
    throw std::runtime_error("a grid of " + std::to_string(grid.x) + " x " +
                             std::to_string(grid.y) + " x " + std::to_string(grid.z) +
                             " blocks, expected 1 to 2^31-1, 65535 and 65535");
  }
  if (cluster == 0 || cluster > kMaxCluster || grid.x % cluster != 0) {
    throw std::runtime_error("clusters of " + std::to_string(cluster) + " blocks in a grid of " +
                             std::to_string(grid.x) + ", expected up to 8 that divide it");
  }
  if (shared_bytes > kMaxShared)
    throw std::runtime_error(std::to_string(shared_bytes) +
                             " bytes of shared memory, expected at most 227 KiB");
}

}  // namespace

int meet_block(bool predicate, Site site) { return the_block().meet(predicate, site); }

uint64_t meet_warp(Meeting meeting, uint32_t mask, uint64_t value, int source, Site site) {
  return the_block().meet(meeting, mask, value, source, site);
}

void* shared(const void* key, size_t bytes, size_t alignment) {
  return the_block().shared(key, bytes, alignment);
}
void read_as_constant(const void* address) { the_device().constants.add(address); }
void* dynamic_shared() { return the_block().dynamic_shared(); }

void meet_cluster(Site site) { the_device().cluster.meet(site); }
int cluster_rank() { return the_device().cluster.rank(); }
void* shared_of(unsigned rank, const void* address) {
  return the_device().cluster.twin(address, rank);
}

uint64_t clusters_run() {
  const std::lock_guard lock(the_device().mutex);
  return the_device().clusters;
}

void set_seed(uint64_t value) {
  const std::lock_guard lock(the_device().mutex);
  the_device().seed = value;
}

void run_grid(dim3 grid, dim3 block, size_t shared_bytes, unsigned cluster, Thread thread,
              void* arguments) {
  check_launch(grid, block, shared_bytes, cluster);
  const std::lock_guard lock(the_device().mutex);
  blockDim = block;
  gridDim = grid;
  the_device().constants.clear();
  Random random{the_device().seed};
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; x += cluster) {
        the_device().clusters += cluster > 1 ? 1 : 0;
        the_device().cluster.run({x, y, z}, cluster, block, shared_bytes, thread, arguments,
                                 Random{random.next()});
      }
    }
  }
  the_device().constants.check();
}

}  // namespace logratio::emulator
