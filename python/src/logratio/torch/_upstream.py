"""Gradients that were computed forward, for the upstream that backward brings."""

from __future__ import annotations

import torch
from torch import Tensor

from .._errors import InvalidArgumentError


def expected_upstream(grad_loss: float | Tensor | None, like: Tensor) -> Tensor | None:
    """The upstream gradient of a loss that a forward call computes for: [1], or None for 1."""
    if isinstance(grad_loss, Tensor):
        return grad_loss.detach().reshape(-1)
    if grad_loss is None or grad_loss == 1:
        return None
    if grad_loss == 0:
        raise InvalidArgumentError("grad_loss: expected a number other than 0")
    return torch.full((1,), grad_loss, dtype=torch.float32, device=like.device)


def at_upstream(
    gradients: list[Tensor], upstream: Tensor | None, expected: Tensor | None
) -> list[Tensor | None]:
    """Gradients for `upstream`, of gradients that were computed for `expected`.

    Where the two are equal the gradients are returned as they are. Otherwise they are scaled where
    they lie, unless the graph is retained: a further backward then needs them as they are.

    Args:
        upstream: of a loss, or one number per row of the gradients; None is no gradient at all.
        expected: as many numbers; None is 1.
    """
    if upstream is None:
        return [None] * len(gradients)
    factor = upstream if expected is None else _ratio(upstream, expected.reshape(upstream.shape))
    if factor.dim():
        factor = factor.unsqueeze(-1)
    if type(upstream) is not Tensor:  # traced: no value is known, and nothing may be overwritten
        return [(gradient * factor).to(gradient.dtype) for gradient in gradients]
    if _is_retained():
        return [gradient.clone().mul_(factor) for gradient in gradients]
    if upstream.is_cpu and bool((factor == 1).all()):
        return gradients
    # Nobody else has this memory, so the change need not be seen by the saved tensors.
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
