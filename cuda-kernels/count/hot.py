"""The loops that stream vocabulary rows, and the way that a whole chunk or a whole row takes.

A loop is hot if, at its own level, 128-bit loads from global memory bring rows in or, where the
kernel copies rows to shared memory first, 128-bit loads from there.

A chunk's steady path leads from a hot loop's header back to it and has the fewest issue slots of
those that do the work of a whole chunk: they have every 128-bit store, and at least half of the
exponentials and of the wide loads that any path has. Half, since a chunk that meets a new maximum
may take more exponentials, and a row that begins off a multiple of 16 bytes reads two vectors for
one. The loops within, which handle the ends of rows element by element, are not entered. The worst
path has the most slots under the same rules.

A row's steady path is that of the loop over rows around it: the one with the fewest slots that
passes the hot loop and has at least half of the double-precision instructions that any path has,
loops of double-precision corrections again left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from count.classes import class_of, is_wide, slots_of
from count.loops import Loop, Path, Weight, find_loops, paths
from count.sass import Function, Instruction


@dataclass
class HotLoop:
    loop: Loop
    source: str  # LDG, or LDS where rows come by way of shared memory
    steady: Path
    worst: Path

    @property
    def loads(self) -> int:
        return self.steady.work[0]

    @property
    def exponentials(self) -> int:
        return self.steady.work[1]

    @property
    def stores(self) -> int:
        return self.steady.work[2]


@dataclass
class Row:
    """What a row takes beside its chunks."""

    before: list[Instruction]
    after: list[Instruction]


def is_row_load(instruction: Instruction, source: str) -> bool:
    return instruction.name == source and is_wide(instruction)


def _chunk_weights(function: Function, source: str) -> dict[int, Weight]:
    weights = {}
    for number, block in enumerate(function.blocks):
        slots = loads = exponentials = stores = 0
        for instruction in block.instructions:
            slots += slots_of(instruction, function)
            if instruction.name == source:
                loads += is_wide(instruction)
            elif instruction.name == "MUFU":
                exponentials += "EX2" in instruction.parts
            elif instruction.name in ("STG", "ST"):
                stores += is_wide(instruction)
        weights[number] = (slots, (loads, exponentials, stores))
    return weights


def _whole_chunk(found: list[Path], worst: bool) -> Path | None:
    loads, exponentials, stores = (
        max((path.work[k] for path in found), default=0) for k in range(3)
    )
    whole = [
        path
        for path in found
        if path.work[0] > 0
        and 2 * path.work[0] >= loads
        and 2 * path.work[1] >= exponentials
        and path.work[2] == stores
    ]
    choose = max if worst else min
    return choose(whole, key=lambda path: path.slots, default=None)


def hot_loops(function: Function) -> list[HotLoop]:
    """In the order in which the kernel has them."""
    names = {i.name for block in function.blocks for i in block.instructions}
    sources = ("LDG", "LDS") if names & {"UBLKCP", "LDGSTS"} else ("LDG",)
    weights = {source: _chunk_weights(function, source) for source in sources}
    found = []
    for loop in find_loops(function):
        own = loop.own()
        for source in sources:
            weigh = weights[source].__getitem__
            if not any(weigh(number)[1][0] for number in own):
                continue
            for allowed in (own, set(loop.body)):
                ways = (
                    _whole_chunk(
                        paths(function, loop.header, loop.latches, allowed, weigh, worst), worst
                    )
                    for worst in (False, True)
                )
                steady, worst = ways
                if steady and worst:
                    found.append(HotLoop(loop, source, steady, worst))
                    break
            break
    return sorted(found, key=lambda hot: hot.loop.header)


def row_around(function: Function, hot: HotLoop) -> Row | None:
    """None where no loop over rows is around the hot one."""
    row = hot.loop.around
    if row is None:
        return None
    open_to_us = set(row.own()) | set(hot.loop.body)
    while row.around is not None:
        row = row.around
        open_to_us |= row.own()

    def weigh(number: int) -> Weight:
        if number in hot.loop.body:
            return 0, (int(number == hot.loop.header), 0)
        block = function.blocks[number].instructions
        eights = sum(class_of(i) == "fp64" for i in block) // 8  # which leaves fewer paths apart
        return sum(slots_of(i, function) for i in block), (0, eights)

    found = paths(function, row.header, row.latches, open_to_us, weigh)
    found = [path for path in found if path.work[0] == 1]
    doubles = max((path.work[1] for path in found), default=0)
    found = [path for path in found if 2 * path.work[1] >= doubles]
    if not found:
        return None
    best = min(found, key=lambda path: path.slots)
    inside = [k for k, number in enumerate(best.blocks) if number in hot.loop.body]
    before, after = best.blocks[: inside[0]], best.blocks[inside[-1] + 1 :]
    return Row(
        Path(before, 0, ()).instructions(function), Path(after, 0, ()).instructions(function)
    )
