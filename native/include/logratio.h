/*
 * Logratio: preference-optimisation losses on hand-written kernels.
 *
 * The only public header. C11, no dependencies, no NVIDIA header. Licensed under Apache-2.0.
 *
 * Conventions
 *  - Every operation is one function that takes one argument struct. Set the struct to zero, then `size` to its
 *    sizeof, then what you need: a NULL tensor is an optional input that is absent or an output that is not wanted.
 *  - Tensors are DLPack's DLTensor: dtype, shape, strides (in elements; NULL means contiguous) and device in one argument.
 *    Nothing is copied, and the caller keeps ownership of everything. "float" below means float64, float32, bfloat16 or float16,
 *    "int" means int64 or int32, a mask is bool, uint8 (non-zero counts 1) or float32 (weights, finite and >= 0).
 *  - N rows, V vocabulary, B sequences of T tokens, P pairs. Row 0..P-1 of a paired batch is chosen, P..2P-1 rejected.
 *  - Arguments are checked before anything is written. A function returns LR_OK, or a status with one line of text
 *    that names the argument and what was expected: in `error` of the struct if given, and in lr_last_error().
 *  - Functions may be called from any thread at any time. The same input gives the same bits for any number of threads,
 *    any batch around a row and any run; bits may differ between instruction sets and devices.
 */
#ifndef LOGRATIO_H_
#define LOGRATIO_H_

#include <stdint.h>

/* ---- DLPack 1.x, declared under DLPack's own guard so that no further header is needed ---- */
#ifndef DLPACK_DLPACK_H_
#define DLPACK_DLPACK_H_
typedef enum { kDLCPU = 1, kDLCUDA = 2, kDLCUDAHost = 3 } DLDeviceType;
typedef struct DLDevice {
  DLDeviceType device_type;
  int32_t device_id;
} DLDevice;
typedef enum { kDLInt = 0U, kDLUInt = 1U, kDLFloat = 2U, kDLBfloat = 4U, kDLBool = 6U } DLDataTypeCode;
typedef struct DLDataType {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} DLDataType;
typedef struct DLTensor {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;
  int64_t* strides; /* in elements; NULL: contiguous, row-major */
  uint64_t byte_offset;
} DLTensor;
#endif /* DLPACK_DLPACK_H_ */

#if defined(__GNUC__)
#define LR_API __attribute__((visibility("default")))
#else
#define LR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a struct or a function changes in a way that old callers would misread. */
#define LR_ABI_VERSION 1

typedef enum lr_status {
  LR_OK = 0,
  LR_INVALID_ARGUMENT = 1, /* an argument is wrong; nothing was written */
  LR_UNAVAILABLE = 2,      /* a device, driver or instruction set is missing; nothing was written */
  LR_OUT_OF_MEMORY = 3,
  LR_INTERNAL = 4
} lr_status;

/* ---- The library ---- */

/* LR_ABI_VERSION of the library itself; compare it with the header's before any other call. */
LR_API uint32_t lr_abi_version(void);
/* "0.1.0"; static text. */
LR_API const char* lr_version(void);
/* The last error of the calling thread, "" if none; valid until the thread's next call. */
LR_API const char* lr_last_error(void);
/*
 * The instruction set that the CPU kernels run on: "baseline" (x86-64-v2), "avx2", "avx512" or "avx512_bf16".
 * The environment variable LOGRATIO_CPU caps the choice; an unknown or unsupported value makes every operation
 * return LR_UNAVAILABLE and this function return NULL (lr_last_error() says why).
 */
LR_API const char* lr_cpu_instruction_set(void);
/*
 * Threads that a CPU operation may use, the caller included. Default: the environment variable LOGRATIO_THREADS, whose value makes
 * every operation return LR_UNAVAILABLE if it is no number from 1 to 1024, else the CPUs that this process may run on. Setting it returns LR_INVALID_ARGUMENT unless 1 <= threads <= 1024. It never changes results.
 */
LR_API int32_t lr_threads(void);
LR_API lr_status lr_set_threads(int32_t threads);

/* ---- token_logprobs: a differentiable log-prob per token ---- */

/* How a logit x becomes z = softcap(x) / temperature, softcap(x) = softcap * tanh(x / softcap), or x when softcap is 0. */
typedef struct lr_token_options {
  int64_t ignore_index;  /* label of rows to ignore, -100 by custom */
  double temperature;    /* > 0 */
  double softcap;        /* >= 0; 0: off */
} lr_token_options;

/*
 * Forward: every wanted output from one read of the logits.
 *   logits [N,V] or [B,T,V]   float32, bfloat16 or float16; the last dimension contiguous, the others of any stride
 *   labels [N] or [B,T]       int; in [0,V) or ignore_index
 *   outputs, all of the labels' shape:
 *     logp       float        log softmax(z)[label]; 0 for an ignored row
 *     lse        float        log-sum-exp(z). Pass float64 if the backward follows: it loses nothing
 *     lse2       float        log-sum-exp(2 z)
 *     entropy    float        of softmax(z), in nats
 *     argmax     int          of the raw logits; the lowest index on ties, a NaN counting as the largest
 *     mean_logit float        mean of z
 * A logit of -inf has probability 0. A row whose raw logits are all -inf, or hold +inf or NaN, gives NaN in that row only.
 */
typedef struct lr_token_logprobs_args {
  uint64_t size;
  char* error;             /* optional buffer for the error text, NUL-terminated, cut to error_capacity */
  uint64_t error_capacity; /* bytes */
  const DLTensor* logits;
  const DLTensor* labels;
  lr_token_options options;
  const DLTensor* logp;
  const DLTensor* lse;
  const DLTensor* lse2;
  const DLTensor* entropy;
  const DLTensor* argmax;
  const DLTensor* mean_logit;
} lr_token_logprobs_args;
LR_API lr_status lr_token_logprobs(const lr_token_logprobs_args* args);

/*
 * Backward: grad_logits = grad_logp * d logp/d logits + grad_entropy * d entropy/d logits; one read and one write of a row.
 *   lse          float, from the forward   entropy  float, from the forward; needed with grad_entropy
 *   grad_logp, grad_entropy  float, of the labels' shape; at least one
 *   grad_logits  the logits' shape and dtype; it may be the logits themselves (in place), but not overlap them otherwise
 * A row that is ignored gets 0, as does one whose upstream gradients are all 0.
 */
typedef struct lr_token_logprobs_backward_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const DLTensor* logits;
  const DLTensor* labels;
  lr_token_options options;
  const DLTensor* lse;
  const DLTensor* entropy;
  const DLTensor* grad_logp;
  const DLTensor* grad_entropy;
  const DLTensor* grad_logits;
} lr_token_logprobs_backward_args;
LR_API lr_status lr_token_logprobs_backward(const lr_token_logprobs_backward_args* args);

/* ---- sequence_logps: token log-probs to sequence log-probs ---- */

typedef enum lr_reduction { LR_SUM = 0, LR_MEAN = 1 } lr_reduction;
typedef enum lr_align { LR_ALIGN_COMPLETION = 0, LR_ALIGN_ABSOLUTE = 1 } lr_align;

typedef struct lr_sequence_options {
  int32_t reduction;    /* lr_reduction; mean divides by max(sum of weights, 1) */
  int32_t align;        /* lr_align; which tokens of a pair are shared, used when tail_weight is not 1 */
  double tail_weight;   /* in [0,1]; weight of tokens past the shared set: 1 off, 0 POET, between LD-DPO */
  double keep_fraction; /* in (0,1]; 1 unless tail_weight is below 1. Shortens the shared set of n to max(1, floor(f*n)) */
} lr_sequence_options;

/*
 *   token_logps [B,T] float; read only where the mask counts (may be NULL when only the gradient is wanted)
 *   mask [B,T]        a token counts if its weight is > 0.    B is even when tail_weight is below 1
 *   grad_logps [B] float, with grad_token_logps [B,T] float: the gradient, 0 where the mask does not count
 *   logps [B], counts [B] float: outputs; counts is the sum of the token weights
 */
typedef struct lr_sequence_logps_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const DLTensor* token_logps;
  const DLTensor* mask;
  lr_sequence_options options;
  const DLTensor* grad_logps;
  const DLTensor* logps;
  const DLTensor* counts;
  const DLTensor* grad_token_logps;
} lr_sequence_logps_args;
LR_API lr_status lr_sequence_logps(const lr_sequence_logps_args* args);

/* ---- pair_loss: log-probs of pairs to losses and every gradient ---- */

typedef enum lr_f_divergence { LR_REVERSE_KL = 0, LR_FORWARD_KL = 1, LR_JS = 2, LR_ALPHA = 3 } lr_f_divergence;
typedef enum lr_guard { LR_GUARD_NONE = 0, LR_GUARD_WARN = 1, LR_GUARD_CLAMP = 2 } lr_guard;
typedef enum lr_variant { LR_VARIANT_REPO = 0, LR_VARIANT_OLD = 1 } lr_variant;

/*
 * One loss and its options. Set size, fill it with lr_loss_init("dlrml", &options), then set what differs. lr_loss_init sets each
 * option to the loss's default, and to NaN where the loss has no such option; a value given there is an error when used.
 *
 *   dlrml     beta_kl .05, beta_mix .20, tau .05, guard, f_divergence, f_alpha
 *   discopop  beta .05, tau .05, variant, f_divergence, f_alpha
 *   sigmoid   beta .1, label_smoothing 0, f_divergence, f_alpha       (DPO)
 */
typedef struct lr_loss_options {
  uint64_t size;          /* sizeof(lr_loss_options); set it before lr_loss_init */
  int32_t loss;           /* the library's own number for the name; set by lr_loss_init */
  int32_t f_divergence;   /* lr_f_divergence: the score of a log-ratio */
  int32_t guard;          /* lr_guard; clamp uses max(beta_mix, tau*beta_kl) */
  int32_t variant;        /* lr_variant; old gates discopop with sigmoid(D) */
  double beta;            /* > 0 */
  double beta_kl;         /* > 0 */
  double beta_mix;        /* finite */
  double tau;             /* > 0 */
  double label_smoothing; /* in [0, .5) */
  double f_alpha;         /* finite; of the alpha divergence, .5 */
} lr_loss_options;
LR_API lr_status lr_loss_init(const char* name, lr_loss_options* options);

/*
 * All tensors [P] float unless said otherwise.
 *   policy_chosen, policy_rejected         sequence log-probs of the policy
 *   reference_chosen, reference_rejected   of the reference; both absent: reference-free (taken as 0)
 *   chosen_counts, rejected_counts         float or int; token counts for losses that divide by length, default 1
 *   grad_loss                              upstream gradient a pair, default 1/P (gradients of the mean)
 *   outputs: loss; chosen_rewards, rejected_rewards; grad_* of the four log-probs; grad_beta (discopop),
 *            grad_beta_kl, grad_beta_mix (dlrml), grad_tau (both): [1], sums over the pairs
 * An output that the loss does not have is an error. P = 0 is allowed.
 */
typedef struct lr_pair_loss_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const lr_loss_options* loss_options;
  const DLTensor* policy_chosen;
  const DLTensor* policy_rejected;
  const DLTensor* reference_chosen;
  const DLTensor* reference_rejected;
  const DLTensor* chosen_counts;
  const DLTensor* rejected_counts;
  const DLTensor* grad_loss;
  const DLTensor* loss;
  const DLTensor* chosen_rewards;
  const DLTensor* rejected_rewards;
  const DLTensor* grad_policy_chosen;
  const DLTensor* grad_policy_rejected;
  const DLTensor* grad_reference_chosen;
  const DLTensor* grad_reference_rejected;
  const DLTensor* grad_beta;
  const DLTensor* grad_beta_kl;
  const DLTensor* grad_beta_mix;
  const DLTensor* grad_tau;
} lr_pair_loss_args;
LR_API lr_status lr_pair_loss(const lr_pair_loss_args* args);

/* ---- preference_step: the whole chain, logits to loss, gradient and metrics ---- */

/* What a trainer logs; zeros when no token counts. */
typedef struct lr_step_metrics {
  double loss;              /* mean over the pairs */
  double rewards_chosen;    /* means of the rewards */
  double rewards_rejected;
  double rewards_margin;
  double rewards_accuracy;  /* share of pairs with chosen reward > rejected reward */
  double entropy;           /* mean over counted tokens */
  double token_accuracy;    /* share of counted chosen tokens whose argmax is the label */
  double logits_chosen;     /* mean over counted tokens of the mean raw logit */
  double logits_rejected;
  double grad_norm;         /* l2 norm of grad_logits before rounding; 0 when grad_logits is not wanted */
  int64_t nonfinite;        /* non-finite values in losses and grad_logits */
} lr_step_metrics;

/*
 *   logits [2P,T,V] float32, bfloat16 or float16, shifted: logits[t] predicts labels[t]
 *   labels [2P,T] int                mask [2P,T] optional
 *   reference_logps [2P] float       reduced with the same mask and options; or
 *   reference_token_logps [2P,T] float;   neither: reference-free
 *   outputs: losses [P], logps [2P], counts [2P] float; grad_logits as the logits, which it may be (in place); metrics
 * A token counts if its mask counts and its label is not ignore_index. Rows that do not count are not read; their gradient is 0.
 * The logits are read once forward, and read and written once backward. An entropy, argmax or mean logit is computed only if metrics is given.
 */
typedef struct lr_preference_step_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const lr_loss_options* loss_options;
  lr_token_options token_options;
  lr_sequence_options sequence_options;
  const DLTensor* logits;
  const DLTensor* labels;
  const DLTensor* mask;
  const DLTensor* reference_logps;
  const DLTensor* reference_token_logps;
  const DLTensor* losses;
  const DLTensor* logps;
  const DLTensor* counts;
  const DLTensor* grad_logits;
  lr_step_metrics* metrics;
} lr_preference_step_args;
LR_API lr_status lr_preference_step(const lr_preference_step_args* args);

/* ---- Measuring ---- */

typedef enum lr_bandwidth { LR_BANDWIDTH_READ = 0, LR_BANDWIDTH_COPY = 1, LR_BANDWIDTH_UPDATE = 2 } lr_bandwidth;
/*
 * Runs the plainest kernel of a kind over `bytes` of memory on lr_threads() threads once and stores its duration.
 * read sums `source`; copy writes `source` to `destination`; update rewrites `source` in place with the same values.
 */
LR_API lr_status lr_bandwidth_probe(int32_t kind, void* source, void* destination, uint64_t bytes, double* seconds);

#ifdef __cplusplus
}
#endif
#endif /* LOGRATIO_H_ */
