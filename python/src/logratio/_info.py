"""What the library is and what it runs on."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from ._abi import DeviceInfo, DLDeviceType
from ._errors import LogratioError
from ._gemm import gemm
from ._library import check, last_error, library


@dataclass(frozen=True)
class Backend:
    """A kind of device: what it is, or why it cannot run."""

    name: str
    available: bool
    detail: str


@dataclass(frozen=True)
class Info:
    """What :func:`info` tells."""

    version: str
    path: str
    instruction_set: str
    threads: int
    backends: tuple[Backend, ...]
    #: What makes the matrix products of the fused linear operations on each of them.
    gemms: tuple[Backend, ...]


def version() -> str:
    """The library's version, such as ``"0.1.0"``."""
    text: bytes = library().lr_version()
    return text.decode()


def info() -> Info:
    """The library's version and path, instruction set and threads, and its backends with reasons.

    The first call opens the libraries of matrix products, as :func:`logratio.gemm` does.
    """
    return Info(
        version=version(),
        path=library()._name,
        instruction_set=_instruction_set(),
        threads=library().lr_threads(),
        backends=(_cpu(), _cuda()),
        gemms=(_gemm("cpu"), _gemm("cuda")),
    )


def _instruction_set() -> str:
    name = library().lr_cpu_instruction_set()
    return name.decode() if name else "none"


def _cpu() -> Backend:
    name = library().lr_cpu_instruction_set()
    return Backend("cpu", name is not None, name.decode() if name else last_error())


def _cuda() -> Backend:
    device = DeviceInfo(size=ctypes.sizeof(DeviceInfo))
    try:
        check(library().lr_device(DLDeviceType.kDLCUDA, 0, device))
    except LogratioError as error:
        return Backend("cuda", False, str(error))
    return Backend("cuda", True, device.name.decode())


def _gemm(device: str) -> Backend:
    try:
        found = gemm(device)
    except LogratioError as error:
        return Backend(device, False, str(error))
    return Backend(device, True, " ".join(filter(None, (found.library, found.path))))
