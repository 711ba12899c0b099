"""Losses as arguments, with their parameters that are arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from .._abi import StepMetrics
from .._errors import InvalidArgumentError
from .._losses import Losses, LossLike, parse
from .._options import STEP_METRICS
from ._arrays import Array, Float64s, check_numbers, figures, vector


def paired(
    loss: LossLike | Sequence[LossLike], has_reference: bool, reference_free: bool
) -> tuple[Losses, dict[str, Array]]:
    """Losses of pairs, and beta, beta_kl, beta_mix and tau where they are arrays.

    Args:
        has_reference: whether there is one, which a loss of log-ratios needs unless it is told to
            be reference-free.
    """
    if reference_free and has_reference:
        raise InvalidArgumentError(
            "reference_free: expected False where the reference's log-probabilities are given"
        )
    losses = parse(loss)
    for name, description in zip(losses.names, losses.descriptions):
        if description.needs_reference and not (has_reference or reference_free):
            raise InvalidArgumentError(
                f"loss: {name} needs the reference's log-probabilities, or reference_free=True"
            )
    return losses, {name: vector(name, array) for name, array in losses.learned.items()}


def single(losses: Losses) -> Losses:
    """The same; raises InvalidArgumentError for several."""
    if len(losses.names) != 1:
        raise InvalidArgumentError(f"loss: expected one loss, got {len(losses.names)}")
    return losses


def unpaired(loss: LossLike) -> Losses:
    """One loss of examples, whose options are all numbers."""
    losses = single(parse(loss))
    for name in losses.learned:
        raise InvalidArgumentError(f"{name}: expected a number, got an array")
    return losses


def learned_gradients(parameters: dict[str, Array]) -> dict[str, Float64s]:
    """Memory for the gradients of parameters that are arrays."""
    return {f"grad_{name}": figures(*array.shape) for name, array in parameters.items()}


def named_metrics(metrics: StepMetrics, without: tuple[str, ...] = ()) -> dict[str, float]:
    """A step's figures by name, but for the loss."""
    return {
        name: getattr(metrics, name) for name in STEP_METRICS if name not in ("loss", *without)
    }


def weights_of(losses: Losses, loss_weights: Sequence[float]) -> ctypes.Array[ctypes.c_double]:
    """Weights of losses; raises InvalidArgumentError unless there is one per loss."""
    if not isinstance(loss_weights, (Sequence, np.ndarray)):
        got = type(loss_weights).__name__
        raise InvalidArgumentError(f"loss_weights: expected a list of numbers, got {got}")
    if len(loss_weights) != len(losses.names):
        raise InvalidArgumentError(
            f"loss_weights: expected one per loss, {len(losses.names)}, got {len(loss_weights)}"
        )
    for weight in loss_weights:
        check_numbers({}, {"loss_weights": weight})
    return (ctypes.c_double * len(loss_weights))(*loss_weights)
