// Whether tensors share memory. Interleaved views, as two columns of a matrix are, do not.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "op/logit_rows.h"
#include "op/tensor_view.h"

namespace logratio::abi {

// The memory of a tensor: piece (o, i, d), an element or a row, is `piece` bytes at first + o *
// outer_step + i * inner_step + d * depth_step.
struct Region {
  char* first;
  int64_t outer, inner;
  int64_t outer_step, inner_step;
  int64_t piece;
  int64_t depth = 1, depth_step = 0;

  bool empty() const { return outer == 0 || inner == 0 || depth == 0; }
};

inline Region region_of(const op::TensorView& view) {
  const int64_t size = bytes_of(view.type);
  return {static_cast<char*>(view.data), view.outer, view.inner, view.outer_stride * size,
          view.inner_stride * size,      size,       1,          0};
}

// The same with several elements per row, which are one piece where they lie side by side.
inline Region region_of(const op::TensorView& view, const op::Columns& columns) {
  Region region = region_of(view);
  if (columns.step == 1 && columns.count > 0) {
    region.piece *= columns.count;
  } else {
    region.depth = columns.count;
    region.depth_step = columns.step * bytes_of(view.type);
  }
  return region;
}

inline Region region_of(const op::LogitRows& rows, int64_t outer) {
  const int64_t size = bytes_of(rows.type);
  return {static_cast<char*>(rows.base),
          outer,
          rows.inner,
          rows.outer_stride * size,
          rows.inner_stride * size,
          rows.columns * size,
          1,
          0};
}

// Addresses from the lowest byte to the one after the highest.
struct Extent {
  uintptr_t begin, end;

  bool meets(const Extent& other) const { return begin < other.end && other.begin < end; }
};

// The extent of a region that is not empty.
inline Extent extent_of(const Region& region) {
  const int64_t outer_reach = (region.outer - 1) * region.outer_step;
  const int64_t inner_reach = (region.inner - 1) * region.inner_step;
  const int64_t depth_reach = (region.depth - 1) * region.depth_step;
  const auto first = reinterpret_cast<uintptr_t>(region.first);
  return {first + static_cast<uintptr_t>(std::min<int64_t>(outer_reach, 0) +
                                         std::min<int64_t>(inner_reach, 0) +
                                         std::min<int64_t>(depth_reach, 0)),
          first + static_cast<uintptr_t>(std::max<int64_t>(outer_reach, 0) +
                                         std::max<int64_t>(inner_reach, 0) +
                                         std::max<int64_t>(depth_reach, 0) + region.piece)};
}

// Whether two of them meet; sorts them.
bool any_meet(std::span<Extent> extents);

bool same_view(const Region& a, const Region& b);
bool share_bytes(const Region& a, const Region& b);

// Whether two pieces of a region share a byte; one by one where the steps do not tell.
bool pieces_meet(const Region& region);
inline bool overlaps_itself(const Region& region) {
  const bool is_dense_vector =
      region.outer == 1 && region.depth == 1 && std::abs(region.inner_step) >= region.piece;
  return !is_dense_vector && !region.empty() && pieces_meet(region);
}

}  // namespace logratio::abi
