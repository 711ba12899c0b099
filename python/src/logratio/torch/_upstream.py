"""Gradients that were computed forward, for the upstream that backward brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from .._errors import InvalidArgumentError


def expected_upstream(grad_loss: float | Tensor | None, like: Tensor) -> Tensor | None:
    """The upstream gradient of a loss that a forward call computes for: [1], or None for 1."""
    if isinstance(grad_loss, Tensor):
        return grad_loss.detach().reshape(-1)
    if grad_loss is None or grad_loss == 1:
        return None
    if not isinstance(grad_loss, (int, float)):
        got = type(grad_loss).__name__
        raise InvalidArgumentError(f"grad_loss: expected a number or a tensor, got {got}")
    if grad_loss == 0:
        raise InvalidArgumentError("grad_loss: expected a number other than 0")
    return torch.full((1,), grad_loss, dtype=torch.float32, device=like.device)


def at_upstream(
    gradients: Sequence[Tensor],
    upstream: Tensor | None,
    expected: Tensor | None,
    is_private: bool,
) -> Sequence[Tensor | None]:
    """Gradients for `upstream`, of gradients that were computed for `expected`.

    Where the two are equal the gradients are returned as they are. Otherwise they are scaled where
    they lie, unless the graph is retained: a further backward then needs them as they are.

    Args:
        upstream: of a loss, or one number per row of the gradients; None is no gradient at all.
        expected: as many numbers; None is 1.
        is_private: whether nobody else has the gradients.
    """
    if upstream is None:
        return [None] * len(gradients)
    factor = upstream if expected is None else _ratio(upstream, expected.reshape(upstream.shape))
    # A CPU kernel multiplies half precision by a 0-dim float32 as it is; a CUDA kernel would round
    # that to half precision first, but not a tensor with a dimension.
    if factor.dim() or not factor.is_cpu:
        factor = factor.unsqueeze(-1)
    if type(upstream) is not Tensor:  # traced: no value is known, and nothing may be overwritten
        return [(gradient * factor).to(gradient.dtype) for gradient in gradients]
    if not is_private or _is_retained():
        return [gradient.clone().mul_(factor) for gradient in gradients]
    if upstream.is_cpu and bool((factor == 1).all()):
        return gradients
    # Nobody else has this memory, so that the change need not be seen by the saved tensors.
    return [gradient.data.mul_(factor) for gradient in gradients]


def _ratio(upstream: Tensor, expected: Tensor) -> Tensor:
    ratio = torch.where(upstream == expected, 1, upstream / expected)
    if type(upstream) is Tensor and upstream.is_cpu and bool(ratio.isinf().any()):
        raise InvalidArgumentError(
            "grad_loss: expected a number other than 0 where backward brings a gradient"
        )
    return ratio


def _is_retained() -> bool:
    return torch._C._autograd._get_current_graph_task_keep_graph()


class _Undifferentiable(torch.autograd.Function):
    """Hands gradients on; their own gradient is an error, instead of a zero."""

    @staticmethod
    def forward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return tuple(None if x is None else x.view_as(x) for x in gradients)

    @staticmethod
    def backward(ctx: Any, *_: Tensor | None) -> None:
        raise RuntimeError("gradients of logratio's operations have no gradient of their own")


def differentiable_once(backward: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """A backward function whose results cannot be differentiated.

    torch's once_differentiable says so only where an upstream gradient requires one itself; these
    gradients are functions of the logits whatever the upstream is.
    """

    @wraps(backward)
    def wrapper(ctx: Any, *upstreams: Tensor | None) -> tuple[Any, ...]:
        with torch.no_grad():
            gradients = backward(ctx, *upstreams)
        if not torch.is_grad_enabled():
            return gradients
        return _Undifferentiable.apply(
            *(None if x is None else x.detach().requires_grad_() for x in gradients)
        )

    return wrapper
