"""What the fused linear operations have in common: the head, its gradients, and the plan.

The gradients that are computed are those of hidden, weight and bias that require one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .. import _abi
from .._errors import InvalidArgumentError
from .._options import FROZEN, choice, linear_options, positive
from .._plan import PLAN_FIGURES
from ._operator import Inputs

#: Inputs whose gradient autograd may want.
HEAD = ("hidden", "weight", "bias")

#: Arguments of an operator, before and behind those of its unfused twin.
HEAD_ARGUMENTS = "Tensor hidden, Tensor weight, Tensor? bias"
LINEAR_ARGUMENTS = "int budget_bytes, str frozen"


#: What each value of ``frozen`` says to have no gradient.
_WITHOUT = {"none": (), "weight": ("weight", "bias"), "hidden": ("hidden",)}


def trained(inputs: Inputs) -> list[str]:
    """Names of what logits are made of whose gradient autograd will want."""
    tensors = head(inputs).items()
    return [
        name
        for name, tensor in tensors
        if tensor is not None and tensor.requires_grad and torch.is_grad_enabled()
    ]


def linear_inputs(budget_bytes: int | None, frozen: str, tensors: Inputs) -> Inputs:
    """The operators' inputs of the same names.

    Raises InvalidArgumentError for what is frozen and requires a gradient.
    """
    choice("frozen", frozen, FROZEN)
    for name in trained(tensors):
        if name in _WITHOUT[frozen]:
            raise InvalidArgumentError(
                f"frozen: expected a {name} that requires no gradient where it is {frozen!r}"
            )
    return {"budget_bytes": positive("budget_bytes", budget_bytes), "frozen": frozen}


def linear_fields(inputs: Inputs, plan: _abi.LinearPlan) -> dict[str, Any]:
    """Fields of a fused linear operation that are no tensors."""
    return {"linear_options": linear_options(inputs), "plan": ctypes.pointer(plan)}


def head(inputs: Inputs) -> dict[str, Tensor | None]:
    """The tensors that logits are made of."""
    return {name: inputs[name] for name in HEAD}


def plan_memory() -> Tensor:
    """Memory for a plan's numbers, which are known on the host whatever runs the operation."""
    return torch.empty(len(PLAN_FIGURES), dtype=torch.float64, device="cpu")


def write_plan(plan: _abi.LinearPlan, memory: Tensor) -> None:
    """Writes a plan's numbers."""
    figures = [getattr(plan, name) for name in PLAN_FIGURES]
    memory.copy_(torch.tensor(figures, dtype=memory.dtype, device="cpu"))


def named_plan(memory: Tensor) -> Mapping[str, Tensor]:
    """A plan's numbers by name, each a 0-dim float64 tensor on the CPU."""
    return dict(zip(PLAN_FIGURES, memory.unbind()))
