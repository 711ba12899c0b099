"""Upstream gradients: expected or not, of a graph that is retained or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch_oracle import close

from logratio.torch import (
    divergence,
    entropy_from_logits,
    preference_step,
    scoring_rule,
    selective_log_softmax,
    token_logprobs,
    unpaired_step,
)

LABELS = torch.randint(0, 40, (4, 3), generator=torch.Generator().manual_seed(7))
REFERENCE = torch.full((4,), -11.0)
CHOSEN = torch.tensor([True, False, True, False])


def preference(logits: torch.Tensor, **options: object) -> torch.Tensor:
    return preference_step(logits, LABELS, "sigmoid", reference_logps=REFERENCE, **options).loss


def unpaired(logits: torch.Tensor, **options: object) -> torch.Tensor:
    return unpaired_step(logits, LABELS, CHOSEN, "kto", reference_logps=REFERENCE, **options).loss


def apart(logits: torch.Tensor, **options: object) -> torch.Tensor:
    rows = logits.flatten(0, 1)
    return divergence(rows, rows.detach().flip(0), "js", **options).loss


def rule(logits: torch.Tensor, **options: object) -> torch.Tensor:
    return scoring_rule(logits, LABELS, "brier", **options).loss


STEPS = [preference, unpaired, apart, rule]
Step = Callable[..., torch.Tensor]


def leaf() -> torch.Tensor:
    generator = torch.Generator().manual_seed(8)
    return torch.randn(4, 3, 40, generator=generator).requires_grad_()


def gradient(step: Step, upstream: float = 1.0) -> torch.Tensor:
    logits = leaf()
    (step(logits) * upstream).backward()
    return logits.grad


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("expected", [None, 1, 0.25, -2.0, torch.tensor(3.0)])
@pytest.mark.parametrize("upstream", [1.0, 0.25, 0.0, -3.0])
def test_any_upstream_is_right(
    step: Step, inplace: bool, expected: float | torch.Tensor | None, upstream: float
) -> None:
    logits = leaf()
    loss = step(logits * 1, inplace=inplace, grad_loss=expected)
    close(loss, step(leaf()))
    (loss * upstream).backward()
    close(logits.grad, upstream * gradient(step), scale=gradient(step).abs().max().item())


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("inplace", [False, True])
def test_retained_graph(step: Step, inplace: bool) -> None:
    leaf_logits = leaf()
    logits = leaf_logits * 1
    loss = step(logits, inplace=inplace)
    expected = gradient(step)
    kept = []
    for upstream in (1.0, 0.0, 2.0, 1.0):
        (found,) = torch.autograd.grad(loss * upstream, logits, retain_graph=True)
        kept.append((upstream, found))
    (last,) = torch.autograd.grad(loss * 4, logits)
    for upstream, found in [*kept, (4.0, last)]:
        close(found, upstream * expected, scale=expected.abs().max().item())
    kept[0][1].zero_()  # memory of its own
    close(kept[3][1], expected)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.parametrize("step", STEPS)
def test_expected_upstream_needs_no_second_pass(step: Step) -> None:
    """The memory that the forward call wrote is what backward hands over, unchanged."""
    logits = leaf() * 1
    loss = step(logits, grad_loss=0.25, inplace=True)
    rows, first = (logits.flatten(0, 1), logits.data_ptr())
    before, version = rows.detach().clone(), logits._version
    (found,) = torch.autograd.grad(loss / 4, logits)
    assert found.data_ptr() == first and torch.equal(found.flatten(0, 1), before)
    assert logits._version == version


@pytest.mark.parametrize("step", STEPS)
def test_leaf_takes_the_gradient_without_a_copy(step: Step) -> None:
    """Backward lets go of the gradient, so that a leaf's grad is that memory."""
    logits = leaf()
    loss = step(logits)
    node = loss.grad_fn
    saved = next(x for x in node.saved_tensors if x is not None and x.numel() == logits.numel())
    address = saved.data_ptr()
    del node, saved
    loss.backward()
    assert step is apart or logits.grad.data_ptr() == address


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("inplace", [False, True])
def test_accumulation(step: Step, inplace: bool) -> None:
    logits = leaf()
    for _ in range(3):
        (step(logits * 1, grad_loss=1 / 3, inplace=inplace) / 3).backward()
    close(logits.grad, gradient(step))


def test_zero_is_no_expected_upstream() -> None:
    with pytest.raises(ValueError, match="^grad_loss: expected a number other than 0"):
        preference(leaf(), grad_loss=0.0)
    loss = preference(leaf(), grad_loss=torch.tensor(0.0))
    with pytest.raises(ValueError, match="^grad_loss: expected a number other than 0"):
        loss.backward()


def test_gradient_of_a_gradient_is_an_error() -> None:
    functions: list[Callable[[torch.Tensor], torch.Tensor]] = [
        *STEPS,
        lambda x: token_logprobs(x, LABELS).sum(),
        lambda x: selective_log_softmax(x, LABELS).sum(),
        lambda x: entropy_from_logits(x).sum(),
        lambda x: token_logprobs(x * 1, LABELS, inplace=True).sum(),
        lambda x: preference(x * 1, inplace=True),
    ]
    for function in functions:
        logits = leaf()
        (first,) = torch.autograd.grad(function(logits), logits, create_graph=True)
        with pytest.raises(RuntimeError, match="have no gradient of their own"):
            first.square().sum().backward()


def test_tokens_with_a_retained_graph() -> None:
    logits = leaf()
    logp = token_logprobs(logits, LABELS)
    first = torch.autograd.grad(logp.sum(), logits, retain_graph=True)[0]
    second = torch.autograd.grad((3 * logp).sum(), logits)[0]
    close(second, 3 * first)
