#include "cpu/scoring_rule.h"

#include <algorithm>
#include <cmath>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/options.h"
#include "abi/overlap.h"
#include "abi/tensors.h"
#include "abi/values.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const char* kLogitsName = "logits";

math::RuleOptions check_options(const lr_rule_options& options, const RowsArgument& logits) {
  check_choice("rule", options.rule, LR_RULE_PSEUDO_SPHERICAL + 1);
  check_choice("normalisation", options.normalisation, LR_JNW + 1);
  check_choice("masked_log", options.masked_log, 2);
  check_choice("reserved", options.reserved, 1);
  const bool has_order = options.rule == LR_RULE_POWER || options.rule == LR_RULE_PSEUDO_SPHERICAL;
  if (has_order) {
    check_number("alpha", options.alpha, options.alpha > 1 && std::isfinite(options.alpha),
                 "a finite number > 1");
  } else {
    check_number("alpha", options.alpha, options.alpha == 2,
                 "2: only the rules power and pseudo_spherical have an order");
    if (options.normalisation != LR_SELTEN)
      invalid("normalisation is " + std::to_string(options.normalisation) +
              ", expected LR_SELTEN: only the rules power and pseudo_spherical have another");
  }
  check_number("epsilon", options.epsilon, options.epsilon >= 0 && options.epsilon < 1,
               "a number in [0,1)");
  if (options.vocab < 0 || options.vocab > logits.columns) {
    invalid("vocab is " + std::to_string(options.vocab) + ", expected 1 to " +
            std::to_string(logits.columns) + " (the columns of logits), or 0 for all");
  }
  const bool pseudo = options.rule == LR_RULE_SPHERICAL || options.rule == LR_RULE_PSEUDO_SPHERICAL;
  return {options.rule == LR_RULE_LOG ? math::RuleFamily::log
          : pseudo                    ? math::RuleFamily::pseudo_spherical
                                      : math::RuleFamily::power,
          options.normalisation == LR_JNW,
          options.masked_log == 1,
          options.alpha,
          options.epsilon,
          options.vocab == 0 ? logits.rows.columns : std::min(options.vocab, logits.rows.columns)};
}

}  // namespace

lr_status lr_scoring_rule(const lr_scoring_rule_args* args) {
  return operation("lr_scoring_rule_args", args, [](const lr_scoring_rule_args& a) {
    const Placement placement({{kLogitsName, a.logits},
                               {"labels", a.labels},
                               {"grad_loss", a.grad_loss},
                               {"values", a.values},
                               {"loss", a.loss},
                               {"grad_logits", a.grad_logits}},
                              a.cuda);
    const RowsArgument logits = logit_rows({kLogitsName, a.logits}, 2, "[N,V] or [B,T,V]");
    const Shape& shape = logits.row_shape;
    const op::TensorView labels = view_of({"labels", a.labels}, kInts, shape, "the rows of logits");
    const op::TensorView grad_loss =
        optional_view({"grad_loss", a.grad_loss}, kFloats, shape, "the shape of labels");
    const op::TensorView values =
        optional_view({"values", a.values}, kFloats, shape, "the shape of labels");
    const op::TensorView loss = optional_view({"loss", a.loss}, kFloats, shape_of(1), "a scalar");
    MemoryMap memory;
    memory.add_input(kLogitsName, logits.rows, logits.count);
    memory.add_input("labels", labels);
    memory.add_input("grad_loss", grad_loss);
    memory.add_output("values", values);
    memory.add_output("loss", loss);
    RowsArgument gradient;
    if (a.grad_logits != nullptr) {
      gradient = gradient_rows({"grad_logits", a.grad_logits}, {kLogitsName, a.logits}, logits);
      memory.add_output("grad_logits", gradient.rows, gradient.count, kLogitsName);
    }
    const math::RuleOptions options = check_options(a.options, logits);
    memory.check();
    const op::ScoringRule call{
        options, logits.rows, {labels, a.options.ignore_index}, grad_loss,
        values,  loss,        a.grad_logits != nullptr,         gradient.rows};
    if (placement.on_device())
      return placement.run(&device::Table::scoring_rule, call);
    check_labels("labels", call.labels, options.vocabulary);
    cpu::scoring_rule(call);
  });
}
