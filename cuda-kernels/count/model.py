"""A multiprocessor, as far as its speed on vocabulary rows can be told from machine code.

docs/gpu.md, "Predicted speed", says what is assumed and why.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from count.classes import pipe_of, turns_of
from count.sass import Instruction
from count.walk import cycles_alone

WARP = 32
SUB_PARTITIONS = 4  # of a multiprocessor; each issues an instruction of a warp per cycle
VECTOR_BYTES = 16
CHUNK_VECTORS = 4  # of a lane
CHUNK_BYTES = WARP * CHUNK_VECTORS * VECTOR_BYTES
ATTAINED = 0.92  # of the data sheet's bandwidth, by a kernel that only reads


@dataclass(frozen=True)
class Gpu:
    name: str
    target: str  # whose machine code it runs
    multiprocessors: int
    gigahertz: float
    bandwidth: float  # of the memory by the data sheet, in GB/s
    latency: float  # of a load from memory, in cycles
    warps: int  # resident on a multiprocessor, at most
    shared: int  # bytes of a multiprocessor's blocks
    fp32_lanes: int  # results per cycle of a multiprocessor
    fp64_lanes: int

    @property
    def bytes_per_cycle(self) -> float:
        """What the memory gives each multiprocessor."""
        return ATTAINED * self.bandwidth / (self.multiprocessors * self.gigahertz)

    def busy(self) -> dict[str, float]:
        """Cycles for which an instruction of a warp keeps each pipe of a sub-partition."""
        lanes = {"fma": self.fp32_lanes, "imad": 64, "alu": 64, "xu": 16, "lsu": 128}
        lanes["fp64"] = self.fp64_lanes
        return {pipe: WARP * SUB_PARTITIONS / count for pipe, count in lanes.items()}


GPUS = (
    Gpu("A100", "sm_80", 108, 1.41, 2039, 600, 64, 164 << 10, 64, 32),
    Gpu("H100", "sm_90", 132, 1.755, 3350, 650, 64, 228 << 10, 128, 64),
    Gpu("H200", "sm_90", 132, 1.755, 4800, 650, 64, 228 << 10, 128, 64),
    Gpu("B200", "sm_100", 148, 1.85, 8000, 800, 64, 228 << 10, 128, 64),
    Gpu("RTX 4090", "sm_89", 128, 2.52, 1008, 650, 48, 100 << 10, 128, 2),
)


@dataclass(frozen=True)
class Resources:
    registers: int  # of a thread
    threads: int  # of a block
    shared: int  # bytes of a block


def resident_blocks(gpu: Gpu, use: Resources) -> int:
    """How many a multiprocessor has. Registers are given out 256 at a time to a warp."""
    warps = -(-use.threads // WARP)
    of_warp = -(-use.registers * WARP // 256) * 256
    by_registers = 65536 // SUB_PARTITIONS // of_warp * SUB_PARTITIONS // warps
    reserved = 1024  # of each block's shared memory, by the driver
    by_shared = gpu.shared // (-(-use.shared // 128) * 128 + reserved)
    return min(by_registers, gpu.warps // warps, by_shared, 32)


def pipe_cycles(gpu: Gpu, times: Counter[Instruction]) -> Counter[str]:
    """For how long instructions, each executed so many times, keep the pipes of a sub-partition."""
    busy = gpu.busy()
    cycles: Counter[str] = Counter()
    for instruction, count in times.items():
        pipe = pipe_of(instruction)
        if pipe != "none":
            cycles[pipe] += count * busy[pipe] * turns_of(instruction)
        if pipe == "imad":  # a part of the pipe for multiply-adds
            cycles["fma"] += count * busy["fma"]
    return cycles


def cycles_of_lone_warp(gpu: Gpu, path: list[Instruction]) -> float:
    """How long it takes for a round of the path."""
    fp64 = 16.0 * 32 / min(32, gpu.fp64_lanes)
    return cycles_alone(path, gpu.busy(), gpu.latency, fp64)


@dataclass(frozen=True)
class Round:
    """What a warp does again and again."""

    cycles: Counter[str]  # for which it keeps the issue port and the pipes
    alone: float  # cycles that a warp takes which is alone
    bytes: float  # read and written
    ahead: int = 0  # rounds whose loads are under way already


@dataclass(frozen=True)
class Prediction:
    share: float  # of the bandwidth that a kernel attains which only reads
    bound: str  # what keeps it from more


def predict(gpu: Gpu, work: Round, warps: int) -> Prediction:
    """Mean value analysis of a closed network, whose customers are the rounds that the warps of a
    sub-partition have under way: each waits by itself, then in line for the memory's bandwidth,
    then in line for the issue port or for the pipe that it keeps longest."""
    bound, compute = max(work.cycles.items(), key=lambda item: item[1])
    transfer = work.bytes * SUB_PARTITIONS / gpu.bytes_per_cycle
    under_way = 1 + work.ahead
    customers = under_way * warps / SUB_PARTITIONS
    least = gpu.latency + work.alone if work.ahead else 0  # copies are not waited for
    waits = max(0.0, max(under_way * work.alone, least) - compute)
    at_memory = at_pipe = rate = before = 0.0
    number = 0
    while number < customers:
        number += 1
        before = rate
        in_memory, in_pipe = transfer * (1 + at_memory), compute * (1 + at_pipe)
        rate = number / (waits + in_memory + in_pipe)
        at_memory, at_pipe = rate * in_memory, rate * in_pipe
    rate -= (number - customers) * (rate - before)  # between two whole numbers
    share = rate * transfer
    if compute < transfer and share < 0.9:
        bound = "latency"
    elif compute < transfer:
        bound = "memory"
    return Prediction(share, bound)
