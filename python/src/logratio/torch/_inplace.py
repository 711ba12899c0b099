"""Gradients written over logits: what may be overwritten, and what has been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from .._errors import InvalidArgumentError


@dataclass
class _Written:
    """What was overwritten in a storage that may still be alive."""

    storage: StorageWeakRef
    #: Version of its tensors after the last write.
    version: int
    #: First and last address of each overwritten tensor.
    ranges: list[tuple[int, int]] = field(default_factory=list)


#: By the storage's identity, which nobody else has as long as there is a weak reference to it.
_written: dict[int, _Written] = {}


def untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that torch.compile calls as it is, with a break in the graph."""
    reason = "inplace=True writes over the logits: it is not for torch.compile's fullgraph"
    return torch.compiler.disable(function, reason=reason)


def check_writable(name: str, tensor: Tensor) -> None:
    """Raises InvalidArgumentError for a tensor that autograd lets nobody overwrite."""
    base = tensor if tensor._base is None else tensor._base
    if base.is_leaf and base.requires_grad:
        raise InvalidArgumentError(
            f"{name}: expected the result of an operation where inplace=True, got a leaf that "
            "requires a gradient, which would be overwritten"
        )


def check_fresh(name: str, tensor: Tensor) -> None:
    """Raises InvalidArgumentError for a tensor that a gradient was written over."""
    if torch.compiler.is_compiling() or not _written or type(tensor) is not Tensor:
        return
    if tensor.layout != torch.strided:
        return
    entry = _entry(tensor)
    if entry is None:
        return
    first, last = _range(tensor)
    if any(first <= end and start <= last for start, end in entry.ranges):
        raise InvalidArgumentError(
            f"{name}: expected values, got memory that inplace=True has written a gradient over"
        )


def overwritten(tensor: Tensor) -> Tensor:
    """Tells autograd and later calls that a tensor was overwritten; returns it, detached."""
    for key, old in list(_written.items()):
        if old.storage.expired():
            _written.pop(key, None)
    entry = _entry(tensor)
    if entry is None:
        storage = tensor.untyped_storage()
        entry = _written[storage._cdata] = _Written(StorageWeakRef(storage), 0)
    entry.ranges.append(_range(tensor))
    torch.autograd.graph.increment_version(tensor)
    entry.version = tensor._version
    return tensor.detach()


def _entry(tensor: Tensor) -> _Written | None:
    entry = _written.get(tensor.untyped_storage()._cdata)
    if entry is None or entry.storage.expired() or entry.version != tensor._version:
        return None
    return entry


def _range(tensor: Tensor) -> tuple[int, int]:
    start = tensor.data_ptr()
    steps = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride()))
    return start, start + max(steps, 0) * tensor.element_size()
