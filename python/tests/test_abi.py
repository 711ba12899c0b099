"""The mirror of logratio.h beside the header, and beside what a C compiler makes of it."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
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
    if isinstance(struct, type) and issubclass(struct, ctypes.Structure)
}


def c_name(name: str) -> str:
    """``PairLossArgs`` is ``lr_pair_loss_args``."""
    if name.startswith(("DL", "Structure")):
        return name
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return f"lr{words}"


def test_mirror_is_what_the_header_gives() -> None:
    command = [sys.executable, str(ROOT / "tools" / "mirror.py"), "--check"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_sizes_and_offsets_are_the_compilers(tmp_path: Path) -> None:
    lines, expected = [], []
    for name, struct in STRUCTS.items():
        if struct is ctypes.Structure:
            continue
        lines.append(f'printf("%zu\\n", sizeof({c_name(name)}));')
        expected.append(ctypes.sizeof(struct))
        for field in struct._fields_:
            lines.append(f'printf("%zu\\n", offsetof({c_name(name)}, {field[0]}));')
            expected.append(getattr(struct, field[0]).offset)
    source = tmp_path / "sizes.c"
    source.write_text(
        '#include <stddef.h>\n#include <stdio.h>\n#include "logratio.h"\nint main(void) {\n'
        + "\n".join(lines)
        + "\n}\n"
    )
    program = tmp_path / "sizes"
    subprocess.run(["cc", f"-I{INCLUDE}", str(source), "-o", str(program)], check=True)
    ended = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    assert [int(line) for line in ended.stdout.split()] == expected
    assert len(STRUCTS) > 20


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
