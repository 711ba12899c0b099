// The kernel of divergence: two rows that meet, by a block, or by several at once.
#pragma once

#include "list_sum.cuh"
#include "math/sequence.h"
#include "op/divergence.h"
#include "parts.cuh"
#include "two_rows_second.cuh"

namespace logratio::device {

constexpr uint8_t kNobodyByte = 0x7f;
constexpr int64_t kNobody = 0x7f7f7f7f7f7f7f7f;  // more than any k

// What the gradient takes of a row of p and one model's row, which the pass before it has found.
struct ModelPlan {
  TwoRowsNorm norm;
  SideCoefficients a, b;
};

struct DivergenceCall {
  op::Divergence args;
  TwoRowsScale scale;
  Parts parts;
  int64_t* owners_p;  // by row: the first k that names it, or kNobody. NULL
                      // where row k meets row k
  int64_t* owners_q;
  double* total;    // of the weights; NULL: the number of rows that meet
  double* values;   // in double
  ListMemory list;  // of the rows that meet
  int64_t* bad_values;
  // Where there are several models, `values` has one for each model of each pair, side by side, and
  // the gradients follow from the plans.
  int64_t models;                // 1: q's logits are those of one
  ModelPlan* plans;              // NULL: of one
  TransportStart* model_starts;  // transport: by plan, part and warp
  const double* model_shares;    // of each model's value in a pair's; sum to 1

  __device__ void count_bad() const {
    if (bad_values != nullptr)
      count_up(bad_values);
  }
  __device__ double weight_as_given(int64_t k) const {
    return args.row_weights.present ? read_double(args.row_weights, k) : 1;
  }
  // What is no weight counts as 0.
  __device__ double weight(int64_t k) const {
    const double weight = weight_as_given(k);
    return math::is_weight(weight) ? weight : 0;
  }
  // The weight of value k in the loss.
  __device__ double share(int64_t k) const {
    const double all = total == nullptr ? static_cast<double>(args.count) : *total;
    const double own = weight(k);
    return own == 0 ? 0 : own / (args.mean && all != 0 ? all : 1);
  }
};

// What blocks that take a pair together tell each other.
struct PairPlaces {
  TwoRowsSums first[2][kMaxParts];
  SecondSums second[2][kMaxParts];
};

// What the warps of a block tell each other.
template <class Team>
struct TwoRowsScratch {
  TwoRowsSums first[Team::kOwnParts][kStretchWarps];
  SecondSums second[Team::kOwnParts][kStretchWarps];
  TransportStart starts[Team::kOwnParts][kStretchWarps];
  PairPlaces places;
  float largest[kStretchWarps];  // weight
  TwoRowsSums sums;
  TwoRowsNorm norm;
  SideCoefficients a, b;
  int64_t live;  // columns up to the last that has a probability
};

// Neither side has a probability in the column.
template <class T>
__device__ inline bool vanishes(const TwoRows<T>& rows, int64_t column, const TwoRowsSums& sums,
                                const TwoRowsScale& scale) {
  constexpr float kUnderflow = -88;
  return (T::widen(rows.a[column]) - static_cast<float>(sums.max_a)) * scale.inverse_temperature <
             kUnderflow &&
         (logit_of_q(rows, column) - static_cast<float>(sums.max_b)) * scale.inverse_temperature <
             kUnderflow;
}

// Transport's running sum is 0 behind the last column that has a probability; the rounding left of
// it would count once for every column of a padded vocabulary. By a warp.
template <class T>
__device__ inline int64_t count_live(const TwoRows<T>& rows, int64_t columns,
                                     const TwoRowsSums& sums, const TwoRowsScale& scale) {
#pragma unroll 1
  for (int64_t end = columns; end > 0; end -= kWarp) {
    const int64_t column = end - 1 - lane_index();
    const uint32_t live =
        __ballot_sync(kAllLanes, column >= 0 && !vanishes(rows, column, sums, scale));
    if (live != 0)
      return end - bit_count((live & (0u - live)) - 1);  // the lowest lane has the last column
  }
  return 1;
}

// The columns that this block does of a pair of rows, and what it knows of them.
template <class T, TwoRowsForm kForm, class Team>
struct Pair {
  using Scratch = TwoRowsScratch<Team>;
  using Rows = std::conditional_t<Team::kPartEach, CachedRows<T>, TwoRows<T>>;

  const DivergenceCall& call;
  const Team& team;
  Scratch* scratch;
  int turn;
  Rows rows;
  int64_t columns;

  // Calls body(part of this block, begin, end) with this warp's stretches.
  template <class Body>
  __device__ __forceinline__ void for_stretches(Body&& body) const {
    for (int part = team.first(); part < team.last(); ++part) {
      body(part - team.first(), call.parts.begin(part, warp_index()),
           call.parts.end(part, warp_index(), columns));
    }
  }

  // Sets the power of two next to the largest weight as scale. Called by the whole block; several
  // blocks take no weights.
  __device__ __forceinline__ void scale_weights() {
    int bad = 0;
    float largest = 0;
    for_stretches([&](int, int64_t begin, int64_t end) {
      largest = fmaxf(largest, largest_weight(rows.weights, begin, end, &bad));
    });
    for (; bad > 0; --bad)
      call.count_bad();
    if (lane_index() == 0)
      scratch->largest[warp_index()] = largest;
    __syncthreads();
    for (int w = 0; w < call.parts.stretches.count; ++w)
      largest = fmaxf(largest, scratch->largest[w]);
    rows.exponent = static_cast<int>(float_to_bits(largest) >> 23) - 127;
  }

  // ---- First pass ----

  // The first pass of all blocks, and what follows from it.
  __device__ __forceinline__ void find_norm() const {
    for_stretches([&](int own, int64_t begin, int64_t end) {
      const TwoRowsSums sums = first_pass<T, kForm>(rows, begin, end, call.scale);
      if (lane_index() == 0)
        scratch->first[own][warp_index()] = sums;
    });
    __syncthreads();
    if (warp_index() == 0) {
      for (int part = team.first(); part < team.last(); ++part) {
        const TwoRowsSums sums = merged_lanes(of_warp(part - team.first()));
        if (lane_index() == 0)
          team.places(&scratch->places)->first[turn][part] = sums;
      }
    }
    team.meet();
    if (warp_index() == 0)
      merge_parts();
    __syncthreads();
  }

  __device__ __forceinline__ TwoRowsSums of_warp(int own) const {
    return lane_index() < call.parts.stretches.count ? scratch->first[own][lane_index()]
                                                     : math::no_sums();
  }
  __device__ __forceinline__ TwoRowsSums merged_lanes(const TwoRowsSums& own) const {
    return merge_lanes<kForm>(own, static_cast<float>(own.max_a), static_cast<float>(own.max_b),
                              call.scale);
  }

  // Called by the first warp.
  __device__ __forceinline__ void merge_parts() const {
    const int lane = lane_index();
    const TwoRowsSums part = lane < call.parts.count
                                 ? team.of_part(team.places(&scratch->places)->first[turn], lane)
                                 : math::no_sums();
    const TwoRowsSums sums = merged_lanes(part);
    if (lane == 0) {
      scratch->sums = sums;
      scratch->norm = math::two_rows_norm(kForm, sums, call.scale.temperature);
    }
    if constexpr (kForm == TwoRowsForm::transport) {
      const int64_t live =
          math::is_defined(sums) ? count_live(rows, columns, sums, call.scale) : columns;
      if (lane == 0)
        scratch->live = live;
      const double before_parts = moved_before(part, sums);
      for (int p = team.first(); p < team.last(); ++p) {
        const double before =
            moved_before(of_warp(p - team.first()), sums) + __shfl_sync(kAllLanes, before_parts, p);
        if (lane < kStretchWarps)
          scratch->starts[p - team.first()][lane].distance = before;
      }
    }
  }

  // What the lanes before have moved, of up to eight.
  __device__ __forceinline__ double moved_before(const TwoRowsSums& own,
                                                 const TwoRowsSums& sums) const {
    const double temperature = call.scale.temperature;
    const double moved = sums.sum_a * (math::share_of_p(own, sums, temperature) -
                                       math::share_of_q(own, sums, temperature));
    double before = 0;
    for (int k = 0; k < kStretchWarps; ++k) {
      const double there = __shfl_sync(kAllLanes, moved, k);
      if (k < lane_index())
        before += there;
    }
    return before;
  }

  // ---- Second pass ----

  __device__ __forceinline__ void pass_again() const {
    const TwoRowsNorm norm = scratch->norm;  // in registers
    for_stretches([&](int own, int64_t begin, int64_t end) {
      const bool transport = kForm == TwoRowsForm::transport;
      const SecondSums sums = second_pass<T, kForm>(
          rows, norm, transport ? scratch->starts[own][warp_index()].distance : 0, begin,
          transport && scratch->live < end ? scratch->live : end, call.scale);
      if (lane_index() == 0)
        scratch->second[own][warp_index()] = sums;
    });
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int part = team.first(); part < team.last(); ++part) {
        SecondSums sums{};
        for (int w = 0; w < call.parts.stretches.count; ++w) {
          scratch->starts[part - team.first()][w].signs = sums.signs;
          math::append(&sums, scratch->second[part - team.first()][w]);
        }
        team.places(&scratch->places)->second[turn][part] = sums;
      }
    }
    team.meet();
  }

  // Called by one thread, after all blocks have met: their sums, in order.
  __device__ __forceinline__ SecondSums second_sums() const {
    SecondSums sums{};
    for (int part = 0; part < call.parts.count; ++part) {
      if (team.first() <= part && part < team.last())
        shift_starts(part, sums.signs);
      math::append(&sums, team.of_part(team.places(&scratch->places)->second[turn], part));
    }
    return sums;
  }
  __device__ __forceinline__ void shift_starts(int part, double signs) const {
    for (int w = 0; w < call.parts.stretches.count; ++w)
      scratch->starts[part - team.first()][w].signs += signs;
  }

  // ---- Value and gradient ----

  // Called by one thread of each block.
  __device__ __forceinline__ void finish(int64_t unit, double upstream) const {
    SecondSums second{};
    if constexpr (math::needs_second_pass(kForm))
      second = second_sums();
    const TwoRowsSums& sums = scratch->sums;
    math::TwoRowsResult result = math::two_rows_result(call.args.options, sums, second);
    if constexpr (kForm == TwoRowsForm::transport) {
      const double middle = math::count_from_mean(&result);
      for (int part = team.first(); part < team.last(); ++part)
        shift_starts(part, -middle);
    }
    const bool far = scratch->norm.far;
    scratch->a = math::side_coefficients(kForm, far, result.a, upstream, sums.sum_a, sums.sum_b);
    scratch->b = math::side_coefficients(kForm, far, result.b, upstream, sums.sum_b, sums.sum_a);
    if (team.first() == 0)
      call.values[unit] = result.value;
    if (call.plans != nullptr) {
      keep_plan(unit);
    } else if (team.first() == 0) {
      write(call.args.values, unit, result.value);
    }
  }
  __device__ __forceinline__ void keep_plan(int64_t unit) const {
    if (team.first() == 0)
      call.plans[unit] = {scratch->norm, scratch->a, scratch->b};
    if constexpr (kForm == TwoRowsForm::transport) {
      for (int part = team.first(); part < team.last(); ++part) {
        for (int w = 0; w < call.parts.stretches.count; ++w)
          call.model_starts[(unit * kMaxParts + part) * kStretchWarps + w] =
              scratch->starts[part - team.first()][w];
      }
    }
  }

  // Called by the whole block. Either target may be NULL.
  __device__ __forceinline__ void write_both(typename T::Element* grad_p,
                                             typename T::Element* grad_q) const {
    TwoRowsPlan plan{scratch->norm, scratch->a, scratch->b, {0, 0}};
    for_stretches([&](int own, int64_t begin, int64_t end) {
      if constexpr (kForm == TwoRowsForm::transport)
        plan.start = scratch->starts[own][warp_index()];
      write_gradients<T, kForm>(rows, plan, grad_p, grad_q, begin, end, call.scale);
    });
  }
};

// The block's part of a row.
template <class T, class Team>
__device__ inline void clear_row(const DivergenceCall& call, const Team& team, bool wanted,
                                 const op::LogitRows& gradient, int64_t row) {
  if (!wanted)
    return;
  clear_columns<T>(
      row_address<T>(gradient, row), call.parts.begin(team.first(), 0),
      call.parts.end(team.last() - 1, call.parts.stretches.count - 1, gradient.columns));
}

// The upstream gradient of pair k.
__device__ inline double upstream_of(const DivergenceCall& call, int64_t k) {
  const double share = call.share(k);
  const op::TensorView& given = call.args.grad_loss;
  return share == 0 ? 0 : share * (given.present ? read_double(given, 0) : 1);
}

// Rows that meet each other alone. `unit` counts pairs and their models, k pairs.
template <class T, TwoRowsForm kForm, class Team>
__device__ __forceinline__ void take_rows(const DivergenceCall& call, const Team& team,
                                          int64_t unit, int64_t k, int64_t row_p, int64_t row_q,
                                          int turn, Vector* cache, TwoRowsScratch<Team>* scratch) {
  const op::Divergence& args = call.args;
  Pair<T, kForm, Team> pair{call, team, scratch, turn, {}, args.p.columns};
  pair.rows.a = row_address<T>(args.p, row_p);
  pair.rows.temperature = static_cast<float>(call.scale.temperature);
  if constexpr (Team::kPartEach) {
    pair.rows.b = row_address<T>(args.q, row_q);
    pair.rows.begin = call.parts.begin(team.first(), warp_index());
    pair.rows.cache = cache;
  } else if (args.q_is_weights) {
    pair.rows.weights = row_address<Float32>(args.q, row_q);
    pair.scale_weights();
  } else {
    pair.rows.b = row_address<T>(args.q, row_q);
  }
  pair.find_norm();
  if constexpr (math::needs_second_pass(kForm))
    pair.pass_again();
  double upstream = upstream_of(call, k);
  if (call.plans != nullptr)
    upstream *= call.model_shares[unit - k * call.models];
  if (threadIdx.x == 0)
    pair.finish(unit, upstream);
  if (!args.wants_p && !args.wants_q)
    return;
  if (upstream == 0) {
    clear_row<T>(call, team, args.wants_p, args.grad_p, row_p);
    clear_row<T>(call, team, args.wants_q, args.grad_q, row_q);
    return;
  }
  __syncthreads();
  pair.write_both(args.wants_p ? row_address<T>(args.grad_p, row_p) : nullptr,
                  args.wants_q ? row_address<T>(args.grad_q, row_q) : nullptr);
}

// The rows of pair k, and whether each exists and no pair before it has it.
struct Met {
  int64_t p, q;
  bool owns_p, owns_q;
};
__device__ __forceinline__ Met rows_of_pair(const DivergenceCall& call, int64_t k) {
  if (call.owners_p == nullptr)
    return {k, k, true, true};
  const op::Divergence& args = call.args;
  const int64_t p = read_int(args.p_rows, k), q = read_int(args.q_rows, k);
  return {p, q, p >= 0 && p < args.p_count && call.owners_p[p] == k,
          q >= 0 && q < args.q_count && call.owners_q[q] == k};
}

// First the rows that meet, then the rows of either side that take no part: their gradient is 0.
template <class T, TwoRowsForm kForm, class Team>
__device__ __forceinline__ void take_all(const DivergenceCall& call, const Team& team,
                                         Vector* cache) {
  LR_SHARED(TwoRowsScratch<Team>, scratch, 1);
  const op::Divergence& args = call.args;
  const int64_t rows_p = args.wants_p && call.owners_p != nullptr ? args.p_count : 0;
  const int64_t rows_q = args.wants_q && call.owners_q != nullptr ? args.q_count : 0;
  const int64_t pairs = args.count * call.models;
  int turn = 0;
  for (int64_t unit = team.index(); unit < pairs + rows_p + rows_q; unit += team.count()) {
    if (unit >= pairs) {
      const bool is_p = unit < pairs + rows_p;
      const int64_t row = unit - pairs - (is_p ? 0 : rows_p);
      if ((is_p ? call.owners_p : call.owners_q)[row] == kNobody)
        clear_row<T>(call, team, true, is_p ? args.grad_p : args.grad_q, row);
      continue;
    }
    __syncthreads();  // the rows before have been read
    const int64_t k = call.models == 1 ? unit : unit / call.models;
    const Met met = rows_of_pair(call, k);
    if (!met.owns_p || !met.owns_q) {
      if (met.owns_p)
        clear_row<T>(call, team, args.wants_p, args.grad_p, met.p);
      if (met.owns_q)
        clear_row<T>(call, team, args.wants_q, args.grad_q, met.q);
      if (team.first() == 0 && threadIdx.x == 0) {
        if (unit == k * call.models)
          call.count_bad();
        call.values[unit] = nan("");
        if (call.plans == nullptr)
          write(args.values, unit, nan(""));
      }
      continue;
    }
    // Here alone: it is most of the kernel, and inlined.
    take_rows<T, kForm>(call, team, unit, k, met.p, met.q + (unit - k * call.models) * args.q_count,
                        turn, cache, scratch);
    if constexpr (Team::kPartEach)
      turn ^= 1;
  }
}

// Calls start(form) with a constant for the form of a call.
template <class Start>
void with_form(const math::DivergenceOptions& options, Start&& start) {
  switch (math::form_of(options)) {
    case TwoRowsForm::cross:
      return start.template operator()<TwoRowsForm::cross>();
    case TwoRowsForm::relative:
      return start.template operator()<TwoRowsForm::relative>();
    case TwoRowsForm::cosine:
      return start.template operator()<TwoRowsForm::cosine>();
    case TwoRowsForm::squares:
      return start.template operator()<TwoRowsForm::squares>();
    case TwoRowsForm::signs:
      return start.template operator()<TwoRowsForm::signs>();
    case TwoRowsForm::transport:
      return start.template operator()<TwoRowsForm::transport>();
    case TwoRowsForm::mixture:
      return start.template operator()<TwoRowsForm::mixture>();
    case TwoRowsForm::weighted_mixture:
      return start.template operator()<TwoRowsForm::weighted_mixture>();
  }
}

// In divergence_models.cu: the models' shares of a value, a pair's value from theirs, and the
// gradients, once the kernel above has the values and plans of each model.
void launch_model_shares(const DivergenceCall& call, double* shares, const Machine& machine);
void launch_models(const DivergenceCall& call, double* pair_values, const Machine& machine);

// In divergence_topk.cu: all of a call whose q is known in some columns alone. log_p has room for
// the known columns of topk_blocks() rows.
int64_t topk_blocks(const op::Divergence& call, const Machine& machine);
void launch_topk(const DivergenceCall& call, double* log_p, const Machine& machine);

// In divergence_parts.cu: the same by several blocks to a pair. False, and nothing done, where a
// part does not fit into a block's shared memory; a call with weights is not for them either.
bool launch_pairs_in_parts(const DivergenceCall& call, int64_t units,
                           const Groups<PairPlaces>& groups, const Machine& machine);

}  // namespace logratio::device
