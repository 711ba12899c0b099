"""Losses by name: their options, as the library describes them, and the struct that holds them."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ._abi import LossInfo, LossKind, LossOptions
from ._errors import InvalidArgumentError
from ._library import check, library

#: Parameters of a loss that may be arrays, [1] or [P].
LEARNED = ("beta", "beta_kl", "beta_mix", "tau")

#: A name, or a name and options: ``"sigmoid"``, ``("dlrml", {"beta_kl": 0.05})``.
LossLike = str | tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Option:
    """An option of a loss: its default, and for a choice the names of its values."""

    default: float | str
    values: tuple[str, ...] = ()
    has_gradient: bool = False


@dataclass(frozen=True)
class LossDescription:
    """A loss, as the library tells of it (``lr_loss_describe``)."""

    name: str
    aliases: tuple[str, ...]
    options: Mapping[str, Option]
    kind: LossKind
    losses_per_pair: int
    of_ranks: bool
    divides_by_length: bool
    has_rewards: bool
    uses_kl: bool

    @property
    def is_reference_free(self) -> bool:
        return self.kind == LossKind.LR_LOSS_REFERENCE_FREE

    @property
    def needs_reference(self) -> bool:
        """Whether it is a paired loss of log-ratios, which takes none only if told so."""
        return self.kind in (LossKind.LR_LOSS_OF_MARGIN, LossKind.LR_LOSS_OF_LOG_RATIOS)


@cache
def losses() -> Mapping[str, LossDescription]:
    """All losses, by their names and aliases."""
    described: dict[str, LossDescription] = {}
    for number in range(1, library().lr_loss_count() + 1):
        info = LossInfo(size=ctypes.sizeof(LossInfo))
        check(library().lr_loss_describe(number, info))
        loss = _description(info)
        described |= {name: loss for name in (loss.name, *loss.aliases)}
    return described


def _description(info: LossInfo) -> LossDescription:
    options = {}
    for option in info.options[: info.option_count]:
        values = tuple(value.decode() for value in option.values[: option.value_count])
        default = values[0] if values else option.default_value
        options[option.name.decode()] = Option(default, values, bool(option.has_gradient))
    return LossDescription(
        name=info.name.decode(),
        aliases=tuple(alias.decode() for alias in info.aliases[: info.alias_count]),
        options=options,
        kind=LossKind(info.kind),
        losses_per_pair=info.losses_per_pair,
        of_ranks=bool(info.of_ranks),
        divides_by_length=bool(info.divides_by_length),
        has_rewards=bool(info.has_rewards),
        uses_kl=bool(info.uses_kl),
    )


@dataclass(frozen=True)
class Losses:
    """One loss or several, ready for a call."""

    names: tuple[str, ...]
    #: Array of LossOptions, one per loss.
    options: Any
    #: Parameters that were given as arrays, by name.
    learned: Mapping[str, Any]

    @property
    def descriptions(self) -> tuple[LossDescription, ...]:
        return tuple(losses()[name] for name in self.names)


def parse(loss: LossLike | Sequence[LossLike]) -> Losses:
    """Reads a loss: a name, a (name, options) pair, or a list of them.

    Raises InvalidArgumentError for a name or an option that the library does not have.
    """
    several, learned = split(loss)
    return Losses(*_read(several), learned)


def split(
    loss: LossLike | Sequence[LossLike],
) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, Any]]:
    """Losses with their options, None where one is an array, and those arrays by name."""
    several: list[tuple[str, dict[str, Any]]] = []
    learned: dict[str, Any] = {}
    is_one = not isinstance(loss, (list, tuple)) or _is_pair(loss)
    losses_given: Any = [loss] if is_one else loss
    for one in losses_given:
        if not isinstance(one, str) and not _is_pair(one):
            raise InvalidArgumentError(
                "loss: expected a name, a (name, options) pair or a list of them"
            )
        name, given = (one, {}) if isinstance(one, str) else one
        options: dict[str, Any] = {}
        for key, value in given.items():
            is_array = key in LEARNED and not isinstance(value, (int, float))
            options[key] = None if is_array else value
            if is_array:
                learned[key] = value
        several.append((name, options))
    return several, learned


def check_single(several: Sequence[Any]) -> None:
    """Raises InvalidArgumentError unless there is one loss."""
    if len(several) != 1:
        raise InvalidArgumentError(f"loss: expected one loss, got {len(several)}")


def check_reference(names: Iterable[str], has_reference: bool, reference_free: bool) -> None:
    """Raises InvalidArgumentError for a reference beside reference_free, or for lack of one."""
    if reference_free and has_reference:
        raise InvalidArgumentError(
            "reference_free: expected False where the reference's log-probabilities are given"
        )
    for name in names:
        if losses()[name].needs_reference and not has_reference and not reference_free:
            raise InvalidArgumentError(
                f"loss: {name} needs the reference's log-probabilities, or reference_free=True"
            )


def encode(several: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """The losses of :func:`split` as text, for operators that take no structs.

    Raises InvalidArgumentError for what :func:`parse` does.
    """
    _read(several)
    return json.dumps(several)


@cache
def decode(text: str) -> Losses:
    """Losses of a text from :func:`encode`, without their arrays."""
    return Losses(*_read(json.loads(text)), {})


def _read(several: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[tuple[str, ...], Any]:
    if not several:
        raise InvalidArgumentError(
            "loss: expected a name, a (name, options) pair or a list of them"
        )
    structs = (LossOptions * len(several))()
    for struct, (name, options) in zip(structs, several):
        struct.size = ctypes.sizeof(LossOptions)
        check(library().lr_loss_init(str(name).encode(), struct))
        for key, value in options.items():
            if value is None and len(several) > 1:
                raise InvalidArgumentError(
                    f"{key}: expected a number where there are several losses"
                )
            _set(struct, name, key, value)
    return tuple(name for name, _ in several), structs


def _is_pair(loss: Any) -> bool:
    return (
        isinstance(loss, tuple)
        and len(loss) == 2
        and isinstance(loss[0], str)
        and isinstance(loss[1], Mapping)
    )


def _set(struct: LossOptions, name: str, key: str, value: Any) -> None:
    description = losses()[name]
    option = description.options.get(key)
    if option is None:
        known = ", ".join(description.options) or "none"
        raise InvalidArgumentError(f"{key}: {name} has no such option; it has {known}")
    if value is None and key in LEARNED:
        return
    if isinstance(value, bool) and "on" in option.values:
        value = "on" if value else "off"
    if not option.values:
        try:
            setattr(struct, key, float(value))
        except (TypeError, ValueError):
            raise InvalidArgumentError(f"{key}: expected a number, got {value!r}") from None
    elif value in option.values:
        setattr(struct, key, option.values.index(value))
    else:
        raise InvalidArgumentError(f"{key}: expected {' or '.join(option.values)}, got {value!r}")
