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
    const cpu::Grid labels = grid({"labels", a.labels}, kInts, shape, "the rows of logits");
    const cpu::Grid grad_loss =
        optional_grid({"grad_loss", a.grad_loss}, kFloats, shape, "the shape of labels");
    const cpu::Grid values =
        optional_grid({"values", a.values}, kFloats, shape, "the shape of labels");
    const cpu::Grid loss = optional_grid({"loss", a.loss}, kFloats, shape_of(1), "a scalar");
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
    if (placement.on_device()) {
      return placement.run(&device::Table::scoring_rule,
                           device::ScoringRules{options,
                                                logits.rows,
                                                {labels, a.options.ignore_index},
                                                grad_loss,
                                                values,
                                                loss,
                                                a.grad_logits != nullptr,
                                                gradient.rows});
    }

    const std::vector<int64_t> classes =
        read_labels("labels", labels, options.vocabulary, a.options.ignore_index);
    int64_t counted = 0;
    for (const int64_t label : classes)
      counted += label >= 0;
    std::vector<double> upstream(classes.size(),
                                 counted == 0 ? 0.0 : 1.0 / static_cast<double>(counted));
    if (grad_loss)
      read(grad_loss, 0, logits.count, upstream.data());
    const std::vector<double> results = cpu::scoring_rule(
        logits.rows, options, classes, a.grad_logits == nullptr ? nullptr : upstream.data(),
        a.grad_logits == nullptr ? nullptr : &gradient.rows);
    if (values)
      write(values, 0, logits.count, results.data());
    if (loss) {
      double sum = 0;
      for (const double value : results)
        sum += value;
      const double mean = counted == 0 ? 0 : sum / static_cast<double>(counted);
      write(loss, 0, 1, &mean);
    }
  });
}
