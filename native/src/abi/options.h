// Checks of the option structs.
#pragma once

#include "abi/errors.h"
#include "cpu/token_rows.h"
#include "math/loss.h"

namespace logratio::abi {

// The checked options of a loss, with its description.
const math::LossInfo& check_loss_options(const lr_loss_options* options);
// Statistics of a loss may need two pairs; none at all is fine.
void check_pairs(const math::LossInfo& loss, int64_t pairs);
bool has_gradient(const math::LossInfo& loss, double lr_loss_options::* option);

cpu::RowTransform check_token_options(const lr_token_options& options);
void check_sequence_options(const lr_sequence_options& options);

}  // namespace logratio::abi
