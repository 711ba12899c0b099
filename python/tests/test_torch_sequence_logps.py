"""sequence_logps beside sums that are written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch_oracle import close

from logratio.torch import sequence_logps


def case(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    logps = -torch.rand(4, 6, generator=generator).to(dtype)
    mask = torch.rand(4, 6, generator=generator) > 0.4
    mask[:, 1] = True
    return logps.requires_grad_(), mask


def weights(mask: torch.Tensor, tail_weight: float, keep_fraction: float = 1.0) -> torch.Tensor:
    """Weight of each token by its place in its completion."""
    places = mask.cumsum(-1)
    counts = mask.sum(-1).view(2, -1).min(dim=0).values.repeat(2)
    shared = torch.floor(keep_fraction * counts).clamp(min=1)
    tail = (places > shared.unsqueeze(-1)).double()
    return mask * (1 - tail * (1 - tail_weight))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize(
    "options", [{}, {"tail_weight": 0.3}, {"tail_weight": 0.0, "keep_fraction": 0.5}]
)
def test_values_and_gradients(
    dtype: torch.dtype, reduction: str, options: dict[str, float]
) -> None:
    logps, mask = case(dtype)
    weight = weights(mask, options.get("tail_weight", 1.0), options.get("keep_fraction", 1.0))
    result = sequence_logps(logps, mask, reduction=reduction, **options)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-6
    values = (weight * logps.detach().double()).sum(-1)
    divisor = weight.sum(-1).clamp(min=1) if reduction == "mean" else torch.ones(4).double()
    close(result.counts, weight.sum(-1), tolerance)
    close(result.logps, values / divisor, tolerance)
    upstream = torch.tensor([1.0, -2, 0.5, 3])
    result.logps.backward(upstream.to(result.logps.dtype))
    gradient = weight * (upstream.double() / divisor).unsqueeze(-1)
    close(logps.grad, gradient, 2**-8 if dtype == torch.bfloat16 else tolerance)
    assert not result.counts.requires_grad and logps.grad.dtype == dtype


def test_absolute_alignment() -> None:
    logps, mask = case(torch.float64)
    result = sequence_logps(logps, mask, align="absolute", tail_weight=0.0)
    shared = (mask[:2] & mask[2:]).repeat(2, 1)
    close(result.logps, (logps * shared).sum(-1), 1e-14)


def test_what_does_not_count_is_not_read() -> None:
    logps, mask = case(torch.float32)
    clean = sequence_logps(logps, mask).logps
    poisoned = torch.where(mask, logps.detach(), math.nan).requires_grad_()
    result = sequence_logps(poisoned, mask).logps
    assert torch.equal(result, clean)
    result.sum().backward()
    assert torch.equal(poisoned.grad, mask.float())


def test_packed() -> None:
    logps, mask = case(torch.float32)
    lengths = torch.tensor([6, 2, 4, 3])
    columns = torch.arange(6) < lengths.unsqueeze(-1)
    padded = sequence_logps(logps, mask & columns).logps
    packed = logps.detach()[columns].requires_grad_()
    ends = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    result = sequence_logps(packed, mask[columns], cu_seqlens=ends)
    assert torch.equal(result.logps, padded)
    result.logps.sum().backward()
    assert torch.equal(packed.grad, mask[columns].float())


def test_weights_and_empty_sequences() -> None:
    logps, _ = case(torch.float32)
    mask = torch.rand(4, 6, generator=torch.Generator().manual_seed(4))
    mask[2] = 0
    result = sequence_logps(logps, mask, reduction="mean")
    close(result.logps, (mask * logps).sum(-1) / mask.sum(-1).clamp(min=1))
    result.logps.sum().backward()
    assert result.logps[2] == 0 and not logps.grad[2].any()
