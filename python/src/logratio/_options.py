"""Options of the operations, and the structs that hold them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from numbers import Real
from typing import Any, TypeVar

from ._abi import (
    DivergenceOptions,
    LinearOptions,
    RuleOptions,
    SequenceOptions,
    StepMetrics,
    TokenOptions,
)
from ._errors import InvalidArgumentError

REDUCTIONS = ("sum", "mean")
ALIGNMENTS = ("completion", "absolute")
WPO = ("off", "on", "capped")
DIVERGENCES = (
    "sce",
    "jeffreys",
    "kl_pq",
    "kl_qp",
    "js",
    "l2",
    "tvd",
    "wasserstein1",
    "cosine",
)
DIVERGENCE_REDUCTIONS = ("mean", "sum")
DETACHED = ("none", "p", "q")
RULES = ("log", "brier", "spherical", "power", "pseudo_spherical")
NORMALISATIONS = ("selten", "jnw")
FROZEN = ("none", "weight", "hidden")

_Struct = TypeVar("_Struct", bound=ctypes.Structure)

#: Names of lr_step_metrics, in its order.
STEP_METRICS = tuple(field[0] for field in StepMetrics._fields_)


def choice(name: str, value: str, values: tuple[str, ...]) -> int:
    """The number of a choice; raises InvalidArgumentError for what is none of the values."""
    if value not in values:
        raise InvalidArgumentError(f"{name}: expected {' or '.join(values)}, got {value!r}")
    return values.index(value)


def wpo_choice(value: str | bool) -> str:
    """Names the choice of WPO's weights, which may also be given as False and True."""
    return {False: "off", True: "on"}[value] if isinstance(value, bool) else value


def positive(name: str, value: float | None) -> float:
    """A number above 0 as the structs have it, where 0 stands for None.

    Raises InvalidArgumentError for a number that is not above 0.
    """
    if value is None:
        return 0
    if not isinstance(value, Real) or value <= 0:
        raise InvalidArgumentError(f"{name}: expected a number > 0, got {value!r}")
    return value


def token_options(given: Mapping[str, Any]) -> TokenOptions:
    """How logits become log-probabilities; a vocab of 0 is all columns."""
    return _struct(TokenOptions, given)


#: Sequences of which none shares tokens with another.
WHOLE_SEQUENCES = {"align": "completion", "tail_weight": 1.0, "keep_fraction": 1.0}


def sequence_options(given: Mapping[str, Any]) -> SequenceOptions:
    """How log-probabilities of tokens become those of sequences."""
    return _struct(SequenceOptions, given, reduction=REDUCTIONS, align=ALIGNMENTS)


def linear_options(given: Mapping[str, Any]) -> LinearOptions:
    """How a fused linear operation makes its products; a budget of 0 is the library's own."""
    return _struct(LinearOptions, {**given, "accumulate": 0}, frozen=FROZEN)


def divergence_options(given: Mapping[str, Any]) -> DivergenceOptions:
    """Which divergence, between what, and how its values are reduced."""
    return _struct(
        DivergenceOptions,
        given,
        divergence=DIVERGENCES,
        reduction=DIVERGENCE_REDUCTIONS,
        detach=DETACHED,
    )


def rule_options(given: Mapping[str, Any]) -> RuleOptions:
    """Which scoring rule, and how it is smoothed."""
    return _struct(RuleOptions, given, rule=RULES, normalisation=NORMALISATIONS)


def _struct(kind: type[_Struct], given: Mapping[str, Any], **choices: tuple[str, ...]) -> _Struct:
    """A struct of options by their names; what is named in `choices` is given as text."""
    struct = kind()
    for name, *_ in kind._fields_:
        if name in choices:
            setattr(struct, name, choice(name, given[name], choices[name]))
        elif name != "reserved":
            _set_number(struct, name, given[name])
    return struct


def _set_number(struct: ctypes.Structure, name: str, value: Any) -> None:
    """Sets a field; raises InvalidArgumentError for a value that is not of its kind of number."""
    try:
        setattr(struct, name, value)
    except TypeError:
        expected = "a number" if isinstance(getattr(struct, name), float) else "an integer"
        raise InvalidArgumentError(f"{name}: expected {expected}, got {value!r}") from None
