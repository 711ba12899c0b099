"""What the fused linear operations have in common: the head, its gradients, and the plan."""

from __future__ import annotations

import ctypes
from typing import Any

from .. import _abi
from .._options import FROZEN, choice, linear_options, positive
from ._arrays import Array, gradient_of

#: What each value of ``frozen`` leaves without a gradient.
_WITHOUT = {"none": (), "weight": ("weight", "bias"), "hidden": ("hidden",)}


def head_gradients(head: dict[str, Array | None], frozen: str, grad: bool) -> dict[str, Any]:
    """Memory for the gradients of hidden, weight and bias; None for one that is not wanted."""
    choice("frozen", frozen, FROZEN)
    wanted = {
        name: array if grad and name not in _WITHOUT[frozen] else None
        for name, array in head.items()
    }
    return {f"grad_{name}": None if x is None else gradient_of(x) for name, x in wanted.items()}


def linear_fields(budget_bytes: int | None, frozen: str, plan: _abi.LinearPlan) -> dict[str, Any]:
    """Fields of a fused linear operation that are no tensors."""
    budget = positive("budget_bytes", budget_bytes)
    return {
        "linear_options": linear_options({"budget_bytes": budget, "frozen": frozen}),
        "plan": ctypes.pointer(plan),
    }
