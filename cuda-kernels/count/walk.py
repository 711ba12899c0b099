"""How long a warp that is alone takes for a path: an instruction is issued when its registers are
ready and its pipe is free."""

from __future__ import annotations

import re
from functools import lru_cache

from count.classes import class_of, is_wide, pipe_of, turns_of
from count.sass import Instruction

_REGISTER = re.compile(r"\b(U?R|U?P)(\d+)\b(\.64)?")
_RESULT_BEHIND_PREDICATE = frozenset(("SHFL", "LOP3", "MATCH", "ATOM", "ATOMG", "ATOMS", "VOTE"))
_NO_RESULT = frozenset(
    "ST STG STS STL RED REDG BRA EXIT BSYNC BSSY BREAK WARPSYNC BAR NOP YIELD MEMBAR".split()
)
_PAIRS = frozenset(("WIDE", "64", "F64"))

# Cycles from issue to a result that another instruction can use.
_LATENCY = {"fma": 4, "imad": 5, "alu": 5, "xu": 20, "shuffle": 24, "lsu": 30, "none": 10}


def _names(kind: str, number: int, count: int) -> list[str]:
    return [f"{kind}{number + k}" for k in range(count)]


@lru_cache(maxsize=None)
def _registers(
    name: str, parts: tuple[str, ...], operands: str, predicate: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an instruction reads and what it writes."""
    fields = [field.strip() for field in operands.split(",")]
    results: list[str] = []
    if name not in _NO_RESULT:
        results.append(fields[0])
        is_predicate = re.fullmatch(r"U?P(\d+|T)", fields[0]) is not None
        if is_predicate and name in _RESULT_BEHIND_PREDICATE:
            results += fields[1:2]
        elif len(fields) > 1 and re.fullmatch(r"U?P(\d+|T)", fields[1]):
            results += fields[1:2]
    double = name.startswith("D") or name == "CS2R" or not _PAIRS.isdisjoint(parts)
    width = 4 if "128" in parts else 2 if double else 1
    writes: list[str] = []
    for field in results:
        match = _REGISTER.fullmatch(field.replace(".reuse", ""))
        if match:
            wide = width if match.group(1) in ("R", "UR") else 1
            writes += _names(match.group(1), int(match.group(2)), wide)
    reads: list[str] = []
    for field in [predicate, *fields[len(results) :]]:
        for kind, number, pair in _REGISTER.findall(field):
            wide = 2 if pair or (name.startswith("D") and kind == "R") else 1
            if name in ("STG", "STS") and "[" not in field:
                wide = width
            reads += _names(kind, int(number), wide)
    return tuple(reads), tuple(writes)


def registers_of(instruction: Instruction) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _registers(
        instruction.name, tuple(instruction.parts), instruction.operands, instruction.predicate
    )


def chunks_ahead(path: list[Instruction]) -> int:
    """How many rounds before its use a chunk is loaded: into registers, one if no 128-bit load is
    used in its own round; into shared memory, as many groups of copies as may be under way."""
    groups = [
        int(i.operands.split(",")[1], 0)
        for i in path
        if i.name == "DEPBAR" and "LE" in i.parts and "," in i.operands
    ]
    if groups and any(i.name == "LDGSTS" for i in path):
        return max(groups)
    pending: set[str] = set()
    loads = False
    for instruction in path:
        reads, writes = registers_of(instruction)
        if not pending.isdisjoint(reads):
            return 0
        pending.difference_update(writes)
        if instruction.name == "LDG" and is_wide(instruction):
            pending.update(writes)
            loads = True
    return int(loads)


def _latency(instruction: Instruction, memory: float, fp64: float) -> float:
    kind = class_of(instruction)
    if kind == "global":
        return memory
    if kind == "fp64":
        return fp64
    return _LATENCY["shuffle"] if kind == "shuffle" else _LATENCY[pipe_of(instruction)]


def cycles_alone(
    path: list[Instruction], busy: dict[str, float], memory: float, fp64: float
) -> float:
    """The third round of the path counts, in which what the rounds before have loaded is there.
    `busy` tells for how many cycles an instruction keeps its pipe, `memory` and `fp64` after how
    many a load and a double-precision result are there."""
    ready: dict[str, float] = {}
    free: dict[str, float] = {}
    now = before = 0.0
    plan = []
    for instruction in path:
        pipe = pipe_of(instruction)
        reads, writes = registers_of(instruction)
        holds = busy.get(pipe, 1.0) * turns_of(instruction)
        plan.append((reads, writes, pipe, holds, _latency(instruction, memory, fp64)))
    for _ in range(3):
        before = now
        for reads, writes, pipe, holds, latency in plan:
            at = max(now, free.get(pipe, 0.0))
            for register in reads:
                at = max(at, ready.get(register, 0.0))
            free[pipe] = at + holds
            for register in writes:
                ready[register] = at + latency
            now = at + 1
    return now - before
