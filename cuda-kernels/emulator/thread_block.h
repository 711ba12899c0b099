// A block of threads: fibers, the points where they meet, and their shared memory.
#pragma once

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "emulator.h"
#include "shared_memory.h"

namespace logratio::emulator {

namespace context = boost::context::detail;

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

inline const char* text_of(Meeting meeting) {
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
    case Meeting::cluster_barrier:
      return "cluster_barrier";
  }
  return "";
}

inline std::string text_of(Meeting meeting, const Site& site) {
  const std::string file = site.file_name();
  return std::string(text_of(meeting)) + " in " + file.substr(file.rfind('/') + 1) + ":" +
         std::to_string(site.line());
}

class Block {
 public:
  void start(uint3 index, dim3 size, size_t shared_bytes, Thread thread, void* arguments,
             Random random) {
    index_ = index;
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
  }

  bool can_go_on() const { return !ready_.empty(); }
  void step() {
    std::swap(ready_[next()], ready_.back());
    current_ = ready_.back();
    ready_.pop_back();
    resume();
  }
  bool has_ended() const { return ended_ == count_; }
  const std::string& failure() const { return failure_; }
  const SharedMemory& shared_memory() const { return shared_; }
  bool intact() { return shared_.intact(); }

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

  // Waits for all threads of the cluster. `all` is whether this one is the last to come; then its
  // caller releases the blocks.
  void meet_cluster(bool all, Site site) {
    Fiber& fiber = fibers_[current_];
    fiber.meeting = Meeting::cluster_barrier;
    fiber.site = site;
    if (!all)
      yield();
    fiber.meeting = Meeting::none;
  }
  void release(const Site& site, bool from_within) {
    for (size_t k = 0; k < count_; ++k) {
      if (from_within && k == current_)
        continue;
      if (fibers_[k].site.line() != site.line())
        return;  // threads wait elsewhere: a deadlock
      ready_.push_back(static_cast<uint32_t>(k));
    }
  }

  void* shared(const void* key, size_t bytes, size_t alignment) {
    void* memory = shared_.piece(key, bytes, alignment);
    if (memory == nullptr)
      fail("a block has more than " + std::to_string(kMaxStaticShared) +
           " bytes of static shared memory");
    return memory;
  }
  void* dynamic_shared() const { return shared_.dynamic(); }

  // Ends the block from within a thread, which never goes on.
  [[noreturn]] void fail(std::string text) {
    failure_ = std::move(text);
    yield();
    std::abort();
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
    blockIdx = index_;
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
  uint3 index_{};
  size_t count_ = 0, current_ = 0, ended_ = 0, arrived_ = 0, trues_ = 0, outcome_ = 0;
  context::fcontext_t host_ = nullptr;
  const void* host_bottom_ = nullptr;
  size_t host_size_ = 0;
};

}  // namespace logratio::emulator
