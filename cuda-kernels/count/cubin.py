"""NVIDIA's tools, and what they say of the kernels in libraries, objects and cubins."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from count import sass


class NoTool(Exception):
    """nvdisasm or cuobjdump was not found."""


class ToolFailed(Exception):
    """One of them would not read a file."""


def find_tool(name: str) -> str:
    """Looks in PATH, in CUDA_HOME, beside nvcc, and in Python's package triton."""
    found = shutil.which(name)
    if found:
        return found
    places = []
    if "CUDA_HOME" in os.environ:
        places.append(Path(os.environ["CUDA_HOME"]) / "bin")
    nvcc = shutil.which("nvcc")
    if nvcc:
        places.append(Path(nvcc).resolve().parent)
    triton = importlib.util.find_spec("triton")
    if triton and triton.origin:
        places.append(Path(triton.origin).parent / "backends" / "nvidia" / "bin")
    for place in places:
        if os.access(place / name, os.X_OK):
            return str(place / name)
    raise NoTool(
        f"{name} was not found in PATH, in CUDA_HOME or in Python's package triton: "
        "`python3 -m venv tools && tools/bin/pip install --no-deps triton` has it, for a "
        "run of this script by tools/bin/python3"
    )


def _run(*command: str, folder: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode != 0:
        raise ToolFailed(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def extract(file: Path, folder: Path, targets: set[str]) -> list[Path]:
    """The cubins in a library or an object that are for one of the targets."""
    folder.mkdir(parents=True)
    _run(find_tool("cuobjdump"), "-xelf", "all", str(file.resolve()), folder=folder)
    return sorted(cubin for cubin in folder.iterdir() if target_of(cubin) in targets)


def target_of(extracted: Path) -> str:
    """sm_80 of pairs.cu.1.sm_80.cubin."""
    return extracted.name.split(".")[-2]


@dataclass
class Kernel:
    symbol: str
    target: str
    registers: int
    shared: int
    threads: int
    code: int  # bytes
    function: sass.Function


_USE = re.compile(r"Function (\S+):\s*REG:(\d+) STACK:\d+ SHARED:(\d+)")
_CUDA = b"\xbe\x00"  # as an ELF file's machine
_MAX_THREADS, _REQUIRED_THREADS = 0x05, 0x10


def kernels(cubin: Path, wanted: re.Pattern[str]) -> list[Kernel]:
    """Those kernels of a cubin whose symbols match."""
    image = cubin.read_bytes()
    if image[:4] != b"\x7fELF" or image[18:20] != _CUDA:
        raise ToolFailed(f"{cubin} is no cubin")
    sections, symbols = _read_elf(image)
    indices = {
        name: k for k, name in symbols if wanted.search(name) and ".text." + name in sections
    }
    if not indices:
        return []
    listing = _run(
        find_tool("nvdisasm"), "-c", "-fun", ",".join(str(k) for k in indices.values()), str(cubin)
    )
    target = re.search(r"\.target\s+(sm_\w+)", listing)
    uses = _USE.findall(_run(find_tool("cuobjdump"), "-res-usage", str(cubin)))
    use = {name: (int(registers), int(shared)) for name, registers, shared in uses}
    result = []
    for function in sass.parse(listing):
        name = function.name
        registers, shared = use[name]
        code = sections[".text." + name]
        threads = _threads(image, *sections[".nv.info." + name])
        result.append(
            Kernel(name, target.group(1), registers, shared, threads, code[1], function)
        )
    return result


def _threads(image: bytes, offset: int, size: int) -> int:
    """The most that a block may have, by the attributes of a kernel."""
    at = offset
    while at < offset + size:
        form, attribute, value = struct.unpack_from("<BBH", image, at)
        at += 4
        if form == 4:
            if attribute in (_MAX_THREADS, _REQUIRED_THREADS):
                x, y, z = struct.unpack_from("<III", image, at)
                return x * y * z
            at += value
    return 1024


def _read_elf(image: bytes) -> tuple[dict[str, tuple[int, int]], list[tuple[int, str]]]:
    """Offset and size of each section, and the functions with their indices."""
    (start,) = struct.unpack_from("<Q", image, 0x28)
    size, count, of_names = struct.unpack_from("<HHH", image, 0x3A)
    headers = [struct.unpack_from("<IIQQQQIIQQ", image, start + k * size) for k in range(count)]

    def text(offset: int) -> str:
        return image[offset : image.index(b"\0", offset)].decode()

    names = headers[of_names][4]
    sections = {text(names + h[0]): (h[4], h[5]) for h in headers}
    symbols = []
    for header in headers:
        if header[1] != 2:  # the table of symbols
            continue
        strings = headers[header[6]][4]
        for k in range(header[5] // 24):
            name, info = struct.unpack_from("<IB", image, header[4] + k * 24)
            if info & 15 == 2:
                symbols.append((k, text(strings + name)))
    return sections, symbols
