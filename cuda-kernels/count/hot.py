"""The loops that stream vocabulary rows, and the way that a whole chunk or a whole row takes.

A loop is hot if, at its own level, 128-bit loads bring rows in, from shared memory where the kernel
copies them there first, else from global memory; and if its steady path has a
float32 instruction at least for each 32 bits that it loads, which loops that only copy, or merge
partial results, have not. Of loops over shared memory those are hot that take exponentials. A loop around a hot one is not hot:
it may load what the inner one begins with.

A chunk's steady path leads from a hot loop's header back to it and has the fewest issue slots of
those that do the work of a whole chunk: they have every 128-bit store, and at least half of the
exponentials and of the wide loads that any path has. Half, since a chunk that meets a new maximum
may take more exponentials, and a row that begins off a multiple of 16 bytes reads two vectors for
one. The loops within, which handle the ends of rows element by element, are not entered. The worst
path has the most slots under the same rules.

A row's steady path is that of the loop over rows around it: the one with the fewest slots that
passes the hot loop and has at least half of the double-precision instructions that any path has,
loops of double-precision corrections again left out. Where one loop more is around than segments
and rows need, that loop takes a batch of rows, whose ends a warp computes at once, a row per lane.
"""

from __future__ import annotations

from dataclasses import dataclass

from count.classes import class_of, is_wide, slots_of
from count.loops import Loop, Path, Weight, find_loops, order_of, paths
from count.sass import Block, Function, Instruction


@dataclass
class HotLoop:
    loop: Loop
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


ROWS_AT_ONCE = 32


@dataclass
class Row:
    """What a row takes beside its chunks, and what each batch of rows takes beside its rows."""

    before: list[Instruction]
    after: list[Instruction]
    batch: list[Instruction]


_COPIES = frozenset(("UBLKCP", "LDGSTS"))


def _wide(block: Block, name: str) -> int:
    return sum(is_wide(i) for i in block.instructions if i.name == name)


def _chunk_weights(function: Function, copies: bool) -> dict[int, Weight]:
    weights = {}
    for number, block in enumerate(function.blocks):
        slots = sum(slots_of(i, function) for i in block.instructions)
        loads = _wide(block, "LDS" if copies else "LDG")
        exponentials = sum(i.name == "MUFU" and "EX2" in i.parts for i in block.instructions)
        weights[number] = (slots, (loads, exponentials, _wide(block, "STG")))
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


def _may_be_hot(function: Function, loop: Loop, copies: bool, hot: list[HotLoop]) -> bool:
    if any(inner.loop.body < loop.body for inner in hot):
        return False
    return any(
        _wide(function.blocks[number], "LDS" if copies else "LDG") for number in loop.own()
    )


def _computes(function: Function, path: Path) -> bool:
    floats = sum(class_of(i) in ("fp32", "mufu") for i in path.instructions(function))
    return floats >= 4 * path.work[0]


def copies_rows(function: Function) -> bool:
    """To shared memory, so that no pass but the first reads memory."""
    return any(i.name in _COPIES for block in function.blocks for i in block.instructions)


def hot_loops(function: Function) -> list[HotLoop]:
    """In the order in which the kernel has them."""
    copies = copies_rows(function)
    weigh = _chunk_weights(function, copies).__getitem__
    found: list[HotLoop] = []
    for loop in find_loops(function):
        if not _may_be_hot(function, loop, copies, found):
            continue
        for allowed in (loop.own(), set(loop.body)):
            steady, worst = (
                _whole_chunk(paths(function, loop.header, loop.latches, allowed, weigh, most), most)
                for most in (False, True)
            )
            if steady and worst:
                if _computes(function, steady) and (steady.work[1] or not copies):
                    found.append(HotLoop(loop, steady, worst))
                break
    return sorted(found, key=lambda hot: hot.loop.header)


def passes(function: Function, loops: list[HotLoop]) -> list[HotLoop]:
    """Those that a row takes one after the other: where the compiler has made several versions of a
    loop, of which one is entered, that with the fewest slots."""
    place = {number: k for k, number in enumerate(order_of(function))}

    def leads_to(first: HotLoop, then: HotLoop) -> bool:
        """Without going back."""
        seen = {first.loop.header}
        work = list(seen)
        while work:
            number = work.pop()
            for successor in function.blocks[number].successors:
                if successor not in seen and place[successor] > place[number]:
                    seen.add(successor)
                    work.append(successor)
        return then.loop.header in seen

    found: list[HotLoop] = []
    for loop in sorted(loops, key=lambda hot: place[hot.loop.header]):
        versions = [k for k, other in enumerate(found) if not leads_to(other, loop)]
        if not versions:
            found.append(loop)
        elif loop.steady.slots < found[versions[0]].steady.slots:
            found[versions[0]] = loop
    return found


def _around(
    function: Function, inner: Loop, outer: Loop
) -> tuple[list[Instruction], list[Instruction]] | None:
    """The steady path of the outer loop before it comes to the inner one, and behind it."""
    allowed = set(inner.body)
    loop = inner
    while loop is not outer:
        assert loop.around is not None
        loop = loop.around
        allowed |= loop.own()

    def weigh(number: int) -> Weight:
        if number in inner.body:
            return 0, (int(number == inner.header), 0)
        block = function.blocks[number].instructions
        eights = sum(class_of(i) == "fp64" for i in block) // 8  # which leaves fewer paths apart
        return sum(slots_of(i, function) for i in block), (0, eights)

    found = paths(function, outer.header, outer.latches, allowed, weigh)
    found = [path for path in found if path.work[0] == 1]
    doubles = max((path.work[1] for path in found), default=0)
    found = [path for path in found if 2 * path.work[1] >= doubles]
    if not found:
        return None
    best = min(found, key=lambda path: path.slots).blocks
    inside = [k for k, number in enumerate(best) if number in inner.body]
    before, after = Path(best[: inside[0]], 0, ()), Path(best[inside[-1] + 1 :], 0, ())
    return before.instructions(function), after.instructions(function)


def row_around(function: Function, hot: HotLoop, most: int) -> Row | None:
    """None where no loop over rows is around the hot one. `most` is how many loops there are at
    most if there are no batches; 0 if the hot loop is that over rows."""
    loops = [hot.loop]
    while loops[-1].around is not None:
        loops.append(loops[-1].around)
    batch = loops.pop() if len(loops) > most + 1 else None
    if len(loops) == 1 and most > 0:
        return None
    row = _around(function, hot.loop, loops[-1]) if len(loops) > 1 else ([], [])
    around = _around(function, loops[-1], batch) if batch else ([], [])
    return Row(*row, around[0] + around[1]) if row and around else None
