// The operations of the table, each in the .cu of its name; those of examples beside those of
// pairs, and those that begin at hidden states beside those that begin at logits.
#pragma once

#include "op/device_table.h"

namespace logratio::device {

lr_status token_logprobs(Execution* execution, const op::TokenLogprobs* call);
lr_status token_logprobs_backward(Execution* execution, const op::TokenLogprobsBackward* call);
lr_status sequence_logps(Execution* execution, const op::SequenceLogps* call);
lr_status pair_loss(Execution* execution, const op::PairLoss* call);
lr_status unpaired_loss(Execution* execution, const op::UnpairedLoss* call);
lr_status preference_step(Execution* execution, const op::PreferenceStep* call);
lr_status unpaired_step(Execution* execution, const op::UnpairedStep* call);
lr_status linear_token_logprobs(Execution* execution, const op::LinearTokenLogprobs* call);
lr_status linear_preference_step(Execution* execution, const op::LinearPreferenceStep* call);
lr_status linear_unpaired_step(Execution* execution, const op::LinearUnpairedStep* call);
lr_status divergence(Execution* execution, const op::Divergence* call);
lr_status scoring_rule(Execution* execution, const op::ScoringRule* call);
lr_status bandwidth_probe(Execution* execution, const op::BandwidthProbe* call);

}  // namespace logratio::device
