"""Torch tensors as the C functions see them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cache

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
            _device(array.device),
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


@cache
def _device(device: torch.device) -> DLDevice:
    return DLDevice(DEVICES[device.type], device.index or 0)


ARRAYS = TorchArrays()


def run(function: str, args: ctypes.Structure, tensors: Mapping[str, Tensor | None]) -> None:
    """Runs a C function on tensors of one device, by the names of its struct's fields.

    None is an absent one. Raises InvalidArgumentError for what the library finds wrong.
    """
    device = next(tensor.device for tensor in tensors.values() if tensor is not None)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
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
    """Checks tensors of a call, the first of which has to be there; None is an absent one.

    Raises InvalidArgumentError for what is no tensor, and for tensors on two devices: of those one
    might be a meta tensor, which would make a fake of the call.
    """
    device = None
    for name, tensor in tensors.items():
        if tensor is None and device is not None:
            continue
        if not isinstance(tensor, Tensor):
            raise InvalidArgumentError(f"{name}: expected a tensor, got {type(tensor).__name__}")
        device = tensor.device if device is None else device
        if tensor.device != device:
            raise InvalidArgumentError(
                f"{name}: expected a tensor on {device}, got one on {tensor.device}"
            )


def length(name: str, tensor: Tensor) -> int:
    """The first dimension of a tensor; raises InvalidArgumentError for a scalar."""
    if tensor.dim() == 0:
        raise InvalidArgumentError(f"{name}: expected a tensor with a dimension, got a scalar")
    return tensor.shape[0]


def sequence_count(name: str, tensor: Tensor, cu_seqlens: Tensor | None) -> int:
    """How many sequences there are: as many as the tensor has rows, or cu_seqlens ends."""
    if cu_seqlens is None:
        return length(name, tensor)
    return max(0, length("cu_seqlens", cu_seqlens) - 1)
