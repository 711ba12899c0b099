"""NumPy arrays as the C functions see them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._abi import DLDataTypeCode, DLDevice, DLDeviceType, DLTensor
from .._call import call, view
from .._errors import InvalidArgumentError

#: An array whose dtype the docstrings tell, which for bfloat16 is none of NumPy's own.
Array = NDArray[Any]
Float64s = NDArray[np.float64]
Int64s = NDArray[np.int64]

#: DLPack's type code and the bits of the dtypes that the C functions may take, by NumPy's kind and
#: size. Widths matter alone: int64 is long here and long long elsewhere.
_DTYPES = {
    ("f", 8): (DLDataTypeCode.kDLFloat, 64),
    ("f", 4): (DLDataTypeCode.kDLFloat, 32),
    ("f", 2): (DLDataTypeCode.kDLFloat, 16),
    ("i", 8): (DLDataTypeCode.kDLInt, 64),
    ("i", 4): (DLDataTypeCode.kDLInt, 32),
    ("u", 1): (DLDataTypeCode.kDLUInt, 8),
    ("b", 1): (DLDataTypeCode.kDLBool, 8),
}
_BFLOAT16 = (DLDataTypeCode.kDLBfloat, 16)

_DEFAULT_NONE = ("vocab", "token_count")

_HOST = DLDevice(DLDeviceType.kDLCPU, 0)


def _dtype(name: str, array: Array) -> tuple[int, int]:
    # ml_dtypes need not be imported to know its bfloat16, whose kind is none of a float.
    dtype = array.dtype
    is_bfloat16 = dtype.name == "bfloat16"
    known = _BFLOAT16 if is_bfloat16 else _DTYPES.get((dtype.kind, dtype.itemsize))
    if known is None:
        raise InvalidArgumentError(f"{name}: expected a float, an integer or a mask, got {dtype}")
    if not dtype.isnative:
        raise InvalidArgumentError(f"{name}: expected native byte order, got {dtype.str}")
    return known


class NumpyArrays:
    """Arrays by their address and strides; all of them lie in the host's memory."""

    def tensor(self, name: str, array: Array) -> DLTensor:
        dtype = _dtype(name, array)
        if array.flags.c_contiguous and array.flags.aligned:  # an empty array has strides of 0
            return view(array.ctypes.data, _HOST, dtype, array.shape)
        size = array.dtype.itemsize
        if not array.flags.aligned or any(stride % size for stride in array.strides):
            raise InvalidArgumentError(
                f"{name}: expected elements at multiples of their {size} bytes"
            )
        strides = tuple(stride // size for stride in array.strides)
        return view(array.ctypes.data, _HOST, dtype, array.shape, strides)

    def stream(self, device: DLDevice) -> int | None:
        raise NotImplementedError("NumPy has no arrays on a device")

    def workspace(self, device: DLDevice, size: int) -> tuple[Any, int]:
        raise NotImplementedError("NumPy has no arrays on a device")


_ARRAYS = NumpyArrays()


def run(function: str, args: ctypes.Structure, arrays: Mapping[str, Array | None]) -> None:
    """Runs a C function on arrays by the names of its struct's fields; None is an absent one.

    Raises InvalidArgumentError for what the library finds wrong.
    """
    call(function, args, _ARRAYS, arrays)


def figures(*shape: int) -> Float64s:
    """Memory for figures that are as many as rows or fewer."""
    return np.empty(shape, np.float64)


def gradient_of(logits: Array) -> Array:
    """Contiguous memory for the gradient of logits, of their dtype."""
    return np.empty(logits.shape, logits.dtype)


def check_arrays(required: Sequence[str], arrays: Mapping[str, object]) -> None:
    """Checks that arrays are such; only one that is not required may be None.

    Raises InvalidArgumentError for a list or a scalar, whose dtype would be a guess, and for a
    masked array, whose mask nothing here would read.
    """
    for name, array in arrays.items():
        if array is None and name not in required:
            continue
        if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
            raise InvalidArgumentError(f"{name}: expected an array, got {type(array).__name__}")


def check_numbers(integers: Mapping[str, object], reals: Mapping[str, object]) -> None:
    """Checks options that are numbers, or None where that is the default.

    Raises InvalidArgumentError for what is none.
    """
    for kind, article, options in ((Integral, "an integer", integers), (Real, "a number", reals)):
        for name, value in options.items():
            is_default = value is None and name in _DEFAULT_NONE
            if not is_default and not isinstance(value, kind):
                got = type(value).__name__
                raise InvalidArgumentError(f"{name}: expected {article}, got {got}")


def length(name: str, array: Array) -> int:
    """The first dimension of an array; raises InvalidArgumentError for one without dimensions."""
    if array.ndim == 0:
        raise InvalidArgumentError(f"{name}: expected an array with a dimension, got a scalar")
    return int(array.shape[0])


def sequence_count(name: str, array: Array, cu_seqlens: Array | None) -> int:
    """How many sequences there are: as many as the array has rows, or cu_seqlens ends."""
    if cu_seqlens is None:
        return length(name, array)
    return max(0, length("cu_seqlens", cu_seqlens) - 1)


def vector(name: str, parameter: Any) -> Array:
    """An array of a parameter that may also be a number: [1] of that, or of a 0-dim array.

    Raises InvalidArgumentError for what is neither.
    """
    if isinstance(parameter, Real):
        return np.full(1, parameter, np.float64)
    if not isinstance(parameter, np.ndarray):
        got = type(parameter).__name__
        raise InvalidArgumentError(f"{name}: expected a number or an array, got {got}")
    check_arrays([name], {name: parameter})
    return parameter.reshape(1) if parameter.ndim == 0 else parameter


def upstream(grad_loss: float | Array | None) -> Array | None:
    """The upstream gradient of a loss that is one number: [1], or None for 1."""
    return None if grad_loss is None else vector("grad_loss", grad_loss)
