// Checks of the option structs.
#pragma once

#include <string>

#include "abi/errors.h"
#include "abi/operand.h"
#include "op/logit_rows.h"
#include "math/loss.h"

namespace logratio::abi {

// "kto, apo_zero_unpaired or bco": the losses that a message expects.
std::string loss_names(bool (*which)(const math::LossInfo&));

// The checked options of a loss, with its description.
const math::LossInfo& check_loss_options(const lr_loss_options* options);
// The same of a loss of single examples.
const math::LossInfo& check_unpaired_loss(const lr_loss_options* options);
// Log-probs for a KL divergence come with a loss that uses one.
void check_kl(const DLTensor* kl_policy_logps, const math::LossInfo& loss);
// Statistics of a loss may need two pairs; none at all is fine. The operand is one that has them.
void check_pairs(const Operand& operand, int64_t pairs, const math::LossInfo& loss);
// "beta_kl".
const char* option_name(double lr_loss_options::*option);
// The number of a loss; nullptr where it has none such.
const math::NumberOption* find_option(const math::LossInfo& loss, double lr_loss_options::*option);

// An enumeration's value is one of 0..count-1; a number is what it has to be.
void check_choice(const char* name, int32_t value, int32_t count);
void check_number(const char* name, double value, bool valid, const char* expected);

// `vocab` of an option struct, before the number of columns is known.
void check_vocab_option(int64_t vocab);
op::RowTransform check_token_options(const lr_token_options& options);
// The columns that take part: the first `vocab` of them, or all where that is 0.
int64_t check_vocab(int64_t vocab, int64_t columns, const char* logits = "logits");
// The same of rows whose tensors are checked.
void limit_columns(op::LogitRows* logits, int64_t vocab);
void check_sequence_options(const lr_sequence_options& options);

}  // namespace logratio::abi
