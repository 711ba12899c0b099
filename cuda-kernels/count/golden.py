"""The golden file: the table as it was when somebody last agreed to it, and by which compiler."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from count.table import HEAD, SHARES, Key, Row, in_order, key_of

_PREFACE = "# Predicted from the machine code of nvcc "


class Unusable(Exception):
    """A golden file that cannot be read, or not be changed in part."""


@dataclass
class Golden:
    compiler: str
    rows: list[Row]

    @property
    def targets(self) -> set[str]:
        return {row["target"] for row in self.rows}


def read(file: Path) -> Golden:
    first, head, *lines = file.read_text().splitlines()
    if not first.startswith(_PREFACE) or tuple(head.split("\t")) != HEAD:
        raise Unusable(f"{file} is no golden file of this script")
    rows = [dict(zip(HEAD, line.split("\t"), strict=True)) for line in lines]
    return Golden(first.removeprefix(_PREFACE).split(",")[0], rows)


def write(file: Path, golden: Golden) -> None:
    lines = [f"{_PREFACE}{golden.compiler}, not measured.", "\t".join(HEAD)]
    lines += ["\t".join(row[name] for name in HEAD) for row in in_order(golden.rows)]
    file.write_text("\n".join(lines) + "\n")


def updated(old: Golden | None, compiler: str, rows: list[Row]) -> Golden:
    """Architectures that were not counted stay as they are."""
    new = Golden(compiler, rows)
    if old is None:
        return new
    kept = [row for row in old.rows if row["target"] not in new.targets]
    if kept and old.compiler != compiler:
        raise Unusable(
            f"the golden file is nvcc {old.compiler}'s: under nvcc {compiler} all of "
            f"{', '.join(sorted(old.targets))} must be counted at once"
        )
    return Golden(compiler, rows + kept)


@dataclass
class Differences:
    worse: list[str]
    other: list[str]


def compare(golden: Golden, rows: list[Row], targets: set[str]) -> Differences:
    """What has changed for the architectures that were built."""
    before = _by_key([row for row in golden.rows if row["target"] in targets])
    after = _by_key([row for row in rows if row["target"] in golden.targets])
    result = Differences([], [])
    for key in before.keys() | after.keys():
        place = " ".join(key)
        if key not in after:
            result.other.append(f"{place}: is gone")
        elif key not in before:
            result.other.append(f"{place}: is new")
        else:
            _compare_row(place, before[key], after[key], result)
    result.worse.sort()
    result.other.sort()
    return result


def _by_key(rows: list[Row]) -> dict[Key, Row]:
    result = {key_of(row): row for row in rows}
    if len(result) != len(rows):
        raise Unusable("two kernels have the same name")
    return result


_MORE_IS_WORSE = ("slots", "local", "spills")
_LESS_IS_WORSE = ("blocks", *SHARES)


def _compare_row(place: str, before: Row, after: Row, result: Differences) -> None:
    for name in HEAD:
        if before[name] == after[name]:
            continue
        text = f"{place}: {name} was {before[name]}, is {after[name]}"
        if name not in _MORE_IS_WORSE + _LESS_IS_WORSE or "-" in (before[name], after[name]):
            result.other.append(text)
            continue
        change = float(after[name].split()[0]) - float(before[name].split()[0])
        is_worse = change > 0 if name in _MORE_IS_WORSE else change < 0
        (result.worse if is_worse else result.other).append(text)
