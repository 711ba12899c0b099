#include "cpu/preference_step.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "abi/device.h"
#include "abi/errors.h"
#include "abi/operands.h"
#include "abi/options.h"
#include "abi/parameters.h"
#include "abi/preference_checks.h"
#include "abi/values.h"
#include "cpu/elements.h"
#include "math/losses.h"
#include "math/sequence_spans.h"

using namespace logratio;
using namespace logratio::abi;

namespace {

constexpr const Shapes& kRows = shape<"2P,T,V", "N,V">;
constexpr const Shapes& kEachRow = shape<"2P,T", "N">;

// A padded batch without a token may have 2^61 pairs, or 2^62 tokens in each of none. Its pairs are
// all alike, and where nothing tells them apart or is wanted of each, two of them have the means of
// all; a variance takes no fewer.
void shrink(const lr_preference_step_args& a, op::PreferenceStep* call) {
  const bool each = a.reference_logps != nullptr || a.pair_weights != nullptr ||
                    a.losses != nullptr || a.logps != nullptr || a.counts != nullptr ||
                    a.chosen_rewards != nullptr || a.rejected_rewards != nullptr ||
                    call->parameters.has_each();
  if (!each)
    call->pairs = std::min<int64_t>(call->pairs, 2);
}

}  // namespace

lr_status lr_preference_step(const lr_preference_step_args* args) {
  return operation("lr_preference_step_args", args, [](const lr_preference_step_args& a) {
    op::PreferenceStep call{};
    op::ParameterTensors& parameters = call.parameters;
    const Operand list[] = {
        in("logits", a.logits, kLogits, kRows, call.logits, kRequired),
        in("cu_seqlens", a.cu_seqlens, kInts, shape<"2P+1">, call.cu_seqlens, kPacked),
        in("labels", a.labels, kInts, kEachRow, call.labels.values, kRequired),
        in("mask", a.mask, kMasks, kEachRow, call.mask),
        in("reference_logps", a.reference_logps, kFloats, shape<"2P">, call.reference_logps),
        in("reference_token_logps", a.reference_token_logps, kFloats, kEachRow,
           call.reference_token_logps),
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
        gradient("grad_logits", a.grad_logits, a.logits, kRows, call.gradient),
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
    std::vector<op::WeightedLoss> losses = check_losses(a);
    call.losses = losses.data();
    call.loss_count = static_cast<int>(losses.size());
    call.wpo = a.wpo;
    call.token_count = a.token_count;
    call.reward_beta =
        reward_beta(losses, a.reference_logps != nullptr || a.reference_token_logps != nullptr);
    call.sequence = a.sequence_options;
    call.transform = check_token_options(a.token_options);
    call.labels.ignore_index = a.token_options.ignore_index;
    call.metrics = a.metrics;
    call.wants_gradient = a.grad_logits != nullptr;
    check_sequence_options(a.sequence_options);
    check_reduction(a.sequence_options, losses);
    check_token_count(a.token_count, losses);
    operands.check_presence();
    check_presence(a, losses);
    check_one_loss(list, losses.size());
    check_parameters(list, info_of(losses.front()));
    operands.check_tensors();
    call.pairs = operands.size('P');
    call.length = call.cu_seqlens ? math::kPacked : call.pairs == 0 ? 0 : operands.size('T');
    check_has_sequences(operands[a.cu_seqlens], call.rows());
    for (const op::WeightedLoss& loss : losses)
      check_pairs(operands[a.logits], call.pairs, info_of(loss));
    check_parameter_shapes(list);
    const int64_t vocab = check_vocab(a.token_options.vocab, operands.size('V'));
    operands.check_apart();
    limit_columns(&call.logits, vocab);
    if (call.rows() == 0 && !call.cu_seqlens)
      shrink(a, &call);
    call.sequences = 2 * call.pairs;
    if (placement.on_device()) {
      check_for_device(losses, a.metrics);
      return placement.run(&device::Table::preference_step, call);
    }
    check_cu_seqlens(operands[a.cu_seqlens], call.cu_seqlens, call.rows());
    check_counted_labels(operands[a.labels], call, vocab);
    check_weights(operands[a.mask], call.mask);
    check_weights(operands[a.pair_weights], call.pair_weights);
    check_weights(operands[a.nll_mask], call.nll_mask, cpu::chosen_rows(call));
    read_parameters(list, &losses.front().options);
    call.reward_beta = reward_beta(losses, call.has_reference());
    cpu::preference_step(call);
  });
}
