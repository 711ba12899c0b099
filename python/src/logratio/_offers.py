"""Libraries of matrix products that Python's environment has, away from the loader's path."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

#: What the library can multiply by on the CPU, the faster one first.
_ON_CPU = ("libdnnl.so.3", "libopenblas.so.0")

#: Where NVIDIA's wheels put cuBLASLt: in nvidia/cu13 for CUDA 13, in nvidia/cublas for CUDA 12.
_ON_CUDA = ("cu13/lib/libcublasLt.so.13", "cublas/lib/libcublasLt.so.12")


def gemm_on_cpu() -> Path | None:
    """oneDNN or OpenBLAS in the environment's ``lib``, where conda and Intel's wheels put them."""
    return next(_files([sys.prefix], [f"lib/{name}" for name in _ON_CPU]), None)


def name_cublas() -> None:
    """Sets ``LOGRATIO_CUBLAS`` to the cuBLASLt of NVIDIA's wheels, unless it is set."""
    if "LOGRATIO_CUBLAS" in os.environ:
        return
    packages = PathFinder.find_spec("nvidia")
    folders = (packages and packages.submodule_search_locations) or []
    for path in _files(folders, _ON_CUDA):
        os.environ["LOGRATIO_CUBLAS"] = str(path)
        return


def _files(
    folders: Iterator[str] | list[str], names: list[str] | tuple[str, ...]
) -> Iterator[Path]:
    """Files that are there, by name first."""
    paths = (Path(folder, name).absolute() for name in names for folder in list(folders))
    return (path for path in paths if path.is_file())
