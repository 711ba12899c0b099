// Checks of the arguments that unpaired_step and linear_unpaired_step have in common.
#pragma once

#include "abi/errors.h"
#include "abi/options.h"

namespace logratio::abi {

inline void check_unpaired_sequence_options(const lr_sequence_options& options) {
  check_sequence_options(options);
  check_number("tail_weight", options.tail_weight, options.tail_weight == 1,
               "1 as examples are not paired");
}

template <class Args>
void check_one_reference(const Args& a) {
  const bool of_sequences = a.reference_logps != nullptr,
             of_tokens = a.reference_token_logps != nullptr;
  if (of_sequences && of_tokens)
    invalid("reference_logps and reference_token_logps are both given, expected one of them");
  if (!of_sequences && !of_tokens)
    invalid("reference_logps or reference_token_logps is missing, expected one of them");
}

}  // namespace logratio::abi
