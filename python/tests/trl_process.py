"""Runs in one process of several: the folder, its file of figures, steps to accumulate."""

from __future__ import annotations

import json
import os
import sys
from itertools import product
from pathlib import Path

import datasets
import torch.distributed as dist
import trl_harness as harness
from trl import DPOConfig, DPOTrainer

from logratio.trl import LogratioDPOConfig, LogratioDPOTrainer

#: Trainers, their configurations and options of these.
KINDS = {
    "theirs": (DPOTrainer, DPOConfig, {}),
    "ours": (LogratioDPOTrainer, DPOConfig, {}),
    "fused": (LogratioDPOTrainer, LogratioDPOConfig, {"fused_head": True}),
}


def main(folder: str, figures: str, accumulation: str) -> None:
    datasets.disable_progress_bars()
    found = {}
    for (name, (kind, config, options)), bf16 in product(KINDS.items(), (False, True)):
        args = harness.config(
            folder,
            config,
            max_steps=6,
            gradient_accumulation_steps=int(accumulation),
            eval_strategy="steps",
            eval_steps=3,
            bf16=bf16,
            **options,
        )
        # Seven pairs in batches of three: the processes share the last batch unevenly.
        trainer = harness.trainer(kind, args, eval_dataset=harness.pairs(7, seed=2))
        trainer.train()
        found[name + "_bf16" * bf16] = harness.history(trainer)
    found["processes"] = trainer.accelerator.num_processes
    if trainer.accelerator.is_main_process:
        Path(figures).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
    # Without the interpreter's end: gloo's threads want its lock then, and PyTorch, which holds it,
    # waits for them or is brought down by them.
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)
