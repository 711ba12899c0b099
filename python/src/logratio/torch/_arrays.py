"""Torch tensors as the C functions see them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from .._abi import DLDataTypeCode, DLDevice, DLDeviceType, DLTensor
from .._call import call, view
from .._errors import InvalidArgumentError

#: DLPack's type code and the bits of the dtypes that the C functions may take.
DTYPES = {
    torch.float64: (DLDataTypeCode.kDLFloat, 64),
    torch.float32: (DLDataTypeCode.kDLFloat, 32),
    torch.float16: (DLDataTypeCode.kDLFloat, 16),
    torch.bfloat16: (DLDataTypeCode.kDLBfloat, 16),
    torch.int64: (DLDataTypeCode.kDLInt, 64),
    torch.int32: (DLDataTypeCode.kDLInt, 32),
    torch.uint8: (DLDataTypeCode.kDLUInt, 8),
    torch.bool: (DLDataTypeCode.kDLBool, 8),
}

DEVICES = {"cpu": DLDeviceType.kDLCPU, "cuda": DLDeviceType.kDLCUDA}


class TorchArrays:
    """Tensors by their address and strides; the current stream, and torch's allocator."""

    def tensor(self, name: str, array: Tensor) -> DLTensor:
        if array.layout != torch.strided:
            raise InvalidArgumentError(f"{name}: expected a strided tensor, got {array.layout}")
        if array.device.type not in DEVICES:
            raise InvalidArgumentError(
                f"{name}: expected a tensor on the CPU or a CUDA device, got {array.device}"
            )
        if array.dtype not in DTYPES:
            raise InvalidArgumentError(
                f"{name}: expected a float, an integer or a mask, got {array.dtype}"
            )
        if array.is_conj() or array.is_neg():
            raise InvalidArgumentError(f"{name}: expected a tensor without a pending negation")
        return view(
            array.data_ptr(),
            DLDevice(DEVICES[array.device.type], array.device.index or 0),
            DTYPES[array.dtype],
            tuple(array.shape),
            array.stride(),
        )

    def stream(self, device: DLDevice) -> int | None:
        return torch.cuda.current_stream(device.device_id).cuda_stream

    def workspace(self, device: DLDevice, size: int) -> tuple[Tensor, int]:
        # The allocator gives the memory again only to later work of the current stream.
        owner = torch.empty(size, dtype=torch.uint8, device=f"cuda:{device.device_id}")
        return owner, owner.data_ptr()


ARRAYS = TorchArrays()


def run(function: str, args: ctypes.Structure, tensors: Mapping[str, Tensor | None]) -> None:
    """Runs a C function on tensors, by the names of its struct's fields; None is absent.

    Raises InvalidArgumentError for tensors on two devices, and what the library finds wrong.
    """
    device = None
    for name, tensor in tensors.items():
        if tensor is None:
            continue
        device = device or tensor.device
        if tensor.device != device:
            raise InvalidArgumentError(
                f"{name}: expected a tensor on {device}, got one on {tensor.device}"
            )
    is_cuda = device is not None and device.type == "cuda"
    with torch.cuda.device(device) if is_cuda else nullcontext():
        call(function, args, ARRAYS, tensors)


def new(like: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Contiguous memory on the device of another tensor."""
    return like.new_empty(shape, dtype=dtype)


def absent(like: Tensor) -> Tensor:
    """The empty tensor that an operator returns for an output that is not wanted."""
    return new(like, (0,))


def new_gradient(of: Tensor | None, like: Tensor) -> Tensor:
    """Memory for the gradient of a tensor, of its dtype; empty where there is no such tensor."""
    return absent(like) if of is None else new(of, of.shape, of.dtype)


def figures_dtype(of: Tensor) -> torch.dtype:
    """What the figures of log-probabilities are in: float32, or float64 where those are."""
    return torch.float64 if of.dtype == torch.float64 else torch.float32


def check_tensors(**tensors: object) -> None:
    """Raises InvalidArgumentError for an argument that is neither a tensor nor None."""
    for name, tensor in tensors.items():
        if tensor is not None and not isinstance(tensor, Tensor):
            raise InvalidArgumentError(f"{name}: expected a tensor, got {type(tensor).__name__}")
