#include "abi/overlap.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>
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
         a.outer_step == b.outer_step && a.inner_step == b.inner_step && a.piece == b.piece &&
         a.depth == b.depth && a.depth_step == b.depth_step;
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

// body(address) of every piece.
template <class Body>
void for_pieces(const Region& region, Body&& body) {
  const auto first = reinterpret_cast<uintptr_t>(region.first);
  for (int64_t o = 0; o < region.outer; ++o) {
    for (int64_t i = 0; i < region.inner; ++i) {
      for (int64_t d = 0; d < region.depth; ++d) {
        body(first + static_cast<uintptr_t>(o * region.outer_step + i * region.inner_step +
                                            d * region.depth_step));
      }
    }
  }
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
    for_pieces(*region, [&](uintptr_t begin) {
      pieces.push_back({begin, begin + static_cast<uintptr_t>(region->piece), region == &a});
    });
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
  struct Dimension {
    int64_t count, step;
  };
  Dimension dimensions[] = {{region.outer, std::abs(region.outer_step)},
                            {region.inner, std::abs(region.inner_step)},
                            {region.depth, std::abs(region.depth_step)}};
  std::sort(std::begin(dimensions), std::end(dimensions),
            [](const Dimension& a, const Dimension& b) { return a.step < b.step; });
  // Nested without contact, whichever way round, is how nearly every tensor lies.
  bool nested = true;
  int64_t reach = region.piece;
  for (const Dimension& dimension : dimensions) {
    // Neighbours that meet.
    if (dimension.count > 1 && dimension.step < region.piece)
      return true;
    nested &= dimension.count == 1 || dimension.step >= reach;
    reach += (dimension.count - 1) * dimension.step;
  }
  if (nested)
    return false;
  // More pieces than there is room for: what is left to compare piece by piece lies in memory of
  // its size.
  if (region.outer > reach / region.piece / region.inner / region.depth)
    return true;
  std::vector<std::pair<uintptr_t, uintptr_t>> pieces;
  for_pieces(region, [&](uintptr_t begin) {
    pieces.emplace_back(begin, begin + static_cast<uintptr_t>(region.piece));
  });
  return intersect(pieces);
}

}  // namespace logratio::abi
