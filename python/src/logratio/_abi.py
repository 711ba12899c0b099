"""Mirror of logratio.h: its enums, structs and functions. Written by tools/mirror.py."""

from ctypes import (
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from enum import IntEnum

ABI_VERSION = 1


class DLDeviceType(IntEnum):
    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLExtDev = 12


class DLDevice(Structure):
    _fields_ = [
        ("device_type", c_int),
        ("device_id", c_int32),
    ]


class DLDataTypeCode(IntEnum):
    kDLInt = 0
    kDLUInt = 1
    kDLFloat = 2
    kDLBfloat = 4
    kDLBool = 6


class DLDataType(Structure):
    _fields_ = [
        ("code", c_uint8),
        ("bits", c_uint8),
        ("lanes", c_uint16),
    ]


class DLTensor(Structure):
    _fields_ = [
        ("data", c_void_p),
        ("device", DLDevice),
        ("ndim", c_int32),
        ("dtype", DLDataType),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    ]


class Status(IntEnum):
    LR_OK = 0
    LR_INVALID_ARGUMENT = 1
    LR_UNAVAILABLE = 2
    LR_OUT_OF_MEMORY = 3
    LR_INTERNAL = 4


class Cuda(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("stream", c_void_p),
        ("workspace", c_void_p),
        ("workspace_bytes", c_uint64),
        ("bad_values", POINTER(c_int64)),
    ]


class DeviceInfo(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("name", c_char * 256),
        ("driver_version", c_int32),
        ("runtime_version", c_int32),
        ("compute_capability", c_int32),
        ("multiprocessors", c_int32),
        ("memory_bytes", c_uint64),
    ]


class TokenOptions(Structure):
    _fields_ = [
        ("ignore_index", c_int64),
        ("temperature", c_double),
        ("softcap", c_double),
        ("vocab", c_int64),
    ]


class TokenLogprobsArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("logits", POINTER(DLTensor)),
        ("labels", POINTER(DLTensor)),
        ("options", TokenOptions),
        ("logp", POINTER(DLTensor)),
        ("lse", POINTER(DLTensor)),
        ("lse2", POINTER(DLTensor)),
        ("entropy", POINTER(DLTensor)),
        ("argmax", POINTER(DLTensor)),
        ("mean_logit", POINTER(DLTensor)),
        ("cuda", POINTER(Cuda)),
        ("tail", POINTER(DLTensor)),
        ("kept_offsets", POINTER(DLTensor)),
        ("kept_ids", POINTER(DLTensor)),
        ("outside", POINTER(DLTensor)),
    ]


class TokenLogprobsBackwardArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("logits", POINTER(DLTensor)),
        ("labels", POINTER(DLTensor)),
        ("options", TokenOptions),
        ("lse", POINTER(DLTensor)),
        ("entropy", POINTER(DLTensor)),
        ("grad_logp", POINTER(DLTensor)),
        ("grad_entropy", POINTER(DLTensor)),
        ("grad_logits", POINTER(DLTensor)),
        ("cuda", POINTER(Cuda)),
        ("grad_lse", POINTER(DLTensor)),
        ("tail", POINTER(DLTensor)),
        ("grad_tail", POINTER(DLTensor)),
        ("kept_offsets", POINTER(DLTensor)),
        ("kept_ids", POINTER(DLTensor)),
    ]


class Reduction(IntEnum):
    LR_SUM = 0
    LR_MEAN = 1


class Align(IntEnum):
    LR_ALIGN_COMPLETION = 0
    LR_ALIGN_ABSOLUTE = 1


class SequenceOptions(Structure):
    _fields_ = [
        ("reduction", c_int32),
        ("align", c_int32),
        ("tail_weight", c_double),
        ("keep_fraction", c_double),
    ]


class SequenceLogpsArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("token_logps", POINTER(DLTensor)),
        ("mask", POINTER(DLTensor)),
        ("options", SequenceOptions),
        ("grad_logps", POINTER(DLTensor)),
        ("logps", POINTER(DLTensor)),
        ("counts", POINTER(DLTensor)),
        ("grad_token_logps", POINTER(DLTensor)),
        ("cuda", POINTER(Cuda)),
        ("cu_seqlens", POINTER(DLTensor)),
    ]


class FDivergence(IntEnum):
    LR_REVERSE_KL = 0
    LR_FORWARD_KL = 1
    LR_JS = 2
    LR_ALPHA = 3


class Guard(IntEnum):
    LR_GUARD_NONE = 0
    LR_GUARD_WARN = 1
    LR_GUARD_CLAMP = 2


class Variant(IntEnum):
    LR_VARIANT_REPO = 0
    LR_VARIANT_OLD = 1
    LR_VARIANT_PAPER = 2


class Normalise(IntEnum):
    LR_NORMALISE_ON = 0
    LR_NORMALISE_FULL = 1
    LR_NORMALISE_OFF = 2


class Detach(IntEnum):
    LR_DETACH_OFF = 0
    LR_DETACH_ON = 1


class Nll(IntEnum):
    LR_NLL_PAIR = 0
    LR_NLL_TOKEN = 1


class LossOptions(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("loss", c_int32),
        ("f_divergence", c_int32),
        ("guard", c_int32),
        ("variant", c_int32),
        ("normalise", c_int32),
        ("detach", c_int32),
        ("nll", c_int32),
        ("reserved", c_int32),
        ("beta", c_double),
        ("beta_kl", c_double),
        ("beta_mix", c_double),
        ("tau", c_double),
        ("label_smoothing", c_double),
        ("f_alpha", c_double),
        ("gamma", c_double),
        ("alpha", c_double),
        ("delta", c_double),
        ("desirable_weight", c_double),
        ("undesirable_weight", c_double),
    ]


class LossKind(IntEnum):
    LR_LOSS_OF_MARGIN = 0
    LR_LOSS_OF_LOG_RATIOS = 1
    LR_LOSS_REFERENCE_FREE = 2
    LR_LOSS_UNPAIRED = 3
    LR_LOSS_AUXILIARY = 4


class OptionInfo(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("default_value", c_double),
        ("lower", c_double),
        ("upper", c_double),
        ("lower_included", c_int32),
        ("upper_included", c_int32),
        ("has_gradient", c_int32),
        ("value_count", c_int32),
        ("values", POINTER(c_char_p)),
    ]


class LossInfo(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("name", c_char_p),
        ("aliases", POINTER(c_char_p)),
        ("options", POINTER(OptionInfo)),
        ("alias_count", c_int32),
        ("option_count", c_int32),
        ("kind", c_int32),
        ("losses_per_pair", c_int32),
        ("smallest_batch", c_int32),
        ("of_ranks", c_int32),
        ("divides_by_length", c_int32),
        ("has_rewards", c_int32),
        ("takes_learned_parameters", c_int32),
        ("uses_kl", c_int32),
    ]


class PairLossArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("loss_options", POINTER(LossOptions)),
        ("policy_chosen", POINTER(DLTensor)),
        ("policy_rejected", POINTER(DLTensor)),
        ("reference_chosen", POINTER(DLTensor)),
        ("reference_rejected", POINTER(DLTensor)),
        ("chosen_counts", POINTER(DLTensor)),
        ("rejected_counts", POINTER(DLTensor)),
        ("grad_loss", POINTER(DLTensor)),
        ("loss", POINTER(DLTensor)),
        ("chosen_rewards", POINTER(DLTensor)),
        ("rejected_rewards", POINTER(DLTensor)),
        ("grad_policy_chosen", POINTER(DLTensor)),
        ("grad_policy_rejected", POINTER(DLTensor)),
        ("grad_reference_chosen", POINTER(DLTensor)),
        ("grad_reference_rejected", POINTER(DLTensor)),
        ("grad_beta", POINTER(DLTensor)),
        ("grad_beta_kl", POINTER(DLTensor)),
        ("grad_beta_mix", POINTER(DLTensor)),
        ("grad_tau", POINTER(DLTensor)),
        ("beta_kl", POINTER(DLTensor)),
        ("beta_mix", POINTER(DLTensor)),
        ("tau", POINTER(DLTensor)),
        ("cuda", POINTER(Cuda)),
        ("beta", POINTER(DLTensor)),
    ]


class UnpairedLossArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("loss_options", POINTER(LossOptions)),
        ("policy_logps", POINTER(DLTensor)),
        ("reference_logps", POINTER(DLTensor)),
        ("chosen", POINTER(DLTensor)),
        ("kl_policy_logps", POINTER(DLTensor)),
        ("kl_reference_logps", POINTER(DLTensor)),
        ("grad_loss", POINTER(DLTensor)),
        ("loss", POINTER(DLTensor)),
        ("rewards", POINTER(DLTensor)),
        ("kl", POINTER(DLTensor)),
        ("grad_policy_logps", POINTER(DLTensor)),
        ("grad_reference_logps", POINTER(DLTensor)),
        ("cuda", POINTER(Cuda)),
    ]


class Wpo(IntEnum):
    LR_WPO_OFF = 0
    LR_WPO_ON = 1
    LR_WPO_CAPPED = 2


class StepMetrics(Structure):
    _fields_ = [
        ("loss", c_double),
        ("rewards_chosen", c_double),
        ("rewards_rejected", c_double),
        ("rewards_margin", c_double),
        ("rewards_accuracy", c_double),
        ("entropy", c_double),
        ("token_accuracy", c_double),
        ("logits_chosen", c_double),
        ("logits_rejected", c_double),
        ("grad_norm", c_double),
        ("nonfinite", c_int64),
    ]


class PreferenceStepArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("loss_options", POINTER(LossOptions)),
        ("token_options", TokenOptions),
        ("sequence_options", SequenceOptions),
        ("logits", POINTER(DLTensor)),
        ("labels", POINTER(DLTensor)),
        ("mask", POINTER(DLTensor)),
        ("reference_logps", POINTER(DLTensor)),
        ("reference_token_logps", POINTER(DLTensor)),
        ("losses", POINTER(DLTensor)),
        ("logps", POINTER(DLTensor)),
        ("counts", POINTER(DLTensor)),
        ("grad_logits", POINTER(DLTensor)),
        ("metrics", POINTER(StepMetrics)),
        ("loss_count", c_int64),
        ("loss_weights", POINTER(c_double)),
        ("wpo", c_int32),
        ("cuda", POINTER(Cuda)),
        ("pair_weights", POINTER(DLTensor)),
        ("grad_loss", POINTER(DLTensor)),
        ("nll_mask", POINTER(DLTensor)),
        ("chosen_rewards", POINTER(DLTensor)),
        ("rejected_rewards", POINTER(DLTensor)),
        ("token_count", c_double),
        ("beta", POINTER(DLTensor)),
        ("beta_kl", POINTER(DLTensor)),
        ("beta_mix", POINTER(DLTensor)),
        ("tau", POINTER(DLTensor)),
        ("grad_beta", POINTER(DLTensor)),
        ("grad_beta_kl", POINTER(DLTensor)),
        ("grad_beta_mix", POINTER(DLTensor)),
        ("grad_tau", POINTER(DLTensor)),
        ("cu_seqlens", POINTER(DLTensor)),
    ]


class UnpairedStepArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("loss_options", POINTER(LossOptions)),
        ("token_options", TokenOptions),
        ("sequence_options", SequenceOptions),
        ("logits", POINTER(DLTensor)),
        ("labels", POINTER(DLTensor)),
        ("mask", POINTER(DLTensor)),
        ("chosen", POINTER(DLTensor)),
        ("reference_logps", POINTER(DLTensor)),
        ("reference_token_logps", POINTER(DLTensor)),
        ("kl_policy_logps", POINTER(DLTensor)),
        ("kl_reference_logps", POINTER(DLTensor)),
        ("weights", POINTER(DLTensor)),
        ("grad_loss", POINTER(DLTensor)),
        ("losses", POINTER(DLTensor)),
        ("logps", POINTER(DLTensor)),
        ("counts", POINTER(DLTensor)),
        ("rewards", POINTER(DLTensor)),
        ("kl", POINTER(DLTensor)),
        ("grad_logits", POINTER(DLTensor)),
        ("metrics", POINTER(StepMetrics)),
        ("cuda", POINTER(Cuda)),
        ("cu_seqlens", POINTER(DLTensor)),
    ]


class Frozen(IntEnum):
    LR_FROZEN_NONE = 0
    LR_FROZEN_WEIGHT = 1
    LR_FROZEN_HIDDEN = 2


class LinearOptions(Structure):
    _fields_ = [
        ("budget_bytes", c_uint64),
        ("frozen", c_int32),
        ("accumulate", c_int32),
    ]


class LinearMethod(IntEnum):
    LR_LINEAR_FORWARD = 0
    LR_LINEAR_ONLINE = 1
    LR_LINEAR_SWEEP = 2


class LinearPlan(Structure):
    _fields_ = [
        ("method", c_int32),
        ("reserved", c_int32),
        ("rows", c_int64),
        ("kept_rows", c_int64),
        ("recomputed_rows", c_int64),
        ("block_rows", c_int64),
        ("block_columns", c_int64),
        ("operations", c_double),
        ("kept_bytes", c_uint64),
        ("accumulator_bytes", c_uint64),
        ("scratch_bytes", c_uint64),
        ("gemm", c_char * 64),
    ]


class LinearTokenLogprobsArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("hidden", POINTER(DLTensor)),
        ("weight", POINTER(DLTensor)),
        ("bias", POINTER(DLTensor)),
        ("labels", POINTER(DLTensor)),
        ("token_options", TokenOptions),
        ("linear_options", LinearOptions),
        ("grad_logp", POINTER(DLTensor)),
        ("grad_entropy", POINTER(DLTensor)),
        ("grad_lse", POINTER(DLTensor)),
        ("logp", POINTER(DLTensor)),
        ("lse", POINTER(DLTensor)),
        ("lse2", POINTER(DLTensor)),
        ("entropy", POINTER(DLTensor)),
        ("argmax", POINTER(DLTensor)),
        ("mean_logit", POINTER(DLTensor)),
        ("grad_hidden", POINTER(DLTensor)),
        ("grad_weight", POINTER(DLTensor)),
        ("grad_bias", POINTER(DLTensor)),
        ("plan", POINTER(LinearPlan)),
        ("cuda", POINTER(Cuda)),
    ]


class LinearPreferenceStepArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("loss_options", POINTER(LossOptions)),
        ("token_options", TokenOptions),
        ("sequence_options", SequenceOptions),
        ("linear_options", LinearOptions),
        ("hidden", POINTER(DLTensor)),
        ("weight", POINTER(DLTensor)),
        ("bias", POINTER(DLTensor)),
        ("labels", POINTER(DLTensor)),
        ("mask", POINTER(DLTensor)),
        ("reference_logps", POINTER(DLTensor)),
        ("reference_token_logps", POINTER(DLTensor)),
        ("reference_hidden", POINTER(DLTensor)),
        ("reference_weight", POINTER(DLTensor)),
        ("reference_bias", POINTER(DLTensor)),
        ("losses", POINTER(DLTensor)),
        ("logps", POINTER(DLTensor)),
        ("counts", POINTER(DLTensor)),
        ("chosen_rewards", POINTER(DLTensor)),
        ("rejected_rewards", POINTER(DLTensor)),
        ("grad_hidden", POINTER(DLTensor)),
        ("grad_weight", POINTER(DLTensor)),
        ("grad_bias", POINTER(DLTensor)),
        ("metrics", POINTER(StepMetrics)),
        ("loss_count", c_int64),
        ("loss_weights", POINTER(c_double)),
        ("wpo", c_int32),
        ("plan", POINTER(LinearPlan)),
        ("cuda", POINTER(Cuda)),
        ("pair_weights", POINTER(DLTensor)),
        ("grad_loss", POINTER(DLTensor)),
        ("nll_mask", POINTER(DLTensor)),
        ("token_count", c_double),
        ("beta", POINTER(DLTensor)),
        ("beta_kl", POINTER(DLTensor)),
        ("beta_mix", POINTER(DLTensor)),
        ("tau", POINTER(DLTensor)),
        ("grad_beta", POINTER(DLTensor)),
        ("grad_beta_kl", POINTER(DLTensor)),
        ("grad_beta_mix", POINTER(DLTensor)),
        ("grad_tau", POINTER(DLTensor)),
        ("cu_seqlens", POINTER(DLTensor)),
    ]


class LinearUnpairedStepArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("loss_options", POINTER(LossOptions)),
        ("token_options", TokenOptions),
        ("sequence_options", SequenceOptions),
        ("linear_options", LinearOptions),
        ("hidden", POINTER(DLTensor)),
        ("weight", POINTER(DLTensor)),
        ("bias", POINTER(DLTensor)),
        ("labels", POINTER(DLTensor)),
        ("mask", POINTER(DLTensor)),
        ("chosen", POINTER(DLTensor)),
        ("reference_logps", POINTER(DLTensor)),
        ("reference_token_logps", POINTER(DLTensor)),
        ("kl_policy_logps", POINTER(DLTensor)),
        ("kl_reference_logps", POINTER(DLTensor)),
        ("weights", POINTER(DLTensor)),
        ("grad_loss", POINTER(DLTensor)),
        ("losses", POINTER(DLTensor)),
        ("logps", POINTER(DLTensor)),
        ("counts", POINTER(DLTensor)),
        ("rewards", POINTER(DLTensor)),
        ("kl", POINTER(DLTensor)),
        ("grad_hidden", POINTER(DLTensor)),
        ("grad_weight", POINTER(DLTensor)),
        ("grad_bias", POINTER(DLTensor)),
        ("metrics", POINTER(StepMetrics)),
        ("plan", POINTER(LinearPlan)),
        ("cuda", POINTER(Cuda)),
        ("cu_seqlens", POINTER(DLTensor)),
    ]


class GemmInfo(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("library", c_char * 64),
        ("path", c_char * 1024),
        ("bfloat16", c_int32),
        ("reserved", c_int32),
    ]


class DivergenceKind(IntEnum):
    LR_SCE = 0
    LR_JEFFREYS = 1
    LR_KL_PQ = 2
    LR_KL_QP = 3
    LR_JENSEN_SHANNON = 4
    LR_L2 = 5
    LR_TVD = 6
    LR_WASSERSTEIN1 = 7
    LR_COSINE = 8


class DivergenceReduction(IntEnum):
    LR_DIVERGENCE_MEAN = 0
    LR_DIVERGENCE_SUM = 1


class DivergenceDetach(IntEnum):
    LR_DETACH_NONE = 0
    LR_DETACH_P = 1
    LR_DETACH_Q = 2


class DivergenceOptions(Structure):
    _fields_ = [
        ("divergence", c_int32),
        ("reduction", c_int32),
        ("detach", c_int32),
        ("reserved", c_int32),
        ("w1", c_double),
        ("w2", c_double),
        ("temperature", c_double),
        ("js_weight", c_double),
        ("vocab", c_int64),
    ]


class DivergenceArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("p_logits", POINTER(DLTensor)),
        ("q_logits", POINTER(DLTensor)),
        ("q_weights", POINTER(DLTensor)),
        ("p_rows", POINTER(DLTensor)),
        ("q_rows", POINTER(DLTensor)),
        ("row_weights", POINTER(DLTensor)),
        ("options", DivergenceOptions),
        ("grad_loss", POINTER(DLTensor)),
        ("values", POINTER(DLTensor)),
        ("loss", POINTER(DLTensor)),
        ("grad_p_logits", POINTER(DLTensor)),
        ("grad_q_logits", POINTER(DLTensor)),
        ("cuda", POINTER(Cuda)),
        ("q_topk_ids", POINTER(DLTensor)),
        ("q_topk_logps", POINTER(DLTensor)),
        ("q_model_weights", POINTER(DLTensor)),
    ]


class Rule(IntEnum):
    LR_RULE_LOG = 0
    LR_RULE_BRIER = 1
    LR_RULE_SPHERICAL = 2
    LR_RULE_POWER = 3
    LR_RULE_PSEUDO_SPHERICAL = 4


class Normalisation(IntEnum):
    LR_SELTEN = 0
    LR_JNW = 1


class RuleOptions(Structure):
    _fields_ = [
        ("rule", c_int32),
        ("normalisation", c_int32),
        ("masked_log", c_int32),
        ("reserved", c_int32),
        ("alpha", c_double),
        ("epsilon", c_double),
        ("vocab", c_int64),
        ("ignore_index", c_int64),
    ]


class ScoringRuleArgs(Structure):
    _fields_ = [
        ("size", c_uint64),
        ("error", c_void_p),
        ("error_capacity", c_uint64),
        ("logits", POINTER(DLTensor)),
        ("labels", POINTER(DLTensor)),
        ("options", RuleOptions),
        ("grad_loss", POINTER(DLTensor)),
        ("values", POINTER(DLTensor)),
        ("loss", POINTER(DLTensor)),
        ("grad_logits", POINTER(DLTensor)),
        ("cuda", POINTER(Cuda)),
    ]


class Bandwidth(IntEnum):
    LR_BANDWIDTH_READ = 0
    LR_BANDWIDTH_COPY = 1
    LR_BANDWIDTH_UPDATE = 2


# The functions: what each returns and takes.
FUNCTIONS = {
    "lr_abi_version": (c_uint32, []),
    "lr_version": (c_char_p, []),
    "lr_last_error": (c_char_p, []),
    "lr_cpu_instruction_set": (c_char_p, []),
    "lr_threads": (c_int32, []),
    "lr_set_threads": (c_int, [c_int32]),
    "lr_device": (c_int, [c_int, c_int32, POINTER(DeviceInfo)]),
    "lr_device_count": (c_int, [c_int, POINTER(c_int32)]),
    "lr_device_current": (c_int, [c_int, POINTER(c_int32)]),
    "lr_device_make_current": (c_int, [c_int, c_int32]),
    "lr_device_synchronize": (c_int, [c_int, c_int32]),
    "lr_device_memory": (c_int, [c_int, c_int32, POINTER(c_uint64), POINTER(c_uint64)]),
    "lr_device_allocate": (c_int, [c_int, c_int32, c_uint64, POINTER(c_void_p)]),
    "lr_device_free": (c_int, [c_int, c_int32, c_void_p]),
    "lr_device_fill": (c_int, [c_int, c_int32, c_void_p, c_void_p, c_int32, c_uint64]),
    "lr_device_copy": (c_int, [c_int, c_int32, c_void_p, c_void_p, c_void_p, c_uint64]),
    "lr_device_pin": (c_int, [c_int, c_int32, c_void_p, c_uint64]),
    "lr_device_unpin": (c_int, [c_int, c_int32, c_void_p]),
    "lr_stream_create": (c_int, [c_int, c_int32, POINTER(c_void_p)]),
    "lr_stream_destroy": (c_int, [c_int, c_int32, c_void_p]),
    "lr_stream_synchronize": (c_int, [c_int, c_int32, c_void_p]),
    "lr_stream_query": (c_int, [c_int, c_int32, c_void_p, POINTER(c_int32)]),
    "lr_stream_wait": (c_int, [c_int, c_int32, c_void_p, c_void_p]),
    "lr_event_create": (c_int, [c_int, c_int32, POINTER(c_void_p)]),
    "lr_event_destroy": (c_int, [c_int, c_int32, c_void_p]),
    "lr_event_record": (c_int, [c_int, c_int32, c_void_p, c_void_p]),
    "lr_event_synchronize": (c_int, [c_int, c_int32, c_void_p]),
    "lr_event_query": (c_int, [c_int, c_int32, c_void_p, POINTER(c_int32)]),
    "lr_event_elapsed": (c_int, [c_int, c_int32, c_void_p, c_void_p, POINTER(c_double)]),
    "lr_token_logprobs": (c_int, [POINTER(TokenLogprobsArgs)]),
    "lr_token_logprobs_backward": (c_int, [POINTER(TokenLogprobsBackwardArgs)]),
    "lr_sequence_logps": (c_int, [POINTER(SequenceLogpsArgs)]),
    "lr_loss_init": (c_int, [c_char_p, POINTER(LossOptions)]),
    "lr_loss_count": (c_int32, []),
    "lr_loss_describe": (c_int, [c_int32, POINTER(LossInfo)]),
    "lr_pair_loss": (c_int, [POINTER(PairLossArgs)]),
    "lr_unpaired_loss": (c_int, [POINTER(UnpairedLossArgs)]),
    "lr_preference_step": (c_int, [POINTER(PreferenceStepArgs)]),
    "lr_unpaired_step": (c_int, [POINTER(UnpairedStepArgs)]),
    "lr_linear_token_logprobs": (c_int, [POINTER(LinearTokenLogprobsArgs)]),
    "lr_linear_preference_step": (c_int, [POINTER(LinearPreferenceStepArgs)]),
    "lr_linear_unpaired_step": (c_int, [POINTER(LinearUnpairedStepArgs)]),
    "lr_gemm": (c_int, [POINTER(GemmInfo)]),
    "lr_gemm_offer": (c_int, [c_char_p]),
    "lr_device_gemm": (c_int, [c_int, c_int32, POINTER(GemmInfo)]),
    "lr_divergence": (c_int, [POINTER(DivergenceArgs)]),
    "lr_scoring_rule": (c_int, [POINTER(ScoringRuleArgs)]),
    "lr_bandwidth_probe": (c_int, [c_int32, c_void_p, c_void_p, c_uint64, POINTER(c_double)]),
    "lr_device_bandwidth_probe": (
        c_int,
        [c_int32, c_int, c_int32, c_void_p, c_void_p, c_void_p, c_uint64],
    ),
}
