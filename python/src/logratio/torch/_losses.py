"""Losses as arguments of operators: text, and the parameters that are tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .._abi import StepMetrics
from .._errors import InvalidArgumentError
from .._losses import LEARNED, LossLike, check_reference, check_single, encode, split
from .._options import STEP_METRICS
from ._arrays import new
from ._operator import Inputs


def _text(
    several: list[tuple[str, dict[str, Any]]], has_reference: bool, reference_free: bool
) -> str:
    text = encode(several)
    check_reference((name for name, _ in several), has_reference, reference_free)
    return text


# A compiled function has the text as a constant, so that nothing of it is traced.
_constant_text = torch.compiler.assume_constant_result(_text)


def loss_inputs(
    loss: LossLike | Sequence[LossLike],
    has_reference: bool,
    reference_free: bool,
    is_single: bool = False,
) -> Inputs:
    """The operators' input ``loss``, and beta, beta_kl, beta_mix and tau where they are tensors.

    Args:
        has_reference: whether there is one, which a loss of log-ratios needs unless it is told to
            be reference-free.
        is_single: whether there may be no more than one.
    """
    several, learned = split(loss)
    if is_single:
        check_single(several)
    for name, parameter in learned.items():
        if not isinstance(parameter, Tensor):
            got = type(parameter).__name__
            raise InvalidArgumentError(f"{name}: expected a number or a tensor, got {got}")
    parameters = {name: _vector(learned.get(name)) for name in LEARNED}
    return {
        "loss": _constant_text(_constants(several), has_reference, reference_free),
        **parameters,
    }


def single_loss(loss: LossLike) -> str:
    """The operators' input ``loss`` of one loss whose options are all numbers and choices."""
    several, learned = split(loss)
    check_single(several)
    for name in learned:
        raise InvalidArgumentError(f"{name}: expected a number, got a tensor")
    return _constant_text(_constants(several), True, False)


def _constants(several: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """The same losses; numbers that torch.compile has made symbols are constants again."""
    if not torch.compiler.is_compiling():
        return several
    return [
        (
            name,
            {
                # A symbol has no text, and gives one of its value alone by hex().
                key: float.fromhex(value.hex()) if isinstance(value, float) else value
                for key, value in options.items()
            },
        )
        for name, options in several
    ]


def _vector(parameter: Tensor | None) -> Tensor | None:
    return parameter.reshape(1) if parameter is not None and parameter.dim() == 0 else parameter


def learned(inputs: Inputs) -> dict[str, Tensor]:
    """Parameters that are tensors, by the names of their fields."""
    return {name: inputs[name] for name in LEARNED if inputs[name] is not None}


def metrics_memory(like: Tensor) -> tuple[Tensor, Any]:
    """Memory for lr_step_metrics where the C functions write it, and its address."""
    memory = new(like, (len(STEP_METRICS),), torch.float64)
    return memory, ctypes.cast(memory.data_ptr(), ctypes.POINTER(StepMetrics))


def write_metrics(memory: Tensor, loss: Tensor, metrics: Tensor) -> None:
    """Rounds the figures of a step once; the struct's first is the loss, its last an integer."""
    loss.copy_(memory[0])
    metrics.copy_(memory)
    metrics[-1:].copy_(memory[-1:].view(torch.int64))


def named_metrics(metrics: Tensor, without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Figures by name, each a 0-dim tensor."""
    figures = dict(zip(STEP_METRICS, metrics.unbind()))
    return {name: x for name, x in figures.items() if name not in ("loss", *without)}
