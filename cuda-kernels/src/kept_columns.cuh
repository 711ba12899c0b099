// Which columns each row keeps, checked: the first launch of every call with kept columns. A warp
// reads a row's ids, 8 (I64) or 4 (I32) bytes each, and finds the label among them.
#pragma once

#include "elements.cuh"
#include "op/token_logprobs.h"
#include "row_launch.cuh"

namespace logratio::device {

// A row's kept columns among all ids.
struct KeptSet {
  int64_t begin;
  int64_t count;    // 0 where the set is not as it has to be
  int64_t label;    // a kept column, whichever if the label is not kept; or kIgnored, kBadLabel
  bool is_outside;  // the label is not kept
};

// The kept columns of a row, as if side by side.
template <class T>
struct KeptRow {
  const typename T::Element* row;
  const op::TensorView& ids;
  int64_t begin;

  __device__ __forceinline__ typename T::Element operator[](int64_t k) const {
    return row[read_int(ids, begin + k)];
  }
};

struct KeptCall {
  op::KeptColumns kept;
  op::Labels labels;
  int64_t count;     // of rows
  int64_t columns;   // those that are no padding
  int64_t* outside;  // to which the labels outside are added; may be null
  int64_t* bad_values;
};

// Called by a warp.
__device__ __forceinline__ KeptSet find_set(const KeptCall& call, int64_t r) {
  const op::TensorView& ids = call.kept.ids;
  const int64_t begin = read_int(call.kept.offsets, r), end = read_int(call.kept.offsets, r + 1),
                label = read_label(call.labels, r, call.columns);
  bool good = begin >= 0 && end > begin && end <= ids.size() && (r > 0 || begin == 0) &&
              (r + 1 < call.count || end == ids.size());
  bool found = false, wrong = false;
#pragma unroll 4
  for (int64_t k = begin + threadIdx.x % kWarp; k < (good ? end : begin); k += kWarp) {
    const int64_t id = read_int(ids, k);
    wrong |= id < 0 || id >= call.columns || (k > begin && id <= read_int(ids, k - 1));
    found |= id == label;
  }
  good = good && __ballot_sync(kAllLanes, wrong) == 0;
  const bool is_outside = good && label >= 0 && __ballot_sync(kAllLanes, found) == 0;
  return {begin, good ? end - begin : 0,
          is_outside          ? read_int(ids, begin)
          : good || label < 0 ? label
                              : kBadLabel,
          is_outside};
}

__global__ void __launch_bounds__(kBlockThreads)
    find_sets(const LR_PARAMETER KeptCall call, KeptSet* sets) {
  const int64_t warps = int64_t{gridDim.x} * kRowsPerBlock;
  int64_t outside = 0, bad = 0;
  for (int64_t r = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / kWarp; r < call.count;
       r += warps) {
    const KeptSet set = find_set(call, r);
    outside += set.is_outside ? 1 : 0;
    bad += set.count == 0 ? 1 : 0;
    bad += read_label(call.labels, r, call.columns) == kBadLabel ? 1 : 0;
    if (threadIdx.x % kWarp == 0)
      sets[r] = set;
  }
  if (threadIdx.x % kWarp != 0)
    return;
  if (outside != 0 && call.outside != nullptr)
    count_up(call.outside, outside);
  if (bad != 0 && call.bad_values != nullptr)
    count_up(call.bad_values, bad);
}

inline void launch_sets(const KeptCall& call, KeptSet* sets, const Machine& machine) {
  launch(find_sets, machine.blocks(blocks_of_warps(call.count)), kBlockThreads, 0, machine.stream,
         call, sets);
}

}  // namespace logratio::device
