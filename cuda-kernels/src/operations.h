// The operations of the table, each in the .cu of its name.
#pragma once

#include "device/table.h"

namespace logratio::device {

lr_status token_logprobs(Execution* execution, const TokenForward* call);
lr_status token_logprobs_backward(Execution* execution, const TokenBackward* call);
lr_status bandwidth_probe(Execution* execution, const BandwidthProbe* call);

}  // namespace logratio::device
