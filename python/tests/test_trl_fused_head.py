"""LogratioDPOTrainer with fused_head: the same training as without, and no logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import trl_harness as harness
from test_trl_training import SAME, SETTINGS, assert_same
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)

from logratio.torch import linear_preference_step
from logratio.trl import LogratioDPOConfig, LogratioDPOTrainer, _trainer

datasets.disable_progress_bars()

#: What one of these models is made of.
TINY: dict[str, Any] = {
    "vocab_size": harness.VOCAB,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 1,
}


def run(is_fused: bool, folder: Path, model: Any = harness.model, **options: Any) -> Any:
    """A trained trainer, of a policy and a reference that the model makes of a seed."""
    named = {name: options.pop(name) for name in ("ref_model", "eval_dataset") if name in options}
    config = harness.config(folder, LogratioDPOConfig, fused_head=is_fused, **options)
    models = {"model": model(0), "ref_model": model(1)} | named
    trained = harness.trainer(LogratioDPOTrainer, config, **models)
    trained.train()
    return trained


@pytest.mark.parametrize("optim", ["sgd", "adamw_torch"])
def test_thirty_steps_are_those_without(optim: str, tmp_path: Path) -> None:
    plain, fused = (run(is_fused, tmp_path, optim=optim) for is_fused in (False, True))
    losses = [x["loss"] for x in harness.history(fused) if "loss" in x]
    assert len(losses) == 30 and len(set(losses)) == 30
    assert_same(plain, fused)


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_settings_are_honoured(options: dict[str, Any], tmp_path: Path) -> None:
    options = {"max_steps": 6} | options
    assert_same(run(False, tmp_path, **options), run(True, tmp_path, **options))


def test_budget_changes_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy(monkeypatch)
    runs = [
        run(True, tmp_path, max_steps=3, fused_budget_bytes=budget)
        for budget in (None, 4 * harness.VOCAB)
    ]
    assert spy.operations == [6.0] * 3 + [8.0] * 3
    assert harness.history(runs[0]) == harness.history(runs[1])


def tied(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    config = harness.model(seed).config
    config.tie_word_embeddings = True
    return harness.LlamaForCausalLM(config)


def with_bias(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = PhiForCausalLM(PhiConfig(**TINY))
    nn.init.normal_(model.lm_head.bias)
    return model


def capped(seed: int) -> nn.Module:
    """Logits are up to 5 before they are capped to below 2."""
    torch.manual_seed(seed)
    return Gemma2ForCausalLM(Gemma2Config(**TINY, final_logit_softcapping=2.0))


@pytest.mark.parametrize("model", [tied, with_bias, capped])
def test_heads(model: Any, tmp_path: Path) -> None:
    options = {"max_steps": 6, "model": model, "loss_type": ["dlrml", "sft"]}
    plain, fused = (run(is_fused, tmp_path, **options) for is_fused in (False, True))
    histories = [harness.history(plain), harness.history(fused)]
    if model is capped:
        for logged in histories[0] + histories[1]:
            # Of logits before the cap, which nothing but the trainer without fused_head sees.
            logged.pop("logits/chosen", None)
            logged.pop("logits/rejected", None)
    difference, where = harness.largest_difference(*histories)
    assert difference <= SAME, where


def test_evaluation_without_logits(tmp_path: Path) -> None:
    options = {
        "max_steps": 4,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "eval_dataset": harness.pairs(7, seed=2),
    }
    plain, fused = (run(is_fused, tmp_path, **options) for is_fused in (False, True))
    assert "eval_rewards/margins" in harness.history(fused)[2]
    assert_same(plain, fused)


class Spy:
    """Records the dtypes that the head is multiplied in, the plans, and upstreams."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dtypes: list[tuple[torch.dtype, torch.dtype]] = []
        self.expected: list[float] = []
        self.upstream: list[float] = []
        self.methods: list[float] = []
        self.operations: list[float] = []
        monkeypatch.setattr(_trainer, "linear_preference_step", self.step)

    def step(self, hidden: torch.Tensor, weight: torch.Tensor, **named: Any) -> Any:
        self.dtypes.append((hidden.dtype, weight.dtype))
        self.expected.append(named["grad_loss"])
        step = linear_preference_step(hidden, weight, **named)
        self.methods.append(step.plan["method"].item())
        self.operations.append(step.plan["operations"].item())
        step.loss.register_hook(lambda gradient: self.upstream.append(gradient.item()))
        return step


def test_bf16_run_multiplies_bfloat16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its logits are not rounded to bfloat16, which the run without fused_head does to them.

    Rounded logits are off by 2**-9 of themselves, their sums over an answer by some of that.
    """
    spy = Spy(monkeypatch)
    options = {"max_steps": 6, "bf16": True, "gradient_accumulation_steps": 2}
    plain, fused = (run(is_fused, tmp_path, **options) for is_fused in (False, True))
    assert set(spy.dtypes) == {(torch.bfloat16, torch.bfloat16)}
    assert spy.upstream == pytest.approx(spy.expected, rel=1e-7) == [0.5] * 12
    assert_same(plain, fused, 2e-2)


def test_a_model_that_is_its_own_reference_has_no_rewards(tmp_path: Path) -> None:
    first = harness.history(run(True, tmp_path, max_steps=2, model=lambda _: harness.model(0)))[0]
    for name in ("rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies"):
        assert first[name] == 0


class Shapes(TorchDispatchMode):
    """Counts the elements of what torch's operations return with a last dimension of V."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns, self.most = columns, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = function(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(result):
            # The weight's transpose, which the embedding has not, is V wide and no tensor of logits.
            if isinstance(tensor, torch.Tensor) and tensor.dim() > 2:
                if tensor.shape[-1] == self.columns:
                    self.most = max(self.most, tensor.numel())
        return result


@pytest.mark.parametrize("is_fused", [False, True])
def test_no_logits_are_made(is_fused: bool, tmp_path: Path) -> None:
    """In 2 pairs of some 10 tokens; without fused_head that is what torch makes."""
    config = harness.config(tmp_path, LogratioDPOConfig, fused_head=is_fused)
    trainer = harness.trainer(LogratioDPOTrainer, config)
    inputs = next(iter(trainer.get_train_dataloader()))
    with Shapes(harness.VOCAB) as shapes:
        trainer.compute_loss(trainer.model, inputs).backward()
    logits = inputs["input_ids"].numel() * harness.VOCAB
    assert shapes.most == (0 if is_fused else logits)
    assert trainer.model.lm_head.weight.grad.any()


def refusal(folder: Path, model: Any = None, **named: Any) -> str:
    config = harness.config(folder, LogratioDPOConfig, fused_head=True)
    models = {} if model is None else {"model": model(0), "ref_model": model(1)}
    with pytest.raises(ValueError) as caught:
        harness.trainer(LogratioDPOTrainer, config, **models | named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def cohere(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    options = {name: x for name, x in TINY.items() if name != "head_dim"}
    return CohereForCausalLM(CohereConfig(**options, logit_scale=0.25))


def granite(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    options = {name: x for name, x in TINY.items() if name != "head_dim"}
    return GraniteForCausalLM(GraniteConfig(**options, logits_scaling=1.5))


@pytest.mark.parametrize("model", [cohere, granite])
def test_logits_that_are_scaled_are_refused(model: Any, tmp_path: Path) -> None:
    assert refusal(tmp_path, model) == (
        "fused_head: expected a model whose logits are its head's product with the last hidden "
        f"states, got {type(model(0)).__name__}, which changes them further"
    )


def test_what_needs_logits_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, compute_metrics=lambda _: {}) == (
        "compute_metrics: expected None with fused_head, which makes no logits"
    )
    config = harness.config(tmp_path, LogratioDPOConfig, fused_head=True)
    trainer = harness.trainer(LogratioDPOTrainer, config)
    inputs = next(iter(trainer.get_train_dataloader()))
    with pytest.raises(ValueError, match=r"^return_outputs: expected False with fused_head, "):
        trainer.compute_loss(trainer.model, inputs, return_outputs=True)


def test_another_kind_of_head_is_refused(tmp_path: Path) -> None:
    class Doubled(nn.Linear):
        """Not what its weight says."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(x)

    def model(seed: int) -> nn.Module:
        made = harness.model(seed)
        made.lm_head = Doubled(32, harness.VOCAB, bias=False)
        return made

    assert refusal(tmp_path, model) == (
        "fused_head: expected a head that is a plain linear layer, without an adapter or "
        "quantisation, got Doubled of LlamaForCausalLM"
    )


def test_adapter_leaves_the_head_frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peft = pytest.importorskip("peft")
    spy = Spy(monkeypatch)
    runs = []
    for is_fused in (False, True):
        torch.manual_seed(0)
        config = harness.config(tmp_path, LogratioDPOConfig, fused_head=is_fused, max_steps=6)
        adapter = {"ref_model": None, "peft_config": peft.LoraConfig(r=4)}
        trained = harness.trainer(LogratioDPOTrainer, config, **adapter)
        trained.train()
        runs.append(trained)
    assert spy.methods == [1.0] * 6  # online: no gradient of the weight
    assert harness.history(runs[1])[0]["rewards/margins"] == 0
    assert_same(*runs)


@pytest.mark.parametrize("option", ["target_modules", "modules_to_save"])
def test_adapter_on_the_head_is_refused(option: str, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    targets = {"target_modules": ["q_proj"], option: ["lm_head"]}
    sentence = refusal(tmp_path, ref_model=None, peft_config=peft.LoraConfig(r=4, **targets))
    assert sentence.startswith(
        "fused_head: expected a head that is a plain linear layer, without an adapter or "
    )
