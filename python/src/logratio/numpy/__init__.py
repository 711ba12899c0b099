"""The operations on NumPy arrays, on the CPU: values and gradients are returned.

Without autograd, a gradient is computed along with the values. An operation that ends in a loss
returns its gradients for the upstream ``grad_loss``, whose default is that of the mean loss, unless
``grad=False`` is given; :func:`token_logprobs` and :func:`sequence_logps` return one where an
upstream gradient is given.

Arrays are read as they lie in memory, of any strides, but native byte order; logits have a
contiguous last dimension. float16, float32 and, for all but logits, float64 are taken, and
``ml_dtypes.bfloat16``. The gradient of logits has their dtype; all other figures are float64. A
name, an option and its default are those of the command ``logratio eval``.
"""

from __future__ import annotations

try:
    import numpy as _numpy  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "numpy":
        raise
    raise ModuleNotFoundError(
        "logratio.numpy needs NumPy, which pip install numpy installs", name="numpy"
    ) from error

from ._divergence import Divergence, divergence
from ._pair_loss import PairLoss, pair_loss
from ._preference_step import PreferenceStep, preference_step
from ._scoring_rule import ScoringRule, scoring_rule
from ._sequence_logps import SequenceLogps, sequence_logps
from ._token_logprobs import TokenLogprobs, token_logprobs
from ._unpaired_loss import UnpairedLoss, unpaired_loss
from ._unpaired_step import UnpairedStep, unpaired_step

__all__ = [
    "Divergence",
    "PairLoss",
    "PreferenceStep",
    "ScoringRule",
    "SequenceLogps",
    "TokenLogprobs",
    "UnpairedLoss",
    "UnpairedStep",
    "divergence",
    "pair_loss",
    "preference_step",
    "scoring_rule",
    "sequence_logps",
    "token_logprobs",
    "unpaired_loss",
    "unpaired_step",
]
