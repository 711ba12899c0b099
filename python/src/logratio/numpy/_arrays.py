"""NumPy arrays as the C functions see them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._abi import DLDataTypeCode, DLDevice, DLDeviceType, DLTensor, StepMetrics
from .._call import call, view
from .._errors import InvalidArgumentError
from .._options import STEP_METRICS

Array = NDArray[Any]

#: DLPack's type code and the bits of the dtypes that the C functions may take, by their names:
#: bfloat16 is a dtype of packages such as ml_dtypes.
_DTYPES = {
    "float64": (DLDataTypeCode.kDLFloat, 64),
    "float32": (DLDataTypeCode.kDLFloat, 32),
    "float16": (DLDataTypeCode.kDLFloat, 16),
    "bfloat16": (DLDataTypeCode.kDLBfloat, 16),
    "int64": (DLDataTypeCode.kDLInt, 64),
    "int32": (DLDataTypeCode.kDLInt, 32),
    "uint8": (DLDataTypeCode.kDLUInt, 8),
    "bool": (DLDataTypeCode.kDLBool, 8),
}
_CPU = DLDevice(DLDeviceType.kDLCPU, 0)


class NumpyArrays:
    """Arrays by their address and strides. They lie in the CPU's memory, always."""

    def tensor(self, name: str, array: Array) -> DLTensor:
        dtype = array.dtype
        if dtype.name not in _DTYPES or not dtype.isnative:
            raise InvalidArgumentError(
                f"{name}: expected a float, an integer or a mask in this machine's byte order, "
                f"got {dtype}"
            )
        if any(step % dtype.itemsize for step in array.strides):
            raise InvalidArgumentError(f"{name}: expected strides of whole elements")
        strides = tuple(step // dtype.itemsize for step in array.strides)
        return view(array.ctypes.data, _CPU, _DTYPES[dtype.name], array.shape, strides)

    def stream(self, device: DLDevice) -> int | None:
        raise AssertionError("NumPy has no streams")

    def workspace(self, device: DLDevice, size: int) -> tuple[Any, int]:
        raise AssertionError("NumPy has no device memory")


_ARRAYS = NumpyArrays()


def run(function: str, args: ctypes.Structure, arrays: Mapping[str, Array | None]) -> None:
    """Runs a C function on arrays, by the names of its struct's fields; None is an absent one."""
    call(function, args, _ARRAYS, arrays)


def given(**arrays: ArrayLike | None) -> dict[str, Array | None]:
    """Arrays by name: themselves where they are arrays, new ones of lists, None where absent."""
    return {name: None if array is None else np.asarray(array) for name, array in arrays.items()}


def required(name: str, array: ArrayLike | None, least: int = 1) -> Array:
    """An array that has to be there, of at least so many dimensions."""
    if array is None:
        raise InvalidArgumentError(f"{name}: expected an array, got None")
    as_array = np.asarray(array)
    if as_array.ndim < least:
        raise InvalidArgumentError(
            f"{name}: expected an array of at least {least} dimensions, got {as_array.ndim}"
        )
    return as_array


def new(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> Array:
    """Memory for an output."""
    return np.empty(shape, dtype)


def gradient_of(array: Array) -> Array:
    """Contiguous memory for the gradient of an array, of its dtype."""
    return np.empty(array.shape, array.dtype)


def upstream(grad_loss: ArrayLike | None) -> Array | None:
    """The upstream gradient of a loss, [1]; None is 1."""
    return None if grad_loss is None else np.asarray(grad_loss, np.float64).reshape(1)


def sequence_count(array: Array, cu_seqlens: Array | None) -> int:
    """How many sequences there are: as many as the array has rows, or cu_seqlens ends."""
    return len(array) if cu_seqlens is None else max(0, cu_seqlens.size - 1)


def metrics_of(memory: StepMetrics, without: tuple[str, ...] = ()) -> dict[str, float]:
    """The figures of a step by name; the loss is returned by itself."""
    return {name: getattr(memory, name) for name in STEP_METRICS if name not in ("loss", *without)}
