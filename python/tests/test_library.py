"""What is said of the library that a wheel carries, where it is missing or of another ABI."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from logratio import UnavailableError, _library
from logratio._abi import ABI_VERSION


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the wheel's library is looked for; there is none yet."""
    file = tmp_path / "lib" / "liblogratio.so"
    file.parent.mkdir()
    monkeypatch.delenv("LOGRATIO_LIBRARY", raising=False)
    monkeypatch.setattr(_library, "CARRIED", file)
    return file


def compile_library(file: Path, version: int) -> None:
    """A library that has nothing but the version of an ABI."""
    source = f"unsigned lr_abi_version(void) {{ return {version}; }}"
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(file)]
    subprocess.run(command, input=source, text=True, check=True)


def refusal() -> str:
    """What opening the library raises, which is tried anew, whatever is open already."""
    with pytest.raises(UnavailableError) as raised:
        _library.library.__wrapped__()
    assert isinstance(raised.value, RuntimeError)
    return str(raised.value)


def test_a_wheel_without_its_library(carried: Path) -> None:
    assert refusal() == f"this installation should have {carried}, which is not there"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("version", [ABI_VERSION - 1, ABI_VERSION + 1])
def test_a_wheel_of_an_older_or_newer_abi(version: int, carried: Path) -> None:
    compile_library(carried, version)
    assert refusal() == f"{carried} has ABI version {version}, this package needs {ABI_VERSION}"


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_library_that_lacks_a_function(carried: Path) -> None:
    compile_library(carried, ABI_VERSION)
    assert refusal() == f"{carried} is older than this package: it lacks lr_version"
