"""Gradients that were computed forward, for the upstream that backward brings."""

from __future__ import annotations

import torch
from torch import Tensor

from .._errors import InvalidArgumentError


def expected_upstream(grad_loss: float | Tensor | None, like: Tensor) -> Tensor | None:
    """The upstream gradient that a forward call computes for: [1], or None for 1."""
    if grad_loss is None or isinstance(grad_loss, (int, float)) and grad_loss == 1:
        return None
    if isinstance(grad_loss, Tensor):
        return grad_loss.detach().reshape(-1)
    if grad_loss == 0:
        raise InvalidArgumentError("grad_loss: expected a number other than 0")
    return torch.full((1,), grad_loss, dtype=torch.float32, device=like.device)


def at_upstream(
    gradients: list[Tensor | None], upstream: Tensor | None, expected: Tensor | None
) -> list[Tensor | None]:
    """Gradients for `upstream`, of gradients that were computed for `expected`.

    Where the two are equal the gradients are returned as they are. Otherwise they are scaled where
    they lie, unless the graph is retained: a further backward then needs them as they are.
    """
    if upstream is None:
        return [None] * len(gradients)
    factor = upstream.reshape(()) if expected is None else upstream.reshape(()) / expected.view(())
    if type(upstream) is not Tensor:  # traced: nothing is known, and nothing may be overwritten
        return [None if gradient is None else gradient * factor for gradient in gradients]
    if _is_retained():
        return [None if gradient is None else gradient * factor for gradient in gradients]
    if upstream.is_cpu and factor == 1:
        return gradients
    for gradient in gradients:
        if gradient is not None:
            # Nobody else has this memory, so the change need not be seen by the saved tensor.
            gradient.data.mul_(factor)
    return gradients


def _is_retained() -> bool:
    return torch._C._autograd._get_current_graph_task_keep_graph()
