"""What makes the matrix products of the fused linear operations."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from ._abi import DLDeviceType, GemmInfo
from ._library import check, library
from ._options import choice

_DEVICES = {"cpu": DLDeviceType.kDLCPU, "cuda": DLDeviceType.kDLCUDA}


@dataclass(frozen=True)
class Gemm:
    """What :func:`gemm` tells."""

    #: Such as ``"oneDNN 3.13.0"``; ``"Logratio"`` is the library itself.
    library: str
    #: Its file; empty for the library's own products.
    path: str
    #: Whether bfloat16 is multiplied as it is; otherwise it is widened to float32 first.
    bfloat16: bool


def gemm(device: str = "cpu") -> Gemm:
    """The library of matrix products on a device, ``"cpu"`` or ``"cuda"``, opened if need be.

    On the CPU it is what the environment variable ``LOGRATIO_BLAS`` names (a path, or ``own``),
    else oneDNN or OpenBLAS from Python's own environment or the loader's path, else this library's
    own products. On CUDA it is cuBLASLt of the path that ``LOGRATIO_CUBLAS`` names, of NVIDIA's
    wheels or of the loader's path.

    Raises:
        InvalidArgumentError: (a ValueError) for another device.
        UnavailableError: (a RuntimeError) there is none, with the reason.
    """
    choice("device", device, tuple(_DEVICES))
    info = GemmInfo(size=ctypes.sizeof(GemmInfo))
    if device == "cpu":
        check(library().lr_gemm(info))
    else:
        check(library().lr_device_gemm(_DEVICES[device], 0, info))
    return Gemm(info.library.decode(), info.path.decode(), bool(info.bfloat16))
