// Which tokens of a sequence count, and with what weight, by a block.
#pragma once

#include <algorithm>

#include "block.cuh"
#include "elements.cuh"

namespace logratio::device {

// The mask of [sequences, tokens], and the labels that take tokens out of it; each may be absent.
struct Mask {
  op::TensorView weights;
  op::Labels labels;
};

// The weight in the token's place of the mask; above 0 where the token counts.
__device__ inline double mask_weight(const Mask& mask, int64_t token) {
  double weight = 1;
  if (mask.weights.present) {
    weight = read_double(mask.weights, token);
    if (!is_weight(weight))
      weight = 0;
  }
  if (weight > 0 && mask.labels.values.present &&
      read_int(mask.labels.values, token) == mask.labels.ignore_index)
    weight = 0;
  return weight;
}

__device__ inline bool has_bad_weight(const Mask& mask, int64_t token) {
  return mask.weights.present && !is_weight(read_double(mask.weights, token));
}

// Calls body(token, weight in the mask, weight in the sum) for each token of a sequence; `token`
// counts from the first sequence on. Each warp takes one stretch of the tokens, so that only
// tokens' places in the answer, counted first, need the whole block.
template <class Body>
__device__ inline void for_tokens(const lr_sequence_options& options, const Mask& mask,
                                  int64_t sequence, int64_t sequences, int64_t tokens,
                                  BlockScratch* scratch, Body&& body) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t stretch = (tokens + kListThreads - 1) / kListThreads * kWarp;
  const int64_t begin = warp * stretch, end = begin + stretch < tokens ? begin + stretch : tokens;
  const int64_t row = sequence * tokens;
  if (options.tail_weight == 1) {
    for (int64_t t = begin + lane; t < end; t += kWarp) {
      const double weight = mask_weight(mask, row + t);
      body(row + t, weight, weight);
    }
    return;
  }

  // Shared are the columns where both answers have a token, or the first tokens of each answer, as
  // many as the shorter one has.
  const int64_t pairs = sequences / 2,
                partner = (sequence < pairs ? sequence + pairs : sequence - pairs) * tokens;
  const bool by_column = options.align == LR_ALIGN_ABSOLUTE;
  int64_t counts[2] = {0, 0};
  for (int64_t t = begin + lane; t < end; t += kWarp) {
    const bool own = math::counts(mask_weight(mask, row + t)),
               other = math::counts(mask_weight(mask, partner + t));
    counts[0] += by_column ? own && other : own;
    counts[1] += by_column ? own && other : other;
  }
  for (int64_t& count : counts)
    count = warp_sum(count);
  __syncthreads();  // the counts before have been read
  if (lane == 0) {
    scratch->counts[warp][0] = counts[0];
    scratch->counts[warp][1] = counts[1];
  }
  __syncthreads();
  int64_t before = 0, both[2] = {0, 0};
  for (int w = 0; w < kListWarps; ++w) {
    if (w == warp)
      before = both[0];
    both[0] += scratch->counts[w][0];
    both[1] += scratch->counts[w][1];
  }
  const int64_t shared = math::shared_tokens(options, std::min(both[0], both[1]));

  for (int64_t first = begin; first < end; first += kWarp) {
    const int64_t t = first + lane;
    const double weight = t < end ? mask_weight(mask, row + t) : 0;
    const bool candidate =
        math::counts(weight) && (!by_column || math::counts(mask_weight(mask, partner + t)));
    const uint32_t candidates = __ballot_sync(kAllLanes, candidate);
    const int64_t position = before + bit_count(candidates & (kAllLanes >> (kWarp - 1 - lane)));
    if (t < end)
      body(row + t, weight, math::tail_weighted(options, weight, candidate ? position : 0, shared));
    before += bit_count(candidates);
  }
}

}  // namespace logratio::device
