"""TRL's log-probabilities and entropies, replaced while a patch stands."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

import trl.trainer.utils

from ..torch import entropy_from_logits, selective_log_softmax

#: TRL's functions and what stands in for them.
_REPLACED: dict[Callable[..., Any], Callable[..., Any]] = {
    trl.trainer.utils.selective_log_softmax: selective_log_softmax,
    trl.trainer.utils.entropy_from_logits: entropy_from_logits,
}
_standing: set[Patch] = set()


class Patch:
    """A standing patch, which ``undo()`` or the end of a ``with`` block takes back."""

    def undo(self) -> None:
        """Gives TRL its own functions again, once no other patch stands; safe to call twice."""
        if self in _standing:
            _standing.remove(self)
            if not _standing:
                _replace({ours: theirs for theirs, ours in _REPLACED.items()})

    def __enter__(self) -> Patch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.undo()


def patch() -> Patch:
    """Replaces selective_log_softmax and entropy_from_logits in every module of TRL.

    Modules that are imported later get the replacements, too. Log-probabilities are float32 for
    logits of any dtype; TRL's own have the dtype of the logits.

    Example::

        with logratio.trl.patch():
            KTOTrainer(...).train()
    """
    standing = Patch()
    _standing.add(standing)
    _replace(_REPLACED)
    return standing


def _replace(replacements: dict[Callable[..., Any], Callable[..., Any]]) -> None:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "trl":
            continue
        for attribute, value in list(vars(module).items()):
            if any(value is replaced for replaced in replacements):
                setattr(module, attribute, replacements[value])
