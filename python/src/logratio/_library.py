"""The shared library: found once, opened once, and compared with the mirror of its header."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from ._abi import ABI_VERSION, FUNCTIONS, Status
from ._errors import UnavailableError, error_of
from ._offers import gemm_on_cpu, name_cublas

CARRIED = Path(__file__).parent / "lib" / "liblogratio.so"


@cache
def library() -> ctypes.CDLL:
    """Opens ``$LOGRATIO_LIBRARY``, or the library that the wheel carries.

    Calls release the GIL. Raises UnavailableError where the library is missing, cannot be loaded,
    or has another ABI than this package.
    """
    named = os.environ.get("LOGRATIO_LIBRARY")
    path = Path(named) if named else CARRIED
    if not path.is_file():
        origin = "LOGRATIO_LIBRARY names" if named else "this installation should have"
        raise UnavailableError(f"{origin} {path}, which is not there")
    try:
        opened = ctypes.CDLL(str(path))
    except OSError as error:
        raise UnavailableError(f"{path} cannot be loaded: {error}") from error
    try:
        abi_version = opened.lr_abi_version
    except AttributeError:
        raise UnavailableError(f"{path} is no liblogratio: it lacks lr_abi_version") from None
    abi_version.restype = ctypes.c_uint32
    if (version := abi_version()) != ABI_VERSION:
        raise UnavailableError(
            f"{path} has ABI version {version}, this package needs {ABI_VERSION}"
        )
    for name, (returned, arguments) in FUNCTIONS.items():
        declared = getattr(opened, name, None)
        if declared is None:
            raise UnavailableError(f"{path} is older than this package: it lacks {name}")
        declared.restype, declared.argtypes = returned, arguments
    _offer_products(opened)
    return opened


def _offer_products(opened: ctypes.CDLL) -> None:
    """Tells the library what Python's environment has for matrix products."""
    name_cublas()
    if path := gemm_on_cpu():
        opened.lr_gemm_offer(os.fsencode(path))


def last_error() -> str:
    """The last error of the calling thread, in the library's words."""
    text: bytes = library().lr_last_error()
    return text.decode()


def check(status: int) -> None:
    """Raises what a status other than ``LR_OK`` means, with the library's own sentence."""
    if status != Status.LR_OK:
        raise error_of(status, last_error())
