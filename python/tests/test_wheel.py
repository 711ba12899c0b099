"""What `./logratio wheel` asks of the libraries before it names a wheel by their glibc."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/wheel.sh"
pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or shutil.which("readelf") is None,
    reason="there is no C compiler, or no readelf",
)

# Symbols of glibc on x86-64 keep the version that they came with, whatever glibc links them.
COPY = "void *memcpy(void *, const void *, unsigned long);\n"
OF_2_14 = COPY + "void *f(void *a, void *b) { return memcpy(a, b, 9); }"
RANDOM = "long getrandom(void *, unsigned long, unsigned);\n"
OF_2_25 = RANDOM + "long g(void *a) { return getrandom(a, 9, 0); }"


def compiled(file: Path, source: str, *options: str) -> Path:
    """A shared library of a line of C."""
    command = ["cc", "-shared", "-fPIC", "-fno-builtin", "-x", "c", "-", "-x", "none", *options]
    subprocess.run([*command, "-o", str(file)], input=source, text=True, check=True)
    return file


def needed_glibc(*libraries: Path, path: str = os.environ["PATH"]) -> tuple[int, str, str]:
    """Runs it as the launcher does: exit status, output, and what it says on standard error."""
    script = f'set -euo pipefail; source {SCRIPT}; glibc=$(needed_glibc "$@") && echo "$glibc"'
    ended = subprocess.run(
        [shutil.which("bash") or "bash", "-c", script, "bash", *map(str, libraries)],
        env={"PATH": path, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout.strip(), ended.stderr


def test_the_newest_version_counts(tmp_path: Path) -> None:
    old = compiled(tmp_path / "old.so", OF_2_14)  # which also names 2.2.5
    new = compiled(tmp_path / "new.so", OF_2_25)
    assert needed_glibc(old) == (0, "2.14", "")
    assert needed_glibc(old, new) == needed_glibc(new, old) == (0, "2.25", "")


def test_another_library_is_refused(tmp_path: Path) -> None:
    other = compiled(tmp_path / "other.so", "int h(void) { return 1; }", "-Wl,-soname,other.so.1")
    needs = compiled(tmp_path / "needs.so", "int h(void); int i(void) { return h(); }", str(other))
    status, printed, said = needed_glibc(needs)
    assert (status, printed) == (1, "")
    assert said == f"{needs} needs other.so.1, expected the C library alone\n"


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("This is no library.\n")
    for library in (text, tmp_path / "absent.so"):
        status, printed, said = needed_glibc(library)
        assert (status, printed) == (1, "")
        assert said.endswith(f"readelf, of Debian's binutils, cannot read {library}\n")


def test_a_library_without_versions_is_refused(tmp_path: Path) -> None:
    bare = compiled(tmp_path / "bare.so", "int j(void) { return 1; }", "-nostdlib")
    assert needed_glibc(bare) == (1, "", f"{bare} names no version of glibc, expected one\n")


def test_without_readelf_nothing_is_named(tmp_path: Path) -> None:
    library = compiled(tmp_path / "old.so", OF_2_14)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sed", "grep", "cut", "sort", "tail"):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    status, printed, said = needed_glibc(library, path=str(tools))
    assert (status, printed) == (1, "")
    assert said.endswith(f"readelf, of Debian's binutils, cannot read {library}\n")
