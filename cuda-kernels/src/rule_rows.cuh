// The kernel of scoring_rule: a row by a block, or by several at once.
#pragma once

#include "rule_stretch.cuh"

namespace logratio::device {

// Where the label is certain: the sums without it.
struct OtherSums {
  double e, alpha, less;

  __device__ void add(const OtherSums& more) {
    e += more.e;
    alpha += more.alpha;
    less += more.less;
  }
};

// What blocks that take a row together tell each other.
struct RulePlaces {
  RuleSums sums[2][kMaxParts];
  MaskedSums masked[2][kMaxParts];
  OtherSums others[2][kMaxParts];
};

// What the warps of a block tell each other.
template <class Team>
struct RuleScratch {
  RuleSums sums[Team::kOwnParts][kStretchWarps];
  MaskedSums masked[Team::kOwnParts][kStretchWarps];
  OtherSums others[Team::kOwnParts][kStretchWarps];
  RulePlaces places;
  math::RowRuleSums row;
  RuleGradient gradient;
};

// The columns that this block does of a row, and what it knows of them.
template <class T, RuleForm kForm, class Team>
struct RuleWork {
  using Row = std::conditional_t<Team::kPartEach, CachedRuleRow<T>, RuleRow<T>>;

  const RuleCall& call;
  const Team& team;
  RuleScratch<Team>* scratch;
  int turn;
  int64_t label;
  Row row;

  // Calls body(part of this block, begin, end) with this warp's stretches.
  template <class Body>
  __device__ __forceinline__ void for_stretches(Body&& body) const {
    for (int part = team.first(); part < team.last(); ++part) {
      body(part - team.first(), call.parts.begin(part, warp_index()),
           call.parts.end(part, warp_index(), call.args.options.vocabulary));
    }
  }
  __device__ __forceinline__ RulePlaces* places() const { return team.places(&scratch->places); }

  // Called by all blocks: the sums of the row, and what the other passes compare with.
  __device__ __forceinline__ void add_up() const {
    const double alpha = call.args.options.alpha;
    // Here, since in place another block overwrites it once all have met.
    const float label_logit = T::widen(row.address[label]);
    for_stretches([&](int own, int64_t begin, int64_t end) {
      const RuleSums sums = sum_stretch<T, kForm>(call, row, begin, end);
      if (lane_index() == 0)
        scratch->sums[own][warp_index()] = sums;
    });
    __syncthreads();
    if (warp_index() == 0) {
      for (int part = team.first(); part < team.last(); ++part) {
        const RuleSums own = lane_index() < call.parts.stretches.count
                                 ? scratch->sums[part - team.first()][lane_index()]
                                 : math::no_rule_sums();
        const RuleSums sums = merge_lanes<kForm>(own, alpha);
        if (lane_index() == 0)
          places()->sums[turn][part] = sums;
      }
    }
    team.meet();
    if (warp_index() == 0) {
      const RuleSums part = lane_index() < call.parts.count
                                ? team.of_part(places()->sums[turn], lane_index())
                                : math::no_rule_sums();
      const RuleSums all = merge_lanes<kForm>(part, alpha);
      if (lane_index() == 0) {
        scratch->row = math::without_label(all, label_logit - all.maximum, alpha);
        scratch->gradient = math::begin_rule_gradient(call.args.options, all);
      }
    }
    __syncthreads();
  }

  // Called by all blocks: the sums without the label, which is certain.
  __device__ inline void sum_others() const {
    const float maximum = static_cast<float>(scratch->row.all.maximum);
    for_stretches([&](int part, int64_t begin, int64_t end) {
      OtherSums sums{0, 0, 0};
#pragma unroll 1
      for (int64_t column = begin + lane_index(); column < end; column += kWarp) {
        if (column == label)
          continue;
        const float d = T::widen(row.address[column]) - maximum, own = exponential(d);
        sums.e += own;
        if constexpr (kForm == RuleForm::square)
          sums.alpha += own * own;
        if constexpr (kForm == RuleForm::power) {
          const float power = power_of(d, call);
          sums.alpha += own * power;
          sums.less += power;
        }
      }
      const OtherSums all{warp_sum(sums.e), warp_sum(sums.alpha), warp_sum(sums.less)};
      if (lane_index() == 0)
        scratch->others[part][warp_index()] = all;
    });
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int part = team.first(); part < team.last(); ++part) {
        OtherSums sums{0, 0, 0};
        for (int w = 0; w < call.parts.stretches.count; ++w)
          sums.add(scratch->others[part - team.first()][w]);
        places()->others[turn][part] = sums;
      }
    }
    team.meet();
    if (threadIdx.x == 0) {
      OtherSums sums{0, 0, 0};
      for (int part = 0; part < call.parts.count; ++part)
        sums.add(team.of_part(places()->others[turn], part));
      scratch->row.others_e = sums.e;
      scratch->row.others_alpha = sums.alpha;
      scratch->row.others_less = sums.less;
    }
    __syncthreads();
  }

  // Called by all blocks.
  __device__ __forceinline__ void sum_masked() const {
    const RuleGradient gradient = scratch->gradient;  // in registers
    for_stretches([&](int own, int64_t begin, int64_t end) {
      const MaskedSums masked = mask_stretch<T>(gradient, row, begin, end);
      if (lane_index() == 0)
        scratch->masked[own][warp_index()] = masked;
    });
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int part = team.first(); part < team.last(); ++part) {
        MaskedSums sums{0, 0};
        for (int w = 0; w < call.parts.stretches.count; ++w)
          add(scratch->masked[part - team.first()][w], &sums);
        places()->masked[turn][part] = sums;
      }
    }
    team.meet();
  }
  static __device__ __forceinline__ void add(const MaskedSums& more, MaskedSums* sums) {
    sums->d += more.d;
    sums->count += more.count;
  }

  // Called by one thread of each block, which gets the label's gradient.
  __device__ inline double finish(int64_t r, double upstream) const {
    const math::RuleOptions& options = call.args.options;
    MaskedSums masked{0, 0};
    if (math::has_mask(options)) {
      for (int part = 0; part < call.parts.count; ++part)
        add(team.of_part(places()->masked[turn], part), &masked);
    }
    const math::RuleResult result = math::rule_result(options, scratch->row, masked);
    math::finish_rule_gradient(options, result, upstream, &scratch->gradient);
    if (team.first() == 0) {
      call.values[r] = result.value;
      write(call.args.values, r, result.value);
    }
    return upstream * result.label;
  }

  __device__ __forceinline__ bool has_label() const {
    return call.parts.begin(team.first(), 0) <= label && label < call.parts.begin(team.last(), 0);
  }
};

// What a block clears of a gradient's row: its parts, and the last one the columns that take no
// part.
template <class T, class Team>
__device__ inline void clear_rest(const RuleCall& call, const Team& team,
                                  typename T::Element* target, bool own_parts) {
  const int64_t vocabulary = call.args.options.vocabulary;
  if (own_parts) {
    clear_columns<T>(target, call.parts.begin(team.first(), 0),
                     call.parts.end(team.last() - 1, call.parts.stretches.count - 1, vocabulary));
  }
  if (team.last() == call.parts.count)
    clear_columns<T>(target, vocabulary, call.args.gradient.columns);
}

// `label` is a column.
template <class T, RuleForm kForm, class Team>
__device__ __forceinline__ void take_row(const RuleCall& call, const Team& team, int64_t r,
                                         int64_t label, double upstream, int turn, Vector* cache,
                                         RuleScratch<Team>* scratch) {
  const op::ScoringRule& args = call.args;
  RuleWork<T, kForm, Team> work{call, team, scratch, turn, label, {}};
  work.row.address = row_address<T>(args.logits, r);
  if constexpr (Team::kPartEach) {
    work.row.begin = call.parts.begin(team.first(), warp_index());
    work.row.cache = cache;
  }
  work.add_up();
  if (math::is_small(scratch->row))
    work.sum_others();
  if (math::has_mask(args.options))
    work.sum_masked();
  double label_gradient = 0;
  if (threadIdx.x == 0)
    label_gradient = work.finish(r, upstream);
  if (!args.wants_gradient)
    return;
  typename T::Element* target = row_address<T>(args.gradient, r);
  __syncthreads();
  if (upstream == 0)
    return clear_rest<T>(call, team, target, true);
  const RuleGradient gradient = scratch->gradient;  // in registers
  work.for_stretches([&](int, int64_t begin, int64_t end) {
    write_stretch<T, kForm>(call, gradient, work.row, target, begin, end);
  });
  clear_rest<T>(call, team, target, false);
  __syncthreads();
  if (threadIdx.x == 0 && work.has_label())
    target[label] = T::narrow(label_gradient);
}

template <class T, RuleForm kForm, class Team>
__device__ __forceinline__ void take_all(const RuleCall& call, const Team& team, Vector* cache) {
  LR_SHARED(RuleScratch<Team>, scratch, 1);
  const op::ScoringRule& args = call.args;
  int turn = 0;
  for (int64_t r = team.index(); r < call.rows; r += team.count()) {
    const int64_t label = read_label(args.labels, r, args.options.vocabulary);
    __syncthreads();  // the row before has been read
    if (label >= 0) {
      const double upstream = !args.wants_gradient     ? 0
                              : args.grad_loss.present ? read_double(args.grad_loss, r)
                                                       : 1 / *call.counted;
      take_row<T, kForm>(call, team, r, label, upstream, turn, cache, scratch);
      turn ^= 1;
      continue;
    }
    if (args.wants_gradient)
      clear_rest<T>(call, team, row_address<T>(args.gradient, r), true);
    if (team.first() == 0 && threadIdx.x == 0) {
      if (label == kBadLabel && call.bad_values != nullptr)
        count_up(call.bad_values);
      call.values[r] = label == kIgnored ? 0 : nan("");
      write(args.values, r, call.values[r]);
    }
  }
}

// Calls start(form) with a constant for the form of a rule.
template <class Start>
void with_form(const math::RuleOptions& options, Start&& start) {
  switch (math::form_of(options)) {
    case RuleForm::plain:
      return start.template operator()<RuleForm::plain>();
    case RuleForm::square:
      return start.template operator()<RuleForm::square>();
    case RuleForm::power:
      return start.template operator()<RuleForm::power>();
  }
}

// In rule_parts.cu: the same by several blocks to a row. False, and nothing done, where a part does
// not fit into a block's shared memory.
bool launch_rules_in_parts(const RuleCall& call, const Groups<RulePlaces>& groups,
                           const Machine& machine);

}  // namespace logratio::device
