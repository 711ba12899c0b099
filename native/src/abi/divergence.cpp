#include "cpu/divergence.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/text.h"
#include "abi/values.h"
#include "cpu/elements.h"
#include "math/topk.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kRowsOfQ = shape<"M,V", "R,M,V">;
constexpr const char* kNames[] = {"sce", "jeffreys", "kl_pq",        "kl_qp", "js",
                                  "l2",  "tvd",      "wasserstein1", "cosine"};

math::DivergenceOptions check_options(const lr_divergence_options& options) {
  check_choice("divergence", options.divergence, std::size(kNames));
  check_choice("reduction", options.reduction, LR_DIVERGENCE_SUM + 1);
  check_choice("detach", options.detach, LR_DETACH_Q + 1);
  check_choice("reserved", options.reserved, 1);
  const std::string one = std::string("1 as ") + kNames[options.divergence] + " has no such option";
  for (const auto& [name, weight] : {std::pair{"w1", options.w1}, std::pair{"w2", options.w2}}) {
    check_number(name, weight, weight >= 0 && std::isfinite(weight), "a finite number >= 0");
    if (options.divergence != LR_SCE)
      check_number(name, weight, weight == 1, one.c_str());
  }
  check_number("temperature", options.temperature,
               options.temperature > 0 && std::isfinite(options.temperature),
               "a finite number > 0");
  check_number("js_weight", options.js_weight, options.js_weight > 0 && options.js_weight < 1,
               "a number in (0,1)");
  if (options.divergence != LR_JENSEN_SHANNON) {
    check_number(
        "js_weight", options.js_weight, options.js_weight == .5,
        (std::string("0.5 as ") + kNames[options.divergence] + " has no such option").c_str());
  }
  check_vocab_option(options.vocab);
  return {static_cast<math::Divergence>(options.divergence), options.w1, options.w2,
          options.temperature, options.js_weight};
}

// From the vocabulary on, the columns take no part: the rows end before them.
void cut_columns(int64_t vocab, op::Divergence* call) {
  for (op::LogitRows* rows : {&call->p, &call->q, &call->grad_p, &call->grad_q})
    limit_columns(rows, vocab);
}

// Demands of which operands are there.
void check_presence(const lr_divergence_args& a, const Operands& operands) {
  const char* first = nullptr;
  for (const auto& [name, tensor] : {std::pair{"q_logits", a.q_logits},
                                     {"q_weights", a.q_weights},
                                     {"q_topk_ids", a.q_topk_ids}}) {
    if (tensor != nullptr && first != nullptr)
      invalid(std::string(first) + " and " + name + " are both given, expected one of them");
    first = tensor != nullptr ? name : first;
  }
  if (first == nullptr)
    operands.missing(a.q_logits, "");
  const bool takes_topk = a.options.divergence == LR_KL_PQ || a.options.divergence == LR_KL_QP ||
                          a.options.divergence == LR_JENSEN_SHANNON;
  if (a.q_topk_ids != nullptr && !takes_topk) {
    invalid(std::string("q_topk_ids is given, expected divergence kl_pq, kl_qp or js, not ") +
            kNames[a.options.divergence]);
  }
  if (a.options.detach == LR_DETACH_P && a.grad_p_logits != nullptr)
    invalid("grad_p_logits is wanted, expected p_logits not detached");
  if (a.options.detach == LR_DETACH_Q && a.grad_q_logits != nullptr)
    invalid("grad_q_logits is wanted, expected q_logits not detached");
}

// Demands of the two sides beside each other.
void check_sides(const lr_divergence_args& a, const Operands& operands,
                 const op::Divergence& call) {
  const Operand &p = operands[a.p_logits], &q = a.q_logits != nullptr    ? operands[a.q_logits]
                                                : a.q_weights != nullptr ? operands[a.q_weights]
                                                                         : operands[a.q_topk_ids];
  if (a.q_logits != nullptr && call.q.type != call.p.type)
    mismatch(q, text_of(p.tensor()->dtype) + ", as " + is_text(p));
  const bool several = a.q_logits != nullptr && a.q_logits->ndim == 3;
  if (a.q_model_weights != nullptr && !several)
    mismatch(operands[a.q_model_weights], "q_logits [R,M,V] with it");
  if (several && a.q_model_weights == nullptr)
    operands.missing(a.q_model_weights, ", as " + is_text(q));
  if (several && a.q_logits->shape[0] == 0)
    mismatch(q, "at least one model's logits");
  if (a.p_rows == nullptr && call.q_count != call.p_count) {
    mismatch(
        q, std::to_string(call.p_count) + " rows, as " + is_text(p) + " without p_rows and q_rows");
  }
}

// More columns cannot be known than there are.
void check_known(const lr_divergence_args& a, const Operands& operands, int64_t columns) {
  if (a.q_topk_ids != nullptr && operands.size('J') > columns) {
    mismatch(operands[a.q_topk_ids],
             "at most " + std::to_string(columns) + " ids in a row, one for each column");
  }
}

void check_model_weights(const Operand& operand, const op::TensorView& weights) {
  check_weights(operand, weights);
  std::vector<double> values = cpu::read_all(weights, weights.size(), 0);
  if (weights && std::all_of(values.begin(), values.end(), [](double w) { return w == 0; }))
    invalid(std::string(operand.name) + " sums to 0, expected a positive sum");
}

// Row by row: ids are columns, none twice, and the probabilities sum to no more than 1.
void check_topk(const lr_divergence_args& a, const Operands& operands, const op::Divergence& call,
                int64_t columns) {
  const Operand &ids = operands[a.q_topk_ids], &logps = operands[a.q_topk_logps];
  const int64_t known = call.known();
  std::vector<int64_t> row_ids(static_cast<size_t>(known));
  std::vector<double> row_logps(static_cast<size_t>(known));
  std::vector<int64_t> last_row(static_cast<size_t>(columns), -1);  // that has named a column
  for (int64_t r = 0; r < call.q_count; ++r) {
    cpu::read(call.topk_ids, r * known, known, row_ids.data());
    for (size_t j = 0; j < row_ids.size(); ++j) {
      const auto text = [&] {
        return element_text(ids, r * known + static_cast<int64_t>(j)) + " is " +
               std::to_string(row_ids[j]);
      };
      if (row_ids[j] < 0 || row_ids[j] >= columns)
        invalid(text() + ", expected a number in [0," + std::to_string(columns) + ")");
      if (std::exchange(last_row[static_cast<size_t>(row_ids[j])], r) == r)
        invalid(text() + " once more, expected no id twice in a row");
    }
  }
  for (int64_t r = 0; r < call.q_count; ++r) {
    cpu::read(call.topk_logps, r * known, known, row_logps.data());
    double sum = 0;
    for (size_t j = 0; j < row_logps.size(); ++j) {
      if (std::isnan(row_logps[j])) {
        invalid(element_text(logps, r * known + static_cast<int64_t>(j)) +
                " is NaN, expected a number or -Infinity");
      }
      sum += std::exp(row_logps[j]);
    }
    if (sum > math::kMostMass) {
      invalid(std::string(logps.name) + " row " + std::to_string(r) +
              " has probabilities that sum to more than 1, expected at most 1");
    }
  }
}

void check_rows(const Operand& operand, const op::TensorView& view, int64_t count) {
  std::vector<int64_t> rows(static_cast<size_t>(view.size()));
  if (view)
    cpu::read(view, 0, view.size(), rows.data());
  std::vector<char> taken(view ? static_cast<size_t>(count) : 0);
  for (size_t k = 0; k < rows.size(); ++k) {
    const auto text = [&] {
      return element_text(operand, static_cast<int64_t>(k)) + " is " + std::to_string(rows[k]);
    };
    if (rows[k] < 0 || rows[k] >= count)
      invalid(text() + ", expected a number in [0," + std::to_string(count) + ")");
    if (taken[static_cast<size_t>(rows[k])]++)
      invalid(text() + " once more, expected no row twice");
  }
}

// Row by row: a list of them all would be as large as the tensor.
void check_q_weights(const Operand& operand, const op::LogitRows& q, int64_t count,
                     int64_t columns) {
  for (int64_t r = 0; r < count; ++r) {
    const float* const row = static_cast<const float*>(q.base) + r * q.inner_stride;
    bool valid = true, positive = false;
    for (int64_t k = 0; k < q.columns; ++k) {
      valid &= row[k] >= 0 && row[k] <= std::numeric_limits<float>::max();
      positive |= row[k] > 0;
    }
    for (int64_t k = 0; !valid && k < q.columns; ++k) {
      check_number(element_text(operand, r * columns + k).c_str(), row[k],
                   row[k] >= 0 && std::isfinite(row[k]), "a finite number >= 0");
    }
    if (!positive) {
      invalid(std::string(operand.name) + " row " + std::to_string(r) +
              " sums to 0, expected a positive sum");
    }
  }
}

}  // namespace

lr_status lr_divergence(const lr_divergence_args* args) {
  return operation("lr_divergence_args", args, [](const lr_divergence_args& a) {
    op::Divergence call{};
    const Operand list[] = {
        in("p_logits", a.p_logits, kLogits, shape<"N,V">, call.p, kRequired),
        in("q_logits", a.q_logits, kLogits, kRowsOfQ, call.q),
        in("q_weights", a.q_weights, kRowWeights, shape<"M,V">, call.q),
        in("q_topk_ids", a.q_topk_ids, kInts, shape<"M,J">, call.topk_ids, with(a.q_topk_logps)),
        in("q_topk_logps", a.q_topk_logps, kFloats, shape<"M,J">, call.topk_logps,
           with(a.q_topk_ids)),
        in("q_model_weights", a.q_model_weights, kFloats, shape<"R">, call.model_weights),
        in("p_rows", a.p_rows, kInts, shape<"K">, call.p_rows, with(a.q_rows)),
        in("q_rows", a.q_rows, kInts, shape<"K">, call.q_rows, with(a.p_rows)),
        in("row_weights", a.row_weights, kFloats, shape<"K">, call.row_weights),
        in("grad_loss", a.grad_loss, kFloats, shape<"1">, call.grad_loss),
        out("values", a.values, kFloats, shape<"K">, call.values),
        out("loss", a.loss, kFloats, shape<"1">, call.loss),
        gradient("grad_p_logits", a.grad_p_logits, a.p_logits, shape<"N,V">, call.grad_p),
        gradient("grad_q_logits", a.grad_q_logits, a.q_logits, kRowsOfQ, call.grad_q),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    call.options = check_options(a.options);
    call.mean = a.options.reduction == LR_DIVERGENCE_MEAN;
    call.q_is_weights = a.q_weights != nullptr;
    call.wants_p = a.grad_p_logits != nullptr;
    call.wants_q = a.grad_q_logits != nullptr;
    operands.check_presence();
    check_presence(a, operands);
    if (a.p_rows == nullptr)
      operands.derive('K', 1, 'N');
    operands.check_tensors();
    call.p_count = operands.size('N');
    call.q_count = operands.size('M');
    call.count = a.p_rows != nullptr ? operands.size('K') : call.p_count;
    call.models = a.q_model_weights != nullptr ? operands.size('R') : 0;
    check_sides(a, operands, call);
    call.columns = operands.size('V');
    const int64_t columns = check_vocab(a.options.vocab, call.columns, "p_logits");
    cut_columns(columns, &call);
    check_known(a, operands, columns);
    operands.check_apart();
    if (placement.on_device())
      return placement.run(&device::Table::divergence, call);
    check_rows(operands[a.p_rows], call.p_rows, call.p_count);
    check_rows(operands[a.q_rows], call.q_rows, call.q_count);
    check_weights(operands[a.row_weights], call.row_weights);
    if (call.q_is_weights)
      check_q_weights(operands[a.q_weights], call.q, call.q_count, call.columns);
    if (a.q_topk_ids != nullptr)
      check_topk(a, operands, call, columns);
    if (a.q_model_weights != nullptr)
      check_model_weights(operands[a.q_model_weights], call.model_weights);
    cpu::divergence(call);
  });
}
