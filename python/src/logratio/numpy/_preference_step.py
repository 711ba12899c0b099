"""Logits of pairs to a preference loss, its gradient and its metrics."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

from .._abi import PreferenceStepArgs, StepMetrics
from .._losses import LossLike
from .._options import WPO, choice, positive, sequence_options, token_options, wpo_choice
from ._arrays import (
    Array,
    Float64s,
    check_arrays,
    check_numbers,
    figures,
    gradient_of,
    run,
    sequence_count,
    upstream,
)
from ._losses import learned_gradients, named_metrics, paired, weights_of


class PreferenceStep(NamedTuple):
    """What :func:`preference_step` returns; a gradient that there is not is None."""

    #: Mean over the pairs.
    loss: float
    #: Per pair, [P].
    losses: Float64s
    #: Log-probabilities of the sequences, [2P].
    logps: Float64s
    #: Sums of their tokens' weights, [2P].
    counts: Float64s
    #: Rewards, [P].
    chosen_rewards: Float64s
    rejected_rewards: Float64s
    #: ``rewards_chosen``, ``rewards_rejected``, ``rewards_margin``, ``rewards_accuracy``,
    #: ``entropy``, ``token_accuracy``, ``logits_chosen``, ``logits_rejected``, ``grad_norm``,
    #: ``nonfinite``.
    metrics: dict[str, float]
    #: Of the logits' shape and dtype.
    grad_logits: Array | None = None
    #: Of the shape of the parameter, where it is an array.
    grad_beta: Float64s | None = None
    grad_beta_kl: Float64s | None = None
    grad_beta_mix: Float64s | None = None
    grad_tau: Float64s | None = None


def preference_step(
    logits: Array,
    labels: Array,
    loss: LossLike | Sequence[LossLike],
    *,
    mask: Array | None = None,
    reference_logps: Array | None = None,
    reference_token_logps: Array | None = None,
    reference_free: bool = False,
    loss_weights: Sequence[float] | None = None,
    pair_weights: Array | None = None,
    nll_mask: Array | None = None,
    token_count: float | None = None,
    cu_seqlens: Array | None = None,
    grad_loss: float | Array | None = None,
    reduction: str = "sum",
    tail_weight: float = 1.0,
    align: str = "completion",
    keep_fraction: float = 1.0,
    wpo: str | bool = "off",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
    grad: bool = True,
) -> PreferenceStep:
    """The whole way from logits to a preference loss, with its gradient and its metrics.

    The logits are read once forward, and read and written once for the gradient. Tokens that do not
    count are not read, and their gradient is 0.

    Args:
        logits: [2P,T,V], float32, bfloat16 or float16, of any strides but for a contiguous last
            dimension. Sequences 0 to P-1 are chosen, P to 2P-1 rejected. They are shifted already:
            ``logits[:, t]`` predicts ``labels[:, t]``.
        labels: [2P,T], int64 or int32.
        loss: a name of :func:`logratio.losses`; a name and its options, such as
            ``("sigmoid", {"beta": 0.1})``; or a list of them, which add up. The options beta,
            beta_kl, beta_mix and tau of a single loss may be arrays, 0-dim, [1] or [P].
        mask: [2P,T], bool, uint8, int32 or int64, or float32 weights: the tokens that count, less
            those whose label is ignore_index. Default: all.
        reference_logps: [2P], any float: the reference's log-probabilities, reduced with the same
            mask and options.
        reference_token_logps: [2P,T], in place of reference_logps.
        reference_free: takes the reference as 0; the two arrays must then be absent. Losses that
            never have a reference do not need it.
        loss_weights: one per loss; default 1.
        pair_weights: [P], any float, finite and >= 0: each pair's weight.
        nll_mask: [2P,T]: the chosen tokens that the negative log-likelihood of sft, orpo and cpo
            covers; default the mask.
        token_count: divisor of sft and of ``nll="token"``, such as the tokens of all micro-batches;
            default the batch's own count.
        cu_seqlens: [2P+1], int64 or int32, for packed sequences: 0, and then where each ends. The
            logits are then [N,V], and arrays [2P,T] are [N].
        grad_loss: the upstream gradient of the loss, a number or an array of one; default 1. It
            scales the gradients, and ``grad_norm`` with them.
        reduction: of tokens to sequences, ``"sum"`` or ``"mean"``.
        tail_weight: weight of the tokens past the pair's shared ones, 0 (POET) to 1; between the
            two it is LD-DPO's.
        align: ``"completion"`` or ``"absolute"``: which tokens of a pair are shared.
        keep_fraction: share of the shared tokens that are kept; needs a tail_weight below 1.
        wpo: ``"off"``, ``"on"`` or ``"capped"``, False or True: weights of WPO, without gradient.
        ignore_index: the label of tokens to ignore.
        temperature: what logits are divided by, after the softcap.
        softcap: ``c * tanh(logits / c)`` for a value c above 0.
        vocab: number of columns that are no padding; default all.
        grad: whether gradients are computed; ``grad_norm`` is 0 without.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
        UnavailableError, FailedError: (RuntimeErrors) the library is missing or failed.

    Papers and trainers that each loss comes from are in ``docs/losses.md``.
    """
    inputs = {
        "logits": logits,
        "labels": labels,
        "mask": mask,
        "reference_logps": reference_logps,
        "reference_token_logps": reference_token_logps,
        "pair_weights": pair_weights,
        "nll_mask": nll_mask,
        "cu_seqlens": cu_seqlens,
    }
    check_arrays(("logits", "labels"), inputs)
    integers = {"ignore_index": ignore_index, "vocab": vocab}
    numbers = {
        "temperature": temperature,
        "softcap": softcap,
        "tail_weight": tail_weight,
        "keep_fraction": keep_fraction,
    }
    check_numbers(integers, numbers | {"token_count": token_count})
    options = numbers | {
        "ignore_index": ignore_index,
        "vocab": positive("vocab", vocab),
        "reduction": reduction,
        "align": align,
    }
    has_reference = reference_logps is not None or reference_token_logps is not None
    losses, parameters = paired(loss, has_reference, reference_free)
    metrics = StepMetrics()
    args = PreferenceStepArgs(
        loss_options=losses.options,
        loss_count=len(losses.names),
        token_options=token_options(options),
        sequence_options=sequence_options(options),
        metrics=ctypes.pointer(metrics),
        wpo=choice("wpo", wpo_choice(wpo), WPO),
        token_count=positive("token_count", token_count),
    )
    if loss_weights is not None:
        args.loss_weights = weights_of(losses, loss_weights)
    sequences = sequence_count("logits", logits, cu_seqlens)
    outputs = {
        "losses": figures(sequences // 2),
        "logps": figures(sequences),
        "counts": figures(sequences),
        "chosen_rewards": figures(sequences // 2),
        "rejected_rewards": figures(sequences // 2),
    }
    gradients: dict[str, Any] = {}
    if grad:
        gradients = {"grad_logits": gradient_of(logits), **learned_gradients(parameters)}
    arrays = inputs | parameters | {"grad_loss": upstream(grad_loss)} | outputs | gradients
    run("lr_preference_step", args, arrays)
    return PreferenceStep(
        loss=metrics.loss, metrics=named_metrics(metrics), **outputs, **gradients
    )
