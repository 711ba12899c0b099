"""inplace=True: what it overwrites, and what it refuses."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from test_torch_upstream import LABELS, STEPS, Step, leaf, preference
from torch_oracle import close

from logratio.torch import _inplace, preference_step, token_logprobs


@pytest.mark.parametrize("step", STEPS)
def test_the_gradient_lies_over_the_logits(step: Step) -> None:
    source, other = leaf(), leaf()
    step(other).backward()
    logits = source * 1
    address = logits.data_ptr()
    loss = step(logits, inplace=True)
    (found,) = torch.autograd.grad(loss, logits)
    assert found.data_ptr() == address
    close(logits, other.grad)
    assert torch.equal(found, other.grad)


def test_tokens_are_overwritten_backward() -> None:
    source, other = leaf(), leaf()
    token_logprobs(other, LABELS).sum().backward()
    logits = source * 1
    before = logits.detach().clone()
    logp = token_logprobs(logits, LABELS, inplace=True)
    assert torch.equal(logits, before)
    (found,) = torch.autograd.grad(logp.sum(), logits)
    assert found.data_ptr() == logits.data_ptr()
    assert torch.equal(found, other.grad)


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_written_where_no_gradient_is_wanted(step: Step) -> None:
    logits = leaf()
    before = logits.detach().clone()
    with torch.no_grad():
        step(logits, inplace=True)
    step(logits.detach(), inplace=True)
    assert torch.equal(logits, before)


@pytest.mark.parametrize("step", STEPS)
def test_leaves_are_refused(step: Step) -> None:
    logits = leaf()
    before = logits.detach().clone()
    with pytest.raises(ValueError, match="logits: expected the result of an operation"):
        preference(logits, inplace=True)
    with pytest.raises(ValueError, match="logits: expected the result of an operation"):
        preference_step(logits[:, :-1], LABELS[:, :-1], "simpo", inplace=True)
    with pytest.raises(ValueError, match="logits: expected the result of an operation"):
        token_logprobs(logits, LABELS, inplace=True)
    assert torch.equal(logits, before)


def test_a_second_use_is_refused() -> None:
    logits = leaf() * 1
    preference(logits, inplace=True)
    uses: list[Callable[[torch.Tensor], object]] = [
        lambda x: preference(x, inplace=True),
        preference,
        lambda x: token_logprobs(x, LABELS),
        lambda x: preference_step(x[:2], LABELS[:2], "simpo"),
    ]
    for use in uses:
        with pytest.raises(ValueError, match=r"^logits: expected values, got memory"):
            use(logits)
    with pytest.raises(ValueError, match=r"^logits: expected values, got memory"):
        preference(logits.detach())


def test_new_values_are_accepted() -> None:
    logits = leaf() * 1
    preference(logits, inplace=True)
    with torch.no_grad():
        logits.copy_(leaf())
    close(preference(logits), preference(leaf()))


def test_halves_of_one_memory() -> None:
    """Micro-batches that are slices of one tensor, each overwritten once, one after the other."""
    source, other = leaf(), leaf()
    whole = source * 1
    halves = whole[:2], whole[2:]
    for half, labels in zip(halves, LABELS.chunk(2)):
        preference_step(half, labels, "simpo", inplace=True).loss.backward(retain_graph=True)
    for half, labels in zip(other.chunk(2), LABELS.chunk(2)):
        preference_step(half, labels, "simpo").loss.backward()
    close(source.grad, other.grad)
    for half in halves:
        with pytest.raises(ValueError, match=r"^logits: expected values, got memory"):
            preference_step(half, LABELS[:2], "simpo", inplace=True)


def test_memory_that_is_used_again_is_not_refused() -> None:
    """The allocator gives the same address to the next tensor, which is another's memory."""
    addresses = set()
    for _ in range(50):
        logits = leaf() * 1
        addresses.add(logits.data_ptr())
        preference(logits, inplace=True)
        del logits
    assert len(addresses) < 50
    gc.collect()
    preference(leaf() * 1, inplace=True)
    assert len(_inplace._written) <= 3


def test_an_operation_that_saved_the_logits_raises_autograds_error() -> None:
    for step in STEPS:
        logits = leaf() * 1
        saved = logits.square().sum()
        loss = step(logits, inplace=True)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            (saved + loss).backward()


def test_values_that_change_before_backward_raise_autograds_error() -> None:
    logits = leaf() * 1
    loss = preference(logits, inplace=True)
    with torch.no_grad():
        logits.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_tokens_twice_raise_autograds_error() -> None:
    logits = leaf() * 1
    logp = token_logprobs(logits, LABELS, inplace=True)
    logp.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logp.sum().backward()


def test_sides_that_share_memory_are_refused() -> None:
    from logratio.torch import divergence

    rows = leaf().flatten(0, 1) * 1
    before = rows.detach().clone()
    with pytest.raises(ValueError, match="overlap"):
        divergence(rows, rows, "js", inplace=True)
    assert torch.equal(rows, before)
    assert divergence(rows, rows, "js").loss.item() == 0


@pytest.mark.parametrize(
    "function", [preference, lambda x, inplace: token_logprobs(x, LABELS, inplace=inplace).sum()]
)
def test_torch_compile_breaks_the_graph(function: Callable[..., torch.Tensor]) -> None:
    def run(x: torch.Tensor) -> torch.Tensor:
        return function(x * 1, inplace=True) * 2

    logits, other = leaf(), leaf()
    torch.compile(run, backend="aot_eager")(logits).backward()
    run(other).backward()
    close(logits.grad, other.grad)
    torch.compiler.reset()
    with pytest.raises(Exception, match="inplace=True writes over the logits"):
        torch.compile(run, backend="aot_eager", fullgraph=True)(leaf())


def test_reentrant_checkpoint() -> None:
    """A step that runs without a gradient first, and again backward."""
    for use_reentrant in (True, False):
        logits = leaf()
        loss = torch.utils.checkpoint.checkpoint(
            lambda x: preference(x * 1, inplace=True), logits, use_reentrant=use_reentrant
        )
        loss.backward()
        other = leaf()
        preference(other).backward()
        close(logits.grad, other.grad)
