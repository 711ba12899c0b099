"""What makes matrix products, and which libraries of Python's environment are offered for them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import logratio
import pytest
from logratio import _library, _offers


def test_what_makes_products() -> None:
    found = logratio.gemm()
    assert found.library and isinstance(found.bfloat16, bool)
    assert found.path == "" or Path(found.path).is_absolute()
    cpu, cuda = logratio.info().gemms
    assert cpu.name == "cpu" and cpu.available and cpu.detail.startswith(found.library)
    assert cuda.name == "cuda" and cuda.detail


def test_an_unknown_device() -> None:
    with pytest.raises(ValueError, match=r"^device: expected cpu or cuda, got 'tpu'$"):
        logratio.gemm("tpu")


def files(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_the_environments_library_is_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert _offers.gemm_on_cpu() is None
    files(tmp_path, "lib/libopenblas.so.0")
    assert _offers.gemm_on_cpu() == tmp_path / "lib/libopenblas.so.0"
    files(tmp_path, "lib/libdnnl.so.3")
    assert _offers.gemm_on_cpu() == tmp_path / "lib/libdnnl.so.3"


def test_an_offer_that_is_no_library_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = logratio.gemm()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    files(tmp_path, "lib/libopenblas.so.0")
    _library.library.__wrapped__()
    assert logratio.gemm() == before


def test_cublas_of_nvidias_wheels_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setenv("LOGRATIO_CUBLAS", "")  # so that it is taken back
    monkeypatch.delenv("LOGRATIO_CUBLAS")
    _offers.name_cublas()
    assert "LOGRATIO_CUBLAS" not in os.environ
    for file in ("nvidia/cublas/lib/libcublasLt.so.12", "nvidia/cu13/lib/libcublasLt.so.13"):
        files(tmp_path, file)
        monkeypatch.delenv("LOGRATIO_CUBLAS", raising=False)
        _offers.name_cublas()
        assert os.environ["LOGRATIO_CUBLAS"] == str(tmp_path / file)
    monkeypatch.setenv("LOGRATIO_CUBLAS", "/another")
    _offers.name_cublas()
    assert os.environ["LOGRATIO_CUBLAS"] == "/another"
