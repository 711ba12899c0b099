"""TRL's other trainers under patch()."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import trl_harness as harness
from datasets import Dataset
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    KTOConfig,
    KTOTrainer,
    RLOOConfig,
    RLOOTrainer,
    SFTConfig,
    SFTTrainer,
)
from trl.experimental.bco import BCOConfig, BCOTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer
from trl.experimental.tpo import TPOConfig, TPOTrainer
from trl.trainer import utils

import logratio.torch
from logratio.trl import _patch, patch

#: See test_trl_training.py.
SAME = 2e-5
STEPS = 4
LOG_SOFTMAX, ENTROPY = "selective_log_softmax", "entropy_from_logits"

datasets.disable_progress_bars()


def unpaired() -> Dataset:
    return Dataset.from_list(
        [
            {"prompt": row["prompt"], "completion": row[side], "label": side == "chosen"}
            for row in harness.pairs()
            for side in ("chosen", "rejected")
        ]
    )


def length_reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
    return [float(len(ids)) + (ids[0] % 7) for ids in completion_ids]


def options(folder: Path, kind: type, **named: Any) -> Any:
    return harness.config(folder, kind, max_steps=STEPS, per_device_train_batch_size=4, **named)


def common(args: Any, rows: Dataset, **named: Any) -> dict[str, Any]:
    return named | {
        "args": args,
        "train_dataset": rows,
        "processing_class": harness.tokenizer(),
    }


def dpo(folder: Path) -> Any:
    return harness.trainer(DPOTrainer, options(folder, DPOConfig))


def kto(folder: Path) -> Any:
    models = {"model": harness.model(0), "ref_model": harness.model(1)}
    return KTOTrainer(**common(options(folder, KTOConfig), unpaired(), **models))


def bco(folder: Path) -> Any:
    models = {"model": harness.model(0), "ref_model": harness.model(1)}
    return BCOTrainer(**common(options(folder, BCOConfig), unpaired(), **models))


def cpo(folder: Path) -> Any:
    args = options(folder, CPOConfig, loss_type="simpo", cpo_alpha=0.5)
    return CPOTrainer(**common(args, harness.pairs(), model=harness.model(0)))


def orpo(folder: Path) -> Any:
    args = options(folder, ORPOConfig)
    return ORPOTrainer(**common(args, harness.pairs(), model=harness.model(0)))


def tpo(folder: Path) -> Any:
    rows = harness.pairs().map(lambda row: {"reference": row["chosen"]})
    return TPOTrainer(**common(options(folder, TPOConfig), rows, model=harness.model(0)))


def sft(folder: Path) -> Any:
    rows = unpaired().remove_columns("label")
    args = options(folder, SFTConfig, loss_type="dft")
    return SFTTrainer(**common(args, rows, model=harness.model(0)))


def online(trainer: type, kind: type, folder: Path) -> Any:
    """A trainer that samples; its reference model is loaded from the policy's folder."""
    harness.model(0).save_pretrained(folder / "model")
    args = options(folder, kind, num_generations=4, max_completion_length=6, beta=0.1)
    rows = harness.pairs().select_columns("prompt")
    named = {"model": str(folder / "model"), "reward_funcs": length_reward}
    return trainer(**common(args, rows, **named))


def grpo(folder: Path) -> Any:
    return online(GRPOTrainer, GRPOConfig, folder)


def rloo(folder: Path) -> Any:
    return online(RLOOTrainer, RLOOConfig, folder)


#: Trainers, and which of the two functions they go through.
TRAINERS: list[tuple[Callable[[Path], Any], set[str]]] = [
    (dpo, {LOG_SOFTMAX, ENTROPY}),
    (kto, {LOG_SOFTMAX, ENTROPY}),
    (bco, {LOG_SOFTMAX}),
    (cpo, {LOG_SOFTMAX}),
    (orpo, {LOG_SOFTMAX}),
    (tpo, {LOG_SOFTMAX, ENTROPY}),
    (sft, {LOG_SOFTMAX, ENTROPY}),
    (grpo, {LOG_SOFTMAX, ENTROPY}),
    (rloo, {LOG_SOFTMAX, ENTROPY}),
]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the calls of the functions that patch() puts in the place of TRL's."""
    counted: Counter[str] = Counter()

    def counting(function: Callable) -> Callable:
        def call(*given: Any, **named: Any) -> Any:
            counted[function.__name__] += 1
            return function(*given, **named)

        return call

    replaced = {theirs: counting(ours) for theirs, ours in _patch._REPLACED.items()}
    monkeypatch.setattr(_patch, "_REPLACED", replaced)
    return counted


@pytest.mark.parametrize(("make", "used"), TRAINERS, ids=lambda x: getattr(x, "__name__", ""))
def test_patched_trainer_logs_the_same(
    make: Callable[[Path], Any], used: set[str], tmp_path: Path, calls: Counter[str]
) -> None:
    histories = []
    for patched in (False, True):
        trainer = make(tmp_path)
        if patched:
            with patch():
                trainer.train()
        else:
            trainer.train()
            assert not calls
        histories.append(harness.history(trainer))
    assert set(calls) == used
    assert len({x["grad_norm"] for x in histories[0] if "grad_norm" in x}) == STEPS
    difference, where = harness.largest_difference(*histories)
    assert difference <= SAME, where


def test_patch_reaches_all_modules_and_goes() -> None:
    theirs = utils.selective_log_softmax, utils.entropy_from_logits
    ours = logratio.torch.selective_log_softmax, logratio.torch.entropy_from_logits
    outer = patch()
    with patch() as inner:
        importers = [
            module
            for name, module in list(sys.modules.items())
            if name.startswith("trl.") and LOG_SOFTMAX in vars(module)
        ]
        assert len(importers) >= 10
        assert all(vars(module)[LOG_SOFTMAX] is ours[0] for module in importers)
        assert utils.entropy_from_logits is ours[1]
        later = "trl.experimental.ssd.ssd_trainer"
        sys.modules.pop(later, None)
        imported_later = importlib.import_module(later)
        assert imported_later.selective_log_softmax is ours[0]
    inner.undo()
    assert utils.selective_log_softmax is ours[0]
    outer.undo()
    assert (utils.selective_log_softmax, utils.entropy_from_logits) == theirs
    assert imported_later.selective_log_softmax is theirs[0]
    assert all(vars(module)[LOG_SOFTMAX] is theirs[0] for module in importers)


def test_patch_goes_with_an_error() -> None:
    theirs = utils.selective_log_softmax
    with pytest.raises(KeyError), patch():
        assert utils.selective_log_softmax is not theirs
        raise KeyError
    assert utils.selective_log_softmax is theirs


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 4)])
def test_log_probabilities_are_those_of_trl(shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(3)
    logits = torch.randn(3, 5, 97, generator=random).requires_grad_()
    index = torch.rand(3, 5, 97, generator=random).argsort(-1)[..., : prod(shape[2:])]
    index = index.reshape(shape)
    weights = torch.randn(shape, generator=random)
    results = []
    for patched in (False, True):
        given = logits.double() if not patched else logits
        function = logratio.torch.selective_log_softmax if patched else utils.selective_log_softmax
        values = function(given, index)
        (gradient,) = torch.autograd.grad((values * weights).sum(), logits)
        results.append((values.float(), gradient))
    for exact, ours in zip(*results):
        torch.testing.assert_close(ours, exact)
