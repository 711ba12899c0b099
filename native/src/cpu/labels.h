// Whole tensors in CPU memory, which were checked at the C ABI.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/elements.h"

namespace logratio::cpu {

// One label per row, -1 where the row is ignored.
inline std::vector<int64_t> read_labels(const op::Labels& labels) {
  std::vector<int64_t> values(static_cast<size_t>(labels.values.size()));
  read(labels.values, 0, labels.values.size(), values.data());
  for (int64_t& label : values)
    label = label == labels.ignore_index ? -1 : label;
  return values;
}

// The elements of a tensor; `absent` each where there is none.
inline std::vector<double> read_all(const TensorView& view, int64_t count, double absent) {
  std::vector<double> values(static_cast<size_t>(count), absent);
  if (view)
    read(view, 0, count, values.data());
  return values;
}

inline std::vector<double> read_mask(const TensorView& mask, int64_t count) {
  return read_all(mask, count, 1);
}

}  // namespace logratio::cpu
