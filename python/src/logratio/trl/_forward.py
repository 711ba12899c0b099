"""A prepared model's outputs in their own dtype."""

from __future__ import annotations

from inspect import ismethod
from types import MethodType

from accelerate.utils.operations import ConvertOutputsToFp32
from torch import nn


def keep_output_dtype(model: nn.Module) -> None:
    """Takes accelerate's conversion of outputs to float32 off a model; its autocast stays.

    The conversion would copy the logits at twice their size, and their gradient with them. A model
    that has none is left as it is.
    """
    forward = model.__dict__.get("forward")
    function = forward.__func__ if ismethod(forward) else forward
    converting = getattr(function, "__wrapped__", None)
    if isinstance(converting, ConvertOutputsToFp32):
        bare = converting.model_forward
        model.forward = MethodType(bare, model) if ismethod(forward) else bare
