#pragma once

#include "cpu/row_tasks.h"
#include "op/logit_rows.h"

namespace logratio::cpu {

using op::ElementType;
using op::LogitRows;
using op::RowTransform;

}  // namespace logratio::cpu
