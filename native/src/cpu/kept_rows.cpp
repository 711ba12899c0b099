#include "cpu/kept_rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <new>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/row_tasks.h"
#include "math/softcap.h"

namespace logratio::cpu {
namespace {

using math::RowFigures;
using math::RowNorm;
using math::RowUpstream;

constexpr int64_t kLine = 64;  // bytes of a cache line: what a kept logit far from others costs

class KeptRows {
  // Elements are moved, whatever float their bits are.
  template <class Body>
  auto by_element(const Body& body) const {
    return logits_.type == ElementType::f32 ? body(uint32_t{}) : body(uint16_t{});
  }

  template <class Body>
  void for_columns(int64_t r, const Body& body) const {
    constexpr int64_t kBlock = 256;
    int64_t block[kBlock];
    for (int64_t first = 0; first < columns(r); first += kBlock) {
      const int64_t size = std::min(kBlock, columns(r) - first);
      read(ids_, offsets_[r] + first, size, block);
      for (int64_t k = 0; k < size; ++k)
        body(first + k, block[k]);
    }
  }

 public:
  KeptRows(const op::LogitRows& logits, const op::KeptColumns& kept, const op::RowTransform& t)
      : logits_(logits), ids_(kept.ids), transform_(t) {
    offsets_.resize(static_cast<size_t>(kept.offsets.size()));
    read(kept.offsets, 0, kept.offsets.size(), offsets_.data());
    for (int64_t r = 0; r < count(); ++r)
      longest_ = std::max(longest_, columns(r));
  }

  int64_t count() const { return static_cast<int64_t>(offsets_.size()) - 1; }
  int64_t columns(int64_t r) const { return offsets_[r + 1] - offsets_[r]; }
  int64_t column(int64_t r, int64_t place) const {
    int64_t id = 0;
    read(ids_, offsets_[r] + place, 1, &id);
    return id;
  }

  // Calls body(r, memory) for every row, on all threads; the memory holds the row's kept logits.
  // Few long rows come one after the other, and their kernels have all threads.
  template <class Body>
  void for_each(int64_t bytes_per_row, const Body& body) const {
    const RowPlan plan = plan_rows(count(), longest_, std::max<int64_t>(bytes_per_row, 1));
    const int64_t runs = (count() + plan.rows_per_task - 1) / plan.rows_per_task;
    const int64_t tasks =
        plan.by_segment ? std::min<int64_t>(runs, 1) : std::min<int64_t>(runs, thread_count());
    const int64_t bytes = (longest_ * op::bytes_of(logits_.type) / kLine + 1) * kLine;
    Scratch scratch;
    char* const memory = scratch.array<char>(tasks * bytes);
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    parallel_for(tasks, [&](int64_t task) {
      try {
        for (int64_t run; (run = next.fetch_add(1, std::memory_order_relaxed)) < runs;) {
          const int64_t first = run * plan.rows_per_task,
                        last = std::min(first + plan.rows_per_task, count());
          for (int64_t r = first; r < last; ++r)
            body(r, memory + task * bytes);
        }
      } catch (const std::bad_alloc&) {  // of a kernel
        failed = true;
      }
    });
    if (failed)
      throw std::bad_alloc();
  }

  // The kept logits of a row, side by side.
  op::LogitRows row_in(void* memory, int64_t r) const {
    return {memory, logits_.type, 1, 0, columns(r), columns(r)};
  }

  // Returns the label's place among them, -1 where it has none.
  int64_t gather(int64_t r, int64_t label, void* memory) const {
    return by_element([&](auto element) {
      using Element = decltype(element);
      const auto* const row = reinterpret_cast<const Element*>(row_address(logits_, r));
      auto* const target = static_cast<Element*>(memory);
      int64_t place = -1;
      for_columns(r, [&](int64_t k, int64_t id) {
        target[k] = row[id];
        place = id == label ? k : place;
      });
      return place;
    });
  }

  // The opposite: other columns become 0.
  void scatter(const op::LogitRows& gradient, int64_t r, const void* memory) const {
    clear(gradient, r);
    by_element([&](auto element) {
      using Element = decltype(element);
      auto* const row = reinterpret_cast<Element*>(row_address(gradient, r));
      const auto* const source = static_cast<const Element*>(memory);
      for_columns(r, [&](int64_t k, int64_t id) { row[id] = source[k]; });
      return 0;
    });
  }

  void clear(const op::LogitRows& gradient, int64_t r) const {
    std::memset(row_address(gradient, r), 0,
                static_cast<size_t>(gradient.columns * op::bytes_of(gradient.type)));
  }

  RowFigures figures(const op::LogitRows& row, bool everything, int64_t label) const {
    RowFigures figures;
    Scratch scratch;
    kernels().token_forward({row, transform_, everything, 1, nullptr, &label, &figures}, scratch);
    return figures;
  }

  // From the caller's lse, or from the row once more where that has too few digits.
  RowNorm norm(const op::LogitRows& row, int64_t label, double lse, double epsilon) const {
    const double x = load_logit(row.type, row.base, label);
    const RowNorm norm = math::norm_of_lse(lse, math::softcap_value_at(x, transform_.softcap),
                                           transform_.temperature);
    return math::lse_serves(lse, epsilon, norm.logp) ? norm : figures(row, false, label).norm;
  }

  void differentiate(const op::LogitRows& row, const RowUpstream& upstream) const {
    Scratch scratch;
    kernels().token_backward({row, row, transform_, 1, &upstream, nullptr}, scratch);
  }

 private:
  const op::LogitRows& logits_;
  const TensorView& ids_;
  const op::RowTransform& transform_;
  std::vector<int64_t> offsets_;
  int64_t longest_ = 1;
};

}  // namespace

int64_t kept_forward(const op::TokenLogprobs& call, const std::vector<int64_t>& labels,
                     RowFigures* figures) {
  const KeptRows rows(call.logits, call.kept, call.transform);
  const bool everything = call.wants_everything();
  std::atomic<int64_t> outside{0};
  rows.for_each(
      call.kept.ids.size() / std::max<int64_t>(rows.count(), 1) * kLine,
      [&](int64_t r, char* memory) {
        const int64_t place = rows.gather(r, labels[r], memory);
        RowFigures& of_row = figures[r] = rows.figures(rows.row_in(memory, r), everything, place);
        double* const out = of_row.of;
        if (everything)
          out[math::kArgmax] =
              static_cast<double>(rows.column(r, static_cast<int64_t>(out[math::kArgmax])));
        if (labels[r] >= 0 && place < 0) {
          out[math::kLogp] = std::isnan(out[math::kLse]) ? out[math::kLse] : -INFINITY;
          outside.fetch_add(1, std::memory_order_relaxed);
        }
      });
  return outside;
}

void kept_backward(const op::TokenLogprobsBackward& call,
                   const std::vector<RowUpstream>& upstream) {
  const KeptRows rows(call.logits, call.kept, call.transform);
  const std::vector<double> lse = read_all(call.lse, call.rows(), 0);
  const double epsilon = op::epsilon_of(call.lse.type);
  const int64_t bytes = call.gradient.columns * op::bytes_of(call.gradient.type);
  rows.for_each(bytes, [&](int64_t r, char* memory) {
    RowUpstream up = upstream[r];
    if (up.is_zero())
      return rows.clear(call.gradient, r);
    const int64_t place = rows.gather(r, up.label, memory);
    if (place < 0)
      up.grad_logp = 0;
    up.label = std::max<int64_t>(place, 0);  // with no gradient of its own any column will do
    if (up.is_zero())
      return rows.clear(call.gradient, r);
    const op::LogitRows row = rows.row_in(memory, r);
    up.norm = rows.norm(row, up.label, lse[r], epsilon);
    rows.differentiate(row, up);
    rows.scatter(call.gradient, r, memory);
  });
}

}  // namespace logratio::cpu
