// preference_step on the CPU: logits to loss, gradient and metrics with one forward read and one
// backward pass over the rows.
#pragma once

#include "op/linear.h"
#include "op/preference_step.h"

namespace logratio::cpu {

void preference_step(const op::PreferenceStep& call);
// The same on rows that a head makes.
void linear_preference_step(const op::LinearPreferenceStep& call);

// How many rows the chosen answers have together; they are the first ones.
int64_t chosen_rows(const op::PreferenceStep& call);

}  // namespace logratio::cpu
