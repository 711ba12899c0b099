// Which tokens of a sequence count, and with what weight, by blocks that take a sequence or a part
// of one.
#pragma once

#include "spans.cuh"

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

// Sequences, cut into parts.
struct Sequences {
  lr_sequence_options options;
  Mask mask;
  Cut cut;

  LR_HD bool has_tails() const { return options.tail_weight != 1; }
  LR_HD int64_t count() const { return cut.spans.count; }
};

constexpr int64_t kPartTokens = 2 * kListThreads;

// Whether a token may belong to a pair's shared set: that of a column where both answers have a
// token, or, counted apart, any of either, of which the first ones are shared, as many as the
// shorter answer has.
struct Candidate {
  const Sequences& s;
  int64_t row, partner;  // first tokens
  int64_t columns;       // that the partner has
  bool by_column;

  __device__ Candidate(const Sequences& s, int64_t sequence)
      : s(s), row(s.cut.spans.begin(sequence)), by_column(s.options.align == LR_ALIGN_ABSOLUTE) {
    const int64_t other = s.cut.spans.partner(sequence);
    partner = s.cut.spans.begin(other);
    columns = s.cut.spans.size(other);
  }
  // Given that token t counts.
  __device__ bool may_share(int64_t t) const {
    return !by_column || (t < columns && math::counts(mask_weight(s.mask, partner + t)));
  }
  __device__ bool operator()(int64_t t) const {
    return math::counts(mask_weight(s.mask, row + t)) && may_share(t);
  }
};

// How many of tokens [begin, end) of a sequence are candidates, among those that belong to the
// calling thread.
__device__ inline int64_t count_candidates(const Sequences& s, int64_t sequence, int64_t begin,
                                           int64_t end) {
  const Candidate candidate(s, sequence);
  int64_t count = 0;
  for (int64_t t = begin + threadIdx.x; t < end; t += kListThreads)
    count += candidate(t) ? 1 : 0;
  return count;
}

// Calls body(token, its mask, weight in the sum) for each token of a part, by thread t of a block
// for tokens t, t + kListThreads and so on of the part; `token` counts from the first sequence on.
// `of_parts` has the number of candidates of every part, and is null where a sequence is one part,
// or has no tail.
template <class Body>
__device__ inline void for_tokens(const Sequences& s, const Part& part, const int64_t* of_parts,
                                  BlockScratch* scratch, Body&& body) {
  if (!s.has_tails()) {
    for (int64_t t = part.begin + threadIdx.x; t < part.end; t += kListThreads) {
      const MaskedToken mask = read_mask(s.mask, part.row + t);
      body(part.row + t, mask, mask.weight);
    }
    return;
  }

  // Candidates of the sequence and of its partner, and those before the part.
  const int64_t partner = s.cut.spans.partner(part.sequence);
  double counts[3] = {0, 0, 0};
  const auto add_parts = [&](int64_t sequence, double* all) {
    const int64_t end = s.cut.first_part(sequence + 1);
    for (int64_t p = s.cut.first_part(sequence) + threadIdx.x; p < end; p += kListThreads) {
      const auto count = static_cast<double>(of_parts[p]);
      *all += count;
      counts[2] += sequence == part.sequence && p < part.number ? count : 0;
    }
  };
  const auto add_tokens = [&](int64_t sequence, double* all) {
    *all = static_cast<double>(count_candidates(s, sequence, 0, s.cut.spans.size(sequence)));
  };
  if (of_parts != nullptr) {
    add_parts(part.sequence, &counts[0]);
    add_parts(partner, &counts[1]);
  } else {
    add_tokens(part.sequence, &counts[0]);
    add_tokens(partner, &counts[1]);
  }
  block_sum(counts, scratch);
  const int64_t shared =
      math::shared_tokens(s.options, static_cast<int64_t>(std::min(counts[0], counts[1])));

  const Candidate candidate(s, part.sequence);
  const int warp = static_cast<int>(threadIdx.x) / kWarp,
            lane = static_cast<int>(threadIdx.x) % kWarp;
  auto before = static_cast<int64_t>(counts[2]);
  int turn = 0;
  for (int64_t first = part.begin; first < part.end; first += kListThreads, turn = 1 - turn) {
    const int64_t t = first + threadIdx.x;
    const bool exists = t < part.end;
    const MaskedToken mask = exists ? read_mask(s.mask, part.row + t) : MaskedToken{0, false};
    const bool shares = math::counts(mask.weight) && candidate.may_share(t);
    const uint32_t lanes = __ballot_sync(kAllLanes, shares);
    if (lane == 0)
      scratch->counts[turn][warp] = bit_count(lanes);
    __syncthreads();  // so the counts of the turn before the last have been read
    int64_t place = before + bit_count(lanes & (kAllLanes >> (kWarp - 1 - lane)));
    for (int w = 0; w < kListWarps; ++w) {
      const int count = scratch->counts[turn][w];
      place += w < warp ? count : 0;
      before += count;
    }
    if (exists)
      body(part.row + t, mask,
           math::tail_weighted(s.options, mask.weight, shares ? place : 0, shared));
  }
}

}  // namespace logratio::device
