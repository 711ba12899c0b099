"""Strictly proper scoring rules as losses of tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._abi import ScoringRuleArgs
from .._errors import InvalidArgumentError
from .._options import positive, rule_options
from ._arrays import Array, Float64s, check_arrays, check_numbers, figures, gradient_of, run


class ScoringRule(NamedTuple):
    """What :func:`scoring_rule` returns."""

    #: Mean over the rows that are not ignored, 0 if there is none.
    loss: float
    #: Per row, of the labels' shape; 0 for ignored rows.
    values: Float64s
    #: Of the logits' shape and dtype; None with ``grad=False``.
    grad_logits: Array | None


def scoring_rule(
    logits: Array,
    labels: Array,
    rule: str,
    *,
    grad_loss: Array | None = None,
    alpha: float = 2.0,
    normalisation: str = "selten",
    epsilon: float = 0.0,
    masked_log: bool = False,
    vocab: int | None = None,
    ignore_index: int = -100,
    grad: bool = True,
) -> ScoringRule:
    """A strictly proper scoring rule as the loss of each token: minus its score.

    Args:
        logits: [N,V] or [B,T,V], float32, bfloat16 or float16, rows contiguous.
        labels: [N] or [B,T], int64 or int32, in [0,vocab) or ignore_index.
        rule: ``"log"``, ``"brier"``, ``"spherical"``, ``"power"`` or ``"pseudo_spherical"``.
        grad_loss: any float of the labels' shape: the upstream gradient of the values; default that
            of the loss, their mean over the rows that are not ignored.
        alpha: above 1, of power and pseudo_spherical.
        normalisation: of power and pseudo_spherical, ``"selten"`` or ``"jnw"``.
        epsilon: in [0, 1): smoothing of the score.
        masked_log: adds the masked log term to a smoothed score.
        vocab: number of columns that are no padding; default all.
        ignore_index: the label of rows to ignore.
        grad: whether the gradient is computed.

    Raises:
        InvalidArgumentError: (a ValueError) an argument is wrong; the sentence names it.
        UnavailableError, FailedError: (RuntimeErrors) the library is missing or failed.
    """
    inputs = {"logits": logits, "labels": labels, "grad_loss": grad_loss}
    check_arrays(("logits", "labels"), inputs)
    integers = {"ignore_index": ignore_index, "vocab": vocab}
    numbers = {"alpha": alpha, "epsilon": epsilon}
    check_numbers(integers, numbers)
    if not isinstance(masked_log, (bool, np.bool_)):
        raise InvalidArgumentError(f"masked_log: expected True or False, got {masked_log!r}")
    choices = {"rule": rule, "normalisation": normalisation, "masked_log": bool(masked_log)}
    options = integers | numbers | choices | {"vocab": positive("vocab", vocab)}
    args = ScoringRuleArgs(options=rule_options(options))
    values, loss = figures(*labels.shape), figures(1)
    grad_logits = gradient_of(logits) if grad else None
    outputs = {"values": values, "loss": loss, "grad_logits": grad_logits}
    run("lr_scoring_rule", args, inputs | outputs)
    return ScoringRule(float(loss[0]), values, grad_logits)
