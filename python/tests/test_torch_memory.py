"""inplace=True needs no memory beside the logits."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import re, sys
from pathlib import Path
import torch
from logratio.torch import preference_step, token_logprobs

def peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024

def run(rows, columns, inplace):
    labels = torch.zeros(2, rows // 2, dtype=torch.int64)
    logits = torch.zeros(2, rows // 2, columns, requires_grad=True) * 1
    before = peak()
    if sys.argv[1] == "preference_step":
        loss = preference_step(logits, labels, "simpo", inplace=inplace).loss
    else:
        loss = token_logprobs(logits, labels, inplace=inplace).sum()
    torch.autograd.grad(loss, logits)
    return peak() - before

run(4, 1000, False)
print(run(128, 128256, sys.argv[2] == "inplace"))
"""


@pytest.mark.parametrize("operation", ["preference_step", "token_logprobs"])
def test_peak_memory(operation: str) -> None:
    """128 x 128256 float32 logits take 63 MB, and so does a gradient of its own."""
    used = {}
    for mode in ("inplace", "functional"):
        command = [sys.executable, "-c", PROGRAM, operation, mode]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        used[mode] = float(ended.stdout)
    assert used["inplace"] < 16
    assert 60 < used["functional"] < 76
