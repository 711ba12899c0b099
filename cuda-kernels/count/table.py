"""The table: rows of text, the same whether they were counted now or stand in the golden file."""

from __future__ import annotations

import re

from count import classes, model
from count.lines import Line

SHARES = tuple(gpu.name.replace(" ", "") for gpu in model.GPUS)
HEAD = ("target", "kernel", "part", "slots", "worst", *classes.CLASSES)
HEAD += ("registers", "shared_bytes", "spills", "code", "blocks", "flight", *SHARES)

Row = dict[str, str]
Key = tuple[str, str, str]


def row_of(line: Line) -> Row:
    shares = {name: "-" for name in SHARES}
    for gpu, name in zip(model.GPUS, SHARES):
        if gpu.name in line.predictions:
            prediction = line.predictions[gpu.name]
            shares[name] = f"{prediction.share:.2f} {prediction.bound}"
    return {
        "target": line.target,
        "kernel": line.kernel,
        "part": line.part,
        "slots": f"{line.slots:.0f}",
        "worst": f"{line.worst:.0f}" if line.worst else "-",
        **{kind: f"{line.by_class[kind]:.0f}" for kind in classes.CLASSES},
        "registers": str(line.registers),
        "shared_bytes": str(line.shared),
        "spills": str(line.spills),
        "code": str(line.code),
        "blocks": str(line.blocks),
        "flight": str(line.flight),
        **shares,
    }


def key_of(row: Row) -> Key:
    return row["target"], row["kernel"], row["part"]


def in_order(rows: list[Row]) -> list[Row]:
    """Sorted by architecture and kernel; the parts of a kernel stay as they come."""
    return sorted(rows, key=lambda row: (int(re.sub(r"\D", "", row["target"])), row["kernel"]))


def aligned(rows: list[Row]) -> str:
    cells = [list(HEAD), *([row[name] for name in HEAD] for row in rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(HEAD))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n"
        for row in cells
    )


# ---- For docs/gpu.md ----

# Left out are other types, softcaps, and the kernels of preference_step, whose loops are the same.
_SHOWN = re.compile(
    r"<BFloat16,(?:(?!NoSoftcap|Softcap)[\w,]+|NoSoftcap,.*(?:OutputTensors|UpstreamTensors))>$"
)


def markdown(rows: list[Row]) -> str:
    """A line per kernel and length of its rows, a column per GPU: the share, and the slots that the
    compiler needed for that GPU. The passes of a kernel that has several stand in one line."""
    shown: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in rows:
        if not _SHOWN.search(row["kernel"]):
            continue
        part = row["part"] if row["part"].startswith("V=") else ""
        for name in SHARES:
            if row[name] != "-":
                shown.setdefault((row["kernel"], part), {}).setdefault(name, []).append(row)
    names = {name: gpu.name for name, gpu in zip(SHARES, model.GPUS)}
    text = "| kernel | row | " + " | ".join(names.values()) + " |\n"
    text += "|---|---|" + "---|" * len(names) + "\n"
    has_rows = {kernel for kernel, part in shown if part}
    for (kernel, part), by_gpu in sorted(shown.items(), key=lambda item: _natural(item[0])):
        if not part and kernel in has_rows:
            continue
        cells = []
        for name in SHARES:
            of_gpu = by_gpu.get(name, [])
            shares = [row[name].split()[0] for row in of_gpu]
            slots = [row["slots"] for row in of_gpu]
            cells.append(f"{' '.join(shares)} ({' '.join(slots)})" if of_gpu else "")
        text += f"| `{kernel}` | {part} | " + " | ".join(cells) + " |\n"
    return text


def _natural(key: tuple[str, str]) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", " ".join(key))]
