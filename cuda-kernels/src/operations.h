// The operations of the table, each in the .cu of its name.
#pragma once

#include "device/table.h"

namespace logratio::device {

lr_status token_logprobs(Execution* execution, const TokenForward* call);
lr_status token_logprobs_backward(Execution* execution, const TokenBackward* call);
lr_status sequence_logps(Execution* execution, const SequenceReduction* call);
lr_status pair_loss(Execution* execution, const PairLosses* call);
lr_status unpaired_loss(Execution* execution, const ExampleLosses* call);
lr_status preference_step(Execution* execution, const Step* call);
lr_status divergence(Execution* execution, const Divergences* call);
lr_status scoring_rule(Execution* execution, const ScoringRules* call);
lr_status bandwidth_probe(Execution* execution, const BandwidthProbe* call);

}  // namespace logratio::device
