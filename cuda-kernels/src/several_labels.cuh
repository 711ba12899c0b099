// Several labels per row, around the row kernels that a single label has: no instance of those is
// added. A warp has a row's labels, of which a lane takes every 32nd.
//
//   label_logps      after the forward, whose log-sums it takes: the labels' log-probs, and the
//                    tail where the labels hold less than half
//   sum_tails        elsewhere a block sums the other columns once more, from L2 as a rule
//   take_label_norms before the backward: whether the caller's lse serves
//   differentiate_labels   the labels' gradients, and what all other columns have of the upstream
//   write_labels     after the backward of the rows, over what that has left there
#pragma once

#include "elements.cuh"
#include "logits.cuh"
#include "math/several_labels.h"
#include "row_launch.cuh"
#include "transform.cuh"

namespace logratio::device {

struct LabelRows {
  op::LogitRows logits;
  int64_t count;
  Transform transform;
  op::Labels labels;  // the first of each row
  op::Columns columns;
  int64_t* bad_values;

  dim3 warps(const Machine& machine) const { return machine.blocks(blocks_of_warps(count)); }
};

// A place in a tensor with several elements per row, as element 0 of a view; absent if that is.
__device__ __forceinline__ op::TensorView element_at(const op::TensorView& rows,
                                                     const op::Columns& columns, int64_t r,
                                                     int64_t k) {
  op::TensorView view = rows;
  if (!view.present)
    return view;
  view.data = static_cast<char*>(view.data) +
              (element_offset(view, r) + k * columns.step) * op::bytes_of(view.type);
  view.outer = view.inner = 1;
  return view;
}

// Called by a warp: this lane's label of the 32 from `first` on, kBadLabel where the row has it
// before, too; kIgnored past the last.
__device__ inline int64_t read_label_of(const LabelRows& rows, int64_t r, int64_t first) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const auto read = [&](int64_t k) {
    if (k >= rows.columns.count)
      return kIgnored;
    const op::Labels label{element_at(rows.labels.values, rows.columns, r, k),
                           rows.labels.ignore_index};
    return read_label(label, 0, rows.logits.columns);
  };
  int64_t own = read(first + lane);
  bool repeated = false;
  for (int64_t before = 0; before <= first; before += kWarp) {
    const int64_t theirs = before == first ? own : read(before + lane);
    for (int j = 0; j < kWarp; ++j) {
      const int64_t other = __shfl_sync(kAllLanes, theirs, j);
      repeated |= own >= 0 && other == own && before + j < first + lane;
    }
  }
  return repeated ? kBadLabel : own;
}

// body(k, label) for each label of a row, by a lane; `k` may be past the last, whose label is
// kIgnored.
template <class Body>
__device__ __forceinline__ void for_labels(const LabelRows& rows, int64_t r, Body&& body) {
  for (int64_t first = 0; first < rows.columns.count; first += kWarp) {
    const int64_t label = read_label_of(rows, r, first);
    body(first + static_cast<int>(threadIdx.x) % kWarp, label);
  }
}

// Calls body(r) for each row, by a warp.
template <class Body>
__device__ __forceinline__ void for_warp_rows(int64_t count, Body&& body) {
  const int64_t warps = int64_t{gridDim.x} * kRowsPerBlock;
  for (int64_t r = int64_t{blockIdx.x} * kRowsPerBlock + threadIdx.x / kWarp; r < count; r += warps)
    body(r);
}

// ---- Forward ----

// A tail that has to be summed: no other is above 0.
constexpr double kUnknownTail = math::kInfinity;

struct LabelFigures {
  const math::RowNorm* norms;
  op::TensorView logps;  // may be absent, as may the tails
  op::Columns columns;
  op::TensorView tails;
  double* found_tails;   // by row, of the workspace; null where no tail is wanted
  op::TensorView given;  // tails that the caller has, and that serve where they have the digits
  double given_epsilon;
};

template <class T, class Cap>
__global__ void __launch_bounds__(kBlockThreads)
    label_logps(const LR_PARAMETER LabelRows rows, const LR_PARAMETER LabelFigures figures) {
  const double temperature = rows.transform.temperature;
  for_warp_rows(rows.count, [&](int64_t r) {
    const math::RowNorm norm = figures.norms[r];
    const typename T::Element* const row = row_address<T>(rows.logits, r);
    double held = 0;
    int bad = 0;
    for_labels(rows, r, [&](int64_t k, int64_t label) {
      double logp = label == kIgnored ? 0 : math::kNaN;
      if (label >= 0) {
        logp = math::column_logp(Cap::value(T::widen(row[label]), rows.transform), norm.pivot,
                                 norm.log_sum, temperature);
        held += figures.found_tails == nullptr ? 0 : math::probability(logp);
      }
      bad += label == kBadLabel;
      if (k < rows.columns.count)
        write(element_at(figures.logps, figures.columns, r, k), 0, logp);
    });
    bad = warp_sum(bad);
    held = warp_sum(held);
    if (threadIdx.x % kWarp != 0)
      return;
    if (bad > 0 && rows.bad_values != nullptr)
      count_up(rows.bad_values, bad);
    if (figures.found_tails == nullptr)
      return;
    double tail = bad > 0 ? math::kNaN
                  : math::labels_hold_little(held) || math::is_nan(held)
                      ? math::log_of_tail(held, norm)
                      : kUnknownTail;
    if (figures.given.present) {
      const double given = read_double(figures.given, r);
      tail = math::tail_serves(given, figures.given_epsilon) ? given : tail;
    }
    figures.found_tails[r] = tail;
    if (tail != kUnknownTail)
      write(figures.tails, r, tail);
  });
}

// A byte for each column of a stretch: whether it is a label.
constexpr int kMarked = 8192;

// The sum of exponentials of a thread's columns about their own maximum.
struct OtherColumns {
  float maximum = -kInfinity;
  float sum = 0;

  __device__ __forceinline__ void add(float z, const Transform& t) {
    if (!(z > -kInfinity))
      return;
    if (z > maximum) {
      sum = sum * exp2_fast((maximum - z) * t.scale) + 1;
      maximum = z;
    } else {
      sum += exp2_fast((z - maximum) * t.scale);
    }
  }
};

template <class T, class Cap>
__global__ void __launch_bounds__(kBlockThreads)
    sum_tails(const LR_PARAMETER LabelRows rows, const LR_PARAMETER LabelFigures figures) {
  LR_SHARED(uint8_t, marks, kMarked);
  LR_SHARED(double, of_warps, 2 * kRowsPerBlock);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp;
  const Transform& t = rows.transform;
  for (int64_t r = blockIdx.x; r < rows.count; r += gridDim.x) {
    if (figures.found_tails[r] != kUnknownTail)
      continue;
    const typename T::Element* const row = row_address<T>(rows.logits, r);
    OtherColumns own;
    for (int64_t begin = 0; begin < rows.logits.columns; begin += kMarked) {
      const int size = static_cast<int>(std::min<int64_t>(kMarked, rows.logits.columns - begin));
      __syncthreads();  // who reads the marks of before has done so
      for (int k = thread; k < size; k += kBlockThreads)
        marks[k] = 0;
      __syncthreads();
      for (int64_t k = thread; k < rows.columns.count; k += kBlockThreads) {
        const op::Labels place{element_at(rows.labels.values, rows.columns, r, k),
                               rows.labels.ignore_index};
        const int64_t label = read_label(place, 0, rows.logits.columns) - begin;
        if (label >= 0 && label < size)
          marks[label] = 1;
      }
      __syncthreads();
      for (int k = thread; k < size; k += kBlockThreads) {
        if (marks[k] == 0)
          own.add(Cap::value(T::widen(row[begin + k]), t), t);
      }
    }
    const float of_warp = warp_max(own.maximum);
    if (thread % kWarp == 0)
      of_warps[warp] = of_warp;
    __syncthreads();
    double maximum = of_warps[0];
    for (int w = 1; w < kRowsPerBlock; ++w)
      maximum = std::max(maximum, of_warps[w]);
    const double sum = warp_sum(
        own.sum == 0 ? 0 : own.sum * exp((own.maximum - maximum) / rows.transform.temperature));
    if (thread % kWarp == 0)
      of_warps[kRowsPerBlock + warp] = sum;
    __syncthreads();
    if (thread == 0) {
      double all = 0;
      for (int w = 0; w < kRowsPerBlock; ++w)
        all += of_warps[kRowsPerBlock + w];
      const double tail = math::log_of_tail(all, maximum, figures.norms[r], t.temperature);
      figures.found_tails[r] = tail;
      write(figures.tails, r, tail);
    }
    __syncthreads();
  }
}

// ---- Backward ----

struct LabelUpstream {
  op::TensorView grad_logps;
  op::Columns columns;
  op::TensorView entropy, grad_entropy, grad_lse, grad_tail, lse;
  double lse_epsilon;
  math::RowNorm* norms;
  const double* logps;        // [count, K]
  const double* found_tails;  // null without grad_tail
  math::RowUpstream* rest;    // [count]: what columns that are no labels have
  double* gradients;          // [count, K]; may be the log-probs

  __device__ __forceinline__ double value(const op::TensorView& of, int64_t r) const {
    return of.present ? read_double(of, r) : 0;
  }
  __device__ __forceinline__ double grad_logp(int64_t r, int64_t k) const {
    return grad_logps.present ? read_double(element_at(grad_logps, columns, r, k), 0) : 0;
  }
};

// The norm of the caller's lse; its log-sum is NaN where the row has to be summed again.
template <class T, class Cap>
__global__ void __launch_bounds__(kBlockThreads)
    take_label_norms(const LR_PARAMETER LabelRows rows, const LR_PARAMETER LabelUpstream upstream) {
  const double temperature = rows.transform.temperature;
  for_warp_rows(rows.count, [&](int64_t r) {
    const typename T::Element* const row = row_address<T>(rows.logits, r);
    float highest = -kInfinity;
    bool any = false;
    for (int64_t k = threadIdx.x % kWarp; k < rows.columns.count; k += kWarp) {
      const op::Labels place{element_at(rows.labels.values, rows.columns, r, k),
                             rows.labels.ignore_index};
      const int64_t label = read_label(place, 0, rows.logits.columns);
      if (label < 0)
        continue;
      any |= upstream.grad_logp(r, k) != 0 || upstream.value(upstream.grad_entropy, r) != 0 ||
             upstream.value(upstream.grad_lse, r) != 0 ||
             upstream.value(upstream.grad_tail, r) != 0;
      highest = fmaxf(highest, Cap::value(T::widen(row[label]), rows.transform));
    }
    highest = warp_max(highest);
    any = __ballot_sync(kAllLanes, any) != 0;
    if (threadIdx.x % kWarp != 0)
      return;
    const double lse = upstream.value(upstream.lse, r), pivot = lse * temperature;
    const double logp = (static_cast<double>(highest) - pivot) / temperature;
    const bool serves = !any || math::lse_serves(lse, upstream.lse_epsilon, logp);
    upstream.norms[r] = {pivot, serves ? 0 : math::kNaN, logp};
  });
}

template <class T, class Cap>
__global__ void __launch_bounds__(kBlockThreads)
    differentiate_labels(const LR_PARAMETER LabelRows rows,
                         const LR_PARAMETER LabelUpstream upstream) {
  const double temperature = rows.transform.temperature;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for_warp_rows(rows.count, [&](int64_t r) {
    const typename T::Element* const row = row_address<T>(rows.logits, r);
    const double* const logps = upstream.logps + r * rows.columns.count;
    double* const gradients = upstream.gradients + r * rows.columns.count;
    math::SeveralUpstream up{upstream.norms[r],
                             upstream.value(upstream.entropy, r),
                             upstream.found_tails == nullptr ? 0 : upstream.found_tails[r],
                             upstream.value(upstream.grad_entropy, r),
                             upstream.value(upstream.grad_lse, r),
                             upstream.value(upstream.grad_tail, r),
                             0,
                             0};
    bool bad = false, any = up.grad_entropy != 0 || up.grad_lse != 0 || up.grad_tail != 0;
    int64_t some_label = -1;
    double certain = 0;  // the grad_logps beside a label that has most of the probability
    int64_t certain_place = -1;
    for_labels(rows, r, [&](int64_t k, int64_t label) {
      bad |= label == kBadLabel;
      if (label < 0)
        return;
      some_label = label;
      const double g = upstream.grad_logp(r, k), logp = logps[k];
      any |= g != 0;
      up.grad_logps += g;
      up.held += math::probability(logp);
      if (!math::others_follow(logp))
        certain_place = k;
    });
    up.grad_logps = warp_sum(up.grad_logps);
    up.held = warp_sum(up.held);
    const uint32_t with_label = __ballot_sync(kAllLanes, some_label >= 0);
    const bool is_zero =
        with_label == 0 || __ballot_sync(kAllLanes, bad) != 0 || __ballot_sync(kAllLanes, any) == 0;
    const uint32_t with_certain = __ballot_sync(kAllLanes, certain_place >= 0);
    certain_place =
        with_certain == 0 ? -1 : __shfl_sync(kAllLanes, certain_place, first_bit(with_certain));
    if (with_certain != 0) {
      for_labels(rows, r, [&](int64_t k, int64_t label) {
        certain += label < 0 || k == certain_place ? 0 : upstream.grad_logp(r, k);
      });
      certain = warp_sum(certain);
    }
    for_labels(rows, r, [&](int64_t k, int64_t label) {
      if (k >= rows.columns.count)
        return;
      double gradient = 0;
      if (!is_zero && label >= 0) {
        const double g = upstream.grad_logp(r, k);
        float slope;
        Cap::value(T::widen(row[label]), rows.transform, &slope);
        gradient = math::label_gradient(
            up, logps[k], g, k == certain_place ? certain : up.grad_logps - g, temperature, slope);
      }
      gradients[k] = gradient;
    });
    some_label = with_label == 0 ? -1 : __shfl_sync(kAllLanes, some_label, first_bit(with_label));
    if (lane == 0)
      upstream.rest[r] = is_zero ? math::RowUpstream{-1, {}, 0, 0, 0}
                                 : math::rest_upstream(up, some_label, temperature);
  });
}

// A thread per label.
template <class T>
__global__ void __launch_bounds__(kBlockThreads)
    write_labels(const LR_PARAMETER LabelRows rows, const LR_PARAMETER op::LogitRows gradient,
                 const double* gradients) {
  const int64_t per_row = rows.columns.count;
  for (int64_t i = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; i < rows.count * per_row;
       i += int64_t{gridDim.x} * kBlockThreads) {
    const int64_t r = i / per_row;
    const op::Labels place{element_at(rows.labels.values, rows.columns, r, i - r * per_row),
                           rows.labels.ignore_index};
    const int64_t label = read_label(place, 0, rows.logits.columns);
    if (label >= 0)
      row_address<T>(gradient, r)[label] = T::narrow(gradients[i]);
  }
}

// ---- Launches ----

inline void launch_label_figures(const LabelRows& rows, const LabelFigures& figures,
                                 const Machine& machine) {
  with_type(rows.logits.type, [&]<class T>(T) {
    const bool caps = rows.transform.softcap != 0;
    launch(caps ? label_logps<T, Softcap> : label_logps<T, NoSoftcap>, rows.warps(machine),
           kBlockThreads, 0, machine.stream, rows, figures);
    if (figures.found_tails != nullptr)
      launch(caps ? sum_tails<T, Softcap> : sum_tails<T, NoSoftcap>, machine.blocks(rows.count),
             kBlockThreads, 0, machine.stream, rows, figures);
  });
}

inline void launch_label_norms(const LabelRows& rows, const LabelUpstream& upstream,
                               const Machine& machine) {
  with_type(rows.logits.type, [&]<class T>(T) {
    launch(
        rows.transform.softcap != 0 ? take_label_norms<T, Softcap> : take_label_norms<T, NoSoftcap>,
        rows.warps(machine), kBlockThreads, 0, machine.stream, rows, upstream);
  });
}

inline void launch_differentiate_labels(const LabelRows& rows, const LabelUpstream& upstream,
                                        const Machine& machine) {
  with_type(rows.logits.type, [&]<class T>(T) {
    launch(rows.transform.softcap != 0 ? differentiate_labels<T, Softcap>
                                       : differentiate_labels<T, NoSoftcap>,
           rows.warps(machine), kBlockThreads, 0, machine.stream, rows, upstream);
  });
}

inline void launch_write_labels(const LabelRows& rows, const op::LogitRows& gradient,
                                const double* gradients, const Machine& machine) {
  with_type(rows.logits.type, [&]<class T>(T) {
    const int64_t labels = rows.count * rows.columns.count;
    launch(write_labels<T>, machine.blocks((labels + kBlockThreads - 1) / kBlockThreads),
           kBlockThreads, 0, machine.stream, rows, gradient, gradients);
  });
}

}  // namespace logratio::device
