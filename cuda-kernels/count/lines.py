"""The lines of the table: one for each hot loop of a kernel, one for each length of its rows."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from count import classes, hot, model, walk
from count.cubin import Kernel
from count.sass import Instruction

_ELEMENTS = {"Float32": 4, "Float16": 8, "BFloat16": 8}  # in a vector of 16 bytes


_KEPT_COLUMNS, _PARTS = 128256, 8  # of rows that several blocks keep in shared memory


@dataclass
class Line:
    """Counts are per chunk of 2 KiB that a warp reads."""

    target: str
    kernel: str
    part: str
    slots: float
    worst: float
    by_class: Counter[str]
    registers: int
    shared: int
    spills: int
    code: int
    blocks: int
    flight: int  # bytes that a multiprocessor has under way
    predictions: dict[str, model.Prediction]


def enumerators(headers: Iterable[Path]) -> dict[str, list[str]]:
    """The names of an enumeration's values, which mangled names only number."""
    found = {}
    for header in headers:
        text = re.sub(r"//.*", "", header.read_text())
        for name, values in re.findall(r"enum class (\w+)[^{;]*\{([^}=]*)\}", text):
            found[name] = [value.strip() for value in values.split(",") if value.strip()]
    return found


_OWN_UNIT = re.compile(r"_ZN8logratio6device\d+_GLOBAL__N__[0-9a-f]+_\d+_(\w+)_cu_[0-9a-f]{8}")


def short_names(symbols: list[str], enums: dict[str, list[str]]) -> dict[str, str]:
    """Without namespaces, parameters and spaces. A kernel of the same name may be in several files:
    what is a file's own has its name in front, unless it begins with it."""

    def enumerator(match: re.Match[str]) -> str:
        values = enums.get(match.group(1), [])
        number = int(match.group(2))
        return values[number] if number < len(values) else f"{match.group(1)}{number}"

    text = subprocess.run(
        ["c++filt"], input="\n".join(symbols), check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    names = {}
    for symbol, name in zip(symbols, text.splitlines()):
        name = re.sub(r"\(anonymous namespace\)::|\b\w+::|^void ", "", name)
        name = re.sub(r"\((\w+)\)(\d+)", enumerator, name)
        name = re.sub(r"\(.*", "", name).replace(", ", ",").replace(" >", ">")
        unit = _OWN_UNIT.match(symbol)
        is_clear = unit is None or name.startswith(unit.group(1))
        names[symbol] = name if is_clear else f"{unit.group(1)}:{name}"
    return names


def _vectors_done(loop: hot.HotLoop, width: int) -> int:
    """How many vectors a lane does in a round. Each element takes an exponential at least, so that
    the two that are read for one where rows begin off a multiple of 16 count once."""
    if loop.exponentials == 0:
        return loop.loads
    return min(loop.loads, max(1, round(loop.exponentials / width)))


@dataclass(frozen=True)
class Rows:
    """Who takes a row, and of which lengths there are lines."""

    warps: int
    columns: tuple[int, ...]
    loops: int  # around the hot one, if rows are not taken in batches


def rows_of(name: str, width: int) -> Rows | None:
    chunks = re.search(r"\bforward_short_rows<.*,([12]),", name)
    if chunks:  # in registers: the loop is that over rows
        return Rows(1, (int(chunks[1]) * model.CHUNK_VECTORS * model.WARP * width,), 0)
    if re.search(r"[<,]32[,>]", name):
        return Rows(1, (1024,), 1)
    if re.search(r"\bforward_rows<|[<,]256[,>]", name):
        return Rows(8, (32768, 128256), 2)  # of a long row there are segments
    return None


class Counted:
    """A kernel, and what its lines have in common."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.name = name
        self.width = next((n for t, n in _ELEMENTS.items() if re.search(rf"\b{t}\b", name)), 4)
        self.use = model.Resources(kernel.registers, kernel.threads, kernel.shared)
        self.gpus = [gpu for gpu in model.GPUS if gpu.target == kernel.target]
        self.spills = sum(
            classes.class_of(i) == "local"
            for block in kernel.function.blocks
            for i in block.instructions
        )
        self.rows = rows_of(name, self.width)
        self.walked: dict[tuple[object, ...], float] = {}

    def lines(self) -> list[Line]:
        loops = hot.hot_loops(self.kernel.function)
        lines = [self._chunk(loop, f"{k}/{len(loops)}") for k, loop in enumerate(loops, 1)]
        if loops and self.rows:
            cheapest = min(range(len(loops)), key=lambda k: lines[k].slots)
            row = hot.row_around(self.kernel.function, loops[cheapest], self.rows.loops)
            if row:
                for columns in self.rows.columns:
                    lines.append(self._row(loops[cheapest], row, columns, self.rows.warps))
        if loops and hot.copies_rows(self.kernel.function):  # no pass has a share of its own
            lines = [replace(line, predictions={}) for line in lines]
            lines.append(self._read_once(hot.passes(self.kernel.function, loops)))
        return lines

    def _chunk(self, loop: hot.HotLoop, part: str) -> Line:
        path = loop.steady.instructions(self.kernel.function)
        done = _vectors_done(loop, self.width)
        size = model.WARP * model.VECTOR_BYTES * (done + loop.stores)
        alone = {gpu: self._alone(gpu, path) for gpu in self.gpus}
        worst = loop.worst.slots * model.CHUNK_VECTORS / done
        return self._line(
            part, Counter(path), done, size, alone, done, walk.chunks_ahead(path), worst
        )

    def _row(self, loop: hot.HotLoop, row: hot.Row, columns: int, warps: int) -> Line:
        """A row of `columns` columns is its chunks, one after the other, between what one of its
        warps does before and after them, and its part of what is done for a batch of rows."""
        path = loop.steady.instructions(self.kernel.function)
        done = _vectors_done(loop, self.width)
        vectors = -(-columns // self.width) / model.WARP / warps  # of a lane
        rounds = int(-(-vectors // done))
        size = model.WARP * model.VECTOR_BYTES * vectors * (1 + loop.stores / done)
        whole = row.before + path + row.after
        alone = {
            gpu: self._alone(gpu, whole)
            + (rounds - 1) * self._alone(gpu, path)
            + self._alone(gpu, row.batch) / hot.ROWS_AT_ONCE
            for gpu in self.gpus
        }
        once = 1 / warps
        parts = (path, rounds), (row.before + row.after, once), (row.batch, once / hot.ROWS_AT_ONCE)
        times: Counter[Instruction] = Counter()
        for part, count in parts:
            for instruction in part:
                times[instruction] += count
        ahead = walk.chunks_ahead(path)
        return self._line(f"V={columns}", times, vectors, size, alone, done, ahead, 0)

    def _read_once(self, passes: list[hot.HotLoop]) -> Line:
        """All passes over a row, or a pair of rows, whose blocks keep a part of it each in shared
        memory: only the first reads memory, only the last one writes it."""
        times: Counter[Instruction] = Counter()
        alone = {gpu: 0.0 for gpu in self.gpus}
        stores = 0.0
        for loop in passes:
            path = loop.steady.instructions(self.kernel.function)
            rounds = model.CHUNK_VECTORS / _vectors_done(loop, self.width)
            stores += loop.stores * rounds
            for instruction in path:
                times[instruction] += rounds
            for gpu in self.gpus:
                alone[gpu] += rounds * self._alone(gpu, path)
        size = model.WARP * model.VECTOR_BYTES * (model.CHUNK_VECTORS + stores)
        rows = 2 if "divergence" in self.name else 1
        kept = rows * _KEPT_COLUMNS * model.VECTOR_BYTES // self.width // _PARTS
        done = _vectors_done(passes[0], self.width)
        ahead = walk.chunks_ahead(passes[0].steady.instructions(self.kernel.function))
        return self._line(
            f"V={_KEPT_COLUMNS}", times, model.CHUNK_VECTORS, size, alone, done, ahead, 0, kept
        )

    def _alone(self, gpu: model.Gpu, path: list[Instruction]) -> float:
        """GPUs that differ in bandwidth alone share it."""
        key = (gpu.target, gpu.latency, tuple(map(id, path)))
        if key not in self.walked:
            self.walked[key] = model.cycles_of_lone_warp(gpu, path)
        return self.walked[key]

    def _line(
        self,
        part: str,
        times: Counter[Instruction],  # how often a warp executes each, in a round
        vectors: float,
        size: float,
        alone: dict[model.Gpu, float],
        at_once: int,
        ahead: int,
        worst: float,
        kept: int = 0,  # bytes of shared memory that a block takes at its launch
    ) -> Line:
        scale = model.CHUNK_VECTORS / vectors
        by_class: Counter[str] = Counter()
        for instruction, count in times.items():
            slots = classes.slots_of(instruction, self.kernel.function)
            by_class[classes.class_of(instruction)] += count * slots * scale
        blocks, predictions = 0, {}
        for gpu in self.gpus:
            use = replace(self.use, shared=self.use.shared + kept)
            blocks = model.resident_blocks(gpu, use)
            if blocks == 0:
                continue
            cycles = model.pipe_cycles(gpu, times)
            cycles["issue"] = sum(by_class.values()) / scale
            work = model.Round(cycles, alone[gpu], size, 0 if kept else ahead)
            warps = blocks * self.kernel.threads // model.WARP
            predictions[gpu.name] = model.predict(gpu, work, warps)
        return Line(
            self.kernel.target,
            self.name,
            part,
            sum(by_class.values()),
            worst,
            by_class,
            self.kernel.registers,
            self.kernel.shared,
            self.spills,
            self.kernel.code,
            blocks,
            blocks * self.kernel.threads * model.VECTOR_BYTES * at_once * max(1, ahead),
            predictions,
        )
