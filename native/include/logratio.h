/*
 * Logratio: preference-optimisation losses on hand-written kernels.
 *
 * The only public header. C11, no dependencies, no NVIDIA header. Licensed under Apache-2.0.
 *
 * Conventions
 *  - Every operation is one function that takes one argument struct. Set the struct to zero, then
 *    `size` to its sizeof, then what you need: a NULL tensor is an optional input that is absent or
 *    an output that is not wanted. A size above 4096 is an error, of which lr_last_error() alone
 *    tells.
 *  - Tensors are DLPack's DLTensor: dtype, shape, strides (in elements; NULL means contiguous) and
 *    device in one argument. Nothing is copied, and the caller keeps ownership of everything.
 *    "float" below means float64, float32, bfloat16 or float16, "int" means int64 or int32, a mask
 *    is bool, uint8, int32 or int64 (non-zero counts 1) or float32 (weights, finite and >= 0).
 *  - N rows, V vocabulary, B sequences of T tokens, P pairs. Row 0..P-1 of a paired batch is
 *    chosen, P..2P-1 rejected.
 *  - Arguments are checked before anything is written. A function returns LR_OK, or a status with
 *    one line of text that names the argument and what was expected: in `error` of the struct if
 *    given, and in lr_last_error(). Texts write a tensor as "F32 [4, 5]", and its type as
 *    safetensors does: F64, F32, BF16, F16, I64, I32, U8, BOOL.
 *  - Tensors lie in CPU memory (kDLCPU, or kDLCUDAHost for pinned memory), or all on one CUDA
 *    device (kDLCUDA); a call on CUDA tensors needs the struct's `cuda` field, and runs
 *    asynchronously on its stream. kDLExtDev stands for the emulator, which runs the CUDA kernels
 *    on the host, over host memory; it is for tests.
 *  - Functions may be called from any thread at any time. The same input gives the same bits for
 *    any number of threads, any batch around a row and any run; bits may differ between
 *    instruction sets and devices.
 *  - A child of fork() may call them, too, whatever its parent's threads were doing, except that
 *    CUDA itself cannot be used in the child of a process that has used it. The library stays
 *    mapped when it is closed.
 */
#ifndef LOGRATIO_H_
#define LOGRATIO_H_

#include <stdint.h>

/* ---- DLPack 1.x, declared under DLPack's own guard so that no further header is needed ---- */
#ifndef DLPACK_DLPACK_H_
#define DLPACK_DLPACK_H_
typedef enum { kDLCPU = 1, kDLCUDA = 2, kDLCUDAHost = 3, kDLExtDev = 12 } DLDeviceType;
typedef struct DLDevice {
  DLDeviceType device_type;
  int32_t device_id;
} DLDevice;
typedef enum {
  kDLInt = 0U,
  kDLUInt = 1U,
  kDLFloat = 2U,
  kDLBfloat = 4U,
  kDLBool = 6U
} DLDataTypeCode;
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
/* For instance "1.2.3"; static text. */
LR_API const char* lr_version(void);
/* The last error of the calling thread, "" if none; valid until the thread's next call. */
LR_API const char* lr_last_error(void);
/*
 * The instruction set that the CPU kernels run on: "baseline" (x86-64-v2), "avx2", "avx512" or
 * "avx512_bf16". The environment variable LOGRATIO_CPU caps the choice; an unknown or unsupported
 * value makes every operation return LR_UNAVAILABLE and this function return NULL (lr_last_error()
 * says why).
 */
LR_API const char* lr_cpu_instruction_set(void);
/* The most threads that a CPU operation may use. */
#define LR_MAX_THREADS 1024
/*
 * Threads that a CPU operation may use, the caller included. Default: the environment variable
 * LOGRATIO_THREADS, whose value makes every operation return LR_UNAVAILABLE if it is no number
 * from 1 to LR_MAX_THREADS, else the CPUs that this process may run on or the CPU quota of its
 * control groups, rounded up, whichever is less. Setting it returns LR_INVALID_ARGUMENT unless
 * 1 <= threads <= LR_MAX_THREADS. It never changes results. Where the system refuses threads,
 * calls go on with those there are.
 */
LR_API int32_t lr_threads(void);
LR_API lr_status lr_set_threads(int32_t threads);

/* ---- CUDA ---- */

/* Bytes that a workspace is aligned to, and what lr_device_allocate gives. */
#define LR_DEVICE_ALIGNMENT 256

/*
 * How a call on CUDA tensors runs. The library allocates no device memory and never waits for the
 * device in an operation, so every operation can be captured in a graph. Call it first with
 * workspace NULL: nothing runs, and workspace_bytes becomes what the same call needs (the same
 * shapes, dtypes, strides, options and wanted outputs; more than 0). Then call it with that much
 * device memory, aligned to LR_DEVICE_ALIGNMENT. The first call on a device, whichever, loads the
 * kernels, so that none has to be loaded while a stream is being captured.
 *
 * Calls on one stream may share a workspace, one after the other: calls that several threads make
 * at the same time with one workspace are refused with LR_INVALID_ARGUMENT, where they meet. Calls
 * on two streams cannot use a workspace at once: a call on another stream than the workspace's last
 * one has its stream wait, on the device, for that call's work. Work that is captured is not seen:
 * a graph must not run beside other work with its workspace.
 *
 * Values in device memory are not checked beforehand: a label outside [0,vocab) that is not
 * ignore_index gives logp NaN and gradient 0 in its row, and is counted; of several labels in a row
 * so does one that stands there before, and the row's tail is NaN. So is a row counted whose kept
 * columns are not as they have to be; all of its figures are NaN. A weight of a mask, of a pair or
 * of an example that is not finite or is negative counts as 0, and is counted. So it is with the
 * labels of a scoring rule and the weights of a divergence; a pair there that names a row that does
 * not exist, or one that an earlier pair has, is skipped: its value is NaN, the loss too unless the
 * pair weighs nothing, and it is counted. Known columns of a row that name one that does not exist,
 * or one twice, and log-probabilities that are NaN or whose probabilities sum to more than 1 give
 * the row's pair the value NaN and gradient 0, and are counted once. Where all weights of models
 * are 0 or bad, values are NaN, and that is counted. Parameters that are given as tensors are taken
 * as they are. Where cu_seqlens does not rise from 0 to the number of tokens, its wrong numbers are
 * counted, and every result is NaN.
 */
typedef struct lr_cuda {
  uint64_t size;
  void* stream;    /* cudaStream_t; NULL is the legacy default stream */
  void* workspace; /* on the tensors' device; NULL asks for workspace_bytes */
  uint64_t workspace_bytes;
  int64_t* bad_values; /* optional, on the tensors' device: incremented by the number of bad
                          labels, sets of kept columns, weights, pairs and numbers of
                          cu_seqlens */
} lr_cuda;

/* What runs CUDA calls. */
typedef struct lr_device_info {
  uint64_t size;
  char name[256];             /* "NVIDIA H100 80GB HBM3"; NUL-terminated */
  int32_t driver_version;     /* 13000 is 13.0; 0 for the emulator */
  int32_t runtime_version;    /* of the library */
  int32_t compute_capability; /* 90 is 9.0 */
  int32_t multiprocessors;
  uint64_t memory_bytes;
} lr_device_info;
/*
 * Opens the CUDA library if needed: liblogratio_cuda.so beside the real path of this library, as it
 * was when this library was loaded, or else on the loader's path. LR_UNAVAILABLE says in one
 * sentence what is missing. device_type is kDLCUDA or kDLExtDev, whose library the environment
 * variable LOGRATIO_EMULATOR may name by an absolute path.
 */
LR_API lr_status lr_device(DLDeviceType device_type, int32_t device_id, lr_device_info* info);

/*
 * Devices, memory, streams and events, for callers without a CUDA library of their own: the
 * functions of CUDA's runtime that each names, by the runtime that the CUDA library carries.
 * Pointers, streams (cudaStream_t; NULL is the legacy default stream) and events (cudaEvent_t) are
 * CUDA's own, so other libraries' may be given, and these be given to them.
 *  - device_type and device_id are as for lr_device. A call makes its device current and leaves the
 *    thread's current device as it was.
 *  - A failure names CUDA's function and CUDA's reason. It is LR_OUT_OF_MEMORY where memory is
 *    lacking, LR_UNAVAILABLE where there is no such device, driver or library, LR_INTERNAL
 *    otherwise, which includes an earlier failure of work on the device.
 */
/* cudaGetDeviceCount; at least 1. */
LR_API lr_status lr_device_count(DLDeviceType device_type, int32_t* count);
/* cudaGetDevice, cudaSetDevice: the calling thread's current device. */
LR_API lr_status lr_device_current(DLDeviceType device_type, int32_t* device_id);
LR_API lr_status lr_device_make_current(DLDeviceType device_type, int32_t device_id);
/* cudaDeviceSynchronize: waits for all work on the device. */
LR_API lr_status lr_device_synchronize(DLDeviceType device_type, int32_t device_id);

/* cudaMemGetInfo: how much memory the device has, and how much of it is free. */
LR_API lr_status lr_device_memory(DLDeviceType device_type, int32_t device_id, uint64_t* free_bytes,
                                  uint64_t* total_bytes);
/* cudaMalloc; aligned to LR_DEVICE_ALIGNMENT. bytes is at least 1. */
LR_API lr_status lr_device_allocate(DLDeviceType device_type, int32_t device_id, uint64_t bytes,
                                    void** memory);
/* cudaFree; waits for the device. */
LR_API lr_status lr_device_free(DLDeviceType device_type, int32_t device_id, void* memory);
/* cudaMemsetAsync: queues writing the lowest byte of `value` to each byte. */
LR_API lr_status lr_device_fill(DLDeviceType device_type, int32_t device_id, void* stream,
                                void* memory, int32_t value, uint64_t bytes);
/* cudaMemcpyAsync: queues a copy between device memory, host memory or both. */
LR_API lr_status lr_device_copy(DLDeviceType device_type, int32_t device_id, void* stream, void* to,
                                const void* from, uint64_t bytes);
/* cudaHostRegister, cudaHostUnregister: pins host memory, so that copies run beside other work. */
LR_API lr_status lr_device_pin(DLDeviceType device_type, int32_t device_id, void* memory,
                               uint64_t bytes);
LR_API lr_status lr_device_unpin(DLDeviceType device_type, int32_t device_id, void* memory);

/* cudaStreamCreate, cudaStreamDestroy. */
LR_API lr_status lr_stream_create(DLDeviceType device_type, int32_t device_id, void** stream);
LR_API lr_status lr_stream_destroy(DLDeviceType device_type, int32_t device_id, void* stream);
/* cudaStreamSynchronize: waits for what is queued. */
LR_API lr_status lr_stream_synchronize(DLDeviceType device_type, int32_t device_id, void* stream);
/* cudaStreamQuery: whether all that is queued is done, 1 or 0. */
LR_API lr_status lr_stream_query(DLDeviceType device_type, int32_t device_id, void* stream,
                                 int32_t* done);
/* cudaStreamWaitEvent: what is queued from now on waits for the event. */
LR_API lr_status lr_stream_wait(DLDeviceType device_type, int32_t device_id, void* stream,
                                void* event);

/* cudaEventCreate, cudaEventDestroy. */
LR_API lr_status lr_event_create(DLDeviceType device_type, int32_t device_id, void** event);
LR_API lr_status lr_event_destroy(DLDeviceType device_type, int32_t device_id, void* event);
/* cudaEventRecord: the event is reached when the stream has done what is queued by now. */
LR_API lr_status lr_event_record(DLDeviceType device_type, int32_t device_id, void* event,
                                 void* stream);
/* cudaEventSynchronize, cudaEventQuery: waits for the event; whether it is reached, 1 or 0. */
LR_API lr_status lr_event_synchronize(DLDeviceType device_type, int32_t device_id, void* event);
LR_API lr_status lr_event_query(DLDeviceType device_type, int32_t device_id, void* event,
                                int32_t* done);
/* cudaEventElapsedTime: milliseconds from one event to another, both of them reached. */
LR_API lr_status lr_event_elapsed(DLDeviceType device_type, int32_t device_id, void* start,
                                  void* end, double* milliseconds);

/* ---- token_logprobs: a differentiable log-prob per token ---- */

/* How a logit x becomes z = softcap(x) / temperature, softcap(x) = softcap * tanh(x / softcap), or
 * x when softcap is 0. */
typedef struct lr_token_options {
  int64_t ignore_index; /* label of rows to ignore, -100 by custom */
  double temperature;   /* > 0 */
  double softcap;       /* >= 0; 0: off */
  int64_t vocab;        /* 1 <= vocab <= V, columns from it on are padding: neither read nor part
                           of any figure, their gradient is 0; 0 means V */
} lr_token_options;

/*
 * Forward: every wanted output from one read of the logits.
 *   logits [N,V] or [B,T,V]   float32, bfloat16 or float16; the last dimension contiguous, the
 *                             others of any stride
 *   labels [N] or [B,T]       int; in [0,vocab) or ignore_index; or
 *   labels [N,K] or [B,T,K]   K labels per row, 1 <= K <= min(vocab,1024), that differ within a row
 *                             but for ignore_index
 *   outputs, of a number per row, and logp of the labels' shape:
 *     logp       float        log softmax(z)[label]; 0 for an ignored row
 *     lse        float        log-sum-exp(z). Pass float64 if the backward follows: it
 *                             loses nothing
 *     lse2       float        log-sum-exp(2 z)
 *     entropy    float        of softmax(z), in nats
 *     argmax     int          of the raw logits; the lowest index on ties, a NaN counting as the
 *                             largest
 *     mean_logit float        mean of z over the columns where it is not -inf
 *     tail       float        with K labels: log of the probability that a row's labels leave, with
 *                             relative accuracy near 0 and far below; -inf where they leave none.
 *                             The column of a label that is ignored belongs to it
 * With K labels a row is ignored if all of them are; one that is has logp 0. K = 1 gives what
 * labels [N] do, to the bit.
 * A logit of -inf has probability 0. A row whose raw logits are all -inf, or hold +inf or NaN,
 * gives NaN in that row only.
 *
 * Kept columns, as a sampler with top-k or top-p drew from them: every figure of a row is then of
 * the softmax over its kept columns alone, and nothing else of the row is read.
 *   kept_offsets [N+1]   int, with kept_ids; N is B*T with logits [B,T,V]. Row r keeps the ids
 *                        from kept_offsets[r] to before kept_offsets[r+1]: the first is 0, each is
 *                        above the one before, the last is M
 *   kept_ids [M]         int; the columns, in [0,vocab) and ascending within a row
 *   outside [1]          int64, an output: the rows whose label is not among their kept columns.
 *                        Their logp is -inf. An ignored row does not count
 * Labels are [N] or [B,T] then, and argmax is a column. All columns kept give what the call gives
 * without kept_ids, to the bit.
 */
typedef struct lr_token_logprobs_args {
  uint64_t size;
  char* error;             /* optional buffer for the error text, NUL-terminated, cut to
                              error_capacity */
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
  lr_cuda* cuda; /* needed with CUDA tensors, NULL otherwise */
  const DLTensor* tail;
  const DLTensor* kept_offsets;
  const DLTensor* kept_ids;
  const DLTensor* outside;
} lr_token_logprobs_args;
LR_API lr_status lr_token_logprobs(const lr_token_logprobs_args* args);

/*
 * Backward: grad_logits = grad_logp * d logp/d logits + grad_entropy * d entropy/d logits +
 * grad_lse * d lse/d logits + grad_tail * d tail/d logits, with K labels the sum over them; one
 * read and one write of a row.
 *   lse          float, from the forward. Where its type leaves too few digits for a row's
 *                probabilities, or for what the label's is short of 1, the row is read once more
 *                and summed again.
 *   entropy      float, from the forward; needed with grad_entropy
 *   tail         float, from the forward; needed with grad_tail. Where its type leaves too few
 *                digits, the row is summed again
 *   grad_logp    float, of the labels' shape
 *   grad_entropy, grad_lse, grad_tail   float, a number per row; at least one of the four. grad_lse
 *                is what a z-loss hands back; grad_tail, with K labels, is not used where tail is
 *                -inf
 *   grad_logits  the logits' shape and dtype; it may be the logits themselves (in place), but not
 *                overlap them otherwise
 *   kept_offsets [N+1], kept_ids [M]   int, as in the forward. Columns that are not kept get 0. The
 *                grad_logp of a row whose label is not kept is not used
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
  lr_cuda* cuda; /* needed with CUDA tensors, NULL otherwise */
  const DLTensor* grad_lse;
  const DLTensor* tail;
  const DLTensor* grad_tail;
  const DLTensor* kept_offsets;
  const DLTensor* kept_ids;
} lr_token_logprobs_backward_args;
LR_API lr_status lr_token_logprobs_backward(const lr_token_logprobs_backward_args* args);

/* ---- sequence_logps: token log-probs to sequence log-probs ---- */

typedef enum lr_reduction { LR_SUM = 0, LR_MEAN = 1 } lr_reduction;
typedef enum lr_align { LR_ALIGN_COMPLETION = 0, LR_ALIGN_ABSOLUTE = 1 } lr_align;

typedef struct lr_sequence_options {
  int32_t reduction;    /* lr_reduction; mean divides by max(sum of weights, 1) */
  int32_t align;        /* lr_align: which tokens of a pair are shared; of use where tail_weight
                           is not 1 */
  double tail_weight;   /* in [0,1]; weight of tokens past the shared set: 1 off, 0 POET, between
                           LD-DPO */
  double keep_fraction; /* in (0,1]; 1 unless tail_weight is below 1. Shortens the shared set of
                           n to max(1, floor(f*n)) */
} lr_sequence_options;

/*
 *   token_logps [B,T] float   read only where the mask counts; may be NULL when only the gradient
 *                             is wanted
 *   mask [B,T]                a token counts if its weight is > 0. B is even when tail_weight is
 *                             below 1
 *   grad_logps [B] float, with grad_token_logps [B,T] float: the gradient, 0 where the mask does
 *                             not count
 *   outputs: logps [B], counts [B] float; counts is the sum of the token weights
 *   cu_seqlens [B+1] int      packed sequences, of any length, one after the other without padding:
 *                             0, then where each ends among the tokens, the number of tokens last.
 *                             Tensors [B,T] are then [N], N tokens, and results are those of the
 *                             padded call. Columns of LR_ALIGN_ABSOLUTE count from each sequence's
 *                             start
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
  lr_cuda* cuda; /* needed with CUDA tensors, NULL otherwise */
  const DLTensor* cu_seqlens;
} lr_sequence_logps_args;
LR_API lr_status lr_sequence_logps(const lr_sequence_logps_args* args);

/* ---- pair_loss: log-probs of pairs to losses and every gradient ---- */

typedef enum lr_f_divergence {
  LR_REVERSE_KL = 0,
  LR_FORWARD_KL = 1,
  LR_JS = 2,
  LR_ALPHA = 3
} lr_f_divergence;
typedef enum lr_guard { LR_GUARD_NONE = 0, LR_GUARD_WARN = 1, LR_GUARD_CLAMP = 2 } lr_guard;
typedef enum lr_variant {
  LR_VARIANT_REPO = 0,
  LR_VARIANT_OLD = 1,
  LR_VARIANT_PAPER = 2
} lr_variant;
typedef enum lr_normalise {
  LR_NORMALISE_ON = 0,
  LR_NORMALISE_FULL = 1, /* in a step, by the counts before the tail weight; else as ON */
  LR_NORMALISE_OFF = 2
} lr_normalise;
typedef enum lr_detach { LR_DETACH_OFF = 0, LR_DETACH_ON = 1 } lr_detach;
typedef enum lr_nll { LR_NLL_PAIR = 0, LR_NLL_TOKEN = 1 } lr_nll;

/*
 * One loss and its options. Set size, fill it with lr_loss_init("dlrml", &options), then set what
 * differs. lr_loss_init sets each option to the loss's default, and to NaN where the loss has no
 * such option; a value given there is an error when used.
 *
 * A loss takes the options that lr_loss_describe tells for it, and no others; docs/losses.md has
 * the formulas. Losses are of D, the difference of the two log-ratios' scores, of the two
 * log-ratios, or of the policy alone (never with a reference); for lr_unpaired_loss of single
 * examples; and sft, a further term of lr_preference_step.
 */
typedef struct lr_loss_options {
  uint64_t size;        /* sizeof(lr_loss_options); set it before lr_loss_init */
  int32_t loss;         /* the library's own number for the name; set by lr_loss_init */
  int32_t f_divergence; /* lr_f_divergence: the score of a log-ratio */
  int32_t guard;        /* lr_guard; clamp uses max(beta_mix, tau*beta_kl) */
  int32_t variant;      /* lr_variant; old gates discopop with sigmoid(D) */
  int32_t normalise;    /* lr_normalise; on and full divide by length */
  int32_t detach;       /* lr_detach; of the batch's mean log-ratios */
  int32_t nll;          /* lr_nll; the chosen answer's mean over its own tokens, or over all of the
                           batch */
  int32_t reserved;     /* 0 */
  double beta;          /* > 0 */
  double beta_kl;       /* > 0 */
  double beta_mix;      /* finite */
  double tau;           /* > 0 */
  double label_smoothing;    /* in [0, .5) */
  double f_alpha;            /* finite; of the alpha divergence, .5 */
  double gamma;              /* finite; target margin */
  double alpha;              /* alphapo's order, >= 0; cpo's weight of the NLL, > 0 */
  double delta;              /* finite; reward shift */
  double desirable_weight;   /* >= 0 */
  double undesirable_weight; /* >= 0 */
} lr_loss_options;
/* The name is a loss's own or one of its aliases. */
LR_API lr_status lr_loss_init(const char* name, lr_loss_options* options);

/* What a loss is computed from. */
typedef enum lr_loss_kind {
  LR_LOSS_OF_MARGIN = 0,      /* paired: D, the difference of the two log-ratios' scores */
  LR_LOSS_OF_LOG_RATIOS = 1,  /* paired: the two log-ratios, of one pair or of the batch */
  LR_LOSS_REFERENCE_FREE = 2, /* paired: the policy's log-probs alone, never a reference */
  LR_LOSS_UNPAIRED = 3,       /* single examples, for lr_unpaired_loss */
  LR_LOSS_AUXILIARY = 4       /* a further term of lr_preference_step, without rewards */
} lr_loss_kind;

/*
 * One option of a loss: a number, which is a double within bounds and finite, or a choice, which
 * is an int32_t from 0 to value_count - 1.
 */
typedef struct lr_option_info {
  const char* name;     /* of its field in lr_loss_options */
  double default_value; /* of a number; a choice has 0 */
  double lower;         /* bounds of a number; -INFINITY or INFINITY: there is none */
  double upper;
  int32_t lower_included; /* 1: a number may be the bound itself */
  int32_t upper_included;
  int32_t has_gradient;      /* 1: the loss has the output grad_NAME even where NAME is no tensor */
  int32_t value_count;       /* of a choice; 0 for a number */
  const char* const* values; /* [value_count] names of a choice's values; the default comes first */
} lr_option_info;

/* A loss, as the library knows it. What it points to is static. */
typedef struct lr_loss_info {
  uint64_t size; /* sizeof(lr_loss_info); set it before the call */
  const char* name;
  const char* const* aliases;    /* [alias_count] further names that lr_loss_init takes */
  const lr_option_info* options; /* [option_count] */
  int32_t alias_count;
  int32_t option_count;
  int32_t kind;                     /* lr_loss_kind */
  int32_t losses_per_pair;          /* 2: one per answer. 1 otherwise */
  int32_t smallest_batch;           /* the least number of pairs, besides none at all */
  int32_t of_ranks;                 /* 1: loss k belongs to rank k of a sort over the batch */
  int32_t divides_by_length;        /* 1: sums of log-probs are divided by token counts; means are
                                       refused. An option normalise can turn it off */
  int32_t has_rewards;              /* 1: there are rewards */
  int32_t takes_learned_parameters; /* 1, of every paired loss: those of beta, beta_kl, beta_mix and
                                       tau that it has may be given as tensors */
  int32_t uses_kl;                  /* 1: takes kl_policy_logps and kl_reference_logps */
} lr_loss_info;
/* How many losses there are. */
LR_API int32_t lr_loss_count(void);
/* Describes the loss of a number, from 1 to lr_loss_count(); lr_loss_options.loss is such. */
LR_API lr_status lr_loss_describe(int32_t number, lr_loss_info* info);

/*
 * All tensors [P] float unless said otherwise.
 *   policy_chosen, policy_rejected         sequence log-probs of the policy
 *   reference_chosen, reference_rejected   of the reference; both absent: reference-free (taken
 *                                          as 0)
 *   chosen_counts, rejected_counts         float or int; token counts for losses that divide by
 *                                          length, default 1
 *   grad_loss                              upstream gradient per pair, default 1/P (gradients of
 *                                          the mean)
 *   beta, beta_kl, beta_mix, tau           [1] or [P]: take the place of the loss's options, for
 *                                          parameters that are learned, or are each pair's own;
 *                                          beta, beta_kl and tau > 0, beta_mix finite. On a device
 *                                          they are taken as they are
 *   outputs: loss; chosen_rewards, rejected_rewards; grad_* of the four log-probs; grad_beta,
 *            grad_beta_kl, grad_beta_mix, grad_tau of those shapes, [1] being the sum over the
 *            pairs. Where the parameter is no tensor discopop (grad_beta, grad_tau) and dlrml (the
 *            other three) have them, [1]
 * kto_pair has 2P losses, the chosen ones first, and so has its grad_loss (default 1/(2P)). aot
 * and aot_unpaired: loss k, grad_loss k, and element k of a parameter [P] and of its gradient,
 * belong to rank k of the ascending stable sort; rewards of pair k are of beta k all the same. An
 * output that the loss does not have is an error. P = 0 is allowed.
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
  const DLTensor* beta_kl;
  const DLTensor* beta_mix;
  const DLTensor* tau;
  lr_cuda* cuda; /* needed with CUDA tensors, NULL otherwise */
  const DLTensor* beta;
} lr_pair_loss_args;
LR_API lr_status lr_pair_loss(const lr_pair_loss_args* args);

/* ---- unpaired_loss: examples that are each marked good or bad ---- */

/*
 * All tensors [B] float unless said otherwise.
 *   loss_options                     kto, apo_zero_unpaired or bco
 *   policy_logps, reference_logps    sequence log-probs
 *   chosen                           bool or uint8: whether the example is a desirable one
 *   kl_policy_logps, kl_reference_logps [C]
 *                                    of kto, optional: kl is max(0, the mean of their
 *                                    differences), without a gradient
 *   grad_loss                        upstream gradient, default 1/B
 *   outputs: loss, rewards, grad_policy_logps, grad_reference_logps; kl [1]
 */
typedef struct lr_unpaired_loss_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const lr_loss_options* loss_options;
  const DLTensor* policy_logps;
  const DLTensor* reference_logps;
  const DLTensor* chosen;
  const DLTensor* kl_policy_logps;
  const DLTensor* kl_reference_logps;
  const DLTensor* grad_loss;
  const DLTensor* loss;
  const DLTensor* rewards;
  const DLTensor* kl;
  const DLTensor* grad_policy_logps;
  const DLTensor* grad_reference_logps;
  lr_cuda* cuda; /* needed with CUDA tensors, NULL otherwise */
} lr_unpaired_loss_args;
LR_API lr_status lr_unpaired_loss(const lr_unpaired_loss_args* args);

/* ---- preference_step: the whole chain, logits to loss, gradient and metrics ---- */

typedef enum lr_wpo { LR_WPO_OFF = 0, LR_WPO_ON = 1, LR_WPO_CAPPED = 2 } lr_wpo;

/* What a trainer logs; zeros when no token counts. */
typedef struct lr_step_metrics {
  double loss;           /* mean over the pairs */
  double rewards_chosen; /* means of the rewards */
  double rewards_rejected;
  double rewards_margin;
  double rewards_accuracy; /* share of pairs with chosen reward > rejected reward */
  double entropy;          /* mean over counted tokens */
  double token_accuracy;   /* share of counted chosen tokens whose argmax is the label */
  double logits_chosen;    /* mean over counted tokens of the mean raw logit */
  double logits_rejected;
  double grad_norm;  /* l2 norm of grad_logits before rounding; 0 when grad_logits is not wanted */
  int64_t nonfinite; /* non-finite values in losses and grad_logits */
} lr_step_metrics;

/*
 *   logits [2P,T,V]                float32, bfloat16 or float16, shifted: logits[t] predicts
 *                                  labels[t]
 *   labels [2P,T] int
 *   mask [2P,T]                    optional
 *   reference_logps [2P] float     reduced with the same mask and options; or
 *   reference_token_logps [2P,T] float; neither: reference-free. A reference may be given with any
 *                                  loss: rewards are of it, even where no loss uses it
 *   pair_weights [P] float         optional, finite and >= 0: multiplies each pair's loss and
 *                                  gradient; the mean stays over P. sft and an NLL with nll token
 *                                  are sum_i w_i sum_t -logp over the number of tokens, and not
 *                                  weighed again. Not for losses of ranks
 *   grad_loss [1] float            upstream gradient of the loss, default 1: scales the gradients
 *   nll_mask [2P,T]                optional, of sft, orpo and cpo: the tokens of the chosen answers
 *                                  that their NLL covers, default the mask. Its rejected half is
 *                                  not read, no tail weight bears on it, and neither counts nor
 *                                  metrics see it
 *   loss_options                   loss_count structs one after the other; their losses add up,
 *                                  each times its weight
 *   beta, beta_kl, beta_mix, tau   [1] or [P] float: as in lr_pair_loss, of a single loss; rewards
 *                                  are of each pair's own
 *   outputs: losses [P] (kto_pair adds the mean of a pair's two), logps [2P], counts [2P],
 *            chosen_rewards [P], rejected_rewards [P] float; grad_logits as the logits, which it
 *            may be (in place); metrics; grad_beta, grad_beta_kl, grad_beta_mix, grad_tau of the
 *            loss, as in lr_pair_loss
 *   cu_seqlens [2P+1] int          packed sequences, as in lr_sequence_logps: logits are then
 *                                  [N,V] and tensors [2P,T] are [N], N tokens. Results are those of
 *                                  the padded call
 * A token counts if its mask counts and its label is not ignore_index. Rows that do not count are
 * not read, nor are their labels; their gradient is 0. `metrics` is host memory, or device memory
 * in a call on CUDA tensors. Rewards are those of the first loss that has some; where none has,
 * those of beta .1 if there is a reference, else 0. The logits are read once forward, and read and
 * written once backward. An entropy, argmax or mean logit is computed only if metrics is given.
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
  int64_t loss_count;         /* 0 means 1; at most 16 on a device */
  const double* loss_weights; /* [loss_count], finite; NULL: ones */
  int32_t wpo;                /* lr_wpo: weigh each pair by WPO's detached weight, capped by at
                                 most 1 */
  lr_cuda* cuda;              /* needed with CUDA tensors, NULL otherwise */
  const DLTensor* pair_weights;
  const DLTensor* grad_loss;
  const DLTensor* nll_mask;
  const DLTensor* chosen_rewards;
  const DLTensor* rejected_rewards;
  double token_count; /* > 0: what sft and an NLL with nll token are divided by, such as the tokens
                         of several batches; 0: the batch's own count */
  const DLTensor* beta;
  const DLTensor* beta_kl;
  const DLTensor* beta_mix;
  const DLTensor* tau;
  const DLTensor* grad_beta;
  const DLTensor* grad_beta_kl;
  const DLTensor* grad_beta_mix;
  const DLTensor* grad_tau;
  const DLTensor* cu_seqlens;
} lr_preference_step_args;
LR_API lr_status lr_preference_step(const lr_preference_step_args* args);

/* ---- unpaired_step: the same chain for examples that are each marked good or bad ---- */

/*
 *   logits [B,T,V]                 float32, bfloat16 or float16, shifted: logits[t] predicts
 *                                  labels[t]
 *   labels [B,T] int
 *   mask [B,T]                     optional
 *   chosen [B]                     bool or uint8: whether the example is a desirable one
 *   reference_logps [B] float      reduced with the same mask and options; or
 *   reference_token_logps [B,T] float; exactly one of the two
 *   kl_policy_logps, kl_reference_logps [C] float
 *                                  of kto, optional: kl is max(0, the mean of their differences),
 *                                  without a gradient; 0 without them
 *   weights [B] float              finite and >= 0, default 1: each example's loss and gradient is
 *                                  multiplied by its own; the mean stays over B
 *   grad_loss [1] float            upstream gradient of the loss, default 1: scales grad_logits
 *                                  alone
 *   loss_options                   kto, apo_zero_unpaired or bco
 *   sequence_options               tail_weight is 1, as no example shares tokens with another
 *   outputs: losses [B], logps [B], counts [B], rewards [B] (beta times the log-ratio), kl [1]
 *            float; grad_logits as the logits, which it may be (in place); metrics
 *   cu_seqlens [B+1] int           packed sequences, as in lr_preference_step
 * Which tokens count, what is read, and where `metrics` lies, is as in lr_preference_step. In the
 * metrics, loss is the mean over the examples; rewards_chosen and rewards_rejected are the means
 * over the examples of their side, 0 where there are none, and rewards_margin is their difference;
 * token_accuracy, logits_chosen and logits_rejected are of the counted tokens of that side's
 * examples; rewards_accuracy, which takes pairs, is 0.
 */
typedef struct lr_unpaired_step_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const lr_loss_options* loss_options;
  lr_token_options token_options;
  lr_sequence_options sequence_options;
  const DLTensor* logits;
  const DLTensor* labels;
  const DLTensor* mask;
  const DLTensor* chosen;
  const DLTensor* reference_logps;
  const DLTensor* reference_token_logps;
  const DLTensor* kl_policy_logps;
  const DLTensor* kl_reference_logps;
  const DLTensor* weights;
  const DLTensor* grad_loss;
  const DLTensor* losses;
  const DLTensor* logps;
  const DLTensor* counts;
  const DLTensor* rewards;
  const DLTensor* kl;
  const DLTensor* grad_logits;
  lr_step_metrics* metrics;
  lr_cuda* cuda; /* needed with CUDA tensors, NULL otherwise */
  const DLTensor* cu_seqlens;
} lr_unpaired_step_args;
LR_API lr_status lr_unpaired_step(const lr_unpaired_step_args* args);

/* ---- The fused linear operations: hidden states and the head's weight in place of logits ---- */

/*
 * logits = hidden weight^T + bias are float32 products that are rounded nowhere, and nothing of
 * them is held but a tile in the cache and what budget_bytes allows; results do not depend on it.
 *   hidden [..,H]   float32, bfloat16 or float16; a row for each token, in the place of a row of
 *                   logits. H is contiguous, the others of any stride
 *   weight [V,H]    of the same dtype; H contiguous. Rows from vocab on are not read
 *   bias [V]        float32, bfloat16 or float16; optional
 *   grad_hidden     as hidden, grad_weight as weight, grad_bias as bias: of the dtype of what they
 *                   are the gradients of, or float32. Nothing that is read may share their memory
 * Rows whose token does not count are packed out before a product: they are not read, cost nothing
 * and their gradient is 0. Where the products are made of bfloat16 (lr_gemm tells), gradients of
 * logits are rounded to bfloat16 on their way to them, as a stored gradient of bfloat16 logits is.
 * A row whose logits hold +inf or NaN gives NaN in that row only, and in the gradients of weight
 * and bias, to which it adds.
 * On a device the host does not know which tokens count: all rows are multiplied, those that do not
 * count as zeros, in blocks of the plan's block_rows, and one block of logits is held even where
 * budget_bytes is less. The plan is told with the size of the workspace, too. Gradients of logits
 * are rounded to the dtype of hidden and weight, float16 included.
 */
typedef enum lr_frozen {
  LR_FROZEN_NONE = 0,
  LR_FROZEN_WEIGHT = 1, /* weight and bias have no gradient */
  LR_FROZEN_HIDDEN = 2
} lr_frozen;

typedef struct lr_linear_options {
  uint64_t budget_bytes; /* for logits that are kept from the forward to the backward, and for the
                            threads' tiles; 0 means LR_BUDGET_BYTES. At least 4 vocab bytes, the
                            logits of a row */
  int32_t frozen;        /* lr_frozen: that gradient must not be asked for */
  int32_t accumulate;    /* 1: grad_weight and grad_bias are added to, not written */
} lr_linear_options;
#define LR_BUDGET_BYTES 268435456

typedef enum lr_linear_method {
  LR_LINEAR_FORWARD = 0, /* no gradient is wanted: 2 MHV operations */
  LR_LINEAR_ONLINE = 1,  /* the weight has no gradient: sums of the weight's rows by their
                            probabilities follow the forward tile by tile, and are scaled when the
                            upstream is known: 4 MHV */
  LR_LINEAR_SWEEP = 2    /* the backward follows the forward as soon as a block's upstream is known:
                            6 MHV where its logits were kept, 8 MHV where they are multiplied
                            again */
} lr_linear_method;

/* What a call chose to do: M rows that count, V columns, H the size of a hidden state. */
typedef struct lr_linear_plan {
  int32_t method; /* lr_linear_method */
  int32_t reserved;
  int64_t rows;            /* M */
  int64_t kept_rows;       /* whose logits the backward found kept */
  int64_t recomputed_rows; /* whose logits it multiplied again */
  int64_t block_rows;      /* of a product's tile */
  int64_t block_columns;
  double operations;          /* multiplications and additions of all products, over M H V */
  uint64_t kept_bytes;        /* of logits, at most */
  uint64_t accumulator_bytes; /* float32 sums of gradients that are narrower */
  uint64_t scratch_bytes;     /* of all threads */
  char gemm[64];              /* the library that made the products, as lr_gemm names it */
} lr_linear_plan;

/* ---- linear_token_logprobs: lr_token_logprobs and its backward in one call ---- */

/*
 *   hidden [N,H] or [B,T,H], labels [N] or [B,T]
 *   grad_logp, grad_entropy, grad_lse   float, as labels; needed with grad_hidden, grad_weight or
 *                                       grad_bias: at least one of the three
 *   outputs: those of lr_token_logprobs, float as labels (argmax int), and the gradients
 * An ignored row's logp and gradient are 0; it is read if an output beside logp is wanted.
 */
typedef struct lr_linear_token_logprobs_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const DLTensor* hidden;
  const DLTensor* weight;
  const DLTensor* bias;
  const DLTensor* labels;
  lr_token_options token_options;
  lr_linear_options linear_options;
  const DLTensor* grad_logp;
  const DLTensor* grad_entropy;
  const DLTensor* grad_lse;
  const DLTensor* logp;
  const DLTensor* lse;
  const DLTensor* lse2;
  const DLTensor* entropy;
  const DLTensor* argmax;
  const DLTensor* mean_logit;
  const DLTensor* grad_hidden;
  const DLTensor* grad_weight;
  const DLTensor* grad_bias;
  lr_linear_plan* plan; /* in host memory; NULL: not wanted */
  lr_cuda* cuda;        /* needed with CUDA tensors, NULL otherwise */
} lr_linear_token_logprobs_args;
LR_API lr_status lr_linear_token_logprobs(const lr_linear_token_logprobs_args* args);

/* ---- linear_preference_step ---- */

/*
 *   hidden [2P,T,H], or [N,H] where cu_seqlens is given
 *   reference_hidden [2P,T,H] or [N,H], reference_weight [V,H], reference_bias [V]
 *                     of hidden's dtype: the reference model's, whose token log-probs are computed
 *                     in the same call with the same options, in place of reference_logps and
 *                     reference_token_logps; the first two both or none, reference_bias with them
 * All else is as in lr_preference_step; of the metrics, grad_norm is that of the gradient of the
 * logits, and nonfinite counts the losses and it.
 */
typedef struct lr_linear_preference_step_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const lr_loss_options* loss_options;
  lr_token_options token_options;
  lr_sequence_options sequence_options;
  lr_linear_options linear_options;
  const DLTensor* hidden;
  const DLTensor* weight;
  const DLTensor* bias;
  const DLTensor* labels;
  const DLTensor* mask;
  const DLTensor* reference_logps;
  const DLTensor* reference_token_logps;
  const DLTensor* reference_hidden;
  const DLTensor* reference_weight;
  const DLTensor* reference_bias;
  const DLTensor* losses;
  const DLTensor* logps;
  const DLTensor* counts;
  const DLTensor* chosen_rewards;
  const DLTensor* rejected_rewards;
  const DLTensor* grad_hidden;
  const DLTensor* grad_weight;
  const DLTensor* grad_bias;
  lr_step_metrics* metrics;
  int64_t loss_count;         /* 0 means 1; at most 16 on a device */
  const double* loss_weights; /* [loss_count], finite; NULL: ones */
  int32_t wpo;                /* lr_wpo */
  lr_linear_plan* plan;       /* in host memory; NULL: not wanted */
  lr_cuda* cuda;              /* needed with CUDA tensors, NULL otherwise */
  const DLTensor* pair_weights;
  const DLTensor* grad_loss;
  const DLTensor* nll_mask;
  double token_count;
  const DLTensor* beta;
  const DLTensor* beta_kl;
  const DLTensor* beta_mix;
  const DLTensor* tau;
  const DLTensor* grad_beta;
  const DLTensor* grad_beta_kl;
  const DLTensor* grad_beta_mix;
  const DLTensor* grad_tau;
  const DLTensor* cu_seqlens;
} lr_linear_preference_step_args;
LR_API lr_status lr_linear_preference_step(const lr_linear_preference_step_args* args);

/* ---- linear_unpaired_step ---- */

/* hidden [B,T,H], or [N,H] where cu_seqlens is given; all else is as in lr_unpaired_step. */
typedef struct lr_linear_unpaired_step_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const lr_loss_options* loss_options;
  lr_token_options token_options;
  lr_sequence_options sequence_options;
  lr_linear_options linear_options;
  const DLTensor* hidden;
  const DLTensor* weight;
  const DLTensor* bias;
  const DLTensor* labels;
  const DLTensor* mask;
  const DLTensor* chosen;
  const DLTensor* reference_logps;
  const DLTensor* reference_token_logps;
  const DLTensor* kl_policy_logps;
  const DLTensor* kl_reference_logps;
  const DLTensor* weights;
  const DLTensor* grad_loss;
  const DLTensor* losses;
  const DLTensor* logps;
  const DLTensor* counts;
  const DLTensor* rewards;
  const DLTensor* kl;
  const DLTensor* grad_hidden;
  const DLTensor* grad_weight;
  const DLTensor* grad_bias;
  lr_step_metrics* metrics;
  lr_linear_plan* plan; /* in host memory; NULL: not wanted */
  lr_cuda* cuda;        /* needed with CUDA tensors, NULL otherwise */
  const DLTensor* cu_seqlens;
} lr_linear_unpaired_step_args;
LR_API lr_status lr_linear_unpaired_step(const lr_linear_unpaired_step_args* args);

/* ---- The library of matrix products ---- */

/* What makes the products of the fused linear operations. */
typedef struct lr_gemm_info {
  uint64_t size;
  char library[64]; /* "oneDNN 3.13.0", "OpenBLAS 0.3.31", "cuBLASLt 13.1.0", "Logratio" */
  char path[1024];  /* "" for the library's own products */
  int32_t bfloat16; /* 1: bfloat16 is multiplied as it is, 0: it is widened to float32 first */
  int32_t reserved;
} lr_gemm_info;
/*
 * The products on the CPU. The first call, of this or of an operation, opens the library that the
 * environment variable LOGRATIO_BLAS names (an absolute path, a name for the loader, or "own"),
 * else the one that lr_gemm_offer offered, else libdnnl or libopenblas from the loader's path;
 * where there is none, the library's own products stand in. oneDNN on OpenMP or one thread will do,
 * and any library with cblas_sgemm and integers of 32 bits, if its products are right, steady and
 * the same for a row wherever in a block it stands: what does not is LR_UNAVAILABLE where
 * LOGRATIO_BLAS names it, and is passed over otherwise. Each of lr_threads() threads makes products
 * of its own, on one thread: while one runs, an OpenBLAS on threads of its own, whose number the
 * process shares, has one for all.
 */
LR_API lr_status lr_gemm(lr_gemm_info* info);
/* Names a library for lr_gemm to try first, unless one is open already; the path is absolute. */
LR_API lr_status lr_gemm_offer(const char* path);
/* The products on a device: cuBLASLt of CUDA 12 or 13, of the path that the environment variable
 * LOGRATIO_CUBLAS names or the loader's; the emulator has its own. Float32 matrices are multiplied
 * as such, or as TF32 where the environment variable LOGRATIO_TF32 is 1. */
LR_API lr_status lr_device_gemm(DLDeviceType device_type, int32_t device_id, lr_gemm_info* info);

/* ---- divergence: how far two rows of probabilities are apart ---- */

typedef enum lr_divergence_kind {
  LR_SCE = 0,      /* w1 H(p,q) + w2 H(q,p) */
  LR_JEFFREYS = 1, /* KL(p,q) + KL(q,p) */
  LR_KL_PQ = 2,
  LR_KL_QP = 3,
  LR_JENSEN_SHANNON = 4, /* by js_weight */
  LR_L2 = 5,             /* sum of (p-q)^2 */
  LR_TVD = 6,            /* half the sum of |p-q| */
  LR_WASSERSTEIN1 = 7,   /* columns one unit apart, in their order */
  LR_COSINE = 8          /* 1 - cos(p,q) */
} lr_divergence_kind;
typedef enum lr_divergence_reduction {
  LR_DIVERGENCE_MEAN = 0,
  LR_DIVERGENCE_SUM = 1
} lr_divergence_reduction;
typedef enum lr_divergence_detach {
  LR_DETACH_NONE = 0,
  LR_DETACH_P = 1,
  LR_DETACH_Q = 2
} lr_divergence_detach;

typedef struct lr_divergence_options {
  int32_t divergence; /* lr_divergence_kind */
  int32_t reduction;  /* lr_divergence_reduction; mean divides by the sum of row_weights, and is 0
                         where that is 0 */
  int32_t detach;     /* lr_divergence_detach: the side that has no gradient */
  int32_t reserved;   /* 0 */
  double w1;          /* finite and >= 0; of sce, 1 otherwise */
  double w2;
  double temperature; /* > 0; logits are divided by it */
  double js_weight;   /* in (0, 1); of js, .5 otherwise: w in w KL(p,m) + (1-w) KL(q,m), m = w p +
                         (1-w) q. The generalised JSD of weight beta of TRL's GKD trainer, with the
                         student as p, is js_weight 1 - beta */
  int64_t vocab;      /* 1 <= vocab <= V, columns from it on are padding, which is not read and has
                         gradient 0; 0 means V */
} lr_divergence_options;

/*
 * p = softmax(p_logits / temperature); q likewise, or q_weights divided by their sum. Forward, and
 * backward if a gradient is wanted.
 *   p_logits [N,V]           float32, bfloat16 or float16; rows contiguous
 *   q_logits [M,V]           of the same dtype; or
 *   q_weights [M,V]          float32: >= 0 with a positive sum, constant; or
 *   q_topk_ids [M,J] int     columns, none twice in a row, J <= V, and
 *   q_topk_logps [M,J] float their log-probabilities, constant: the temperature does not apply to
 *                            them, and -inf is probability 0. The mass that they leave is one more
 *                            outcome, against all other columns of p. Probabilities that sum to 1
 *                            or up to 1.001 leave none, above is an error; where J = V, a rest
 *                            below .001 is rounding, and none. For LR_KL_PQ, LR_KL_QP and
 *                            LR_JENSEN_SHANNON; or
 *   q_logits [R,M,V]         of R models, with
 *   q_model_weights [R] float  finite and >= 0 with a positive sum: the value is the mean of the R
 *                            models' values by these weights. A row of p is read from memory once,
 *                            and the models' rows meet it in the cache
 *   p_rows, q_rows [K] int   which row meets which, no row twice on one side; both or none. None:
 *                            row k meets row k, N = M
 *   row_weights [K] float    finite and >= 0; default 1
 *   grad_loss [1] float      upstream gradient of the loss, default 1
 *   outputs: values [K], loss [1] float; grad_p_logits, grad_q_logits as the logits, which they
 *            may be (in place) where the two sides have memory of their own
 * Rows that take no part get gradient 0. A logit of -inf has probability 0; where the maths is
 * +inf, so is the value. A row that is all -inf, or holds +inf or NaN, gives NaN in its own value
 * and gradient only.
 */
typedef struct lr_divergence_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const DLTensor* p_logits;
  const DLTensor* q_logits;
  const DLTensor* q_weights;
  const DLTensor* p_rows;
  const DLTensor* q_rows;
  const DLTensor* row_weights;
  lr_divergence_options options;
  const DLTensor* grad_loss;
  const DLTensor* values;
  const DLTensor* loss;
  const DLTensor* grad_p_logits;
  const DLTensor* grad_q_logits;
  lr_cuda* cuda; /* needed with CUDA tensors, NULL otherwise */
  const DLTensor* q_topk_ids;
  const DLTensor* q_topk_logps;
  const DLTensor* q_model_weights;
} lr_divergence_args;
LR_API lr_status lr_divergence(const lr_divergence_args* args);

/* ---- scoring_rule: strictly proper scoring rules as token losses ---- */

typedef enum lr_rule {
  LR_RULE_LOG = 0,
  LR_RULE_BRIER = 1,
  LR_RULE_SPHERICAL = 2,
  LR_RULE_POWER = 3,
  LR_RULE_PSEUDO_SPHERICAL = 4
} lr_rule;
typedef enum lr_normalisation { LR_SELTEN = 0, LR_JNW = 1 } lr_normalisation;

typedef struct lr_rule_options {
  int32_t rule;          /* lr_rule */
  int32_t normalisation; /* lr_normalisation; of power and pseudo_spherical, LR_SELTEN otherwise */
  int32_t masked_log;    /* 1: with epsilon > 0, add -(epsilon/vocab) log p_k over the columns
                            with p_k < epsilon/vocab */
  int32_t reserved;      /* 0 */
  double alpha;          /* > 1; of power and pseudo_spherical, 2 otherwise */
  double epsilon;        /* in [0, 1): score smoothing, (1-epsilon) S(label) +
                            epsilon/vocab * sum over k of S(k) */
  int64_t vocab;         /* 1 <= vocab <= V, columns from it on take no part; 0 means V */
  int64_t ignore_index;  /* -100 by custom */
} lr_rule_options;

/*
 * The loss is minus the score. Forward, and backward if a gradient is wanted.
 *   logits [N,V] or [B,T,V]   float32, bfloat16 or float16; rows contiguous
 *   labels [N] or [B,T]       int; in [0,vocab) or ignore_index
 *   grad_loss                 float, as labels; default 1 / (rows that are not ignored)
 *   outputs: values float, as labels, 0 for ignored rows; loss [1] float, mean over the rows that
 *            are not ignored, 0 if none; grad_logits as the logits, which it may be (in place)
 */
typedef struct lr_scoring_rule_args {
  uint64_t size;
  char* error;
  uint64_t error_capacity;
  const DLTensor* logits;
  const DLTensor* labels;
  lr_rule_options options;
  const DLTensor* grad_loss;
  const DLTensor* values;
  const DLTensor* loss;
  const DLTensor* grad_logits;
  lr_cuda* cuda; /* needed with CUDA tensors, NULL otherwise */
} lr_scoring_rule_args;
LR_API lr_status lr_scoring_rule(const lr_scoring_rule_args* args);

/* ---- Measuring ---- */

typedef enum lr_bandwidth {
  LR_BANDWIDTH_READ = 0,
  LR_BANDWIDTH_COPY = 1,
  LR_BANDWIDTH_UPDATE = 2
} lr_bandwidth;
/*
 * Runs the plainest kernel of a kind over `bytes` of memory on lr_threads() threads once and stores
 * its duration. read sums `source`; copy writes `source` to `destination`; update rewrites `source`
 * in place with the same values.
 */
LR_API lr_status lr_bandwidth_probe(int32_t kind, void* source, void* destination, uint64_t bytes,
                                    double* seconds);
/*
 * The same on a device, over memory of it that is aligned to 16 bytes, and as many bytes as are a
 * multiple of 16. It is queued on the stream (a cudaStream_t; NULL: the legacy default stream) and
 * not waited for: events time it. device_type is kDLCUDA or kDLExtDev.
 */
LR_API lr_status lr_device_bandwidth_probe(int32_t kind, DLDeviceType device_type,
                                           int32_t device_id, void* stream, void* source,
                                           void* destination, uint64_t bytes);

#ifdef __cplusplus
}
#endif
#endif /* LOGRATIO_H_ */
