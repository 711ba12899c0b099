// No output may share memory with another argument, or with itself; only a gradient may lie exactly
// on the logits it belongs to.
#pragma once

#include <cstdint>

#include "op/tensor_view.h"
#include "op/logit_rows.h"

namespace logratio::abi {

class MemoryMap {
 public:
  void add_input(const char* name, const op::TensorView& view) { add(name, view, false); }
  void add_output(const char* name, const op::TensorView& view) { add(name, view, true); }
  void add_input(const char* name, const op::LogitRows& rows, int64_t count) {
    add(name, rows, count, nullptr, false);
  }
  // `in_place` is the name of the input that the rows may be, when they are the same view of it.
  void add_output(const char* name, const op::LogitRows& rows, int64_t count,
                  const char* in_place) {
    add(name, rows, count, in_place, true);
  }
  void check() const;

 private:
  struct Interval {
    uintptr_t begin, end;
  };
  struct Region {
    const char* name;
    const char* in_place;
    bool output;
    char* first;  // of pieces: element or row (o, i) is `piece` bytes at first + o * outer_step + i
                  // * inner_step
    int64_t outer, inner;
    int64_t outer_step, inner_step;
    int64_t piece;
  };

  void add(const char* name, const op::TensorView& view, bool output);
  void add(const char* name, const op::LogitRows& rows, int64_t count, const char* in_place,
           bool output);
  void add(const Region& region);
  bool extents_meet() const;
  static bool same_view(const Region& a, const Region& b);
  static bool share_bytes(const Region& a, const Region& b);
  static bool overlaps_itself(const Region& region);

  // Of what is not empty: in what bytes each region lies, and between which addresses.
  static constexpr int kMaxRegions = 24;
  Region regions_[kMaxRegions];
  Interval extents_[kMaxRegions];
  int count_ = 0;
};

}  // namespace logratio::abi
