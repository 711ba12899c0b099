// Rows of the vocabulary as an operation uses them, wherever their logits come from: it takes the
// figures of each, and hands back what the loss's gradient by their log-probs is.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/kernels.h"
#include "math/token_row.h"

namespace logratio::cpu {

// The rows that are read, in the order in which they are taken.
struct RowList {
  std::vector<int64_t> rows;
  std::vector<int64_t> labels;  // of these; < 0: none
  // How many of the list have to be taken before the upstream of each is known; ascending.
  std::vector<int64_t> complete;

  int64_t size() const { return static_cast<int64_t>(rows.size()); }
};

class RowUser {
 public:
  virtual ~RowUser() = default;
  // Entries first .. last-1 of the list have their figures now. Called in order.
  virtual void take(int64_t first, int64_t last) = 0;
  // The upstream of entries that are complete.
  virtual void hand_back(int64_t first, int64_t last, math::RowUpstream* upstream) = 0;
};

class RowSource {
 public:
  virtual ~RowSource() = default;
  // Whether entries that become complete together should lie side by side.
  virtual bool prefers_companions() const = 0;
  // Fills in the figures of the list's entries, `everything` or only logp, lse and what the
  // backward takes, and writes the gradients that are wanted of all rows.
  virtual GradientTotals run(const RowList& list, bool everything, math::RowFigures* figures,
                             RowUser& user) = 0;
};

}  // namespace logratio::cpu
