"""Differentiable operations on torch tensors, on the CPU and on CUDA devices.

Each is a functional operator of ``torch.ops.logratio`` with a fake and an autograd formula, for
torch.compile too, and takes tensors as they lie in memory. With ``inplace=True`` an operation
writes its gradient over the logits, which halves the memory of a step. On CUDA tensors it runs on
the current stream, and never waits for it.

Gradients are computed once; a second derivative is an error.
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "logratio.torch needs PyTorch, which pip install torch installs", name="torch"
    ) from error

from ._divergence import Divergence, divergence
from ._linear_preference_step import LinearPreferenceStep, linear_preference_step
from ._linear_tokens import linear_token_logprobs
from ._linear_unpaired_step import LinearUnpairedStep, linear_unpaired_step
from ._pair_loss import PairLoss, pair_loss
from ._preference_step import PreferenceStep, preference_step
from ._scoring_rule import ScoringRule, scoring_rule
from ._sequence_logps import SequenceLogps, sequence_logps
from ._tokens import entropy_from_logits, selective_log_softmax, token_logprobs
from ._unpaired_loss import UnpairedLoss, unpaired_loss
from ._unpaired_step import UnpairedStep, unpaired_step

__all__ = [
    "Divergence",
    "LinearPreferenceStep",
    "LinearUnpairedStep",
    "PairLoss",
    "PreferenceStep",
    "ScoringRule",
    "SequenceLogps",
    "UnpairedLoss",
    "UnpairedStep",
    "divergence",
    "entropy_from_logits",
    "linear_preference_step",
    "linear_token_logprobs",
    "linear_unpaired_step",
    "pair_loss",
    "preference_step",
    "scoring_rule",
    "selective_log_softmax",
    "sequence_logps",
    "token_logprobs",
    "unpaired_loss",
    "unpaired_step",
]
