#include "abi/kept.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/values.h"
#include "cpu/elements.h"

namespace logratio::abi {
namespace {

// "NAME[3] is 7, expected ...".
[[noreturn, gnu::cold]] void wrong(const Operand& operand, int64_t number, const std::string& value,
                                   const std::string& expected) {
  invalid(element_text(operand, number) + " is " + value + ", expected " + expected);
}

std::vector<int64_t> check_offsets(const Operand& operand, const Operand& ids,
                                   const op::KeptColumns& kept) {
  std::vector<int64_t> offsets(static_cast<size_t>(kept.offsets.size()));
  cpu::read(kept.offsets, 0, kept.offsets.size(), offsets.data());
  if (offsets[0] != 0)
    wrong(operand, 0, std::to_string(offsets[0]), "0, where row 0 begins");
  for (size_t k = 1; k < offsets.size(); ++k) {
    if (offsets[k] <= offsets[k - 1]) {
      wrong(operand, static_cast<int64_t>(k), std::to_string(offsets[k]),
            "more than " + std::to_string(offsets[k - 1]) + ", where row " + std::to_string(k - 1) +
                " begins");
    }
  }
  if (offsets.back() != kept.ids.size()) {
    wrong(operand, static_cast<int64_t>(offsets.size()) - 1, std::to_string(offsets.back()),
          std::to_string(kept.ids.size()) + ", as " + is_text(ids));
  }
  return offsets;
}

}  // namespace

void check_kept_shape(const Operand& offsets, const Operand& logits, const Operand& labels,
                      const op::KeptColumns& kept, int64_t rows) {
  if (!kept)
    return;
  if (labels.tensor()->ndim == logits.tensor()->ndim)
    mismatch(labels, "a label per row, as kept_ids is given");
  if (kept.offsets.size() != rows + 1)
    mismatch(offsets, "shape [" + std::to_string(rows + 1) + "], as " + is_text(logits));
}

void check_kept(const Operand& offsets, const Operand& ids, const op::KeptColumns& kept,
                int64_t vocabulary) {
  if (!kept)
    return;
  const std::vector<int64_t> ends = check_offsets(offsets, ids, kept);
  constexpr int64_t kBlock = 1024;
  int64_t block[kBlock], before = 0;
  for (size_t row = 0; row + 1 < ends.size(); ++row) {
    for (int64_t first = ends[row]; first < ends[row + 1]; first += kBlock) {
      const int64_t count = std::min(kBlock, ends[row + 1] - first);
      cpu::read(kept.ids, first, count, block);
      for (int64_t k = 0; k < count; ++k) {
        const auto value = [&] {
          return std::to_string(block[k]) + " in row " + std::to_string(row);
        };
        if (block[k] < 0 || block[k] >= vocabulary)
          wrong(ids, first + k, value(), "a number in [0," + std::to_string(vocabulary) + ")");
        if (first + k > ends[row] && block[k] <= before)
          wrong(ids, first + k, value(), "more than the " + std::to_string(before) + " before it");
        before = block[k];
      }
    }
  }
}

}  // namespace logratio::abi
