#include "cpu/divergence.h"

#include <cmath>
#include <limits>
#include <vector>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/options.h"
#include "abi/overlap.h"
#include "abi/tensors.h"
#include "abi/values.h"
#include "cpu/elements.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const char* kP = "p_logits";
constexpr const char* kQ = "q_logits";
constexpr const char* kWeights = "q_weights";
constexpr Types kFloat32{bit(ElementType::f32), "float32"};

math::DivergenceOptions check_options(const lr_divergence_options& options) {
  check_choice("divergence", options.divergence, LR_COSINE + 1);
  check_choice("reduction", options.reduction, LR_DIVERGENCE_SUM + 1);
  check_choice("detach", options.detach, LR_DETACH_Q + 1);
  check_choice("reserved", options.reserved, 1);
  for (const auto& [name, weight] : {std::pair{"w1", options.w1}, std::pair{"w2", options.w2}}) {
    if (options.divergence != LR_SCE) {
      check_number(name, weight, weight == 1, "1: only LR_SCE is weighted");
    } else {
      check_number(name, weight, weight >= 0 && std::isfinite(weight), "a finite number >= 0");
    }
  }
  check_number("temperature", options.temperature,
               options.temperature > 0 && std::isfinite(options.temperature),
               "a finite number > 0");
  return {static_cast<math::Divergence>(options.divergence), options.w1, options.w2,
          options.temperature};
}

RowsArgument matrix(const Argument& argument, const Types& types, const char* expected) {
  check_tensor(argument, types, 2, 2, expected);
  return logit_rows(argument, 2, expected);
}

const char* type_name(op::ElementType type) {
  return type == op::ElementType::f32    ? "float32"
         : type == op::ElementType::bf16 ? "bfloat16"
                                         : "float16";
}

RowsArgument check_q(const Argument& q, bool is_weights, const RowsArgument& p) {
  const RowsArgument rows = matrix(q, is_weights ? kFloat32 : kLogits, "[M,V]");
  const std::string name = q.name;
  if (!is_weights && rows.rows.type != p.rows.type) {
    invalid(name + " has dtype " + type_name(rows.rows.type) + ", expected " +
            type_name(p.rows.type) + " (the dtype of " + kP + ")");
  }
  if (rows.columns != p.columns) {
    invalid(name + " has " + std::to_string(rows.columns) + " columns, expected " +
            std::to_string(p.columns) + " (as " + kP + " has)");
  }
  return rows;
}

void check_rows(const char* name, const op::TensorView& view, int64_t count) {
  std::vector<int64_t> rows(static_cast<size_t>(view.size()));
  cpu::read(view, 0, view.size(), rows.data());
  std::vector<char> taken(static_cast<size_t>(count));
  for (size_t k = 0; k < rows.size(); ++k) {
    const std::string element =
        std::string(name) + "[" + std::to_string(k) + "] is " + std::to_string(rows[k]);
    if (rows[k] < 0 || rows[k] >= count)
      invalid(element + ", expected a number in [0," + std::to_string(count) + ")");
    if (taken[static_cast<size_t>(rows[k])]++)
      invalid(element + " once more, expected no row twice");
  }
}

void check_row_weights(const op::TensorView& view) {
  std::vector<double> weights(static_cast<size_t>(view.size()));
  if (view)
    cpu::read(view, 0, view.size(), weights.data());
  for (size_t k = 0; k < weights.size(); ++k) {
    check_number(("row_weights[" + std::to_string(k) + "]").c_str(), weights[k],
                 weights[k] >= 0 && std::isfinite(weights[k]), "a finite number >= 0");
  }
}

void check_q_weights(const RowsArgument& q) {
  for (int64_t r = 0; r < q.count; ++r) {
    const float* const row = static_cast<const float*>(q.rows.base) + r * q.rows.inner_stride;
    bool valid = true, positive = false;
    for (int64_t k = 0; k < q.rows.columns; ++k) {
      valid &= row[k] >= 0 && row[k] <= std::numeric_limits<float>::max();
      positive |= row[k] > 0;
    }
    for (int64_t k = 0; !valid && k < q.rows.columns; ++k) {
      check_number(
          (std::string(kWeights) + "[" + std::to_string(r) + ", " + std::to_string(k) + "]")
              .c_str(),
          row[k], row[k] >= 0 && std::isfinite(row[k]), "a finite number >= 0");
    }
    if (!positive)
      invalid(std::string(kWeights) + " row " + std::to_string(r) +
              " sums to 0, expected a positive sum");
  }
}

}  // namespace

lr_status lr_divergence(const lr_divergence_args* args) {
  return operation("lr_divergence_args", args, [](const lr_divergence_args& a) {
    const Placement placement({{kP, a.p_logits},
                               {kQ, a.q_logits},
                               {kWeights, a.q_weights},
                               {"p_rows", a.p_rows},
                               {"q_rows", a.q_rows},
                               {"row_weights", a.row_weights},
                               {"grad_loss", a.grad_loss},
                               {"values", a.values},
                               {"loss", a.loss},
                               {"grad_p_logits", a.grad_p_logits},
                               {"grad_q_logits", a.grad_q_logits}},
                              a.cuda);
    const RowsArgument p = matrix({kP, a.p_logits}, kLogits, "[N,V]");
    if ((a.q_logits == nullptr) == (a.q_weights == nullptr)) {
      invalid(std::string("q_logits and q_weights are both ") +
              (a.q_logits == nullptr ? "NULL" : "given") + ", expected one of the two");
    }
    const bool is_weights = a.q_weights != nullptr;
    const Argument q_argument =
        is_weights ? Argument{kWeights, a.q_weights} : Argument{kQ, a.q_logits};
    const RowsArgument q = check_q(q_argument, is_weights, p);
    if ((a.p_rows == nullptr) != (a.q_rows == nullptr)) {
      invalid(std::string(a.p_rows == nullptr ? "p_rows" : "q_rows") +
              " is NULL, and it is required with " + (a.p_rows == nullptr ? "q_rows" : "p_rows"));
    }
    const bool by_index = a.p_rows != nullptr;
    const op::TensorView p_rows =
        by_index ? view_of({"p_rows", a.p_rows}, kInts, 1, "[K]") : op::TensorView{};
    if (!by_index && q.count != p.count) {
      invalid(std::string(q_argument.name) + " has " + std::to_string(q.count) +
              " rows, expected " + std::to_string(p.count) +
              " (as p_logits has, without p_rows and q_rows)");
    }
    const int64_t count = by_index ? p_rows.size() : p.count;
    const Shape shape = shape_of(count);
    const char* const reason = by_index ? "the shape of p_rows" : "the rows of p_logits";
    const op::TensorView q_rows = optional_view({"q_rows", a.q_rows}, kInts, shape, reason);
    const op::TensorView row_weights =
        optional_view({"row_weights", a.row_weights}, kFloats, shape, reason);
    const op::TensorView grad_loss =
        optional_view({"grad_loss", a.grad_loss}, kFloats, shape_of(1), "a scalar");
    const op::TensorView values = optional_view({"values", a.values}, kFloats, shape, reason);
    const op::TensorView loss = optional_view({"loss", a.loss}, kFloats, shape_of(1), "a scalar");

    MemoryMap memory;
    memory.add_input(kP, p.rows, p.count);
    memory.add_input(q_argument.name, q.rows, q.count);
    memory.add_input("p_rows", p_rows);
    memory.add_input("q_rows", q_rows);
    memory.add_input("row_weights", row_weights);
    memory.add_input("grad_loss", grad_loss);
    memory.add_output("values", values);
    memory.add_output("loss", loss);
    RowsArgument grad_p, grad_q;
    if (a.grad_p_logits != nullptr) {
      grad_p = gradient_rows({"grad_p_logits", a.grad_p_logits}, {kP, a.p_logits}, p);
      memory.add_output("grad_p_logits", grad_p.rows, grad_p.count, kP);
    }
    if (a.grad_q_logits != nullptr) {
      if (is_weights)
        invalid("grad_q_logits is given, expected NULL with q_weights, which are constant");
      grad_q = gradient_rows({"grad_q_logits", a.grad_q_logits}, {kQ, a.q_logits}, q);
      memory.add_output("grad_q_logits", grad_q.rows, grad_q.count, kQ);
    }
    const math::DivergenceOptions options = check_options(a.options);
    if (a.options.detach == LR_DETACH_P && a.grad_p_logits != nullptr)
      invalid("grad_p_logits is given, expected NULL where p is detached");
    if (a.options.detach == LR_DETACH_Q && a.grad_q_logits != nullptr)
      invalid("grad_q_logits is given, expected NULL where q is detached");
    memory.check();
    const op::Divergence call{options,
                              a.options.reduction == LR_DIVERGENCE_MEAN,
                              count,
                              p.rows,
                              q.rows,
                              p.count,
                              q.count,
                              is_weights,
                              p_rows,
                              q_rows,
                              row_weights,
                              grad_loss,
                              values,
                              loss,
                              a.grad_p_logits != nullptr,
                              a.grad_q_logits != nullptr,
                              grad_p.rows,
                              grad_q.rows};
    if (placement.on_device())
      return placement.run(&device::Table::divergence, call);
    if (by_index) {
      check_rows("p_rows", p_rows, p.count);
      check_rows("q_rows", q_rows, q.count);
    }
    check_row_weights(row_weights);
    if (is_weights)
      check_q_weights(q);
    cpu::divergence(call);
  });
}
