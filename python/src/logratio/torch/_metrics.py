"""Figures of a step: the C struct in memory of the tensors' device, and what is made of it."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from .._abi import StepMetrics
from .._options import STEP_METRICS
from ._arrays import output


def metrics_memory(like: Tensor) -> tuple[Tensor, ctypes._Pointer]:
    """Memory for lr_step_metrics, where the C functions write it, and its address."""
    memory = output(like, (len(STEP_METRICS),), torch.float64)
    return memory, ctypes.cast(memory.data_ptr(), ctypes.POINTER(StepMetrics))


def rounded(memory: Tensor) -> Tensor:
    """All figures in float32, in the struct's order; its last one is an integer."""
    figures = memory.float()
    figures[-1] = memory[-1:].view(torch.int64)[0]
    return figures


def named(figures: Tensor, without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Figures by name, each a 0-dim tensor, without the loss."""
    names = dict(zip(STEP_METRICS, figures.unbind()))
    return {name: x for name, x in names.items() if name != "loss" and name not in without}
