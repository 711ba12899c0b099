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
        if not array.flags.aligned or any(step % dtype.itemsize for step in array.strides):
            raise InvalidArgumentError(
                f"{name}: expected elements at multiples of their {dtype.itemsize} bytes"
            )
        if array.flags.c_contiguous:  # an empty array has strides of 0
            return view(array.ctypes.data, _CPU, _DTYPES[dtype.name], array.shape)
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
    return {name: None if x is None else as_array(name, x) for name, x in arrays.items()}


def as_array(name: str, value: ArrayLike) -> Array:
    """The array itself, or a new one of a number or of a list of numbers.

    Raises InvalidArgumentError for what holds no numbers, and for a masked array, whose mask
    nothing here would read.
    """
    array = np.asarray(value)
    if isinstance(value, np.ma.MaskedArray) or array.dtype.kind in "OSU":
        got = type(value).__name__
        raise InvalidArgumentError(f"{name}: expected an array of numbers, got {got}")
    return array


def required(name: str, array: ArrayLike | None, least: int = 1) -> Array:
    """An array that has to be there, of at least so many dimensions."""
    if array is None:
        raise InvalidArgumentError(f"{name}: expected an array, got None")
    result = as_array(name, array)
    if result.ndim < least:
        dimensions = "dimension" if least == 1 else "dimensions"
        raise InvalidArgumentError(
            f"{name}: expected an array of at least {least} {dimensions}, got {result.ndim}"
        )
    return result


def new(shape: int | tuple[int, ...], dtype: DTypeLike = np.float64) -> Array:
    """Memory for an output."""
    return np.empty(shape, dtype)


def gradient_of(array: Array) -> Array:
    """Contiguous memory for the gradient of an array, of its dtype."""
    return np.empty(array.shape, array.dtype)


def upstream(grad_loss: ArrayLike | None) -> Array | None:
    """The upstream gradient of a loss, [1]; None is 1."""
    if grad_loss is None:
        return None
    array = vector("grad_loss", grad_loss)
    return array.astype(np.float64) if array.dtype.kind == "i" else array


def vector(name: str, value: ArrayLike) -> Array:
    """An array with a dimension, [1] where it is a number."""
    array = as_array(name, value)
    return array.reshape(1) if array.ndim == 0 else array


def sequence_count(array: Array, cu_seqlens: Array | None) -> int:
    """How many sequences there are: as many as the array has rows, or cu_seqlens ends."""
    return len(array) if cu_seqlens is None else max(0, cu_seqlens.size - 1)


def metrics_of(memory: StepMetrics, without: tuple[str, ...] = ()) -> dict[str, float]:
    """The figures of a step by name; the loss is returned by itself."""
    return {name: getattr(memory, name) for name in STEP_METRICS if name not in ("loss", *without)}
