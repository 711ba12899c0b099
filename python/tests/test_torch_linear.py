"""The fused linear operations beside their unfused twins, and beside autograd in float64.

The twins get the logits as float32 numbers of a product in float64, so that the two differ by the
rounding of float32 products alone.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch_oracle import (
    PAIRED_CASES,
    REFERENCE_FREE,
    ROUNDING,
    UNPAIRED_CASES,
    close,
    double,
    entropies,
    paired_id,
    token_logps,
)

from logratio import losses
from logratio.torch import (
    linear_preference_step,
    linear_token_logprobs,
    linear_unpaired_step,
    preference_step,
    token_logprobs,
    unpaired_step,
)

P, T, H, V = 3, 37, 24, 1093

#: A float32 sum of H products is off by a few roundings of its terms, here of size 1: 1e-6 in a
#: logit, and so in a logarithm and, relative to the largest, in a gradient. A gate multiplies what
#: a log-probability is off by by 1 / tau, and an f-divergence by the slope of its score.
CLOSE, STEEP = 5e-6, 5e-5

#: A least budget, which keeps nothing.
LEAST = 4 * V

NAMES = ("hidden", "weight", "bias")


class Batch:
    """Hidden states of 2P sequences, a head, and references of three kinds."""

    def __init__(
        self,
        dtype: torch.dtype = torch.float32,
        trained: tuple[str, ...] = NAMES,
        length: int = T,
        sequences: int = 2 * P,
    ) -> None:
        generator = torch.Generator().manual_seed(11)
        shape = (sequences, length)

        def normal(*sizes: int, scale: float = 1.0) -> Tensor:
            return (scale * torch.randn(*sizes, generator=generator)).to(dtype)

        self.hidden, self.weight = normal(*shape, H), normal(V, H, scale=0.3)
        self.bias = normal(V, scale=0.5)
        for name in trained:
            getattr(self, name).requires_grad_()
        self.labels = torch.randint(0, V - 50, shape, generator=generator)
        self.mask = torch.rand(shape, generator=generator) > 0.3
        self.labels[1, 0] = -100
        self.reference = -7 + torch.rand(shape, generator=generator)
        self.reference_hidden = normal(*shape, H)
        self.reference_weight = normal(V, H, scale=0.3)
        self.reference_bias = normal(V, scale=0.5)
        self.oracle = {name: double(getattr(self, name)) for name in NAMES}

    @property
    def head(self) -> dict[str, Tensor]:
        return {"hidden": self.hidden, "weight": self.weight, "bias": self.bias}

    def product(self) -> Tensor:
        """The logits, in float64 and with a graph."""
        oracle = self.oracle
        return oracle["hidden"] @ oracle["weight"].t() + oracle["bias"]

    def given(self, name: str) -> dict[str, Tensor]:
        tensors = {"mask": self.mask}
        if name not in REFERENCE_FREE:
            tensors["reference_token_logps"] = self.reference
        return tensors

    def logits(self) -> tuple[Tensor, Tensor]:
        """The product, and its float32 numbers as a leaf for the unfused operation."""
        product = self.product()
        return product, product.detach().float().requires_grad_()

    def same_gradients(self, product: Tensor, logits: Tensor, tolerance: float = CLOSE) -> None:
        """Gradients beside those that the unfused operation's gradient gives in float64."""
        product.backward(logits.grad.double())
        self.same_as_oracle(tolerance)

    def same_as_oracle(self, tolerance: float = CLOSE) -> None:
        for name in NAMES:
            tensor = getattr(self, name)
            if not tensor.requires_grad:
                assert tensor.grad is None
                continue
            assert tensor.grad.dtype == tensor.dtype
            close(tensor.grad, self.oracle[name].grad, tolerance)


def same_figures(fused: Any, plain: Any, tolerance: float = CLOSE) -> None:
    """All that two steps return, but for gradients and plans; float32 counts and sums are equal."""
    for name, expected in plain._asdict().items():
        actual = getattr(fused, name)
        if name == "metrics":
            assert list(actual) == list(expected)
            for figure in expected:
                close(actual[figure], expected[figure], tolerance, scale=max(1, expected[figure]))
        else:
            assert actual.shape == expected.shape and actual.dtype == expected.dtype
            close(actual, expected, tolerance)


@pytest.mark.parametrize("case", [*PAIRED_CASES, ("sft", {})], ids=paired_id)
def test_every_loss(case: tuple[str, dict[str, Any]]) -> None:
    name, options = case
    batch = Batch(length=7)  # forward_kl's exp(-log ratio) has to be finite
    given = batch.given(name)
    fused = linear_preference_step(labels=batch.labels, loss=case, **batch.head, **given)
    product, logits = batch.logits()
    plain = preference_step(logits, batch.labels, case, **given)
    is_steep = "tau" in losses()[name].options or "f_divergence" in options
    tolerance = STEEP if is_steep else CLOSE
    same_figures(fused, plain, tolerance)
    fused.loss.backward()
    plain.loss.backward()
    batch.same_gradients(product, logits, tolerance)


@pytest.mark.parametrize("case", UNPAIRED_CASES, ids=paired_id)
def test_every_unpaired_loss(case: tuple[str, dict[str, Any]]) -> None:
    batch = Batch(sequences=5)
    chosen = torch.tensor([True, False, True, True, False])
    given = {
        **batch.given("kto"),
        "weights": torch.tensor([1.0, 2, 0.5, 1, 0]),
        "reduction": "mean",
        "temperature": 0.9,
    }
    if case[0] == "kto":
        given |= {"kl_policy_logps": torch.ones(2), "kl_reference_logps": torch.zeros(2)}
    fused = linear_unpaired_step(
        labels=batch.labels, chosen=chosen, loss=case, **batch.head, **given
    )
    product, logits = batch.logits()
    plain = unpaired_step(logits, batch.labels, chosen, case, **given)
    same_figures(fused, plain)
    fused.loss.backward()
    plain.loss.backward()
    batch.same_gradients(product, logits)


OPTIONS: dict[str, dict[str, Any]] = {
    "softcap": {"softcap": 4.0},
    "temperature": {"temperature": 0.7},
    "vocab": {"vocab": V - 50},
    "all three": {"softcap": 4.0, "temperature": 1.3, "vocab": V - 50},
    "mean": {"reduction": "mean"},
    "tail": {"tail_weight": 0.5, "align": "absolute", "keep_fraction": 0.8},
    "wpo": {"wpo": True},
    "pair weights": {"pair_weights": torch.tensor([0.5, 0.0, 3.0])},
    "upstream": {"grad_loss": 0.25},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options(options: dict[str, Any]) -> None:
    batch = Batch()
    given = batch.given("sigmoid") | options
    fused = linear_preference_step(labels=batch.labels, loss="sigmoid", **batch.head, **given)
    product, logits = batch.logits()
    plain = preference_step(logits, batch.labels, "sigmoid", **given)
    same_figures(fused, plain)
    (fused.loss * 0.5).backward()
    (plain.loss * 0.5).backward()
    batch.same_gradients(product, logits)
    if "vocab" in options:
        assert not batch.weight.grad[V - 50 :].any() and not batch.bias.grad[V - 50 :].any()


def test_several_losses_with_their_own_tokens() -> None:
    batch = Batch()
    given = {
        **batch.given("sigmoid"),
        "loss_weights": [1.0, 0.5],
        "nll_mask": torch.ones_like(batch.mask),
        "token_count": 100,
    }
    several = ["sigmoid", "sft"]
    fused = linear_preference_step(labels=batch.labels, loss=several, **batch.head, **given)
    product, logits = batch.logits()
    plain = preference_step(logits, batch.labels, several, **given)
    same_figures(fused, plain)
    fused.loss.backward()
    plain.loss.backward()
    batch.same_gradients(product, logits)


def test_learned_parameters() -> None:
    betas = [torch.full((P,), 0.3).requires_grad_() for _ in range(2)]
    batch = Batch()
    given = batch.given("sigmoid")
    loss = ("sigmoid", {"beta": betas[0]})
    linear_preference_step(labels=batch.labels, loss=loss, **batch.head, **given).loss.backward()
    product, logits = batch.logits()
    preference_step(logits, batch.labels, ("sigmoid", {"beta": betas[1]}), **given).loss.backward()
    close(betas[0].grad, betas[1].grad, CLOSE)
    batch.same_gradients(product, logits)


@pytest.mark.parametrize("dtype", ROUNDING)
def test_dtypes(dtype: torch.dtype) -> None:
    """Values of narrow inputs are those of the same numbers in float64; gradients are rounded.

    Products of bfloat16 as it is have gradients of logits that are rounded, too.
    """
    batch = Batch(dtype)
    given = batch.given("sigmoid")
    fused = linear_preference_step(labels=batch.labels, loss="sigmoid", **batch.head, **given)
    product, logits = batch.logits()
    plain = preference_step(logits, batch.labels, "sigmoid", **given)
    same_figures(fused, plain)
    fused.loss.backward()
    plain.loss.backward()
    batch.same_gradients(product, logits, 2 * ROUNDING[dtype] if dtype.itemsize < 4 else CLOSE)


@pytest.mark.parametrize(
    "trained",
    [("hidden",), ("weight",), ("bias",), ("hidden", "bias"), ("weight", "bias"), ()],
    ids="-".join,
)
def test_gradients_are_those_that_are_required(trained: tuple[str, ...]) -> None:
    batch = Batch(trained=trained)
    given = batch.given("sigmoid")
    fused = linear_preference_step(labels=batch.labels, loss="sigmoid", **batch.head, **given)
    product, logits = batch.logits()
    plain = preference_step(logits, batch.labels, "sigmoid", **given)
    close(fused.loss, plain.loss)
    assert fused.loss.requires_grad == bool(trained)
    assert fused.plan["method"] == (0 if not trained else 1 if trained == ("hidden",) else 2)
    if trained:
        fused.loss.backward()
        plain.loss.backward()
        close(fused.metrics["grad_norm"], plain.metrics["grad_norm"], CLOSE)
        batch.same_gradients(product, logits)
    else:
        assert fused.metrics["grad_norm"] == 0


def test_frozen_says_that_nothing_is_required() -> None:
    batch = Batch(trained=("hidden",))
    given = batch.given("sigmoid")
    step = [
        linear_preference_step(
            labels=batch.labels, loss="sigmoid", frozen=frozen, **batch.head, **given
        )
        for frozen in ("none", "weight")
    ]
    assert torch.equal(step[0].logps, step[1].logps)
    with torch.no_grad():
        step = linear_preference_step(
            labels=batch.labels, loss="sigmoid", frozen="hidden", **batch.head, **given
        )
    assert step.plan["method"] == 0


@pytest.mark.parametrize("has_bias", [False, True])
def test_reference_model(has_bias: bool) -> None:
    batch = Batch()
    reference = {
        "reference_hidden": batch.reference_hidden,
        "reference_weight": batch.reference_weight,
    }
    logits = batch.reference_hidden.double() @ batch.reference_weight.double().t()
    if has_bias:
        reference["reference_bias"] = batch.reference_bias
        logits = logits + batch.reference_bias
    logps = token_logps(logits, batch.labels)
    fused = linear_preference_step(
        labels=batch.labels, loss="sigmoid", mask=batch.mask, **batch.head, **reference
    )
    product, leaf = batch.logits()
    plain = preference_step(
        leaf, batch.labels, "sigmoid", mask=batch.mask, reference_token_logps=logps
    )
    same_figures(fused, plain)
    fused.loss.backward()
    plain.loss.backward()
    batch.same_gradients(product, leaf)


def test_a_policy_that_is_its_own_reference_has_no_rewards() -> None:
    """But for the float32 sums of a row, which metrics make another way."""
    batch = Batch()
    own = {f"reference_{name}": x.detach() for name, x in batch.head.items()}
    step = linear_preference_step(labels=batch.labels, loss="sigmoid", **batch.head, **own)
    for rewards in (step.chosen_rewards, step.rejected_rewards):
        close(rewards, torch.zeros(P), 1e-9, scale=step.logps.abs().max().item())


def test_packed_sequences_equal_padded_ones() -> None:
    batch = Batch()
    lengths = torch.tensor([37, 2, 14, 0, 36, 1])
    columns = torch.arange(T) < lengths.unsqueeze(-1)
    padded = linear_preference_step(
        labels=batch.labels,
        loss="sigmoid",
        mask=batch.mask & columns,
        reference_token_logps=batch.reference,
        **batch.head,
    )
    padded.loss.backward()
    hidden = batch.hidden.detach()[columns].requires_grad_()
    weight = batch.weight.detach().requires_grad_()
    packed = linear_preference_step(
        hidden,
        weight,
        batch.labels[columns],
        "sigmoid",
        bias=batch.bias,
        mask=batch.mask[columns],
        reference_token_logps=batch.reference[columns],
        cu_seqlens=torch.nn.functional.pad(lengths.cumsum(0), (1, 0)),
    )
    packed.loss.backward()
    assert torch.equal(packed.losses, padded.losses)
    assert torch.equal(hidden.grad, batch.hidden.grad[columns])
    assert torch.equal(weight.grad, batch.weight.grad)


def trained_within(budget: int | None, dtype: torch.dtype) -> tuple[Any, list[Tensor]]:
    """A step on some 660 rows, which are more than a block, and its gradients."""
    batch = Batch(dtype, length=160)
    given = batch.given("sigmoid")
    step = linear_preference_step(
        labels=batch.labels, loss="sigmoid", budget_bytes=budget, **batch.head, **given
    )
    step.loss.backward()
    return step, [getattr(batch, name).grad for name in NAMES]


@pytest.mark.parametrize("dtype", ROUNDING)
def test_budget_changes_no_bit(dtype: torch.dtype) -> None:
    """The logits of all rows are kept, those of some, or of none."""
    whole, expected = trained_within(None, dtype)
    plan = {name: int(x) for name, x in whole.plan.items()}
    assert plan["kept_rows"] == plan["rows"] > 600 and whole.plan["operations"] == 6
    windows = -(-V // plan["block_columns"])
    block = 4 * plan["block_rows"] * plan["block_columns"] * windows
    for budget in (LEAST, plan["scratch_bytes"] + block):
        step, gradients = trained_within(budget, dtype)
        if budget == LEAST:
            assert step.plan["recomputed_rows"] == plan["rows"] and step.plan["operations"] == 8
        else:
            assert 0 < step.plan["kept_rows"] < plan["rows"]
        for name in ("losses", "logps", "chosen_rewards"):
            assert torch.equal(getattr(step, name), getattr(whole, name))
        for gradient, other in zip(gradients, expected):
            assert torch.equal(gradient, other)


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("trained", [("hidden",), ("hidden", "weight")], ids="-".join)
def test_batch_around_a_pair_changes_no_bit(dtype: torch.dtype, trained: tuple[str, ...]) -> None:
    batch = Batch(dtype, trained=trained, length=90)
    step = linear_preference_step(
        labels=batch.labels,
        loss="sigmoid",
        grad_loss=P,
        **batch.head,
        **batch.given("sigmoid"),
    )
    (step.loss * P).backward()
    for pair in range(P):
        rows = torch.tensor([pair, P + pair])
        hidden = batch.hidden.detach()[rows].requires_grad_()
        alone = linear_preference_step(
            hidden,
            batch.weight,
            batch.labels[rows],
            "sigmoid",
            bias=batch.bias,
            mask=batch.mask[rows],
            reference_token_logps=batch.reference[rows],
        )
        alone.loss.backward()
        assert torch.equal(alone.logps, step.logps[rows])
        assert torch.equal(hidden.grad, batch.hidden.grad[rows])


def test_hidden_states_of_a_slice() -> None:
    batch = Batch()
    wide = torch.nn.functional.pad(batch.hidden, (0, 0, 0, 1))
    tall = torch.nn.functional.pad(batch.weight, (0, 3))
    sliced = linear_preference_step(
        wide[:, :-1],
        tall[:, :-3],
        batch.labels,
        "sigmoid",
        bias=batch.bias,
        **batch.given("sigmoid"),
    )
    sliced.loss.backward()
    own = [getattr(batch, name).grad.clone() for name in NAMES]
    for name in NAMES:
        getattr(batch, name).grad = None
    plain = linear_preference_step(
        labels=batch.labels, loss="sigmoid", **batch.head, **batch.given("sigmoid")
    )
    plain.loss.backward()
    assert torch.equal(sliced.losses, plain.losses)
    for gradient, name in zip(own, NAMES):
        assert torch.equal(gradient, getattr(batch, name).grad)


@pytest.mark.parametrize("trained", [NAMES, ("hidden",), ("weight",), ("bias",)], ids="-".join)
@pytest.mark.parametrize("extras", [(), ("entropy", "lse")], ids=["logp", "extras"])
@pytest.mark.parametrize("dtype", ROUNDING)
def test_token_logprobs_beside_autograd(
    trained: tuple[str, ...], extras: tuple[str, ...], dtype: torch.dtype
) -> None:
    batch = Batch(dtype, trained)
    wanted = dict.fromkeys(extras, True)
    *results, plan = linear_token_logprobs(labels=batch.labels, plan=True, **batch.head, **wanted)
    product = batch.product()
    counts = batch.labels != -100
    figures = [token_logps(product, batch.labels)]
    if extras:
        figures += [entropies(product), product.logsumexp(-1)]
    for actual, expected in zip(results, figures, strict=True):
        assert actual.dtype == torch.float32 and actual.shape == (2 * P, T)
        close(actual, expected, CLOSE)
    bracketed = trained == ("hidden",) and not extras
    assert plan["method"] == (1 if bracketed else 0)
    upstream = torch.linspace(-1, 2, 2 * P * T).view(2 * P, T)
    (results[0] * upstream + sum(results[1:])).sum().backward()
    rest = sum(figure * counts for figure in figures[1:])
    (figures[0] * upstream + rest).sum().backward()
    batch.same_as_oracle(2 * ROUNDING[dtype] if dtype.itemsize < 4 else CLOSE)


@pytest.mark.parametrize("dtype", ROUNDING)
def test_bracket_is_the_gradient_for_any_upstream(dtype: torch.dtype) -> None:
    """One multiplication of what the forward has computed, again and again of a retained graph."""
    batch = Batch(dtype, trained=("hidden",))
    logp = linear_token_logprobs(labels=batch.labels, **batch.head)
    first, again, half = (
        torch.autograd.grad(logp, batch.hidden, upstream, retain_graph=True)[0]
        for upstream in (torch.ones(2 * P, T), torch.ones(2 * P, T), torch.full((2 * P, T), 0.5))
    )
    assert first.dtype == dtype and first.any() and not first[1, 0].any()
    assert torch.equal(first, again) and torch.equal(first * 0.5, half)


def test_token_logprobs_of_any_leading_dimensions() -> None:
    batch = Batch()
    expected = linear_token_logprobs(labels=batch.labels, lse2=True, **batch.head)
    hidden = batch.hidden.view(P, 2, T, H)
    actual = linear_token_logprobs(
        hidden, batch.weight, batch.labels.view(P, 2, T), bias=batch.bias, lse2=True
    )
    for one, other in zip(actual, expected, strict=True):
        assert one.shape == (P, 2, T) and torch.equal(one.flatten(), other.flatten())
    row = linear_token_logprobs(hidden[0, 0, 3], batch.weight, batch.labels[0, 3], bias=batch.bias)
    assert row.shape == () and torch.equal(row, expected[0][0, 3])


def test_other_figures_are_the_twins() -> None:
    batch = Batch()
    wanted = dict.fromkeys(("entropy", "lse", "lse2", "argmax", "mean_logit"), True)
    options = {"softcap": 4.0, "temperature": 0.7, "vocab": V - 50}
    fused = linear_token_logprobs(labels=batch.labels, **batch.head, **wanted, **options)
    plain = token_logprobs(batch.logits()[1], batch.labels, **wanted, **options)
    for one, other in zip(fused, plain, strict=True):
        assert one.dtype == other.dtype
        close(one, other, CLOSE)


def test_rows_that_do_not_count_cost_nothing() -> None:
    """They may hold NaN, and their gradient is 0."""
    batch = Batch()
    with torch.no_grad():
        batch.hidden[~batch.mask] = torch.nan
    step = linear_preference_step(
        labels=batch.labels, loss="sigmoid", **batch.head, **batch.given("sigmoid")
    )
    step.loss.backward()
    assert step.plan["rows"] == (batch.mask & (batch.labels != -100)).sum()
    assert not batch.hidden.grad[~batch.mask].any() and batch.hidden.grad[batch.mask].any()
    assert batch.weight.grad.isfinite().all()


@pytest.mark.parametrize("expected", [None, 0.25, torch.tensor(3.0)])
@pytest.mark.parametrize("upstream", [1.0, 0.25, 0.0, -3.0])
def test_any_upstream_is_right(expected: float | Tensor | None, upstream: float) -> None:
    batch = Batch()
    given = batch.given("sigmoid")
    step = linear_preference_step(
        labels=batch.labels, loss="sigmoid", grad_loss=expected, **batch.head, **given
    )
    product, logits = batch.logits()
    plain = preference_step(logits, batch.labels, "sigmoid", **given)
    close(step.loss, plain.loss)
    plain.loss.backward()
    product.backward(logits.grad.double())
    tensors = [getattr(batch, name) for name in NAMES]
    for factor in (upstream, 2 * upstream):  # of a graph that is retained, and of one that is not
        gradients = torch.autograd.grad(
            step.loss * factor, tensors, retain_graph=factor == upstream != 0
        )
        for name, gradient in zip(NAMES, gradients):
            oracle = batch.oracle[name].grad
            close(gradient, factor * oracle, CLOSE, scale=abs(factor or 1) * oracle.abs().max())
        if not factor:
            break


def test_gradients_have_none_of_their_own() -> None:
    batch = Batch(trained=("hidden",))
    logp = linear_token_logprobs(labels=batch.labels, **batch.head)
    (gradient,) = torch.autograd.grad(logp.sum(), batch.hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="no gradient of their own"):
        gradient.sum().backward()
