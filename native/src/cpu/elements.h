// Token- and pair-sized tensors of any element type and strides, read and written as double.
// Checked at the C ABI, unchecked here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "op/tensor_view.h"

namespace logratio::cpu {

using op::ElementType;
using op::TensorView;

// Elements first .. first+count-1 in row-major order. write() rounds once, to nearest even.
void read(const TensorView& view, int64_t first, int64_t count, double* values);
void read(const TensorView& view, int64_t first, int64_t count,
          int64_t* values);  // of an integer view
void write(const TensorView& view, int64_t first, int64_t count, const double* values);
void write(const TensorView& view, int64_t first, int64_t count,
           const int64_t* values);  // to an integer view

// The same one element after the other: value(k) is stored as element k. For outputs that are
// gathered from structs.
template <class Value>
void write_each(const TensorView& view, int64_t count, Value&& value) {
  using Element = decltype(value(int64_t{0}));
  constexpr int64_t kBlock = 256;
  Element block[kBlock];
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t size = count - first < kBlock ? count - first : kBlock;
    for (int64_t k = 0; k < size; ++k)
      block[k] = value(first + k);
    write(view, first, size, block);
  }
}

// ---- Whole tensors ----

// What stands in the columns of a view's rows, row after row; the rows of one outer index at a
// time.
template <class Body>
void for_column_views(const TensorView& rows, const op::Columns& columns, Body&& body) {
  if (columns.count == 1)
    return body(rows, int64_t{0}, rows.size());
  const int64_t count = rows.inner * columns.count;
  for (int64_t o = 0; count > 0 && o < rows.outer; ++o) {
    char* const data =
        static_cast<char*>(rows.data) + o * rows.outer_stride * op::bytes_of(rows.type);
    body(TensorView{true, rows.type, data, rows.inner, columns.count, rows.inner_stride,
                    columns.step},
         o * count, count);
  }
}

template <class Value>
std::vector<Value> read_columns(const TensorView& rows, const op::Columns& columns) {
  std::vector<Value> values(static_cast<size_t>(rows.size() * columns.count));
  for_column_views(rows, columns, [&](const TensorView& view, int64_t first, int64_t count) {
    read(view, 0, count, values.data() + first);
  });
  return values;
}

inline void write_columns(const TensorView& rows, const op::Columns& columns,
                          const std::vector<double>& values) {
  for_column_views(rows, columns, [&](const TensorView& view, int64_t first, int64_t count) {
    write(view, 0, count, values.data() + first);
  });
}

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

// Weights, of which an integer is 0 or 1.
inline std::vector<double> read_mask(const TensorView& mask, int64_t count) {
  std::vector<double> weights = read_all(mask, count, 1);
  if (mask && op::is_int(mask.type)) {
    for (double& weight : weights)
      weight = weight != 0 ? 1 : 0;
  }
  return weights;
}

}  // namespace logratio::cpu
