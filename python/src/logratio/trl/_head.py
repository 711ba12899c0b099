"""A model's head, and the hidden states that it would make logits of."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from accelerate.utils import is_peft_model
from torch import Tensor, nn

from .._errors import InvalidArgumentError

#: What logits may differ by from the head's product, beside the largest: a few roundings to
#: bfloat16, in a model that computes in it. A scale or a cap that is overlooked changes more.
_SAME = 2**-5


class Head:
    """The head of a causal language model whose logits are ``softcap(head(hidden))``.

    A hook on the model's backbone, which stays there, hands over the last hidden states of a run;
    so the run itself goes through whatever the model is wrapped in.

    Args:
        model: a model of Transformers, or of PEFT without an adapter on the head.

    Raises:
        InvalidArgumentError: (a ValueError) for a model whose logits are something else.
    """

    def __init__(self, model: Any) -> None:
        causal = model.get_base_model() if is_peft_model(model) else model
        self.softcap: float = _softcap(causal)
        self._linear = _linear(causal)
        self._is_open = False
        self._kept: Tensor | None = None
        causal.base_model.register_forward_hook(self._keep)
        self._check(causal)

    def states(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Any, Tensor]:
        """Runs the model up to its head: its outputs, of no logits, and the hidden states.

        Args:
            model: the model, in whatever it is wrapped in.
            inputs: ``input_ids`` and whatever else the model takes.
        """
        # An index of no positions: a model then computes logits [B,0,V].
        none = inputs["input_ids"].new_empty(0)
        return self._run(model, inputs | {"logits_to_keep": none})

    def operands(self, hidden: Tensor, dtype: torch.dtype | None) -> dict[str, Tensor | None]:
        """Hidden states, weight and bias for a fused linear operation.

        Args:
            dtype: what autocast multiplies in; None is the weight's own dtype.
        """
        weight, bias = self._linear.weight, self._linear.bias
        dtype = weight.dtype if dtype is None else dtype
        return {"hidden": hidden.to(dtype), "weight": weight.to(dtype), "bias": bias}

    def _run(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Any, Tensor]:
        self._is_open = True
        try:
            outputs = model(**inputs)
        finally:
            self._is_open = False
            hidden, self._kept = self._kept, None
        assert hidden is not None
        return outputs, hidden

    def _keep(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        if self._is_open:
            self._kept = outputs[0]

    def _check(self, causal: Any) -> None:
        """Compares the logits of two tokens with what the head makes of their hidden states."""
        weight = self._linear.weight
        ids = torch.arange(2, device=weight.device).unsqueeze(0)
        devices = [weight.device] if weight.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(devices):
            outputs, hidden = self._run(causal, {"input_ids": ids, "use_cache": False})
            logits = F.linear(hidden.to(weight.dtype), weight, self._linear.bias).float()
        if self.softcap:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        largest = logits.abs().max()
        if not (outputs.logits.float() - logits).abs().max() <= _SAME * largest:
            raise InvalidArgumentError(
                "fused_head: expected a model whose logits are its head's product with the last "
                f"hidden states, got {type(causal).__name__}, which changes them further"
            )


def _softcap(causal: Any) -> float:
    """Gemma's cap of the logits; 0 is none."""
    config = causal.config.get_text_config()
    return getattr(config, "final_logit_softcapping", None) or 0.0


def _linear(causal: Any) -> nn.Linear:
    """The head; raises InvalidArgumentError for one that is more than its weight and bias."""
    name, head = type(causal).__name__, causal.get_output_embeddings()
    if type(head) is not nn.Linear:
        raise InvalidArgumentError(
            "fused_head: expected a head that is a plain linear layer, without an adapter or "
            f"quantisation, got {type(head).__name__} of {name}"
        )
    takes_none = "logits_to_keep" in inspect.signature(type(causal).forward).parameters
    if not takes_none or causal.base_model is causal:
        raise InvalidArgumentError(
            "fused_head: expected a model with a backbone and with the argument logits_to_keep, "
            f"got {name}"
        )
    return head
