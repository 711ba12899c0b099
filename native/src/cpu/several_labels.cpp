// The rows go through the kernels that a single label has. Forward, a row's labels are read after
// it, from cache. Backward, they are read before any row is written, which may lie over the logits,
// and their gradients are written after their row.
#include "cpu/several_labels.h"

#include <algorithm>
#include <vector>

#include "cpu/elements.h"
#include "cpu/isa.h"
#include "cpu/row_tasks.h"
#include "cpu/token_logprobs.h"
#include "math/several_labels.h"
#include "math/softcap.h"

namespace logratio::cpu {
namespace {

using math::RowFigures;
using math::RowUpstream;
using math::SeveralUpstream;

constexpr int64_t kRowsPerTask = 32;

// Labels of rows, row after row; -1 where one is ignored.
struct RowLabels {
  int64_t per_row;
  std::vector<int64_t> of;

  RowLabels(const op::Labels& labels, const op::Columns& columns)
      : per_row(columns.count), of(read_columns<int64_t>(labels.values, columns)) {
    for (int64_t& label : of)
      label = label == labels.ignore_index ? -1 : label;
  }
  explicit RowLabels(int64_t per_row) : per_row(per_row) {}

  int64_t rows() const { return static_cast<int64_t>(of.size()) / per_row; }
  const int64_t* row(int64_t r) const { return of.data() + r * per_row; }
};

std::vector<int64_t> ascending(const RowLabels& labels) {
  std::vector<int64_t> sorted = labels.of;
  parallel_for((labels.rows() + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
    const int64_t last = std::min((task + 1) * kRowsPerTask, labels.rows());
    for (int64_t r = task * kRowsPerTask; r < last; ++r) {
      int64_t *const begin = sorted.data() + r * labels.per_row, *const end =
                                                                     begin + labels.per_row;
      std::replace(begin, end, int64_t{-1}, ForwardLabels::kNoColumn);
      std::sort(begin, end);
    }
  });
  return sorted;
}

// What the forward finds of some rows.
struct Found {
  std::vector<RowFigures> figures;
  std::vector<double> logps, tails;
};

Found find(const op::LogitRows& logits, const op::RowTransform& transform, bool everything,
           const int64_t* rows, const RowLabels& labels, bool wants_tails) {
  const int64_t count = labels.rows();
  Found found{std::vector<RowFigures>(static_cast<size_t>(count)),
              std::vector<double>(labels.of.size()),
              std::vector<double>(static_cast<size_t>(wants_tails ? count : 0))};
  const std::vector<int64_t> sorted = wants_tails ? ascending(labels) : std::vector<int64_t>();
  const ForwardLabels several{labels.per_row, labels.of.data(), sorted.data(), found.logps.data(),
                              wants_tails ? found.tails.data() : nullptr};
  Scratch scratch;
  kernels().token_forward(
      {logits, transform, everything, count, rows, nullptr, found.figures.data(), &several},
      scratch);
  return found;
}

}  // namespace

void token_logprobs_of_several(const op::TokenLogprobs& call) {
  const RowLabels labels(call.labels, call.label_columns);
  const Found found = find(call.logits, call.transform, call.wants_everything(), nullptr, labels,
                           call.tail.present);
  if (call.outputs[math::kLogp])
    write_columns(call.outputs[math::kLogp], call.logp_columns, found.logps);
  if (call.tail)
    write(call.tail, 0, call.rows(), found.tails.data());
  write_row_figures(call, found.figures, math::kLogp + 1);
}

// ---- Backward ----

namespace {

class Backward {
 public:
  explicit Backward(const op::TokenLogprobsBackward& call)
      : call_(call),
        labels_(call.labels, call.label_columns),
        upstream_(static_cast<size_t>(call.rows())),
        values_(labels_.of.size()),
        slopes_(labels_.of.size()),
        gradients_(labels_.of.size()),
        rest_(static_cast<size_t>(call.rows()), RowUpstream{-1, {}, 0, 0, 0}),
        zero_(static_cast<size_t>(call.rows())) {
    if (call.grad_logp)
      grad_logps_ = read_columns<double>(call.grad_logp, call.grad_logp_columns);
    else
      grad_logps_.assign(labels_.of.size(), 0);
  }

  void run() {
    read_upstream();
    for_rows([&](int64_t r) { read_labels_of(r); });
    sum_again();
    for_rows([&](int64_t r) { differentiate(r); });
    const BackwardLabels several{labels_.per_row, labels_.of.data(), gradients_.data()};
    Scratch scratch;
    kernels().token_backward({call_.logits, call_.gradient, call_.transform, call_.rows(),
                              rest_.data(), nullptr, &several},
                             scratch);
  }

 private:
  template <class Body>
  void for_rows(Body&& body) {
    const int64_t rows = call_.rows();
    parallel_for((rows + kRowsPerTask - 1) / kRowsPerTask, [&](int64_t task) {
      const int64_t last = std::min((task + 1) * kRowsPerTask, rows);
      for (int64_t r = task * kRowsPerTask; r < last; ++r)
        body(r);
    });
  }

  void read_upstream() {
    const int64_t rows = call_.rows();
    const std::vector<double> lse = read_all(call_.lse, rows, 0),
                              entropy = read_all(call_.entropy, rows, 0),
                              tail = read_all(call_.tail, rows, 0),
                              grad_entropy = read_all(call_.grad_entropy, rows, 0),
                              grad_lse = read_all(call_.grad_lse, rows, 0),
                              grad_tail = read_all(call_.grad_tail, rows, 0);
    for (int64_t r = 0; r < rows; ++r) {
      upstream_[r] = {{lse[r] * call_.transform.temperature, 0, 0},
                      entropy[r],
                      tail[r],
                      grad_entropy[r],
                      grad_lse[r],
                      grad_tail[r],
                      0,
                      0};
      bool ignored = true, any = grad_entropy[r] != 0 || grad_lse[r] != 0 || grad_tail[r] != 0;
      for (int64_t k = r * labels_.per_row; k < (r + 1) * labels_.per_row; ++k) {
        if (labels_.of[k] < 0)
          continue;
        ignored = false;
        any |= grad_logps_[k] != 0;
        upstream_[r].grad_logps += grad_logps_[k];
      }
      zero_[r] = ignored || !any;
    }
  }

  // The softcapped logits of a row's labels, and the likeliest one's log-prob.
  void read_labels_of(int64_t r) {
    if (zero_[r])
      return;
    const void* const row = row_address(call_.logits, r);
    const double softcap = call_.transform.softcap;
    double highest = -math::kInfinity;
    for (int64_t k = r * labels_.per_row; k < (r + 1) * labels_.per_row; ++k) {
      if (labels_.of[k] < 0)
        continue;
      const float x = load_logit(call_.logits.type, row, labels_.of[k]);
      values_[k] = math::softcap_value_at(x, softcap);
      slopes_[k] = math::softcap_slope_at(x, softcap);
      highest = std::max(highest, values_[k]);
    }
    upstream_[r].norm.logp = (highest - upstream_[r].norm.pivot) / call_.transform.temperature;
  }

  // Rows whose lse or tail does not serve are summed again, before any of them is overwritten.
  void sum_again() {
    const double lse_epsilon = op::epsilon_of(call_.lse.type),
                 tail_epsilon = call_.tail ? op::epsilon_of(call_.tail.type) : 0;
    std::vector<int64_t> rows;
    RowLabels labels(labels_.per_row);
    bool tails = false;
    for (int64_t r = 0; r < call_.rows(); ++r) {
      const SeveralUpstream& up = upstream_[r];
      const bool tail_lacks = up.grad_tail != 0 && !math::tail_serves(up.tail, tail_epsilon);
      if (zero_[r] || (!tail_lacks && math::lse_serves(up.norm.pivot / call_.transform.temperature,
                                                       lse_epsilon, up.norm.logp)))
        continue;
      tails |= up.grad_tail != 0;
      rows.push_back(r);
      labels.of.insert(labels.of.end(), labels_.row(r), labels_.row(r) + labels_.per_row);
    }
    if (rows.empty())
      return;
    const Found found = find(call_.logits, call_.transform, false, rows.data(), labels, tails);
    for (size_t k = 0; k < rows.size(); ++k) {
      SeveralUpstream& up = upstream_[rows[k]];
      up.norm = found.figures[k].norm;
      if (tails)
        up.tail = found.tails[k];
    }
  }

  void differentiate(int64_t r) {
    if (zero_[r])
      return;
    SeveralUpstream& up = upstream_[r];
    const double temperature = call_.transform.temperature;
    const int64_t first = r * labels_.per_row, last = first + labels_.per_row;
    int64_t label = -1;
    for (int64_t k = first; k < last; ++k) {
      if (labels_.of[k] < 0)
        continue;
      label = labels_.of[k];
      values_[k] = math::column_logp(values_[k], up.norm.pivot, up.norm.log_sum, temperature);
      up.held += math::probability(values_[k]);
    }
    for (int64_t k = first; k < last; ++k) {
      if (labels_.of[k] < 0)
        continue;
      double others = up.grad_logps - grad_logps_[k];
      if (!math::others_follow(values_[k])) {
        others = 0;
        for (int64_t j = first; j < last; ++j)
          others += j == k || labels_.of[j] < 0 ? 0 : grad_logps_[j];
      }
      gradients_[k] =
          math::label_gradient(up, values_[k], grad_logps_[k], others, temperature, slopes_[k]);
    }
    rest_[r] = math::rest_upstream(up, label, temperature);
  }

  const op::TokenLogprobsBackward& call_;
  const RowLabels labels_;
  std::vector<double> grad_logps_;
  std::vector<SeveralUpstream> upstream_;
  std::vector<double> values_;  // softcap(x) of the labels, then their log-probs
  std::vector<double> slopes_, gradients_;
  std::vector<RowUpstream> rest_;
  std::vector<char> zero_;  // rows without any upstream, and those that are ignored
};

}  // namespace

void token_logprobs_backward_of_several(const op::TokenLogprobsBackward& call) {
  Backward(call).run();
}

}  // namespace logratio::cpu
