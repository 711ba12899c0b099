// How vocabulary rows are shared out over the GPU: to warps, to blocks, or by segments to several
// blocks. None of it changes a result: rows are cut by their length alone.
#pragma once

#include <algorithm>

#include "math/host_device.h"
#include "op/logit_rows.h"
#include "runtime.h"
#include "team.cuh"

namespace logratio::device {

constexpr int kBlockThreads = 256;
constexpr int64_t kWarpRowBytes = 4096;  // rows up to this long belong to a warp
constexpr int kRowsPerBlock = kBlockThreads / kWarp;
constexpr int64_t kBlocksPerMultiprocessor =
    256;  // more work than that, and each block does several rows

inline bool is_warp_row(const op::LogitRows& rows) {
  return rows.columns * op::bytes_of(rows.type) <= kWarpRowBytes;
}
inline int64_t blocks_of_warps(int64_t rows) { return (rows + kRowsPerBlock - 1) / kRowsPerBlock; }

// A row is cut into equal segments, whoever computes them.
struct Segments {
  int64_t count;
  int64_t columns;  // of each but the last; a multiple of every vector
};

constexpr int kMaxSegments = 22;
constexpr int64_t kSegmentColumns = 32768;

LR_HD inline Segments cut(int64_t columns) {
  const int64_t whole = (columns + kSegmentColumns - 1) / kSegmentColumns;
  const int64_t count = whole < kMaxSegments ? whole : kMaxSegments;
  const int64_t each = ((columns + count - 1) / count + 7) / 8 * 8;
  return {(columns + each - 1) / each, each};
}

// Where a call runs.
struct Machine {
  void* stream;
  int64_t multiprocessors;

  explicit Machine(const Execution& execution)
      : stream(execution.stream),
        multiprocessors(logratio::device::multiprocessors(execution.device)) {}

  dim3 blocks(int64_t count) const {
    return dim3(static_cast<unsigned>(
        std::clamp<int64_t>(count, 1, kBlocksPerMultiprocessor * multiprocessors)));
  }
  // How many consecutive segments of rows, one row after the other, each team of threads gets, so
  // that all end together where a multiprocessor holds `blocks` blocks: whole rows, unless that
  // would take some of them noticeably longer.
  int64_t run(int64_t rows, const op::LogitRows& logits, int64_t segments, int blocks) const {
    return run_of(rows, segments,
                  multiprocessors * blocks * (is_warp_row(logits) ? kRowsPerBlock : int64_t{1}));
  }
  static int64_t run_of(int64_t rows, int64_t segments, int64_t teams) {
    const int64_t whole = (rows + teams - 1) / teams * segments,
                  even = (rows * segments + teams - 1) / teams;
    return std::max<int64_t>(whole <= even + even / 32 ? whole : even, 1);
  }
};

// A row's backward is cut into pieces as its forward is into segments.
struct Pieces {
  int64_t count;
  int64_t vectors;  // of each
};

inline Pieces cut_backward(const op::LogitRows& logits) {
  const int64_t count = cut(logits.columns).count, per_vector = 16 / op::bytes_of(logits.type);
  const int64_t vectors = (logits.columns + per_vector - 1) / per_vector +
                          1;  // one more where the row begins within a vector
  return {count, (vectors + count - 1) / count};
}

}  // namespace logratio::device
