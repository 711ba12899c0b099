"""LogratioDPOTrainer in two processes, which talk through gloo."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import trl_harness as harness
import trl_process

#: See test_trl_training.py.
SAME = 2e-5
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
#: Means over the tokens of two batches, which are not the mean of the batches' means.
OF_TOKENS = ("entropy", "logits/chosen", "logits/rejected", "mean_token_accuracy")


def test_two_processes_are_those_of_trl_and_one_that_accumulates(tmp_path: Path) -> None:
    figures = tmp_path / "two.json"
    arguments = [trl_process.__file__, str(tmp_path), str(figures), "1"]
    command = [sys.executable, *LAUNCH, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    two = json.loads(figures.read_text())
    assert two["processes"] == 2
    assert harness.largest_difference(two["theirs"], two["ours"])[0] <= SAME
    assert harness.largest_difference(two["theirs_bf16"], two["ours_bf16"])[0] <= SAME
    assert harness.largest_difference(two["theirs"], two["fused"])[0] <= SAME

    trl_process.main(str(tmp_path), str(tmp_path / "one.json"), "2")
    one = json.loads((tmp_path / "one.json").read_text())
    steps = [[x for x in run["ours"] if "loss" in x] for run in (one, two)]
    assert len(steps[0]) == 6
    for logged in steps[0] + steps[1]:
        for name in OF_TOKENS:
            del logged[name]
    difference, where = harness.largest_difference(*steps)
    assert difference <= SAME, where
