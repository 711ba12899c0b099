"""Differentiable operations on torch tensors."""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "logratio.torch needs PyTorch: pip install torch", name=error.name
    ) from error

from ._preference_step import PreferenceStep, preference_step
from ._tokens import entropy_from_logits, selective_log_softmax, token_logprobs

__all__ = [
    "PreferenceStep",
    "entropy_from_logits",
    "preference_step",
    "selective_log_softmax",
    "token_logprobs",
]
