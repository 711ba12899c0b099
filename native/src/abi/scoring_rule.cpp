#include "cpu/scoring_rule.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/values.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kRows = shape<"N,V", "B,T,V">;
constexpr const Shapes& kEachRow = shape<"N", "B,T">;

constexpr const char* kRuleNames[] = {"log", "brier", "spherical", "power", "pseudo_spherical"};

math::RuleOptions check_options(const lr_rule_options& options) {
  check_choice("rule", options.rule, std::size(kRuleNames));
  check_choice("normalisation", options.normalisation, LR_JNW + 1);
  check_choice("masked_log", options.masked_log, 2);
  check_choice("reserved", options.reserved, 1);
  check_number("alpha", options.alpha, options.alpha > 1 && std::isfinite(options.alpha),
               "a finite number > 1");
  check_number("epsilon", options.epsilon, options.epsilon >= 0 && options.epsilon < 1,
               "a number in [0,1)");
  const bool has_order = options.rule == LR_RULE_POWER || options.rule == LR_RULE_PSEUDO_SPHERICAL;
  const std::string lacks = std::string(" as ") + kRuleNames[options.rule] + " has no such option";
  if (!has_order)
    check_number("alpha", options.alpha, options.alpha == 2, ("2" + lacks).c_str());
  if (!has_order && options.normalisation != LR_SELTEN)
    invalid("normalisation is jnw, expected selten" + lacks);
  check_vocab_option(options.vocab);
  const bool pseudo = options.rule == LR_RULE_SPHERICAL || options.rule == LR_RULE_PSEUDO_SPHERICAL;
  return {options.rule == LR_RULE_LOG ? math::RuleFamily::log
          : pseudo                    ? math::RuleFamily::pseudo_spherical
                                      : math::RuleFamily::power,
          options.normalisation == LR_JNW,
          options.masked_log == 1,
          options.alpha,
          options.epsilon,
          options.vocab};
}

}  // namespace

lr_status lr_scoring_rule(const lr_scoring_rule_args* args) {
  return operation("lr_scoring_rule_args", args, [](const lr_scoring_rule_args& a) {
    op::ScoringRule call{};
    const Operand list[] = {
        in("logits", a.logits, kLogits, kRows, call.logits, kRequired),
        in("labels", a.labels, kInts, kEachRow, call.labels.values, kRequired),
        in("grad_loss", a.grad_loss, kFloats, kEachRow, call.grad_loss),
        out("values", a.values, kFloats, kEachRow, call.values),
        out("loss", a.loss, kFloats, shape<"1">, call.loss),
        gradient("grad_logits", a.grad_logits, a.logits, kRows, call.gradient),
    };
    const Placement placement(list, a.cuda);
    Operands operands(list);
    call.labels.ignore_index = a.options.ignore_index;
    call.wants_gradient = a.grad_logits != nullptr;
    call.options = check_options(a.options);
    operands.check_presence();
    operands.check_tensors();
    call.options.vocabulary =
        std::min(check_vocab(a.options.vocab, operands.size('V')), call.logits.columns);
    operands.check_apart();
    if (placement.on_device())
      return placement.run(&device::Table::scoring_rule, call);
    check_labels(operands[a.labels], call.labels, call.options.vocabulary);
    cpu::scoring_rule(call);
  });
}
