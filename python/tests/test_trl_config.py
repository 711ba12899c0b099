"""What LogratioDPOConfig, LogratioDPOTrainer and the import of logratio.trl refuse."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
import trl_harness as harness
from trl import DPOConfig, DPOTrainer
from trl.trainer import dpo_trainer

from logratio.trl import LogratioDPOConfig, LogratioDPOTrainer
from logratio.trl._config import losses_of

datasets.disable_progress_bars()

REFUSED = [
    (
        {"loss_type": "dlmrl"},
        r"loss_type: expected one of dlrml, discopop, .*, sft, got 'dlmrl'",
    ),
    ({"loss_type": "kto"}, r"loss_type: expected one of .*, got 'kto'"),
    ({"gamma": 0.5}, r"gamma: expected a loss that has it, got sigmoid"),
    (
        {"loss_type": ["hinge", "orpo"], "tau": 0.1},
        r"tau: expected a loss that has it, got hinge, orpo",
    ),
    (
        {"loss_type": "discopop", "tau": 0.1},
        r"tau: expected discopop_tau in its place for discopop, got 0.1",
    ),
    (
        {"loss_type": "cpo", "nll": "tokens"},
        r"nll: expected pair or token, got 'tokens'",
    ),
    ({"beta": 0.0}, r"beta is 0.0, expected a finite number > 0"),
    (
        {"loss_type": ["sft", "robust"], "label_smoothing": 0.5},
        r"label_smoothing is 0.5, expected a number in \[0,0.5\)",
    ),
    ({"loss_type": "exo_pair"}, r"label_smoothing is 0.0, expected a number in \(0,0.5\)"),
    ({"ld_alpha": 1.5}, r"ld_alpha: expected a number in \[0,1\], got 1.5"),
    (
        {"f_divergence_type": "js"},
        r"f_divergence_type: expected reverse_kl or forward_kl or .*, got 'js'",
    ),
    (
        {"loss_type": ["sigmoid", "bco_pair"], "f_divergence_type": "forward_kl"},
        r"f_divergence_type: expected reverse_kl for bco_pair, got 'forward_kl'",
    ),
    ({"padding_free": True}, r"padding_free: expected False, .*"),
    ({"use_liger_kernel": True}, r"use_liger_kernel: expected False, .*"),
    (
        {"fused_budget_bytes": 1 << 20},
        r"fused_budget_bytes: expected fused_head=True beside it, got 1048576",
    ),
    (
        {"fused_head": True, "fused_budget_bytes": 0},
        r"fused_budget_bytes: expected a number > 0, got 0",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda x: str(x)[:40])
def test_config_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        harness.config(tmp_path, LogratioDPOConfig, **options)
    if any(not hasattr(DPOConfig, name) for name in options):
        return
    # TRL's own config lets them pass; the trainer does not.
    args = harness.config(tmp_path, **options)
    with pytest.raises(ValueError, match=f"^{message}$"):
        harness.trainer(LogratioDPOTrainer, args)


def test_trl_itself_refuses_its_unknown_losses_at_the_first_step(tmp_path: Path) -> None:
    trainer = harness.trainer(DPOTrainer, harness.config(tmp_path, loss_type="dlrml"))
    with pytest.raises(ValueError, match="^Unknown loss type: dlrml"):
        trainer.train()


def test_config_of_trl_gives_every_loss_its_defaults(tmp_path: Path) -> None:
    args = harness.config(tmp_path, loss_type=["sigmoid", "dlrml", "simpo"], label_smoothing=0.1)
    reverse = {"f_divergence": "reverse_kl", "f_alpha": 0.5}
    assert losses_of(args) == [
        ("sigmoid", {"beta": 0.5} | reverse),
        ("dlrml", reverse),
        ("simpo", {"beta": 0.5, "label_smoothing": 0.1}),
    ]
    trainer = harness.trainer(LogratioDPOTrainer, args)
    trainer.train()
    assert len(harness.history(trainer)) == 31


def test_options_come_from_the_command_line(tmp_path: Path) -> None:
    from transformers import HfArgumentParser

    line = f"--output_dir {tmp_path} --loss_type dlrml orpo --beta_kl 0.1 --nll token --use_cpu"
    (args,) = HfArgumentParser(LogratioDPOConfig).parse_args_into_dataclasses(line.split())
    (_, dlrml), (_, orpo) = losses_of(args)
    assert dlrml["beta_kl"] == 0.1 and "beta_mix" not in dlrml
    assert orpo == {"beta": 0.1, "nll": "token"}


def test_divergence_goes_with_a_loss_that_trl_lacks(tmp_path: Path) -> None:
    divergence = {"f_divergence_type": "js_divergence"}
    args = harness.config(tmp_path, LogratioDPOConfig, loss_type="dlrml", max_steps=2, **divergence)
    trainer = harness.trainer(LogratioDPOTrainer, args)
    trainer.train()
    assert args.f_divergence_type == trainer.f_divergence_type == "js_divergence"
    plain = harness.config(tmp_path, LogratioDPOConfig, loss_type="dlrml", max_steps=2)
    other = harness.trainer(LogratioDPOTrainer, plain)
    other.train()
    assert harness.history(trainer)[0]["loss"] != harness.history(other)[0]["loss"]


def test_a_trainer_without_args_has_those_of_trl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # TRL's defaults ask for bf16 on a GPU.
    default = harness.config(tmp_path)
    monkeypatch.setattr(dpo_trainer, "DPOConfig", lambda name: default)
    trainer = harness.trainer(LogratioDPOTrainer, None)
    assert trainer.args is default
    assert losses_of(trainer.args)[0][0] == "sigmoid"


@pytest.mark.parametrize(
    ("version", "error", "message"),
    [
        (None, ModuleNotFoundError, r"logratio.trl needs TRL 1, which pip install .* installs"),
        ("0.29.1", ImportError, r"logratio.trl needs TRL 1 from 1.13 on, got trl 0.29.1"),
        ("1.2.0", ImportError, r"logratio.trl needs TRL 1 from 1.13 on, got trl 1.2.0"),
        ("2.0.0rc1", ImportError, r"logratio.trl needs TRL 1 from 1.13 on, got trl 2.0.0rc1"),
    ],
)
def test_import_tells_which_trl_it_needs(
    version: str | None, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version

    def version_of(name: str) -> str:
        if name != "trl":
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", version_of)
    for name in [name for name in sys.modules if name.startswith("logratio.trl")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(error, match=f"^{message}$"):
        importlib.import_module("logratio.trl")
