"""The reference's log-probabilities of answers, by the kernel that computes the policy's."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .._abi import (
    LinearPreferenceStepArgs,
    PreferenceStepArgs,
    SequenceOptions,
    TokenOptions,
)
from .._losses import parse
from ..torch._arrays import new, run
from ..torch._losses import metrics_memory


def answer_logps(
    logits: Tensor, labels: Tensor, mask: Tensor, tail_weight: float, ignore_index: int
) -> Tensor:
    """Log-probabilities of answers, as ``preference_step`` computes them, but in float64.

    They are to the bit what ``preference_step`` uses of the same logits as the policy's, before it
    rounds them: while policy and reference are one, all rewards are 0. Float32 would have steps of
    2e-4 at a long answer's -3000.

    Args:
        logits: [2P,T,V], float32, bfloat16 or float16.
        labels: [2P,T], int64 or int32.
        mask: [2P,T], the tokens that count.
        tail_weight: of the tokens past a pair's shared length.
        ignore_index: the label of tokens that do not count.

    Returns:
        [2P], without a gradient.
    """
    args = PreferenceStepArgs(token_options=TokenOptions(ignore_index, 1))
    tensors = {"logits": logits, "labels": labels, "mask": mask}
    return _logps("lr_preference_step", args, tensors, tail_weight)


def linear_answer_logps(
    head: dict[str, Tensor | None],
    labels: Tensor,
    mask: Tensor,
    tail_weight: float,
    ignore_index: int,
    softcap: float,
) -> Tensor:
    """The same of ``linear_preference_step``.

    Args:
        head: hidden [2P,T,H], weight [V,H] and bias [V] or None.
        softcap: of the logits; 0 is none.
    """
    args = LinearPreferenceStepArgs(token_options=TokenOptions(ignore_index, 1, softcap))
    tensors = head | {"labels": labels, "mask": mask}
    return _logps("lr_linear_preference_step", args, tensors, tail_weight)


def _logps(
    function: str, args: ctypes.Structure, tensors: Mapping[str, Tensor | None], tail_weight: float
) -> Tensor:
    labels: Any = tensors["labels"]
    logps = new(labels, labels.shape[:1], torch.float64)
    # Nobody asks for the metrics, but with them the kernel goes the way that the policy's goes.
    memory, args.metrics = metrics_memory(labels)
    # Any loss would do: its value is not asked for.
    args.loss_options = parse("sigmoid").options
    args.sequence_options = SequenceOptions(tail_weight=tail_weight, keep_fraction=1)
    run(function, args, {**tensors, "logps": logps})
    del memory
    return logps
