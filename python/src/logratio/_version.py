"""Version of the package, which is written in pom.xml and nowhere else."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path


def _version() -> str:
    """That of the checkout that this file is in, or else of the installed package."""
    python = Path(__file__).parents[2]
    if not (python / "pyproject.toml").is_file():
        return metadata.version("logratio")
    pom = (python.parent / "pom.xml").read_text(encoding="utf-8")
    found = re.search(r"<revision>(\d+\.\d+\.\d+)", pom)
    if found is None:
        raise RuntimeError("pom.xml has no property <revision> such as 1.2.3")
    return found[1]


__version__ = _version()
