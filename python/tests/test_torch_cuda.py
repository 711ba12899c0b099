"""CUDA tensors beside CPU ones, on a stream of their own; needs a GPU and the CUDA library."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch_oracle import ROUNDING, close

import logratio
from logratio.torch import (
    divergence,
    entropy_from_logits,
    pair_loss,
    preference_step,
    scoring_rule,
    selective_log_softmax,
    sequence_logps,
    unpaired_step,
)

CUDA = logratio.info().backends[1]
pytestmark = pytest.mark.skipif(
    not (torch.cuda.is_available() and CUDA.available), reason=f"no CUDA: {CUDA.detail}"
)

LABELS = torch.randint(0, 5000, (4, 6), generator=torch.Generator().manual_seed(1))
CHOSEN = torch.tensor([True, False, True, False])
REFERENCE = torch.tensor([-51.0, -53, -50, -52])


def like(tensor: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return tensor.to(x.device)


def pairs(x: torch.Tensor) -> torch.Tensor:
    logps = selective_log_softmax(x, like(LABELS, x))
    mask = torch.ones_like(logps, dtype=torch.bool)
    chosen, rejected = sequence_logps(logps, mask, tail_weight=0.5).logps.chunk(2)
    beta = torch.tensor([0.2], device=x.device)
    return pair_loss(chosen, rejected, ("sigmoid", {"beta": beta}), reference_free=True).loss.mean()


#: Losses of logits [4,6,5000], in place or not.
FUNCTIONS: dict[str, Callable[[torch.Tensor, bool], torch.Tensor]] = {
    "preference_step": lambda x, inplace: (
        preference_step(
            x, like(LABELS, x), "sigmoid", reference_logps=like(REFERENCE, x), inplace=inplace
        ).loss
    ),
    "unpaired_step": lambda x, inplace: (
        unpaired_step(
            x,
            like(LABELS, x),
            like(CHOSEN, x),
            "kto",
            reference_logps=like(REFERENCE, x),
            inplace=inplace,
        ).loss
    ),
    "divergence": lambda x, inplace: (
        divergence(x[0], x[1].detach().clone(), "js", inplace=inplace).loss
    ),
    "scoring_rule": lambda x, inplace: (
        scoring_rule(x, like(LABELS, x), "brier", inplace=inplace).loss
    ),
    "entropy": lambda x, _: entropy_from_logits(x).square().mean(),
    "pairs": lambda x, _: pairs(x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("upstream", [1.0, 1 / 3])
def test_as_on_the_cpu(name: str, dtype: torch.dtype, inplace: bool, upstream: float) -> None:
    generator = torch.Generator().manual_seed(2)
    values = torch.randn(4, 6, 5000, generator=generator).to(dtype)
    found = {}
    for device in ("cpu", "cuda"):
        logits = values.to(device).requires_grad_()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            loss = FUNCTIONS[name](logits * 1, inplace)
            (loss * upstream).backward()
        torch.cuda.synchronize()
        found[device] = loss.detach().cpu(), logits.grad.cpu()
    close(found["cuda"][0], found["cpu"][0], 1e-5)
    # Two roundings on either side: of the gradient, and of its product with the upstream.
    close(found["cuda"][1], found["cpu"][1], 4 * ROUNDING[dtype])


def test_nothing_waits_for_the_device() -> None:
    logits = torch.randn(4, 6, 5000, device="cuda", requires_grad=True)
    labels, reference = LABELS.cuda(), REFERENCE.cuda()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step = preference_step(logits * 1, labels, "sigmoid", reference_logps=reference)
        (step.loss / 3).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert logits.grad.isfinite().all()


def test_two_devices() -> None:
    with pytest.raises(ValueError, match="labels: expected a tensor on cuda:0, got one on cpu"):
        selective_log_softmax(torch.zeros(4, 6, 9, device="cuda"), LABELS % 9)
