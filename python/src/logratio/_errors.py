"""What a failed call raises."""

from __future__ import annotations

from ._abi import Status


class LogratioError(Exception):
    """Base of every error of the library; its text is the library's own sentence."""


class InvalidArgumentError(LogratioError, ValueError):
    """An argument is wrong. Nothing was written."""


class UnavailableError(LogratioError, RuntimeError):
    """The library, a device, a driver or an instruction set is missing."""


class FailedError(LogratioError, RuntimeError):
    """Memory was lacking, or the library failed."""


def error_of(status: int, sentence: str) -> LogratioError:
    """The exception for a status of the library other than ``LR_OK``."""
    kinds: dict[int, type[LogratioError]] = {
        Status.LR_INVALID_ARGUMENT: InvalidArgumentError,
        Status.LR_UNAVAILABLE: UnavailableError,
    }
    return kinds.get(status, FailedError)(sentence)
