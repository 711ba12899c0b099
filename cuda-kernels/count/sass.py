"""What nvdisasm prints of kernels: instructions, basic blocks, and where each block goes on."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_FUNCTION = re.compile(r"^\.text\.(\S+):")
_LABEL = re.compile(r"^(\S+):\s*$")
_INSTRUCTION = re.compile(
    r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@(!?U?P(?:\d+|T))\s+)?([A-Z][\w.]*)\s*(.*?)\s*;"
)
_TARGET = re.compile(r"`\(([^)]+)\)")
_BRANCH_TARGETS = re.compile(r"BRANCH_TARGETS ([^\"]+)\"")
_ALWAYS = ("", "PT", "UPT")
_JUMPS = ("BRA", "BRX", "JMP", "JMX")
_ENDS = ("EXIT", "RET", "BSYNC", "KILL")


class Instruction:
    """Such as `@P0 LDG.E.128.CONSTANT R4, [R62.64]`: predicate P0, name LDG, and its parts."""

    __slots__ = ("predicate", "name", "parts", "operands")

    def __init__(self, opcode: str, operands: str = "", predicate: str = "") -> None:
        self.name, *self.parts = opcode.split(".")
        self.operands = operands
        self.predicate = predicate

    def __repr__(self) -> str:
        return ".".join((self.name, *self.parts)) + " " + self.operands

    @property
    def targets(self) -> list[str]:
        several = _BRANCH_TARGETS.search(self.operands)
        if several:
            return several.group(1).replace(" ", "").split(",")
        return _TARGET.findall(self.operands)

    @property
    def is_jump(self) -> bool:
        """Some loops are left by a call of a label of the same function, which does not return."""
        return self.name in _JUMPS or (self.name == "CALL" and "`(.L" in self.operands)

    @property
    def ends_block(self) -> bool:
        return self.is_jump or self.name in _ENDS

    @property
    def barrier(self) -> str:
        return self.operands.split(",")[0].strip()

    @property
    def may_stay(self) -> bool:
        """Whether the instruction behind a jump may come next."""
        if self.predicate not in _ALWAYS:
            return True
        return self.name == "BRA" and "," in self.operands.split("`")[0]


@dataclass
class Block:
    instructions: list[Instruction] = field(default_factory=list)
    successors: list[int] = field(default_factory=list)


@dataclass
class Function:
    """A kernel, which begins with block 0, and how long the functions are that lie behind it."""

    name: str
    blocks: list[Block]
    callees: dict[str, int]


def parse(listing: str) -> list[Function]:
    functions: list[Function] = []
    name = ""
    lines: list[str] = []
    for line in listing.splitlines():
        start = _FUNCTION.match(line) if line.startswith(".text.") else None
        if start or line.startswith("//---"):
            if name:
                functions.append(_function(name, lines))
            name, lines = (start.group(1) if start else ""), []
        elif name:
            lines.append(line)
    if name:
        functions.append(_function(name, lines))
    return functions


def _function(name: str, lines: list[str]) -> Function:
    blocks = [Block()]
    at: dict[str, int] = {}
    callees: dict[str, int] = {}
    callee = ""
    for line in lines:
        match = _INSTRUCTION.match(line)
        if not match:
            label = _LABEL.match(line)
            if label:
                if blocks[-1].instructions:
                    blocks.append(Block())
                at[label.group(1)] = len(blocks) - 1
                if label.group(1).startswith("$"):
                    callee = label.group(1)
                    callees[callee] = 0
            continue
        instruction = Instruction(match.group(2), match.group(3), match.group(1) or "")
        blocks[-1].instructions.append(instruction)
        if callee:
            callees[callee] += 1
        if instruction.ends_block:
            blocks.append(Block())
    _connect(blocks, at)
    return Function(name, blocks, callees)


def _connect(blocks: list[Block], at: dict[str, int]) -> None:
    for number, block in enumerate(blocks):
        last = block.instructions[-1] if block.instructions else Instruction("NOP")
        if last.is_jump:
            if not last.targets:
                raise ValueError(f"a jump without a target: {last}")
            block.successors += [at[target] for target in last.targets if target in at]
        if (not last.ends_block or last.may_stay) and number + 1 < len(blocks):
            block.successors.append(number + 1)
    _connect_meetings(blocks, at)


def _connect_meetings(blocks: list[Block], at: dict[str, int]) -> None:
    """BSYNC goes to the label that the BSSY before it names, whichever way leads from one to the
    other."""
    named = [
        {
            i.barrier: {at[target] for target in i.targets}
            for i in block.instructions
            if i.name == "BSSY"
        }
        for block in blocks
    ]
    known: list[dict[str, set[int]] | None] = [None] * len(blocks)
    known[0] = {}
    work = [0]
    while work:
        number = work.pop()
        block = blocks[number]
        state = {**(known[number] or {}), **named[number]}
        if block.instructions and block.instructions[-1].name == "BSYNC":
            for place in state.get(block.instructions[-1].barrier, ()):
                if place not in block.successors:
                    block.successors.append(place)
        for successor in block.successors:
            there = known[successor]
            if there is None:
                known[successor] = {barrier: set(places) for barrier, places in state.items()}
                work.append(successor)
                continue
            changed = False
            for barrier, places in state.items():
                if not places <= there.setdefault(barrier, set()):
                    there[barrier] |= places
                    changed = True
            if changed:
                work.append(successor)
