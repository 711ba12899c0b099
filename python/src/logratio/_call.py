"""One call of a C function on the arrays of some framework."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from ._abi import Cuda, DLDataType, DLDevice, DLDeviceType, DLTensor
from ._library import check, library

#: Devices whose calls take a stream and a workspace: CUDA's, and the emulator of its kernels.
QUEUED = (DLDeviceType.kDLCUDA, DLDeviceType.kDLExtDev)


class Arrays(Protocol):
    """How the arrays of a framework, such as NumPy or torch, are seen by the C functions."""

    def tensor(self, name: str, array: Any) -> DLTensor:
        """A view of the array's memory; the caller keeps the array alive during the call.

        Raises ValueError, with `name` in its text, for an array that the C functions cannot take.
        """

    def stream(self, device: DLDevice) -> int | None:
        """The CUDA stream (cudaStream_t) that the framework queues its work on."""

    def workspace(self, device: DLDevice, size: int) -> tuple[Any, int]:
        """Device memory of the framework's allocator: its owner, and its address."""


def view(
    address: int,
    device: DLDevice,
    dtype: tuple[int, int],
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
) -> DLTensor:
    """A DLTensor that owns its shape.

    Args:
        dtype: DLPack's type code, and the bits of an element.
        strides: in elements; None is contiguous.
    """
    rank = len(shape)
    numbers = _numbers(rank)
    steps = None if strides is None else numbers(*strides)
    return DLTensor(address, device, rank, _data_type(*dtype), numbers(*shape), steps, 0)


@cache
def _numbers(rank: int) -> type[ctypes.Array[ctypes.c_int64]]:
    return ctypes.c_int64 * rank


@cache
def _data_type(code: int, bits: int) -> DLDataType:
    return DLDataType(code, bits, 1)


def call(
    function: str,
    args: ctypes.Structure,
    arrays: Arrays,
    tensors: Mapping[str, Any],
) -> None:
    """Fills the tensors' fields of the argument struct and runs the function.

    CUDA arrays run on the framework's current stream, with a workspace of its allocator.

    Args:
        function: a C function, such as ``lr_pair_loss``.
        args: its argument struct, with everything set that is no tensor.
        tensors: arrays by the names of the struct's fields; None is one that is absent.

    Raises:
        LogratioError: with the library's own sentence.
    """
    args.size = ctypes.sizeof(args)
    device = None
    for name, array in tensors.items():
        if array is None:
            continue
        tensor = arrays.tensor(name, array)
        setattr(args, name, ctypes.pointer(tensor))
        if tensor.device.device_type in QUEUED:
            device = tensor.device
    run = getattr(library(), function)
    if device is None:
        check(run(args))
        return
    cuda = Cuda(size=ctypes.sizeof(Cuda), stream=arrays.stream(device))
    args.cuda = ctypes.pointer(cuda)
    check(run(args))
    owner, cuda.workspace = arrays.workspace(device, cuda.workspace_bytes)
    check(run(args))
    del owner
