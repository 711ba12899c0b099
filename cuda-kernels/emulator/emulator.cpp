#include "emulator.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define LR_ASAN 1
#else
#define LR_ASAN 0
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace logratio::emulator {

uint64_t counts = 0;
std::atomic<uint64_t> waits = 0;
std::atomic<bool> capturing = false;

namespace {

namespace context = boost::context::detail;

constexpr size_t kMaxThreads = 1024;
constexpr size_t kPage = 4096;
constexpr size_t kStackBytes = LR_ASAN ? 256 * 1024 : 64 * 1024;
constexpr size_t kMaxStaticShared = 48 * 1024;
constexpr size_t kMaxShared = 227 * 1024;
constexpr size_t kRedZone = 256;
constexpr unsigned char kRedZoneByte = 0xff;  // NaN

// ---- Fibers ----

// Stacks are mapped once and used by every launch, each over a page that nobody may touch.
class Stacks {
 public:
  static constexpr size_t kStride = kStackBytes + kPage;

  char* bottom(size_t thread) {
    if (base_ == nullptr)
      map();
    return base_ + thread * kStride + kPage;
  }

 private:
  void map() {
    void* memory = mmap(nullptr, kMaxThreads * kStride, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      throw std::bad_alloc();
    base_ = static_cast<char*>(memory);
    for (size_t k = 0; k < kMaxThreads; ++k)
      mprotect(base_ + k * kStride, kPage, PROT_NONE);
  }

  char* base_ = nullptr;
};

// What AddressSanitizer must know of a change of stacks; nothing without it.
struct StackSwitch {
  static void leave([[maybe_unused]] void** saved, [[maybe_unused]] const void* bottom,
                    [[maybe_unused]] size_t size) {
#if LR_ASAN
    __sanitizer_start_switch_fiber(saved, bottom, size);
#endif
  }
  static void arrive([[maybe_unused]] void* saved, [[maybe_unused]] const void** from,
                     [[maybe_unused]] size_t* size) {
#if LR_ASAN
    __sanitizer_finish_switch_fiber(saved, from, size);
#endif
  }
};

// ---- Shared memory ----

// Pieces between red zones. What is read of a red zone is NaN, what is written there is found at
// the end of the block; under AddressSanitizer both are errors at once.
class SharedMemory {
 public:
  SharedMemory() : arena_(static_cast<char*>(std::aligned_alloc(kPage, kArena))) {
    if (arena_ == nullptr)
      throw std::bad_alloc();
  }

  void start(size_t dynamic_bytes) {
    unpoison(arena_, kArena);
    pieces_.clear();
    used_ = 0;
    static_bytes_ = 0;
    dynamic_ = nullptr;
    red_zone();
    if (dynamic_bytes > 0)
      dynamic_ = add(nullptr, dynamic_bytes, 16);
  }

  void* piece(const void* key, size_t bytes, size_t alignment) {
    for (const Piece& piece : pieces_) {
      if (piece.key == key)
        return piece.memory;
    }
    static_bytes_ += bytes;
    if (static_bytes_ > kMaxStaticShared)
      return nullptr;
    return add(key, bytes, alignment);
  }

  void* dynamic() const { return dynamic_; }

  bool intact() {
    unpoison(arena_, kArena);
    size_t at = 0;
    for (const Piece& piece : pieces_) {
      const auto begin = static_cast<size_t>(piece.memory - arena_);
      if (!is_red(at, begin))
        return false;
      at = begin + piece.bytes;
    }
    return is_red(at, used_);
  }

 private:
  static constexpr size_t kArena =
      (kMaxShared + 64 * (2 * kRedZone + 64) + kPage - 1) / kPage * kPage;

  struct Piece {
    const void* key;
    char* memory;
    size_t bytes;
  };

  char* add(const void* key, size_t bytes, size_t alignment) {
    const size_t begin = (used_ + alignment - 1) / alignment * alignment;
    if (begin + bytes + kRedZone > kArena)
      return nullptr;
    std::memset(arena_ + used_, kRedZoneByte, begin - used_);
    poison(arena_ + used_, begin - used_);
    std::memset(arena_ + begin, 0xff, bytes);
    pieces_.push_back({key, arena_ + begin, bytes});
    used_ = begin + bytes;
    red_zone();
    return arena_ + begin;
  }

  void red_zone() {
    std::memset(arena_ + used_, kRedZoneByte, kRedZone);
    poison(arena_ + used_, kRedZone);
    used_ += kRedZone;
  }

  bool is_red(size_t begin, size_t end) const {
    for (size_t k = begin; k < end; ++k) {
      if (static_cast<unsigned char>(arena_[k]) != kRedZoneByte)
        return false;
    }
    return true;
  }

  static void poison([[maybe_unused]] char* memory, [[maybe_unused]] size_t bytes) {
#if LR_ASAN
    __asan_poison_memory_region(memory, bytes);
#endif
  }
  static void unpoison([[maybe_unused]] char* memory, [[maybe_unused]] size_t bytes) {
#if LR_ASAN
    __asan_unpoison_memory_region(memory, bytes);
#endif
  }

  char* arena_;
  std::vector<Piece> pieces_;
  size_t used_ = 0;
  size_t static_bytes_ = 0;
  char* dynamic_ = nullptr;
};

// ---- A block ----

struct Random {  // splitmix64
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  size_t below(size_t count) { return static_cast<size_t>((next() >> 32) * count >> 32); }
};

const char* text_of(Meeting meeting) {
  switch (meeting) {
    case Meeting::none:
      return "nothing";
    case Meeting::barrier:
      return "__syncthreads";
    case Meeting::shuffle:
      return "a shuffle";
    case Meeting::ballot:
      return "a vote";
    case Meeting::warp_barrier:
      return "__syncwarp";
  }
  return "";
}

std::string text_of(Meeting meeting, const Site& site) {
  const std::string file = site.file_name();
  return std::string(text_of(meeting)) + " in " + file.substr(file.rfind('/') + 1) + ":" +
         std::to_string(site.line());
}

class Block {
 public:
  void run(dim3 size, size_t shared_bytes, Thread thread, void* arguments, Random random) {
    count_ = size_t{size.x} * size.y * size.z;
    thread_ = thread;
    arguments_ = arguments;
    random_ = random;
    ended_ = arrived_ = trues_ = 0;
    failure_.clear();
    shared_.start(shared_bytes);
    ready_.resize(count_);
    for (size_t k = 0; k < count_; ++k) {
      Fiber& fiber = fibers_[k];
      fiber = Fiber{};
      fiber.stack = stacks_.bottom(k);
      fiber.context = context::make_fcontext(fiber.stack + kStackBytes, kStackBytes, &Block::enter);
      fiber.index = {static_cast<unsigned>(k % size.x), static_cast<unsigned>(k / size.x % size.y),
                     static_cast<unsigned>(k / size.x / size.y)};
      ready_[k] = static_cast<uint32_t>(k);
    }
    for (Warp& warp : warps_)
      warp.waiting = 0;
    haste_ = random_.below(4) == 0 ? 16 : 0;
    ahead_ = random_.below((count_ + 31) / 32);
    while (!ready_.empty() && failure_.empty()) {
      std::swap(ready_[next()], ready_.back());
      current_ = ready_.back();
      ready_.pop_back();
      resume();
    }
    if (failure_.empty() && ended_ < count_)
      failure_ = deadlock();
    if (!failure_.empty()) {
      abandon();
      throw std::runtime_error(failure_);
    }
    if (!shared_.intact())
      throw std::runtime_error("a thread wrote beside its shared memory");
  }

  int meet(bool predicate, Site site) {
    Fiber& fiber = fibers_[current_];
    fiber.meeting = Meeting::barrier;
    fiber.site = site;
    trues_ += predicate;
    if (++arrived_ < count_) {
      yield();
    } else {
      for (size_t k = 0; k < count_; ++k) {
        if (fibers_[k].site.line() != site.line())
          fail(text_of(Meeting::barrier, fibers_[k].site) + " and " +
               text_of(Meeting::barrier, site) + " are reached by different threads of a block");
      }
      outcome_ = trues_;
      arrived_ = trues_ = 0;
      for (size_t k = 0; k < count_; ++k) {
        if (k != current_)
          ready_.push_back(static_cast<uint32_t>(k));
      }
    }
    fiber.meeting = Meeting::none;
    return static_cast<int>(outcome_);
  }

  uint64_t meet(Meeting meeting, uint32_t mask, uint64_t value, int source, Site site) {
    const uint32_t lane = current_ % 32;
    Warp& warp = warps_[current_ / 32];
    Fiber& fiber = fibers_[current_];
    if ((mask >> lane & 1) == 0)
      fail(text_of(meeting, site) + " is reached by a lane that its mask does not name");
    fiber.meeting = meeting;
    fiber.site = site;
    warp.values[lane] = value;
    warp.sources[lane] = source;
    warp.masks[lane] = mask;
    warp.waiting |= 1u << lane;
    if ((warp.waiting & mask) == mask) {
      complete(warp, mask, meeting, site);
    } else {
      yield();
    }
    fiber.meeting = Meeting::none;
    return warp.answers[lane];
  }

  void* shared(const void* key, size_t bytes, size_t alignment) {
    void* memory = shared_.piece(key, bytes, alignment);
    if (memory == nullptr)
      fail("a block has more than " + std::to_string(kMaxStaticShared) +
           " bytes of static shared memory");
    return memory;
  }
  void* dynamic_shared() const { return shared_.dynamic(); }

 private:
  struct Fiber {
    context::fcontext_t context = nullptr;
    char* stack = nullptr;
    void* fake_stack = nullptr;
    uint3 index{};
    Meeting meeting = Meeting::none;
    bool ended = false;
    Site site{};
  };
  struct Warp {
    uint32_t waiting = 0;
    uint32_t masks[32];
    uint64_t values[32];
    uint64_t answers[32];
    int sources[32];
  };

  // Which of the ready threads goes on: any, or in some blocks one of a warp that runs ahead of the
  // others if it can.
  size_t next() {
    size_t k = random_.below(ready_.size());
    for (int tries = haste_; tries > 0 && ready_[k] / 32 != ahead_; --tries)
      k = random_.below(ready_.size());
    return k;
  }

  static void enter(context::transfer_t from) {
    auto* block = static_cast<Block*>(from.data);
    StackSwitch::arrive(nullptr, &block->host_bottom_, &block->host_size_);
    block->host_ = from.fctx;
    block->thread_(block->arguments_);
    block->fibers_[block->current_].ended = true;
    ++block->ended_;
    StackSwitch::leave(nullptr, block->host_bottom_, block->host_size_);
    context::jump_fcontext(block->host_, nullptr);
  }

  void resume() {
    Fiber& fiber = fibers_[current_];
    threadIdx = fiber.index;
    void* fake_stack = nullptr;
    StackSwitch::leave(&fake_stack, fiber.stack, kStackBytes);
    const context::transfer_t back = context::jump_fcontext(fiber.context, this);
    StackSwitch::arrive(fake_stack, nullptr, nullptr);
    fiber.context = back.fctx;
  }

  void yield() {
    Fiber& fiber = fibers_[current_];
    StackSwitch::leave(&fiber.fake_stack, host_bottom_, host_size_);
    const context::transfer_t again = context::jump_fcontext(host_, nullptr);
    StackSwitch::arrive(fiber.fake_stack, &host_bottom_, &host_size_);
    host_ = again.fctx;
  }

  // Ends the block from within a thread, which never goes on.
  [[noreturn]] void fail(std::string text) {
    failure_ = std::move(text);
    yield();
    std::abort();
  }

  void complete(Warp& warp, uint32_t mask, Meeting meeting, const Site& site) {
    const size_t first = current_ / 32 * 32;
    uint64_t ballot = 0;
    for (uint32_t lane = 0; lane < 32; ++lane) {
      if ((mask >> lane & 1) == 0)
        continue;
      const Fiber& other = fibers_[first + lane];
      if (warp.masks[lane] != mask || other.meeting != meeting ||
          other.site.line() != site.line()) {
        fail(text_of(other.meeting, other.site) + " and " + text_of(meeting, site) +
             " are reached by lanes of one warp at once");
      }
      ballot |= uint64_t{warp.values[lane] != 0} << lane;
    }
    for (uint32_t lane = 0; lane < 32; ++lane) {
      if ((mask >> lane & 1) == 0)
        continue;
      const int source = warp.sources[lane];
      if (meeting == Meeting::shuffle) {
        if (source < 0 || source > 31 || (mask >> source & 1) == 0)
          fail(text_of(meeting, site) + " reads a lane that its mask does not name");
        warp.answers[lane] = warp.values[source];
      } else {
        warp.answers[lane] = ballot;
      }
      if (first + lane != current_)
        ready_.push_back(static_cast<uint32_t>(first + lane));
    }
    warp.waiting &= ~mask;
  }

  std::string deadlock() const {
    size_t waiting = 0;
    const Fiber* example = nullptr;
    for (size_t k = 0; k < count_; ++k) {
      if (fibers_[k].ended)
        continue;
      ++waiting;
      if (example == nullptr)
        example = &fibers_[k];
    }
    std::string elsewhere;
    for (size_t k = 0; k < count_; ++k) {
      if (fibers_[k].ended || fibers_[k].site.line() == example->site.line())
        continue;
      elsewhere = ", some of them at " + text_of(fibers_[k].meeting, fibers_[k].site);
      break;
    }
    return "deadlock: " + std::to_string(waiting) + " of " + std::to_string(count_) +
           " threads wait at " + text_of(example->meeting, example->site) + elsewhere + ", " +
           std::to_string(ended_) + " have ended";
  }

  // Leaves unfinished threads where they are; their stacks are used again.
  void abandon() {
#if LR_ASAN
    for (size_t k = 0; k < count_; ++k)
      __asan_unpoison_memory_region(fibers_[k].stack, kStackBytes);
#endif
  }

  Stacks stacks_;
  SharedMemory shared_;
  Fiber fibers_[kMaxThreads];
  Warp warps_[kMaxThreads / 32];
  std::vector<uint32_t> ready_;
  Random random_{};
  int haste_ = 0;     // how hard a thread of the warp is looked for
  size_t ahead_ = 0;  // the warp that runs ahead
  std::string failure_;
  Thread thread_ = nullptr;
  void* arguments_ = nullptr;
  size_t count_ = 0, current_ = 0, ended_ = 0, arrived_ = 0, trues_ = 0, outcome_ = 0;
  context::fcontext_t host_ = nullptr;
  const void* host_bottom_ = nullptr;
  size_t host_size_ = 0;
};

uint64_t initial_seed() {
  const char* text = std::getenv("LOGRATIO_EMULATOR_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

struct Device {
  std::mutex mutex;  // of a launch
  Block block;
  uint64_t seed = initial_seed();
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

Block& the_block() { return the_device().block; }

void check_launch(dim3 grid, dim3 block, size_t shared_bytes) {
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
void* dynamic_shared() { return the_block().dynamic_shared(); }

void set_seed(uint64_t value) {
  const std::lock_guard lock(the_device().mutex);
  the_device().seed = value;
}

void run_grid(dim3 grid, dim3 block, size_t shared_bytes, Thread thread, void* arguments) {
  check_launch(grid, block, shared_bytes);
  const std::lock_guard lock(the_device().mutex);
  blockDim = block;
  gridDim = grid;
  Random random{the_device().seed};
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = {x, y, z};
        the_block().run(block, shared_bytes, thread, arguments, Random{random.next()});
      }
    }
  }
}

}  // namespace logratio::emulator
