// Which tokens of a sequence count, and with what weight, by blocks that take a sequence or a part
// of one.
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

struct MaskedToken {
  double weight;  // in the token's place of the mask; above 0 where the token counts
  bool is_bad;    // what stands there is no weight
};

__device__ inline MaskedToken read_mask(const Mask& mask, int64_t token) {
  const op::TensorView& labels = mask.labels.values;
  // Loaded before the weight is looked at, so that one does not wait for the other.
  const int64_t label = labels.present ? read_int(labels, token) : 0;
  double weight = mask.weights.present ? read_double(mask.weights, token) : 1;
  if (op::is_int(mask.weights.type) && weight != 0)
    weight = 1;
  const bool is_bad = !is_weight(weight);
  if (is_bad || (labels.present && label == mask.labels.ignore_index))
    weight = 0;
  return {weight, is_bad};
}

__device__ inline double mask_weight(const Mask& mask, int64_t token) {
  return read_mask(mask, token).weight;
}

// [count, tokens], each sequence cut into parts by its length alone.
struct Sequences {
  lr_sequence_options options;
  Mask mask;
  int64_t count;
  int64_t tokens;       // of each
  int64_t parts;        // of each
  int64_t part_tokens;  // of each part but the last

  LR_HD bool has_tails() const { return options.tail_weight != 1; }
  // The first token of the pair's other answer.
  __device__ int64_t partner_row(int64_t sequence) const {
    const int64_t pairs = count / 2;
    return (sequence < pairs ? sequence + pairs : sequence - pairs) * tokens;
  }
};

constexpr int64_t kPartTokens = 2 * kListThreads;
constexpr int64_t kMaxParts = 32;  // as many as one thread adds up

inline Sequences whole_sequences(const lr_sequence_options& options, const Mask& mask,
                                 int64_t count, int64_t tokens) {
  return {options, mask, count, tokens, 1, tokens};
}

inline Sequences cut_sequences(const lr_sequence_options& options, const Mask& mask, int64_t count,
                               int64_t tokens) {
  const int64_t most = std::clamp<int64_t>((tokens + kPartTokens - 1) / kPartTokens, 1, kMaxParts);
  const int64_t each = std::max<int64_t>((tokens + most - 1) / most, 1);
  return {options, mask, count, tokens, std::max<int64_t>((tokens + each - 1) / each, 1), each};
}

// What a block takes.
struct Part {
  int64_t sequence;
  int64_t index;
  int64_t begin, end;  // tokens of the sequence

  __device__ Part(const Sequences& s, int64_t block)
      : sequence(s.parts == 1 ? block : block / s.parts),
        index(block - sequence * s.parts),
        begin(index * s.part_tokens),
        end(begin + s.part_tokens < s.tokens ? begin + s.part_tokens : s.tokens) {}
};

// Tokens that may belong to a pair's shared set: the columns where both answers have a token, or,
// counted apart, the tokens of either, of which the first ones are shared, as many as the shorter
// answer has.
struct Candidates {
  int64_t own, partner;
};

// By a warp: the candidates among tokens [begin, end), of which each lane has every 32nd.
__device__ inline Candidates count_candidates(const Sequences& s, int64_t sequence, int64_t begin,
                                              int64_t end) {
  const int64_t row = sequence * s.tokens, partner = s.partner_row(sequence);
  const bool by_column = s.options.align == LR_ALIGN_ABSOLUTE;
  int owns = 0, partners = 0;
  for (int64_t t = begin + static_cast<int>(threadIdx.x) % kWarp; t < end; t += kWarp) {
    const bool own = math::counts(mask_weight(s.mask, row + t)),
               other = math::counts(mask_weight(s.mask, partner + t));
    owns += by_column ? own && other : own;
    partners += by_column ? own && other : other;
  }
  return {warp_sum(owns), warp_sum(partners)};
}

// The tokens of a part that a warp takes: a stretch, so that only tokens' places in the answer,
// counted first, need the whole block.
struct Stretch {
  int64_t begin, end;

  explicit __device__ Stretch(const Part& part) {
    const int64_t each = (part.end - part.begin + kListThreads - 1) / kListThreads * kWarp;
    begin = part.begin + threadIdx.x / kWarp * each;
    end = begin + each < part.end ? begin + each : part.end;
  }
};

// Every thread gets the candidates of the whole part, and those before its warp's stretch.
__device__ inline Candidates count_candidates(const Sequences& s, const Part& part,
                                              BlockScratch* scratch, int64_t* before) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const Stretch stretch(part);
  const Candidates own = count_candidates(s, part.sequence, stretch.begin, stretch.end);
  __syncthreads();  // the counts before have been read
  if (threadIdx.x % kWarp == 0) {
    scratch->counts[warp][0] = own.own;
    scratch->counts[warp][1] = own.partner;
  }
  __syncthreads();
  Candidates all{0, 0};
  for (int w = 0; w < kListWarps; ++w) {
    if (w == warp)
      *before = all.own;
    all.own += scratch->counts[w][0];
    all.partner += scratch->counts[w][1];
  }
  return all;
}

// Calls body(token, its mask, weight in the sum) for each token of a part; `token` counts from the
// first sequence on. `of_parts` has the candidates of every part of every sequence, and is null
// where a sequence has one part, or no tail.
template <class Body>
__device__ inline void for_tokens(const Sequences& s, const Part& part, const Candidates* of_parts,
                                  BlockScratch* scratch, Body&& body) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const Stretch stretch(part);
  const int64_t row = part.sequence * s.tokens;
  if (!s.has_tails()) {
    for (int64_t t = stretch.begin + lane; t < stretch.end; t += kWarp) {
      const MaskedToken mask = read_mask(s.mask, row + t);
      body(row + t, mask, mask.weight);
    }
    return;
  }

  int64_t before = 0;
  Candidates all = count_candidates(s, part, scratch, &before);
  if (of_parts != nullptr) {
    all = {0, 0};
    for (int64_t p = 0; p < s.parts; ++p) {
      const Candidates one = of_parts[part.sequence * s.parts + p];
      before += p < part.index ? one.own : 0;
      all.own += one.own;
      all.partner += one.partner;
    }
  }
  const int64_t shared = math::shared_tokens(s.options, std::min(all.own, all.partner));
  const int64_t partner = s.partner_row(part.sequence);
  const bool by_column = s.options.align == LR_ALIGN_ABSOLUTE;
  for (int64_t first = stretch.begin; first < stretch.end; first += kWarp) {
    const int64_t t = first + lane;
    const MaskedToken mask = t < stretch.end ? read_mask(s.mask, row + t) : MaskedToken{0, false};
    const bool candidate =
        math::counts(mask.weight) && (!by_column || math::counts(mask_weight(s.mask, partner + t)));
    const uint32_t candidates = __ballot_sync(kAllLanes, candidate);
    const int64_t position = before + bit_count(candidates & (kAllLanes >> (kWarp - 1 - lane)));
    if (t < stretch.end) {
      body(row + t, mask,
           math::tail_weighted(s.options, mask.weight, candidate ? position : 0, shared));
    }
    before += bit_count(candidates);
  }
}

}  // namespace logratio::device
