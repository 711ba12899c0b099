"""Losses as arguments of operators: text, and the parameters that are tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .._losses import LEARNED, LossLike, encode, split
from ._arrays import absent, output

Learned = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]

# A compiled function has the text as a constant, so that nothing of it is traced.
_encode = torch.compiler.assume_constant_result(encode)


def spec(loss: LossLike | Sequence[LossLike]) -> tuple[str, Learned]:
    """The text of a loss, and its beta, beta_kl, beta_mix and tau where they are tensors."""
    several, learned = split(loss)
    return _encode(several), tuple(_vector(learned.get(name)) for name in LEARNED)


def _vector(parameter: Any) -> Tensor | None:
    if isinstance(parameter, Tensor) and parameter.dim() == 0:
        return parameter.reshape(1)
    return parameter


def learned_inputs(parameters: Learned) -> dict[str, Tensor]:
    """Parameters that are tensors, by the names of their fields."""
    return {name: one for name, one in zip(LEARNED, parameters) if one is not None}


def learned_gradients(parameters: Learned, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Memory for the gradients of the parameters that are tensors, empty for the others."""
    return tuple(
        absent(like) if one is None else output(like, one.shape, one.dtype) for one in parameters
    )


def present(parameters: Learned, gradients: Sequence[Tensor]) -> dict[str, Tensor]:
    """Gradients of the parameters that are tensors, by the names of their fields."""
    return {
        f"grad_{name}": gradient
        for name, one, gradient in zip(LEARNED, parameters, gradients)
        if one is not None
    }
