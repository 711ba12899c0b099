// Keeps calls that share a workspace from running into each other on the device.
#pragma once

#include "op/device_table.h"

namespace logratio::device {

// Lives while a call queues its work. A stream that is new to the workspace waits, on the device,
// for the work that the stream before it was given; two calls that queue at once are refused, since
// there is no order in which their kernels would not mingle. Work that is being captured runs
// later, as often as its graph is launched, and is left to the caller.
//
// Costs an event recorded per call, and one waited for where the stream changes. Nothing is
// allocated but the event of a workspace, when that is first used, and the host waits for nothing.
class WorkspaceUse {
 public:
  // Throws Failure if another call is using the execution's workspace.
  explicit WorkspaceUse(const Execution& execution);
  ~WorkspaceUse();
  WorkspaceUse(const WorkspaceUse&) = delete;
  WorkspaceUse& operator=(const WorkspaceUse&) = delete;

  struct Place;

 private:
  void prepare(int32_t device);
  void release();

  Place* place_;  // null where more workspaces are in use than are kept apart
  void* stream_;
  uint64_t stream_id_ = 0;
  bool is_marked_ = false;  // the work's end will be
};

}  // namespace logratio::device
