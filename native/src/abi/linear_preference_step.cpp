#include <string>
#include <vector>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/linear.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/parameters.h"
#include "abi/preference_checks.h"
#include "abi/values.h"
#include "cpu/preference_step.h"
#include "math/sequence_spans.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kHidden = shape<"2P,T,H", "N,H">;
constexpr const Shapes& kEachRow = shape<"2P,T", "N">;

// A reference is of sequences, of tokens, or a model.
void check_one_reference(const lr_linear_preference_step_args& a) {
  for (const char* other :
       {a.reference_logps == nullptr ? nullptr : "reference_logps",
        a.reference_token_logps == nullptr ? nullptr : "reference_token_logps"}) {
    if (other != nullptr && a.reference_hidden != nullptr) {
      invalid(std::string(other) + " and reference_hidden are both given, expected one of them");
    }
  }
}

}  // namespace

lr_status lr_linear_preference_step(const lr_linear_preference_step_args* args) {
  return operation(
      "lr_linear_preference_step_args", args, [](const lr_linear_preference_step_args& a) {
        op::LinearPreferenceStep call{};
        op::ParameterTensors& parameters = call.parameters;
        op::TrainedHead& head = call.head;
        op::Head& reference = call.reference_head;
        const Operand list[] = {
            in("hidden", a.hidden, kLogits, kHidden, head.hidden, kRequired),
            in("weight", a.weight, kLogits, shape<"V,H">, head.weight, kRequired),
            in("bias", a.bias, kLogits, shape<"V">, head.bias),
            in("cu_seqlens", a.cu_seqlens, kInts, shape<"2P+1">, call.cu_seqlens, kPacked),
            in("labels", a.labels, kInts, kEachRow, call.labels.values, kRequired),
            in("mask", a.mask, kMasks, kEachRow, call.mask),
            in("reference_logps", a.reference_logps, kFloats, shape<"2P">, call.reference_logps),
            in("reference_token_logps", a.reference_token_logps, kFloats, kEachRow,
               call.reference_token_logps),
            in("reference_hidden", a.reference_hidden, kLogits, kHidden, reference.hidden,
               with(a.reference_weight)),
            in("reference_weight", a.reference_weight, kLogits, shape<"V,H">, reference.weight,
               with(a.reference_hidden)),
            in("reference_bias", a.reference_bias, kLogits, shape<"V">, reference.bias),
            in("pair_weights", a.pair_weights, kFloats, shape<"P">, call.pair_weights),
            in("grad_loss", a.grad_loss, kFloats, shape<"1">, call.grad_loss),
            in("nll_mask", a.nll_mask, kMasks, kEachRow, call.nll_mask),
            parameter("beta", a.beta, parameters, math::kScale, &lr_loss_options::beta),
            parameter("beta_kl", a.beta_kl, parameters, math::kScale, &lr_loss_options::beta_kl),
            parameter("beta_mix", a.beta_mix, parameters, math::kMix, &lr_loss_options::beta_mix),
            parameter("tau", a.tau, parameters, math::kTemperature, &lr_loss_options::tau),
            out("losses", a.losses, kFloats, shape<"P">, call.losses_out),
            out("logps", a.logps, kFloats, shape<"2P">, call.logps),
            out("counts", a.counts, kFloats, shape<"2P">, call.counts),
            out("chosen_rewards", a.chosen_rewards, kFloats, shape<"P">, call.chosen_rewards),
            out("rejected_rewards", a.rejected_rewards, kFloats, shape<"P">, call.rejected_rewards),
            out("grad_hidden", a.grad_hidden, kLogits, kHidden, head.grad_hidden),
            out("grad_weight", a.grad_weight, kLogits, shape<"V,H">, head.grad_weight),
            out("grad_bias", a.grad_bias, kLogits, shape<"V">, head.grad_bias),
            parameter_gradient("grad_beta", a.grad_beta, parameters, math::kScale,
                               &lr_loss_options::beta),
            parameter_gradient("grad_beta_kl", a.grad_beta_kl, parameters, math::kScale,
                               &lr_loss_options::beta_kl),
            parameter_gradient("grad_beta_mix", a.grad_beta_mix, parameters, math::kMix,
                               &lr_loss_options::beta_mix),
            parameter_gradient("grad_tau", a.grad_tau, parameters, math::kTemperature,
                               &lr_loss_options::tau),
        };
        const Placement placement(list, a.cuda);
        Operands operands(list);
        const HeadFields fields = head_fields(a);
        std::vector<op::WeightedLoss> losses = check_losses(a);
        call.losses = losses.data();
        call.loss_count = static_cast<int>(losses.size());
        call.wpo = a.wpo;
        call.token_count = a.token_count;
        call.has_reference_head = a.reference_hidden != nullptr;
        call.reward_beta =
            reward_beta(losses, a.reference_logps != nullptr ||
                                    a.reference_token_logps != nullptr || call.has_reference_head);
        call.sequence = a.sequence_options;
        call.transform = check_token_options(a.token_options);
        call.labels.ignore_index = a.token_options.ignore_index;
        call.metrics = a.metrics;
        check_sequence_options(a.sequence_options);
        check_reduction(a.sequence_options, losses);
        check_token_count(a.token_count, losses);
        check_linear_options(a.linear_options);
        operands.check_presence();
        check_presence(a, losses);
        check_one_reference(a);
        if (a.reference_bias != nullptr && a.reference_hidden == nullptr)
          operands.missing(a.reference_hidden, ", as reference_bias is given");
        check_head_presence(operands, fields, a.linear_options);
        check_one_loss(list, losses.size());
        check_parameters(list, info_of(losses.front()));
        operands.check_tensors();
        call.pairs = operands.size('P');
        call.length = call.cu_seqlens ? math::kPacked : call.pairs == 0 ? 0 : operands.size('T');
        check_has_sequences(operands[a.cu_seqlens], call.rows());
        for (const op::WeightedLoss& loss : losses)
          check_pairs(operands[a.hidden], call.pairs, info_of(loss));
        check_parameter_shapes(list);
        const int64_t vocab = check_vocab(a.token_options.vocab, operands.size('V'));
        check_head(operands, fields, a.linear_options, vocab, a.plan, &head);
        reference.present = call.has_reference_head;
        if (reference) {
          check_same_type(operands[a.reference_hidden], operands[a.hidden]);
          check_same_type(operands[a.reference_weight], operands[a.hidden]);
        }
        operands.check_apart();
        call.wants_gradient = head.wants_gradient();
        call.sequences = 2 * call.pairs;
        if (placement.on_device()) {
          check_for_device(losses, a.metrics);
          return placement.run(&device::Table::linear_preference_step, call);
        }
        check_cu_seqlens(operands[a.cu_seqlens], call.cu_seqlens, call.rows());
        check_counted_labels(operands[a.labels], call, vocab);
        check_weights(operands[a.mask], call.mask);
        check_weights(operands[a.pair_weights], call.pair_weights);
        check_weights(operands[a.nll_mask], call.nll_mask, cpu::chosen_rows(call));
        read_parameters(list, &losses.front().options);
        call.reward_beta = reward_beta(losses, call.has_reference());
        cpu::linear_preference_step(call);
      });
}
