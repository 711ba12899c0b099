// Every kernel, once: the table of an instruction set, its declarations and its definition are made
// from this list. LR_KERNEL(result, name, parameters)

// Rows of the vocabulary.
LR_KERNEL(void, token_forward, (const TokenForward& call, Scratch& scratch))
LR_KERNEL(void, token_backward, (const TokenBackward& call, Scratch& scratch))
LR_KERNEL(void, divergence, (const Divergence& call, Scratch& scratch))
LR_KERNEL(void, divergence_topk, (const DivergenceTopk& call, Scratch& scratch))
LR_KERNEL(void, scoring_rule, (const ScoringRule& call, Scratch& scratch))

// c = a b, or c += a b, all of float32.
LR_KERNEL(void, multiply,
          (const GemmShape& shape, const Matrix& a, const Matrix& b, bool accumulate,
           const Matrix& c))

// Losses, over blocks of pairs. features: of a loss of the whole batch. pull_back adds to the four
// gradients of `out` what the statistics carry back; `d` holds the derivatives of the whole by
// them.
LR_KERNEL(void, evaluate_pairs,
          (const lr_loss_options& options, const math::Statistics& statistics, int64_t count,
           const PairBlock& in, PairValues* out))
LR_KERNEL(void, pair_features,
          (const lr_loss_options& options, int64_t count, const PairBlock& in, PairColumn* first,
           PairColumn* second))
LR_KERNEL(void, pull_back,
          (const lr_loss_options& options, const math::Statistics& statistics,
           const math::Statistics& d, int64_t count, const PairBlock& in, PairValues* out))
LR_KERNEL(void, evaluate_examples,
          (const lr_loss_options& options, double kl, int64_t count, const ExampleBlock& in,
           ExampleValues* out))

// Between float32 and narrower types, in memory without gaps.
LR_KERNEL(void, widen_row, (op::ElementType type, const void* from, int64_t count, float* to))
LR_KERNEL(void, narrow_row, (op::ElementType type, const float* from, int64_t count, void* to))

// Between blocks and float32 in memory without gaps.
LR_KERNEL(void, widen, (const float* from, int64_t count, double* to))
LR_KERNEL(void, narrow, (const double* from, int64_t count, float* to))

// Bandwidth probes: the least work that touches every byte once. update writes back what it read.
LR_KERNEL(uint64_t, read_memory, (const void* source, uint64_t bytes))
LR_KERNEL(void, update_memory, (void* memory, uint64_t bytes))
