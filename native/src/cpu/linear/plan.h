// What a fused linear operation will do, decided before it begins.
#pragma once

#include <cstdint>

#include "cpu/linear/tiles.h"

namespace logratio::cpu {

struct HeadPlan {
  lr_linear_method method;
  int64_t kept_tiles;  // of logits, at once, between the forward and the backward
  int64_t ahead;       // blocks that the forward is taken to before the backward begins
};

// `is_online`: whether a row's gradient is its upstream times what the forward can sum.
HeadPlan plan_head(const op::TrainedHead& head, const Tiles& tiles, bool is_online);

}  // namespace logratio::cpu
