"""The natural loops of a kernel, and the cheapest and the dearest paths through a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from count.sass import Function, Instruction


@dataclass(eq=False)
class Loop:
    header: int
    body: frozenset[int]
    latches: frozenset[int]  # which lead back to the header
    around: Loop | None = None
    inner: list[Loop] = field(default_factory=list)

    def own(self) -> set[int]:
        """Its blocks without those of the loops within."""
        return set(self.body).difference(*(loop.body for loop in self.inner))


def order_of(function: Function) -> list[int]:
    """The blocks that are reached, each before those that it leads to but for back edges."""
    order: list[int] = []
    seen = {0}
    stack = [(0, iter(function.blocks[0].successors))]
    while stack:
        number, successors = stack[-1]
        for successor in successors:
            if successor not in seen:
                seen.add(successor)
                stack.append((successor, iter(function.blocks[successor].successors)))
                break
        else:
            order.append(number)
            stack.pop()
    return order[::-1]


def _predecessors(function: Function, order: list[int]) -> dict[int, list[int]]:
    result: dict[int, list[int]] = {number: [] for number in order}
    for number in order:
        for successor in function.blocks[number].successors:
            result[successor].append(number)
    return result


def _dominators(order: list[int], before: dict[int, list[int]]) -> dict[int, int]:
    """The immediate dominator of each block (Cooper, Harvey and Kennedy's algorithm)."""
    place = {number: k for k, number in enumerate(order)}
    parent = {order[0]: order[0]}
    changed = True
    while changed:
        changed = False
        for number in order[1:]:
            best = -1
            for other in before[number]:
                if other not in parent:
                    continue
                while best >= 0 and best != other:
                    if place[best] > place[other]:
                        best = parent[best]
                    else:
                        other = parent[other]
                best = other
            if parent.get(number) != best:
                parent[number] = best
                changed = True
    return parent


def find_loops(function: Function) -> list[Loop]:
    """All natural loops, inner ones first; back edges to the same header make one."""
    order = order_of(function)
    before = _predecessors(function, order)
    parent = _dominators(order, before)

    def dominates(a: int, b: int) -> bool:
        while b != a and parent[b] != b:
            b = parent[b]
        return a == b

    latches: dict[int, set[int]] = {}
    for number in order:
        for successor in function.blocks[number].successors:
            if dominates(successor, number):
                latches.setdefault(successor, set()).add(number)
    loops = []
    for header, ends in latches.items():
        body = {header}
        work = list(ends)
        while work:
            number = work.pop()
            if number not in body:
                body.add(number)
                work += before[number]
        loops.append(Loop(header, frozenset(body), frozenset(ends)))
    loops.sort(key=lambda loop: len(loop.body))
    for k, loop in enumerate(loops):
        loop.around = next((other for other in loops[k + 1 :] if loop.body < other.body), None)
        if loop.around:
            loop.around.inner.append(loop)
    return loops


@dataclass
class Path:
    blocks: list[int]
    slots: int
    work: tuple[int, ...]

    def instructions(self, function: Function) -> list[Instruction]:
        return [i for number in self.blocks for i in function.blocks[number].instructions]


Weight = tuple[int, tuple[int, ...]]  # a block's slots, and what work it does


def paths(
    function: Function,
    start: int,
    ends: Iterable[int],
    allowed: set[int],
    weigh: Callable[[int], Weight],
    dearest: bool = False,
) -> list[Path]:
    """For each amount of work that a path from `start` to an end can do, the one with the fewest
    slots, or the most."""
    nothing = tuple(0 for _ in weigh(start)[1])
    sign = -1 if dearest else 1
    order = [number for number in order_of(function) if number in allowed]
    arrive: dict[int, dict[tuple[int, ...], tuple[int, tuple[int, tuple[int, ...]] | None]]] = {}
    leave: dict[int, dict[tuple[int, ...], int]] = {}
    for number in order:
        slots, own = weigh(number)
        if number == start:
            arrive[number] = {nothing: (0, None)}
        leave[number] = {}
        for work, (cost, _) in arrive.get(number, {}).items():
            after = work if own == nothing else tuple(a + b for a, b in zip(work, own))
            leave[number][after] = cost + slots
            for successor in function.blocks[number].successors:
                if successor not in allowed or successor in leave:
                    continue
                there = arrive.setdefault(successor, {})
                known = there.get(after)
                if known is None or sign * (cost + slots) < sign * known[0]:
                    there[after] = (cost + slots, (number, work))
    found = []
    for end in sorted(ends):
        for work, (_, came_from) in arrive.get(end, {}).items():
            slots, own = weigh(end)
            after = tuple(a + b for a, b in zip(work, own))
            blocks = [end]
            while came_from:
                blocks.append(came_from[0])
                came_from = arrive[came_from[0]][came_from[1]][1]
            found.append(Path(blocks[::-1], leave[end][after], after))
    return found
