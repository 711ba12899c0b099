"""Logits of examples that are each good or bad to a loss, its gradient and its metrics."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

from .._abi import StepMetrics, UnpairedStepArgs
from .._losses import LossLike
from .._options import positive, sequence_options, token_options
from ._arrays import (
    Array,
    Float64s,
    check_arrays,
    check_numbers,
    figures,
    gradient_of,
    length,
    run,
    upstream,
)
from ._losses import named_metrics, unpaired

#: No example shares tokens with another.
_PAIRLESS = {"align": "completion", "tail_weight": 1.0, "keep_fraction": 1.0}


class UnpairedStep(NamedTuple):
    """What :func:`unpaired_step` returns."""

    #: Mean over the examples.
    loss: float
    #: Per example, [B].
    losses: Float64s
    #: Log-probabilities of the sequences, [B].
    logps: Float64s
    #: Sums of their tokens' weights, [B].
    counts: Float64s
    #: beta times the log-ratio, [B].
    rewards: Float64s
    #: The estimate of the KL that kto subtracts.
    kl: float
    #: As of :class:`PreferenceStep`, without ``rewards_accuracy``.
    metrics: dict[str, float]
    #: Of the logits' shape and dtype; None with ``grad=False``.
    grad_logits: Array | None


def unpaired_step(
    logits: Array,
    labels: Array,
    chosen: Array,
    loss: LossLike,
    *,
    mask: Array | None = None,
    reference_logps: Array | None = None,
    reference_token_logps: Array | None = None,
    kl_policy_logps: Array | None = None,
    kl_reference_logps: Array | None = None,
    weights: Array | None = None,
    cu_seqlens: Array | None = None,
    grad_loss: float | Array | None = None,
    reduction: str = "sum",
    ignore_index: int = -100,
    temperature: float = 1.0,
    softcap: float = 0.0,
    vocab: int | None = None,
    grad: bool = True,
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

    The other arguments, what is read, and the errors are those of :func:`preference_step`. The loss
    of kto is from https://arxiv.org/abs/2402.01306, bco from https://arxiv.org/abs/2404.04656 and
    apo_zero_unpaired from https://arxiv.org/abs/2408.06266.
    """
    inputs = {
        "logits": logits,
        "labels": labels,
        "chosen": chosen,
        "mask": mask,
        "reference_logps": reference_logps,
        "reference_token_logps": reference_token_logps,
        "kl_policy_logps": kl_policy_logps,
        "kl_reference_logps": kl_reference_logps,
        "weights": weights,
        "cu_seqlens": cu_seqlens,
    }
    check_arrays(("logits", "labels", "chosen"), inputs)
    numbers = {"temperature": temperature, "softcap": softcap}
    integers = {"ignore_index": ignore_index, "vocab": vocab}
    check_numbers(integers, numbers)
    options = numbers | {"ignore_index": ignore_index, "vocab": positive("vocab", vocab)}
    metrics = StepMetrics()
    args = UnpairedStepArgs(
        loss_options=unpaired(loss).options,
        token_options=token_options(options),
        sequence_options=sequence_options({"reduction": reduction, **_PAIRLESS}),
        metrics=ctypes.pointer(metrics),
    )
    count = length("chosen", chosen)
    losses, logps, counts, rewards = (figures(count) for _ in range(4))
    kl = figures(1)
    grad_logits = gradient_of(logits) if grad else None
    outputs = {
        "losses": losses,
        "logps": logps,
        "counts": counts,
        "rewards": rewards,
        "kl": kl,
        "grad_logits": grad_logits,
    }
    run("lr_unpaired_step", args, inputs | {"grad_loss": upstream(grad_loss)} | outputs)
    return UnpairedStep(
        metrics.loss,
        losses,
        logps,
        counts,
        rewards,
        float(kl[0]),
        named_metrics(metrics, without=("rewards_accuracy",)),
        grad_logits,
    )
