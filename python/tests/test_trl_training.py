"""Runs of LogratioDPOTrainer and of TRL's DPOTrainer, with and without patch(), side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import trl_harness as harness
from torch import Tensor
from transformers import EvalPrediction, MixtralConfig, MixtralForCausalLM
from trl import DPOConfig, DPOTrainer

from logratio.torch import preference_step
from logratio.trl import LogratioDPOConfig, LogratioDPOTrainer, _trainer, patch
from logratio.trl._reference import answer_logps

#: Largest difference of a logged figure between two runs of up to 30 steps, relative to figures
#: above 1: a few hundred roundings to float32. Runs differ by up to 4e-6 where this was written.
SAME = 2e-5
datasets.disable_progress_bars()


def run(kind: type, folder: Path, model: Any = None, **options: Any) -> Any:
    """A trained trainer; ``model`` makes policy and reference of a seed."""
    config = options.pop("config", DPOConfig)
    models = {} if model is None else {"model": model(0), "ref_model": model(1)}
    trained = harness.trainer(kind, harness.config(folder, config, **options), **models)
    trained.train()
    return trained


def assert_same(one: Any, other: Any, tolerance: float = SAME) -> None:
    difference, where = harness.largest_difference(harness.history(one), harness.history(other))
    assert difference <= tolerance, where


@pytest.mark.parametrize("optim", ["sgd", "adamw_torch"])
def test_thirty_steps_are_those_of_trl(optim: str, tmp_path: Path) -> None:
    theirs = run(DPOTrainer, tmp_path, optim=optim)
    ours = run(LogratioDPOTrainer, tmp_path, optim=optim)
    with patch():
        patched = run(DPOTrainer, tmp_path, optim=optim)
    losses = [x["loss"] for x in harness.history(theirs) if "loss" in x]
    assert len(losses) == 30 and len(set(losses)) == 30
    assert_same(theirs, ours)
    assert_same(theirs, patched)


def mixtral(seed: int) -> MixtralForCausalLM:
    torch.manual_seed(seed)
    config = MixtralConfig(
        vocab_size=harness.VOCAB,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
        initializer_range=0.2,
        pad_token_id=0,
    )
    return MixtralForCausalLM(config)


SETTINGS = {
    "accumulation": {"gradient_accumulation_steps": 5},
    "precomputed": {"precompute_ref_log_probs": True, "ld_alpha": 0.5},
    "synchronised": {"sync_ref_model": True, "ref_model_sync_steps": 2},
    "checkpointing": {"gradient_checkpointing": True},
    "clipped": {"max_grad_norm": 0.1},
    "several": {"loss_type": ["sigmoid", "bco_pair", "sft"], "loss_weights": [0.8, 0.2, 1.0]},
    "truncated": {"max_length": 9},
    "weighted": {"use_weighting": True},
    "compiled": {"torch_compile": True, "torch_compile_backend": "aot_eager"},
    "experts": {"model": mixtral, "router_aux_loss_coef": 0.5},
}


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_settings_are_honoured_as_by_trl(options: dict[str, Any], tmp_path: Path) -> None:
    options = {"max_steps": 6} | options
    theirs = run(DPOTrainer, tmp_path, **options)
    assert_same(theirs, run(LogratioDPOTrainer, tmp_path, **options))


def test_reference_is_loaded_where_none_is_given(tmp_path: Path) -> None:
    harness.model(3).save_pretrained(tmp_path / "model")
    harness.tokenizer().save_pretrained(tmp_path / "model")
    histories = []
    for kind in (DPOTrainer, LogratioDPOTrainer):
        trained = kind(
            str(tmp_path / "model"),
            args=harness.config(tmp_path, max_steps=4),
            train_dataset=harness.pairs(),
        )
        trained.train()
        histories.append(harness.history(trained))
    for history in histories:
        assert [history[0][f"rewards/{x}"] for x in ("chosen", "margins", "accuracies")] == [0] * 3
    assert harness.largest_difference(*histories)[0] <= SAME


class Spy:
    """Records how preference_step is called, and the gradient that reaches its loss."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dtypes: list[torch.dtype] = []
        self.expected: list[float] = []
        self.upstream: list[float] = []
        self.inplace: list[bool] = []
        self.reference_dtypes: list[torch.dtype] = []
        monkeypatch.setattr(_trainer, "preference_step", self.preference_step)
        monkeypatch.setattr(_trainer, "answer_logps", self.answer_logps)

    def preference_step(self, logits: Tensor, *given: Any, **named: Any) -> Any:
        self.dtypes.append(logits.dtype)
        self.expected.append(named["grad_loss"])
        self.inplace.append(named["inplace"])
        step = preference_step(logits, *given, **named)
        if step.loss.requires_grad:
            step.loss.register_hook(lambda gradient: self.upstream.append(gradient.item()))
        return step

    def answer_logps(self, logits: Tensor, *given: Any) -> Tensor:
        self.reference_dtypes.append(logits.dtype)
        return answer_logps(logits, *given)


def test_gradient_needs_no_second_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    run(LogratioDPOTrainer, tmp_path, max_steps=3, gradient_accumulation_steps=5)
    # An epoch has 12 batches, and so its last step 2.
    assert spy.expected == [1 / 5] * 10 + [1 / 2] * 2
    assert spy.upstream == pytest.approx(spy.expected, rel=1e-7)
    assert all(spy.inplace)


def test_bf16_run_takes_bfloat16_logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    ours = run(LogratioDPOTrainer, tmp_path, max_steps=6, bf16=True)
    assert set(spy.dtypes) == set(spy.reference_dtypes) == {torch.bfloat16}
    theirs = run(DPOTrainer, tmp_path, max_steps=6, bf16=True)
    # TRL's float32 copies hold the same numbers, and its gradient is rounded to bfloat16 as well.
    assert_same(theirs, ours)
    bare = ours.accelerator.unwrap_model(ours.model_wrapped, keep_fp32_wrapper=False)
    logits = bare(torch.tensor([[3, 4]])).logits
    assert logits.dtype == torch.float32


def test_bf16_run_compiles(tmp_path: Path) -> None:
    options = {"max_steps": 4, "bf16": True}
    eager = run(LogratioDPOTrainer, tmp_path, **options)
    compiled = {"torch_compile": True, "torch_compile_backend": "aot_eager"}
    assert_same(eager, run(LogratioDPOTrainer, tmp_path, **options, **compiled))


def test_evaluation_is_that_of_trl(tmp_path: Path) -> None:
    seen = []

    def metrics(prediction: EvalPrediction) -> dict[str, float]:
        seen.append(prediction.predictions)
        return {"mean": float(prediction.predictions.mean())}

    results = []
    for kind in (DPOTrainer, LogratioDPOTrainer):
        for compute_metrics in (None, metrics):
            trainer = harness.trainer(
                kind,
                harness.config(tmp_path, max_steps=4, eval_strategy="steps", eval_steps=2),
                eval_dataset=harness.pairs(7, seed=2),
                compute_metrics=compute_metrics,
            )
            trainer.train()
            results.append(harness.history(trainer))
    assert "eval_rewards/margins" in results[0][2]
    assert "eval_mean" in results[1][2]
    assert harness.largest_difference(results[0], results[2])[0] <= SAME
    assert harness.largest_difference(results[1], results[3])[0] <= SAME
    assert len(seen) == 4
    for theirs, ours in zip(seen[:2], seen[2:]):
        torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=SAME, atol=SAME)


@pytest.mark.parametrize("is_training", [True, False])
def test_outputs_keep_their_logits(is_training: bool, tmp_path: Path) -> None:
    trainer = harness.trainer(LogratioDPOTrainer, harness.config(tmp_path))
    inputs = next(iter(trainer.get_train_dataloader()))
    trainer.model.train(is_training)
    loss, outputs = trainer.compute_loss(trainer.model, inputs, return_outputs=True)
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    assert torch.equal(outputs.logits, trainer.model(**given).logits)
    loss.backward()
    gradient = trainer.model.lm_head.weight.grad.clone()
    trainer.model.zero_grad()
    trainer.compute_loss(trainer.model, inputs).backward()
    assert gradient.any() and torch.equal(gradient, trainer.model.lm_head.weight.grad)


def test_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "config": LogratioDPOConfig,
        "loss_type": ["dlrml"],
        "beta_kl": 0.1,
        "optim": "adamw_torch",
        "save_strategy": "steps",
        "save_steps": 3,
        "max_steps": 6,
    }
    whole = run(LogratioDPOTrainer, tmp_path, **options)
    args = harness.config(tmp_path, options.pop("config"), **options)
    resumed = harness.trainer(LogratioDPOTrainer, args)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    rest = harness.history(resumed)[3:6]
    assert [x["step"] for x in rest] == [4, 5, 6]
    for figures in rest + (expected := harness.history(whole)[3:6]):
        # TRL counts tokens anew after a checkpoint.
        del figures["num_tokens"]
    assert rest == expected


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["new", "trained_before"])
def test_adapter_is_its_own_reference(is_wrapped: bool, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    runs = []
    for kind in (DPOTrainer, LogratioDPOTrainer):
        torch.manual_seed(0)
        lora = peft.LoraConfig(r=4, init_lora_weights=not is_wrapped)
        model = harness.model(0)
        adapter = {"peft_config": lora}
        if is_wrapped:
            model, adapter = peft.get_peft_model(model, lora), {}
        args = harness.config(tmp_path, max_steps=6)
        trained = harness.trainer(kind, args, model=model, ref_model=None, **adapter)
        trained.train()
        runs.append(trained)
    assert harness.history(runs[1])[0]["rewards/margins"] == 0
    assert harness.history(runs[1])[5]["rewards/margins"] != pytest.approx(0, abs=SAME)
    assert_same(*runs)


def test_scaled_loss_needs_no_second_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An fp16 run scales its loss; gradients of float16 logits would be 0 without it.
    spy = Spy(monkeypatch)
    trainer = harness.trainer(LogratioDPOTrainer, harness.config(tmp_path))
    inputs = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    gradients = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=1024.0)):
        trainer.accelerator.scaler = scaler
        trainer.model.zero_grad()
        trainer.accelerator.backward(trainer.compute_loss(trainer.model, inputs))
        gradients.append(trainer.model.lm_head.weight.grad)
    assert spy.expected == spy.upstream == [1.0, 1024.0]
    assert torch.equal(1024 * gradients[0], gradients[1])
