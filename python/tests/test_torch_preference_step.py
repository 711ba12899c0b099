"""preference_step and unpaired_step beside token log-probs, sums and formulas in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch_oracle import (
    PAIRED,
    PAIRED_CASES,
    REFERENCE_FREE,
    ROUNDING,
    UNPAIRED_CASES,
    Pairs,
    close,
    double,
    entropies,
    paired_id,
    token_logps,
    unpaired,
)

from logratio import losses
from logratio.torch import preference_step, token_logprobs, unpaired_step

P, T, V = 3, 6, 211


class Batch:
    """Logits of 2P sequences with a mask and a reference per token."""

    def __init__(self, dtype: torch.dtype = torch.float32, sequences: int = 2 * P) -> None:
        generator = torch.Generator().manual_seed(5)
        shape = (sequences, T)
        self.logits = torch.randn(*shape, V, generator=generator).to(dtype).requires_grad_()
        self.labels = torch.randint(0, V, shape, generator=generator)
        self.mask = torch.rand(shape, generator=generator) > 0.3
        self.mask[:, 0] = True
        self.labels[1, 0] = -100
        self.mask[1, 1] = True
        self.reference = -6 + torch.rand(shape, generator=generator)
        self.counted = self.mask & (self.labels != -100)
        self.oracle = double(self.logits)

    def sums(self, mask: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Sequence log-probs of the policy, and of the reference."""
        mask = self.counted if mask is None else mask
        policy = (token_logps(self.oracle, self.labels) * mask).sum(-1)
        return policy, (self.reference.double() * mask).sum(-1)

    def values(self, name: str, options: dict[str, Any], mean: bool = False) -> torch.Tensor:
        (lw, ll), (rw, rl) = (x.chunk(2) for x in self.sums())
        nw, nl = self.counted.sum(-1).double().chunk(2)
        if mean:
            lw, ll, rw, rl = lw / nw, ll / nl, rw / nw, rl / nl
        if name in REFERENCE_FREE:
            rw, rl = torch.zeros_like(rw), torch.zeros_like(rl)
        return PAIRED[name](Pairs(lw, ll, rw, rl, nw, nl), options)

    def given(self, name: str) -> dict[str, torch.Tensor]:
        tensors = {"mask": self.mask}
        if name not in REFERENCE_FREE:
            tensors["reference_token_logps"] = self.reference
        return tensors


@pytest.mark.parametrize("case", PAIRED_CASES, ids=paired_id)
def test_every_loss(case: tuple[str, dict[str, Any]]) -> None:
    name, options = case
    batch = Batch()
    result = preference_step(batch.logits, batch.labels, case, **batch.given(name))
    values = batch.values(name, options)
    close(result.loss, values.mean())
    of_pairs = values.view(2, -1).mean(0) if name == "kto_pair" else values
    close(result.losses, of_pairs)
    result.loss.backward()
    values.mean().backward()
    # A gate multiplies what float32 leaves of the log-probabilities by 1 / tau.
    tolerance = 2e-5 if "tau" in losses()[name].options else 5e-6
    close(batch.logits.grad, batch.oracle.grad, tolerance)


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("inplace", [False, True])
def test_dtypes_and_slices(dtype: torch.dtype, inplace: bool) -> None:
    batch = Batch(dtype)
    whole = torch.nn.functional.pad(batch.logits, (0, 0, 0, 1))
    result = preference_step(
        whole[:, :-1], batch.labels, "sigmoid", **batch.given("sigmoid"), inplace=inplace
    )
    values = batch.values("sigmoid", {})
    result.loss.backward()
    values.mean().backward()
    close(result.loss, values.mean())
    assert batch.logits.grad.dtype == dtype
    close(batch.logits.grad, batch.oracle.grad, ROUNDING[dtype])


def test_figures_and_metrics() -> None:
    batch = Batch()
    policy, reference = batch.sums()
    result = preference_step(
        batch.logits,
        batch.labels,
        ("sigmoid", {"beta": 0.3}),
        mask=batch.mask,
        reference_logps=reference,
    )
    close(result.logps, policy)
    close(result.counts, batch.counted.sum(-1).double())
    chosen, rejected = (0.3 * (policy - reference)).chunk(2)
    close(result.chosen_rewards, chosen)
    close(result.rejected_rewards, rejected)
    batch.values("sigmoid", {"beta": 0.3}).mean().backward()
    counted, z = batch.counted, batch.oracle.detach()
    is_right = (z.argmax(-1) == batch.labels)[:P][counted[:P]]
    expected = {
        "rewards_chosen": chosen.mean(),
        "rewards_rejected": rejected.mean(),
        "rewards_margin": (chosen - rejected).mean(),
        "rewards_accuracy": (chosen > rejected).double().mean(),
        "entropy": entropies(z)[counted].mean(),
        "token_accuracy": is_right.double().mean(),
        "logits_chosen": z[:P].mean(-1)[counted[:P]].mean(),
        "logits_rejected": z[P:].mean(-1)[counted[P:]].mean(),
        "grad_norm": batch.oracle.grad.norm(),
        "nonfinite": torch.tensor(0.0),
    }
    assert list(result.metrics) == list(expected)
    for name, figure in result.metrics.items():
        assert figure.shape == () and figure.dtype == torch.float32
        close(figure, expected[name])
    for tensor in (*result[1:6], *result.metrics.values()):
        assert not tensor.requires_grad


def test_losses_add_up() -> None:
    batch = Batch()
    losses = ["sigmoid", ("hinge", {"beta": 0.4}), "sft"]
    result = preference_step(
        batch.logits, batch.labels, losses, loss_weights=[1, 0.5, 2], **batch.given("sigmoid")
    )
    nll = -batch.sums()[0][:P].sum() / batch.counted[:P].sum()
    loss = batch.values("sigmoid", {}).mean() + 0.5 * batch.values("hinge", {"beta": 0.4}).mean()
    loss = loss + 2 * nll
    close(result.loss, loss)
    result.loss.backward()
    loss.backward()
    close(batch.logits.grad, batch.oracle.grad)


def test_means_of_tokens() -> None:
    batch = Batch()
    result = preference_step(
        batch.logits, batch.labels, "sigmoid", reduction="mean", **batch.given("sigmoid")
    )
    loss = batch.values("sigmoid", {}, mean=True).mean()
    close(result.loss, loss)
    result.loss.backward()
    loss.backward()
    close(batch.logits.grad, batch.oracle.grad)


def test_pair_weights_and_token_count() -> None:
    batch = Batch()
    weights = torch.tensor([0.5, 0.0, 3.0])
    result = preference_step(
        batch.logits,
        batch.labels,
        ["sigmoid", "sft"],
        pair_weights=weights,
        token_count=40,
        **batch.given("sigmoid"),
    )
    loss = (weights * batch.values("sigmoid", {})).mean() - (
        weights * batch.sums()[0][:P]
    ).sum() / 40
    close(result.loss, loss)
    result.loss.backward()
    loss.backward()
    close(batch.logits.grad, batch.oracle.grad)


def test_nll_mask() -> None:
    batch = Batch()
    batch.labels[1, 0] = 3
    nll_mask = torch.ones_like(batch.mask)
    result = preference_step(batch.logits, batch.labels, "orpo", mask=batch.mask, nll_mask=nll_mask)
    batch.counted = batch.mask
    nll = -batch.sums(nll_mask)[0][:P] / T
    own = batch.sums()[0][:P] / batch.counted.sum(-1)[:P]
    loss = (batch.values("orpo", {}) + own + nll).mean()
    close(result.loss, loss)
    result.loss.backward()
    loss.backward()
    close(batch.logits.grad, batch.oracle.grad)


def test_tail_weight() -> None:
    """LD-DPO: tokens past the shorter answer count half."""
    batch = Batch()
    places = batch.counted.cumsum(-1)
    shared = batch.counted.sum(-1).view(2, P).min(0).values.repeat(2).unsqueeze(-1)
    batch.counted = batch.counted * (1 - 0.5 * (places > shared).double())
    result = preference_step(
        batch.logits, batch.labels, "sigmoid", tail_weight=0.5, **batch.given("sigmoid")
    )
    loss = batch.values("sigmoid", {}).mean()
    close(result.loss, loss)
    close(result.counts, batch.counted.sum(-1))
    result.loss.backward()
    loss.backward()
    close(batch.logits.grad, batch.oracle.grad)


@pytest.mark.parametrize("wpo", [True, "on", "capped", False])
def test_wpo(wpo: str | bool) -> None:
    batch = Batch()
    result = preference_step(
        batch.logits, batch.labels, "sigmoid", wpo=wpo, **batch.given("sigmoid")
    )
    logps = batch.oracle.detach().log_softmax(-1)
    own = token_logps(batch.oracle.detach(), batch.labels) - (2 * logps).logsumexp(-1)
    weights = ((own * batch.counted).sum(-1) / batch.counted.sum(-1)).view(2, P).sum(0).exp()
    if wpo == "capped":
        weights = weights.clamp(max=1)
    loss = ((weights if wpo else 1) * batch.values("sigmoid", {})).mean()
    close(result.loss, loss)
    result.loss.backward()
    loss.backward()
    close(batch.logits.grad, batch.oracle.grad)


@pytest.mark.parametrize("inplace", [False, True])
def test_packed(inplace: bool) -> None:
    batch = Batch()
    lengths = torch.tensor([6, 2, 4, 3, 6, 1])
    columns = torch.arange(T) < lengths.unsqueeze(-1)
    padded = preference_step(
        batch.logits,
        batch.labels,
        "sigmoid",
        mask=batch.mask & columns,
        reference_token_logps=batch.reference,
    )
    padded.loss.backward()
    packed = batch.logits.detach()[columns].requires_grad_()
    result = preference_step(
        packed * 1,
        batch.labels[columns],
        "sigmoid",
        mask=batch.mask[columns],
        reference_token_logps=batch.reference[columns],
        cu_seqlens=torch.nn.functional.pad(lengths.cumsum(0), (1, 0)),
        inplace=inplace,
    )
    result.loss.backward()
    assert torch.equal(result.losses, padded.losses)
    assert torch.equal(packed.grad, batch.logits.grad[columns])


@pytest.mark.parametrize("name", ["dlrml", "discopop", "sigmoid", "simpo"])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("shape", [(), (P,)])
def test_learned_parameters(name: str, inplace: bool, shape: tuple[int, ...]) -> None:
    names = {"dlrml": ("beta_kl", "beta_mix", "tau"), "discopop": ("beta", "tau")}.get(
        name, ("beta",)
    )
    learned = {key: torch.full(shape, 0.3).requires_grad_() for key in names}
    batch = Batch()
    result = preference_step(
        batch.logits * 1, batch.labels, (name, learned), **batch.given(name), inplace=inplace
    )
    oracle = {key: double(x) for key, x in learned.items()}
    loss = batch.values(name, oracle).mean()
    (2.5 * result.loss).backward()
    (2.5 * loss).backward()
    close(batch.logits.grad, batch.oracle.grad)
    for key, parameter in learned.items():
        assert parameter.grad.shape == shape
        close(parameter.grad, oracle[key].grad)


def test_only_a_parameter_is_learned() -> None:
    batch = Batch()
    beta = torch.tensor(0.3, requires_grad=True)
    result = preference_step(
        batch.logits.detach(), batch.labels, ("sigmoid", {"beta": beta}), **batch.given("sigmoid")
    )
    result.loss.backward()
    oracle = double(beta)
    batch.values("sigmoid", {"beta": oracle}).mean().backward()
    close(beta.grad, oracle.grad)


def test_no_gradient_is_computed_unasked() -> None:
    batch = Batch()
    with torch.no_grad():
        result = preference_step(batch.logits, batch.labels, "sigmoid", **batch.given("sigmoid"))
    assert result.metrics["grad_norm"] == 0 and not result.loss.requires_grad
    close(result.loss, batch.values("sigmoid", {}).mean())


def test_nothing_counts() -> None:
    batch = Batch()
    nothing = torch.zeros_like(batch.mask)
    result = preference_step(
        batch.logits, batch.labels, "sigmoid", mask=nothing, reference_logps=torch.zeros(2 * P)
    )
    result.loss.backward()
    assert result.loss.item() == pytest.approx(math.log(2))
    assert not batch.logits.grad.any() and not result.metrics["entropy"]


def test_a_nearly_certain_answer_of_orpo() -> None:
    """An answer whose probability is 1 to the last bit of float64: 1 - p has to keep its digits."""
    logits = torch.zeros(2, 1, 5)
    logits[0, 0, 2] = 36.0
    logits.requires_grad_()
    labels = torch.tensor([[2], [1]])
    result = preference_step(logits, labels, "orpo")
    result.loss.backward()
    oracle = double(logits)
    own, other = oracle[0, 0], oracle[1, 0].log_softmax(-1)[1]
    rest = torch.cat([own[:2], own[3:]]).logsumexp(-1)
    logp = -torch.nn.functional.softplus(rest - own[2])
    odds = own[2] - rest - other + torch.log(-torch.expm1(other))
    loss = -logp - 0.1 * torch.nn.functional.logsigmoid(odds)
    close(result.loss, loss)
    loss.backward()
    close(logits.grad, oracle.grad, 1e-5)


def test_equals_the_operations_it_is_made_of() -> None:
    batch = Batch()
    logp = token_logprobs(batch.logits, batch.labels)
    result = preference_step(batch.logits, batch.labels, "sigmoid", **batch.given("sigmoid"))
    close(result.logps, (logp * batch.mask).sum(-1))


@pytest.mark.parametrize("case", UNPAIRED_CASES, ids=paired_id)
@pytest.mark.parametrize("inplace", [False, True])
def test_unpaired(case: tuple[str, dict[str, Any]], inplace: bool) -> None:
    name, options = case
    batch = Batch(sequences=5)
    chosen = torch.tensor([True, False, True, True, False])
    weights = torch.tensor([1.0, 2, 0.5, 1, 0])
    result = unpaired_step(
        batch.logits * 1,
        batch.labels,
        chosen,
        case,
        mask=batch.mask,
        reference_token_logps=batch.reference,
        weights=weights,
        inplace=inplace,
    )
    policy, reference = batch.sums()
    values = weights * unpaired(name, options, policy, reference, chosen)
    close(result.loss, values.mean())
    close(result.losses, values)
    close(result.logps, policy)
    rewards = options.get("beta", 0.1) * (policy - reference)
    close(result.rewards, rewards)
    result.loss.backward()
    values.mean().backward()
    close(batch.logits.grad, batch.oracle.grad)
    for side, of_side in (("chosen", chosen), ("rejected", ~chosen)):
        close(
            result.metrics[f"rewards_{side}"],
            rewards[of_side].mean(),
            scale=rewards.abs().max().item(),
        )
    close(result.metrics["grad_norm"], batch.oracle.grad.norm())
    assert "rewards_accuracy" not in result.metrics and result.kl.shape == ()


def test_unpaired_kl_and_mean() -> None:
    batch = Batch(sequences=4)
    chosen = torch.tensor([1, 0, 1, 0], dtype=torch.uint8)
    policy, reference = batch.sums()
    counts = batch.counted.sum(-1)
    result = unpaired_step(
        batch.logits,
        batch.labels,
        chosen,
        "kto",
        mask=batch.mask,
        reference_logps=(reference / counts),
        kl_policy_logps=torch.tensor([1.0, 2.0]),
        kl_reference_logps=torch.tensor([0.5, 2.0]),
        reduction="mean",
    )
    assert result.kl == 0.25
    values = unpaired("kto", {}, policy / counts, reference / counts, chosen.bool(), 0.25)
    close(result.losses, values)
    result.loss.backward()
    values.mean().backward()
    close(batch.logits.grad, batch.oracle.grad)
