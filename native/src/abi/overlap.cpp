#include "abi/overlap.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace logratio::abi {

// Insertion sort: a call has a dozen tensors, often in ascending order.
bool any_meet(std::span<Extent> extents) {
  for (size_t k = 1; k < extents.size(); ++k) {
    const Extent extent = extents[k];
    size_t place = k;
    for (; place > 0 && extents[place - 1].begin > extent.begin; --place)
      extents[place] = extents[place - 1];
    extents[place] = extent;
  }
  for (size_t k = 1; k < extents.size(); ++k) {
    if (extents[k].begin < extents[k - 1].end)
      return true;
  }
  return false;
}

bool same_view(const Region& a, const Region& b) {
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
bool share_bytes(const Region& a, const Region& b) {
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

bool pieces_meet(const Region& region) {
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

}  // namespace logratio::abi
