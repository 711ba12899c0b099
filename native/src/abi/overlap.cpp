#include "abi/overlap.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "abi/errors.h"
#include "abi/tensors.h"

namespace logratio::abi {

void MemoryMap::add(const char* name, const op::TensorView& view, bool output) {
  if (!view.present || view.size() == 0)
    return;
  const int64_t size = bytes_of(view.type);
  add({name, nullptr, output, static_cast<char*>(view.data), view.outer, view.inner,
       view.outer_stride * size, view.inner_stride * size, size});
}

void MemoryMap::add(const char* name, const op::LogitRows& rows, int64_t count,
                    const char* in_place, bool output) {
  if (count == 0)
    return;
  const int64_t size = bytes_of(rows.type);
  add({name, in_place, output, static_cast<char*>(rows.base), count / rows.inner, rows.inner,
       rows.outer_stride * size, rows.inner_stride * size, rows.columns * size});
}

void MemoryMap::add(const Region& region) {
  const int64_t outer_reach = (region.outer - 1) * region.outer_step;
  const int64_t inner_reach = (region.inner - 1) * region.inner_step;
  const auto first = reinterpret_cast<uintptr_t>(region.first);
  regions_[count_] = region;
  extents_[count_] = {
      first + static_cast<uintptr_t>(std::min<int64_t>(outer_reach, 0) +
                                     std::min<int64_t>(inner_reach, 0)),
      first + static_cast<uintptr_t>(std::max<int64_t>(outer_reach, 0) +
                                     std::max<int64_t>(inner_reach, 0) + region.piece)};
  ++count_;
}

bool MemoryMap::same_view(const Region& a, const Region& b) {
  return a.first == b.first && a.outer == b.outer && a.inner == b.inner &&
         a.outer_step == b.outer_step && a.inner_step == b.inner_step && a.piece == b.piece;
}

namespace {

// True if two of the half-open intervals meet; sorts them.
bool intersect(std::vector<std::pair<uintptr_t, uintptr_t>>& intervals) {
  std::sort(intervals.begin(), intervals.end());
  for (size_t k = 1; k < intervals.size(); ++k) {
    if (intervals[k].first < intervals[k - 1].second)
      return true;
  }
  return false;
}

}  // namespace

// Views whose extents meet may still be interleaved, as two columns of a matrix are: then every
// piece is compared.
bool MemoryMap::share_bytes(const Region& a, const Region& b) {
  struct Piece {
    uintptr_t begin, end;
    bool of_a;
  };
  std::vector<Piece> pieces;
  for (const Region* region : {&a, &b}) {
    for (int64_t o = 0; o < region->outer; ++o) {
      for (int64_t i = 0; i < region->inner; ++i) {
        const auto begin = reinterpret_cast<uintptr_t>(region->first) +
                           static_cast<uintptr_t>(o * region->outer_step + i * region->inner_step);
        pieces.push_back({begin, begin + static_cast<uintptr_t>(region->piece), region == &a});
      }
    }
  }
  std::sort(pieces.begin(), pieces.end(),
            [](const Piece& x, const Piece& y) { return x.begin < y.begin; });
  uintptr_t end_of_a = 0, end_of_b = 0;  // of the pieces so far
  for (const Piece& piece : pieces) {
    if (piece.begin < (piece.of_a ? end_of_b : end_of_a))
      return true;
    uintptr_t& end = piece.of_a ? end_of_a : end_of_b;
    end = std::max(end, piece.end);
  }
  return false;
}

bool MemoryMap::overlaps_itself(const Region& region) {
  const int64_t outer_step = std::abs(region.outer_step), inner_step = std::abs(region.inner_step);
  // Nested without contact, one way round or the other, is how nearly every tensor lies.
  const auto nested = [&](int64_t small_count, int64_t small_step, int64_t large_count,
                          int64_t large_step) {
    return (small_count == 1 || small_step >= region.piece) &&
           (large_count == 1 || large_step >= (small_count - 1) * small_step + region.piece);
  };
  if (nested(region.inner, inner_step, region.outer, outer_step) ||
      nested(region.outer, outer_step, region.inner, inner_step))
    return false;
  // Neighbours that meet, or more pieces than there is room for: what is left to compare piece by
  // piece lies in memory of its size.
  const int64_t reach =
      (region.outer - 1) * outer_step + (region.inner - 1) * inner_step + region.piece;
  if (region.inner > 1 && inner_step < region.piece)
    return true;
  if (region.outer > 1 && outer_step < region.piece)
    return true;
  if (region.outer > reach / region.piece / region.inner)
    return true;
  std::vector<std::pair<uintptr_t, uintptr_t>> pieces;
  for (int64_t o = 0; o < region.outer; ++o) {
    for (int64_t i = 0; i < region.inner; ++i) {
      const auto begin = static_cast<uintptr_t>(o * region.outer_step + i * region.inner_step) +
                         reinterpret_cast<uintptr_t>(region.first);
      pieces.emplace_back(begin, begin + static_cast<uintptr_t>(region.piece));
    }
  }
  return intersect(pieces);
}

// Insertion sort: a call has a dozen tensors, often in ascending order.
bool MemoryMap::extents_meet() const {
  Interval sorted[kMaxRegions];
  for (int k = 0; k < count_; ++k) {
    int place = k;
    for (; place > 0 && sorted[place - 1].begin > extents_[k].begin; --place)
      sorted[place] = sorted[place - 1];
    sorted[place] = extents_[k];
  }
  for (int k = 1; k < count_; ++k) {
    if (sorted[k].begin < sorted[k - 1].end)
      return true;
  }
  return false;
}

void MemoryMap::check() const {
  for (int k = 0; k < count_; ++k) {
    if (regions_[k].output && overlaps_itself(regions_[k])) {
      invalid(std::string(regions_[k].name) +
              " is an output whose elements share memory with each other");
    }
  }
  if (!extents_meet())
    return;
  for (int k = 0; k < count_; ++k) {
    const Region& output = regions_[k];
    if (!output.output)
      continue;
    for (int j = 0; j < count_; ++j) {
      const Region& other = regions_[j];
      if (j == k || (other.output && j < k))
        continue;
      if (extents_[k].begin >= extents_[j].end || extents_[j].begin >= extents_[k].end)
        continue;
      const bool in_place = output.in_place == other.name && same_view(output, other);
      if (in_place || !share_bytes(output, other))
        continue;
      invalid(std::string(output.name) + " shares memory with " + other.name +
              (output.in_place == other.name
                   ? ", expected exactly the same tensor or separate memory"
                   : ", expected separate memory"));
    }
  }
}

}  // namespace logratio::abi
