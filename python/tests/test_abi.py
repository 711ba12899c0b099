"""The mirror of logratio.h beside the header, and beside what a C compiler makes of it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from enum import IntEnum
from pathlib import Path

import pytest

import logratio
from logratio import _abi
from logratio._library import library

ROOT = Path(__file__).resolve().parents[1]
INCLUDE = ROOT.parent / "native" / "include"

STRUCTS = {
    name: struct
    for name, struct in vars(_abi).items()
    if isinstance(struct, type)
    and issubclass(struct, ctypes.Structure)
    and struct is not ctypes.Structure
}
ENUMS = {
    name: enum
    for name, enum in vars(_abi).items()
    if isinstance(enum, type) and issubclass(enum, IntEnum) and enum is not IntEnum
}

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def c_name(name: str) -> str:
    """``PairLossArgs`` is ``lr_pair_loss_args``."""
    if name.startswith("DL"):
        return name
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return f"lr{words}"


def test_mirror_is_what_the_header_gives() -> None:
    command = [sys.executable, str(ROOT / "tools" / "mirror.py"), "--check"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def run_c(folder: Path, declarations: str, statements: list[str]) -> list[int]:
    """The numbers that a C program prints, which includes the header."""
    lines = ["#include <stddef.h>", "#include <stdio.h>", '#include "logratio.h"', declarations]
    source, program = folder / "program.c", folder / "program"
    source.write_text("\n".join([*lines, "int main(void) {", *statements, "}\n"]))
    warnings = ["-Wswitch", "-Wmissing-field-initializers", "-Wmissing-braces", "-Werror"]
    command = ["cc", "-std=c11", *warnings, f"-I{INCLUDE}", str(source), "-o", str(program)]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr
    ended = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    return [int(line) for line in ended.stdout.split()]


def printed(expression: str) -> str:
    return f'printf("%lld\\n", (long long)({expression}));'


@needs_cc
def test_structs_are_the_compilers(tmp_path: Path) -> None:
    """Sizes, and every field's offset, size and name, in the order of the declaration."""
    statements, expected, initialisers = [], [], []
    for name, struct in STRUCTS.items():
        statements.append(printed(f"sizeof({c_name(name)})"))
        expected.append(ctypes.sizeof(struct))
        for field in struct._fields_:
            statements.append(printed(f"offsetof({c_name(name)}, {field[0]})"))
            statements.append(printed(f"sizeof((({c_name(name)}*)0)->{field[0]})"))
            described = getattr(struct, field[0])
            expected += [described.offset, described.size]
        # One initialiser too few or too many is an error of the compiler.
        compound = (ctypes.Structure, ctypes.Array)
        zeros = ["{0}" if issubclass(field[1], compound) else "0" for field in struct._fields_]
        initialisers.append(f"{c_name(name)} all_of_{name} = {{{', '.join(zeros)}}};")
    assert run_c(tmp_path, "\n".join(initialisers), statements) == expected
    assert len(STRUCTS) > 20


@needs_cc
def test_enums_are_the_compilers(tmp_path: Path) -> None:
    """Values, and that there are no others: a switch that lacks one is an error."""
    statements, expected, switches = [printed("LR_ABI_VERSION")], [_abi.ABI_VERSION], []
    for name, enum in ENUMS.items():
        statements += [printed(member) for member in enum.__members__]
        expected += [member.value for member in enum]
        cases = " ".join(f"case {member}:" for member in enum.__members__)
        function = f"int is_{name}({c_name(name)} x) {{ switch (x) {{ {cases} return 1; }}"
        switches.append(f"{function} return 0; }}")
    assert run_c(tmp_path, "\n".join(switches), statements) == expected
    assert len(ENUMS) > 10


def test_functions_are_those_of_the_header() -> None:
    header = (INCLUDE / "logratio.h").read_text()
    for name in _abi.FUNCTIONS:
        assert f" {name}(" in header or f"*{name}(" in header
        assert getattr(library(), name)


def test_what_the_library_is() -> None:
    info = logratio.info()
    assert info.version == logratio.__version__
    assert info.threads >= 1 and info.backends[0].available
    assert info.instruction_set in ("baseline", "avx2", "avx512", "avx512_bf16")
    cuda = info.backends[1]
    assert cuda.name == "cuda" and cuda.detail


def test_losses_are_described() -> None:
    losses = logratio.losses()
    assert losses["dpo"] is losses["sigmoid"] and losses["lrml"] is losses["discopop"]
    assert losses["dlrml"].options["beta_kl"] == logratio.Option(0.05, (), True)
    assert losses["ipo"].options["normalise"].values == ("on", "full", "off")
    assert losses["ipo"].divides_by_length and losses["aot"].of_ranks
    assert losses["simpo"].is_reference_free and not losses["simpo"].needs_reference


def refusal(path: Path) -> str:
    """The sentence of a process that is told to load this library."""
    program = """
import logratio
try:
    logratio.info()
except logratio.UnavailableError as error:
    print(error, end="")
"""
    environment = {**os.environ, "LOGRATIO_LIBRARY": str(path)}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return ended.stdout


def compiled(source: str, library: Path) -> Path:
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input=source, text=True, check=True)
    return library


@needs_cc
def test_another_abi_version_is_refused(tmp_path: Path) -> None:
    path = compiled("unsigned lr_abi_version(void) { return 7; }", tmp_path / "liblogratio.so")
    needed = _abi.ABI_VERSION
    assert refusal(path) == f"{path} has ABI version 7, this package needs {needed}"


@needs_cc
def test_another_library_is_refused(tmp_path: Path) -> None:
    path = compiled("int other(void) { return 0; }", tmp_path / "libother.so")
    assert refusal(path) == f"{path} is no liblogratio: it lacks lr_abi_version"


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    path = tmp_path / "liblogratio.so"
    assert refusal(path) == f"LOGRATIO_LIBRARY names {path}, which is not there"
    assert refusal(tmp_path) == f"LOGRATIO_LIBRARY names {tmp_path}, which is not there"


def test_a_file_that_is_no_library_is_named(tmp_path: Path) -> None:
    path = tmp_path / "liblogratio.so"
    path.write_text("text\n")
    sentence = refusal(path)
    assert sentence.startswith(f"{path} cannot be loaded: ") and "\n" not in sentence
