"""The operations on NumPy arrays, with values and gradients returned.

Lists are taken as arrays; arrays are not copied, whatever their strides. Figures come back in
float64, and the gradients of logits, hidden states and weights in their dtype.
"""

from __future__ import annotations

try:
    import numpy  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "numpy":
        raise
    raise ModuleNotFoundError(
        "logratio.numpy needs NumPy: pip install numpy", name="numpy"
    ) from None

from ._linear_steps import (
    LinearPreferenceStep,
    LinearUnpairedStep,
    linear_preference_step,
    linear_unpaired_step,
)
from ._linear_tokens import LinearTokenLogprobs, linear_token_logprobs
from ._rows import Divergence, ScoringRule, divergence, scoring_rule
from ._sequences import (
    PairLoss,
    SequenceLogps,
    UnpairedLoss,
    pair_loss,
    sequence_logps,
    unpaired_loss,
)
from ._steps import PreferenceStep, UnpairedStep, preference_step, unpaired_step
from ._tokens import TokenLogprobs, token_logprobs

__all__ = [
    "Divergence",
    "LinearPreferenceStep",
    "LinearTokenLogprobs",
    "LinearUnpairedStep",
    "PairLoss",
    "PreferenceStep",
    "ScoringRule",
    "SequenceLogps",
    "TokenLogprobs",
    "UnpairedLoss",
    "UnpairedStep",
    "divergence",
    "linear_preference_step",
    "linear_token_logprobs",
    "linear_unpaired_step",
    "pair_loss",
    "preference_step",
    "scoring_rule",
    "sequence_logps",
    "token_logprobs",
    "unpaired_loss",
    "unpaired_step",
]
