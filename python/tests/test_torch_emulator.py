"""The way of CUDA tensors, with a workspace and metrics in device memory, on the emulator.

The emulator runs the CUDA kernels on the host, over host memory: tensors on the CPU are declared to
be on its device. It is found by ``LOGRATIO_EMULATOR``, the path of its library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from test_torch_upstream import LABELS, STEPS, Step, leaf
from torch_oracle import close, double, entropies, token_logps

from logratio._abi import DLDevice, DLDeviceType
from logratio.torch import (
    _arrays,
    entropy_from_logits,
    linear_preference_step,
    linear_token_logprobs,
    linear_unpaired_step,
    pair_loss,
    selective_log_softmax,
)

pytestmark = pytest.mark.skipif(
    "LOGRATIO_EMULATOR" not in os.environ, reason="LOGRATIO_EMULATOR names no emulator"
)

ALIGNMENT = 256


class EmulatedArrays(_arrays.TorchArrays):
    """Host memory as the memory of the emulator's device."""

    workspaces = 0

    def stream(self, device: DLDevice) -> int | None:
        return None

    def workspace(self, device: DLDevice, size: int) -> tuple[torch.Tensor, int]:
        self.workspaces += 1
        owner = torch.empty(size + ALIGNMENT, dtype=torch.uint8)
        return owner, -(-owner.data_ptr() // ALIGNMENT) * ALIGNMENT


@contextmanager
def emulator() -> Iterator[None]:
    """Declares CPU tensors to be on the emulator's device."""
    arrays = EmulatedArrays()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_arrays, "ARRAYS", arrays)
        patch.setitem(_arrays.DEVICES, "cpu", DLDeviceType.kDLExtDev)
        _arrays._device.cache_clear()
        yield
    _arrays._device.cache_clear()
    assert arrays.workspaces > 0


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("inplace", [False, True])
def test_steps(step: Step, inplace: bool) -> None:
    on_cpu = leaf()
    expected = step(on_cpu)
    expected.backward()
    with emulator():
        logits = leaf()
        loss = step(logits * 1, inplace=inplace)
        loss.backward()
    close(loss, expected)
    close(logits.grad, on_cpu.grad, 5e-6)


def test_tokens() -> None:
    logits = leaf()
    oracle = double(logits)
    values = token_logps(oracle, LABELS).sum() + entropies(oracle).sum()
    with emulator():
        ours = selective_log_softmax(logits, LABELS).sum() + entropy_from_logits(logits).sum()
        ours.backward()
    close(ours, values)
    values.backward()
    close(logits.grad, oracle.grad, 5e-6)


def test_pairs() -> None:
    chosen = torch.tensor([-3.0, -4.0], requires_grad=True)
    beta = torch.tensor(0.3, requires_grad=True)
    options = {"beta": beta}
    with emulator():
        loss = pair_loss(
            chosen, chosen.detach() - 1, ("sigmoid", options), reference_free=True
        ).loss
        loss.sum().backward()
    close(loss, -torch.nn.functional.logsigmoid(torch.tensor([0.3, 0.3])))
    close(chosen.grad, torch.full((2,), -0.3 * torch.sigmoid(torch.tensor(-0.3)).item()))
    close(beta.grad, -2 * torch.sigmoid(torch.tensor(-0.3)))


def head(is_trained: bool) -> list[torch.Tensor]:
    """Hidden states, weight and bias of a head of 40 columns."""
    generator = torch.Generator().manual_seed(9)
    shapes = ((4, 3, 16), (40, 16), (40,))
    tensors = [torch.randn(*shape, generator=generator) for shape in shapes]
    return [x.requires_grad_(is_trained or i == 0) for i, x in enumerate(tensors)]


def linear_pairs(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    reference = {"reference_hidden": hidden.detach() / 2, "reference_weight": weight.detach()}
    step = linear_preference_step(hidden, weight, LABELS, "sigmoid", bias=bias, **reference)
    return step.loss


def linear_examples(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    chosen = torch.tensor([True, False, True, False])
    reference = torch.full((4,), -11.0)
    return linear_unpaired_step(
        hidden, weight, LABELS, chosen, "kto", bias=bias, reference_logps=reference
    ).loss


def linear_tokens(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return linear_token_logprobs(hidden, weight, LABELS, bias=bias).square().sum()


@pytest.mark.parametrize("function", [linear_pairs, linear_examples, linear_tokens])
@pytest.mark.parametrize("is_trained", [False, True])
def test_linear_operations(function: Callable[..., torch.Tensor], is_trained: bool) -> None:
    on_cpu = head(is_trained)
    expected = function(*on_cpu)
    expected.backward()
    with emulator():
        tensors = head(is_trained)
        loss = function(*tensors)
        loss.backward()
    close(loss, expected)
    for tensor, other in zip(tensors, on_cpu):
        assert tensor.requires_grad == (tensor.grad is not None)
        if tensor.grad is not None:
            close(tensor.grad, other.grad, 5e-6)
