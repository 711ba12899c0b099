"""Logits to losses, gradients and metrics."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from .._abi import PreferenceStepArgs, StepMetrics, UnpairedStepArgs
from .._errors import InvalidArgumentError
from .._losses import LossLike, Losses, check_reference, parse
from .._options import (
    WHOLE_SEQUENCES,
    WPO,
    choice,
    positive,
    sequence_options,
    token_options,
    wpo_choice,
)
from ._arrays import (
    Array,
    given,
    gradient_of,
    metrics_of,
    new,
    required,
    run,
    sequence_count,
    upstream,
)
from ._sequences import learned_arrays, unpaired


class PreferenceStep(NamedTuple):
    """What :func:`preference_step` returns: float64, but for the gradient of the logits."""

    #: Mean over the pairs.
    loss: float
    #: Per pair, [P].
    losses: Array
    #: Log-probabilities of the sequences, [2P].
    logps: Array
    #: Sums of their tokens' weights, [2P].
    counts: Array
    chosen_rewards: Array
    rejected_rewards: Array
    #: ``rewards_chosen``, ``rewards_rejected``, ``rewards_margin``, ``rewards_accuracy``,
    #: ``entropy``, ``token_accuracy``, ``logits_chosen``, ``logits_rejected``, ``grad_norm``,
    #: ``nonfinite``.
    metrics: dict[str, float]
    #: Of the logits' shape and dtype; None if it is not wanted.
    grad_logits: Array | None
    #: Of the parameters that are arrays, by name (beta, beta_kl, beta_mix, tau).
    grad_parameters: dict[str, Array]


def preference_step(
    logits: ArrayLike,
    labels: ArrayLike,
    loss: LossLike | Sequence[LossLike],
    *,
    grad: bool = True,
    mask: ArrayLike | None = None,
    reference_logps: ArrayLike | None = None,
    reference_token_logps: ArrayLike | None = None,
    reference_free: bool = False,
    loss_weights: Sequence[float] | None = None,
    pair_weights: ArrayLike | None = None,
    nll_mask: ArrayLike | None = None,
    token_count: float | None = None,
    cu_seqlens: ArrayLike | None = None,
    grad_loss: ArrayLike | None = None,
    reduction: str = "sum",
    tail_weight: float = 1.0,
    align: str = "completion",
    keep_fraction: float = 1.0,
    wpo: str | bool = "off",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> PreferenceStep:
    """The whole way from logits to a preference loss, its gradient and its metrics.

    Args:
        logits: [2P,T,V], float32, float16 or bfloat16 (of ml_dtypes), the last dimension
            contiguous. Sequences 0 to P-1 are chosen, P to 2P-1 rejected; ``logits[:, t]`` predicts
            ``labels[:, t]``.
        labels: [2P,T], int64 or int32.
        loss: a name of :func:`logratio.losses`; a name and its options, such as
            ``("sigmoid", {"beta": 0.1})``; or a list of them, which add up. The options beta,
            beta_kl, beta_mix and tau of a single loss may be arrays, [1] or [P].
        grad: whether the gradients are wanted; without them the logits are read but once.
        mask: [2P,T], bool, uint8, int32 or int64, or float32 weights: the tokens that count, less
            those whose label is ignore_index. Default: all.
        reference_logps: [2P], any float, reduced with the same mask and options.
        reference_token_logps: [2P,T], in place of reference_logps.
        reference_free: takes the reference as 0; the two arrays must then be absent. Losses that
            never have a reference do not need it.
        loss_weights: one per loss; default 1.
        pair_weights: [P], any float, finite and >= 0: each pair's weight.
        nll_mask: [2P,T]: the chosen tokens that the negative log-likelihood of sft, orpo and cpo
            covers; default the mask.
        token_count: divisor of sft and of ``nll="token"``; default the batch's own count.
        cu_seqlens: [2P+1], int64 or int32, for packed sequences: 0, and then where each ends. The
            logits are then [N,V], and arrays [2P,T] are [N].
        grad_loss: the upstream gradient of the loss, a number; default 1.
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

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.

    Papers and trainers that each loss comes from are in ``docs/losses.md``.
    """
    losses = parse(loss)
    logits = required("logits", logits, 2)
    inputs = given(
        logits=logits,
        labels=required("labels", labels),
        mask=mask,
        reference_logps=reference_logps,
        reference_token_logps=reference_token_logps,
        pair_weights=pair_weights,
        nll_mask=nll_mask,
        cu_seqlens=cu_seqlens,
        grad_loss=upstream(grad_loss),
    )
    has_reference = reference_logps is not None or reference_token_logps is not None
    check_reference(losses.names, has_reference, reference_free)
    parameters = learned_arrays(losses)
    metrics = StepMetrics()
    args = PreferenceStepArgs(
        **pair_fields(
            losses,
            metrics,
            {
                "loss_weights": loss_weights,
                "token_count": token_count,
                "wpo": wpo,
                "reduction": reduction,
                "tail_weight": tail_weight,
                "align": align,
                "keep_fraction": keep_fraction,
                "ignore_index": ignore_index,
                "temperature": temperature,
                "softcap": softcap,
                "vocab": vocab,
            },
        )
    )
    outputs = pair_outputs(sequence_count(logits, inputs["cu_seqlens"]))
    grad_logits = gradient_of(logits) if grad else None
    by_name = {name: new(array.shape) for name, array in parameters.items() if grad}
    gradients = {"grad_logits": grad_logits} | {f"grad_{name}": x for name, x in by_name.items()}
    run("lr_preference_step", args, inputs | parameters | outputs | gradients)
    return PreferenceStep(
        loss=metrics.loss,
        **outputs,
        metrics=metrics_of(metrics),
        grad_logits=grad_logits,
        grad_parameters=by_name,
    )


def pair_fields(losses: Losses, metrics: StepMetrics, given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a step of pairs that are no tensors, of the options as they are given."""
    fields = {
        "loss_options": losses.options,
        "loss_count": len(losses.names),
        "token_options": token_options({**given, "vocab": positive("vocab", given["vocab"])}),
        "sequence_options": sequence_options(given),
        "metrics": ctypes.pointer(metrics),
        "wpo": choice("wpo", wpo_choice(given["wpo"]), WPO),
        "token_count": positive("token_count", given["token_count"]),
    }
    if given["loss_weights"] is not None:
        fields["loss_weights"] = _weights(losses, given["loss_weights"])
    return fields


def pair_outputs(sequences: int) -> dict[str, Array]:
    """Memory for what a step of pairs returns beside its gradients."""
    pairs = sequences // 2
    return {
        "losses": new(pairs),
        "logps": new(sequences),
        "counts": new(sequences),
        "chosen_rewards": new(pairs),
        "rejected_rewards": new(pairs),
    }


def _weights(losses: Losses, loss_weights: Sequence[float]) -> ctypes.Array[ctypes.c_double]:
    weights = required("loss_weights", loss_weights)
    if weights.shape != (len(losses.names),):
        raise InvalidArgumentError(
            f"loss_weights: expected one per loss, {len(losses.names)}, got {weights.size}"
        )
    return (ctypes.c_double * weights.size)(*weights)


class UnpairedStep(NamedTuple):
    """What :func:`unpaired_step` returns: float64, but for the gradient of the logits."""

    #: Mean over the examples.
    loss: float
    #: Per example, [B].
    losses: Array
    logps: Array
    counts: Array
    rewards: Array
    #: Of kto, detached.
    kl: float
    #: As of :class:`PreferenceStep`, without ``rewards_accuracy``.
    metrics: dict[str, float]
    #: Of the logits' shape and dtype; None if it is not wanted.
    grad_logits: Array | None


def unpaired_step(
    logits: ArrayLike,
    labels: ArrayLike,
    chosen: ArrayLike,
    loss: LossLike,
    *,
    grad: bool = True,
    mask: ArrayLike | None = None,
    reference_logps: ArrayLike | None = None,
    reference_token_logps: ArrayLike | None = None,
    kl_policy_logps: ArrayLike | None = None,
    kl_reference_logps: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    cu_seqlens: ArrayLike | None = None,
    grad_loss: ArrayLike | None = None,
    reduction: str = "sum",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
) -> UnpairedStep:
    """The way from logits to an unpaired loss: kto, apo_zero_unpaired or bco.

    Args:
        logits: [B,T,V], labels and mask: [B,T], as in :func:`preference_step`.
        chosen: [B], bool or uint8: whether an example is a desirable one.
        loss: its name, or its name and options, which are numbers.
        reference_logps: [B], or reference_token_logps: [B,T], any float; one of the two.
        kl_policy_logps: [C] with kl_reference_logps: [C], any float, of kto: its KL is the mean of
            their differences, at least 0 and without a gradient; 0 without them.
        weights: [B], any float, finite and >= 0: each example's weight; the mean stays over B.
        cu_seqlens: [B+1], for packed sequences.

    The other arguments and the errors are those of :func:`preference_step`. kto is from
    https://arxiv.org/abs/2402.01306, bco from https://arxiv.org/abs/2404.04656 and
    apo_zero_unpaired from https://arxiv.org/abs/2408.06266.
    """
    losses = unpaired(loss)
    logits = required("logits", logits, 2)
    inputs = given(
        logits=logits,
        labels=required("labels", labels),
        chosen=required("chosen", chosen),
        mask=mask,
        reference_logps=reference_logps,
        reference_token_logps=reference_token_logps,
        kl_policy_logps=kl_policy_logps,
        kl_reference_logps=kl_reference_logps,
        weights=weights,
        cu_seqlens=cu_seqlens,
        grad_loss=upstream(grad_loss),
    )
    metrics = StepMetrics()
    args = UnpairedStepArgs(
        **example_fields(
            losses,
            metrics,
            {
                "reduction": reduction,
                "ignore_index": ignore_index,
                "temperature": temperature,
                "softcap": softcap,
                "vocab": vocab,
            },
        )
    )
    outputs = example_outputs(sequence_count(logits, inputs["cu_seqlens"]))
    kl = new(1)
    grad_logits = gradient_of(logits) if grad else None
    run("lr_unpaired_step", args, inputs | outputs | {"kl": kl, "grad_logits": grad_logits})
    return UnpairedStep(
        loss=metrics.loss,
        **outputs,
        kl=float(kl[0]),
        metrics=metrics_of(metrics, without=("rewards_accuracy",)),
        grad_logits=grad_logits,
    )


def example_fields(
    losses: Losses, metrics: StepMetrics, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields of a step of examples that are no tensors, of the options as they are given."""
    return {
        "loss_options": losses.options,
        "token_options": token_options({**given, "vocab": positive("vocab", given["vocab"])}),
        "sequence_options": sequence_options({**given, **WHOLE_SEQUENCES}),
        "metrics": ctypes.pointer(metrics),
    }


def example_outputs(sequences: int) -> dict[str, Array]:
    """Memory for what a step of examples returns beside its KL and its gradients."""
    return {name: new(sequences) for name in ("losses", "logps", "counts", "rewards")}
