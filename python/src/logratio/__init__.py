"""Preference-optimisation losses on hand-written kernels.

``logratio.torch`` has differentiable operations on torch tensors, ``logratio.numpy`` the same on
arrays, with values and gradients returned, and ``logratio.trl`` what plugs into TRL's trainers.
"""

from ._errors import FailedError, InvalidArgumentError, LogratioError, UnavailableError
from ._gemm import Gemm, gemm
from ._info import Backend, Info, info
from ._losses import LossDescription, Option, losses
from ._plan import LinearPlan
from ._version import __version__

__all__ = [
    "Backend",
    "FailedError",
    "Gemm",
    "Info",
    "InvalidArgumentError",
    "LinearPlan",
    "LogratioError",
    "LossDescription",
    "Option",
    "UnavailableError",
    "__version__",
    "gemm",
    "info",
    "losses",
]
