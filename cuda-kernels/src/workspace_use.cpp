#include "workspace_use.h"

#include <pthread.h>

#include <array>
#include <mutex>
#include <utility>

#include "runtime.h"

namespace logratio::device {

struct WorkspaceUse::Place {
  const void* workspace = nullptr;
  bool in_use = false;     // by a call that queues its work
  uint64_t last_use = 0;   // counted in calls
  bool has_work = false;   // whose end is marked
  uint64_t stream_id = 0;  // that has the work
  void* mark = nullptr;    // an event of the device
  int32_t device = -1;
};

namespace {

using Place = WorkspaceUse::Place;

struct Places {
  std::mutex mutex;
  std::array<Place, 64> of;
  uint64_t calls = 0;

  // Of the workspace, or the one that has not been used for the longest time.
  Place* find(const void* workspace) {
    Place* found = nullptr;
    for (Place& place : of) {
      if (place.workspace == workspace)
        return &place;
      if (!place.in_use && (found == nullptr || place.last_use < found->last_use))
        found = &place;
    }
    return found;
  }
};

// Never destroyed: a call may come while the process ends. In a child of fork() no call is under
// way.
Places& places() {
  static Places* const only = [] {
    static Places* made = new Places;
    pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); },
                   [] {
                     for (Place& place : made->of)
                       place.in_use = false;
                     made->mutex.unlock();
                   });
    return made;
  }();
  return *only;
}

}  // namespace

WorkspaceUse::WorkspaceUse(const Execution& execution) : stream_(execution.stream) {
  {
    Places& all = places();
    const std::lock_guard lock(all.mutex);
    place_ = all.find(execution.workspace);
    if (place_ == nullptr)
      return;
    if (place_->in_use) {
      throw Failure(LR_INVALID_ARGUMENT,
                    "cuda.workspace is in use by another call at this moment: calls that several "
                    "threads make at once need a workspace each");
    }
    place_->in_use = true;
    place_->last_use = ++all.calls;
    place_->has_work = place_->has_work && place_->workspace == execution.workspace;
    place_->workspace = execution.workspace;
  }
  try {
    prepare(execution.device);
  } catch (...) {
    release();
    throw;
  }
}

void WorkspaceUse::prepare(int32_t device) {
  if (is_captured(stream_))
    return;
  stream_id_ = id_of(stream_);
  if (place_->has_work && place_->stream_id != stream_id_)
    await_mark(place_->mark, stream_);
  if (place_->device != device) {
    destroy_mark(std::exchange(place_->mark, nullptr));
    place_->mark = make_mark();
    place_->device = device;
  }
  is_marked_ = true;
}

WorkspaceUse::~WorkspaceUse() {
  if (place_ == nullptr)
    return;
  if (is_marked_) {
    set_mark(place_->mark, stream_);
    place_->stream_id = stream_id_;
    place_->has_work = true;
  }
  release();
}

void WorkspaceUse::release() {
  const std::lock_guard lock(places().mutex);
  place_->in_use = false;
}

}  // namespace logratio::device
