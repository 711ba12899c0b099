"""The table's place in docs/gpu.md, between two comments."""

from __future__ import annotations

from pathlib import Path

BEGIN = "<!-- The table is written by cuda-kernels/count_instructions --update. -->\n"
END = "<!-- The table ends. -->\n"


def table_in(document: Path) -> str:
    text = document.read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)]


def write(document: Path, table: str) -> None:
    text = document.read_text()
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    document.write_text(head + table + tail)
